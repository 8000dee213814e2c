"""The encounters of patients in the database: taken from feeds, read for one patient, purged.

An encounter is found by tokens of its visit number and of the patient's identifiers and name, which
the ledger key makes; when it was, where and who took part is sealed under that key. Neither names
nor numbers of patients are kept. Each import is one transaction with its entry in the log, which
has counts and nothing of a patient.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from node.encounter import Does, Encounter, EncounterEvent
from node.errors import OurFault
from node.governance.access.encounter_changes import changed, joined
from node.governance.access.patient_marks import (
    MOST_MARKS,
    AskedPatient,
    identifier_marks,
    patient_marks,
)
from node.governance.access.tables import ENCOUNTER, LINK, PATIENT
from node.ledger.hold import lock_log
from node.ledger.leaf import milliseconds
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import write_fact
from node.model import PatientId
from node.storage.engine import IMMEDIATE

MOST_READ: Final = 200
"""Encounters of one patient that are looked at; the newest."""

_HOPS: Final = 5
_NONCE: Final = 12
_PURGED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an import did: new encounters, changed ones, and events or messages left out."""

    added: int = 0
    changed: int = 0
    left_out: int = 0


class Encounters:
    """Usable from several threads. The schema must be migrated before."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own

    def take(
        self,
        events: Sequence[EncounterEvent],
        *,
        author: Author,
        source: str,
        now: datetime,
        left_out: int = 0,
    ) -> Taken:
        """Take events in the order of their times; the log has the counts.

        Args:
            events: what happened.
            author: who imports.
            source: a word for the log: ``file`` or ``feed``.
            now: the current time.
            left_out: messages that were not read, for the counts.

        Raises:
            OurFault: when the log cannot take the entry; nothing is taken then.
        """
        added = again = 0
        with self._immediate.begin() as connection:
            lock_log(connection)
            for event in sorted(events, key=lambda each: each.at):
                fresh = self._take(connection, event)
                added, again = added + fresh, again + (not fresh)
            taken = Taken(added=added, changed=again, left_out=left_out)
            write_fact(
                connection,
                self._key,
                TrustChange(
                    act="encounters-import",
                    source=source,
                    counts={
                        "entries": len(events) + left_out,
                        "added": taken.added,
                        "changed": taken.changed,
                        "left_out": taken.left_out,
                    },
                ),
                author=author,
                own=self._own,
                now=now,
            )
        return taken

    def of(self, patient: AskedPatient) -> tuple[Encounter, ...]:
        """The newest encounters of a patient, the newest first.

        Raises:
            OurFault: ``encounter-unreadable``.
        """
        with self._engine.connect() as connection:
            marks = self._resolved(connection, patient_marks(self._key, patient))
            ids = select(PATIENT.c.encounter_id).where(PATIENT.c.mark.in_(marks))
            query = select(ENCOUNTER).where(ENCOUNTER.c.id.in_(ids))
            rows = connection.execute(
                query.order_by(ENCOUNTER.c.last.desc()).limit(MOST_READ)
            ).mappings()
            return tuple(self._unsealed(row["visit"], row["sealed"]) for row in rows)

    def count(self) -> int:
        """How many encounters are known."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(ENCOUNTER)).scalar() or 0

    def newest(self) -> datetime | None:
        """The newest time in any encounter."""
        with self._engine.connect() as connection:
            query = select(ENCOUNTER.c.last).order_by(ENCOUNTER.c.last.desc()).limit(1)
            found = connection.execute(query).scalar()
        return None if found is None else datetime.fromtimestamp(found / 1000, UTC)

    def purge(self, *, keep: timedelta, author: Author, now: datetime) -> int:
        """Delete encounters whose newest time is older than ``keep``; how many there were."""
        before = milliseconds(now - keep)
        removed = 0
        while True:
            with self._immediate.begin() as connection:
                lock_log(connection)
                ids = self._oldest(connection, before)
                if not ids:
                    return removed
                connection.execute(delete(PATIENT).where(PATIENT.c.encounter_id.in_(ids)))
                connection.execute(delete(ENCOUNTER).where(ENCOUNTER.c.id.in_(ids)))
                connection.execute(delete(LINK).where(LINK.c.t < before))
                change = TrustChange(act="encounters-purge", counts={"removed": len(ids)})
                write_fact(connection, self._key, change, author=author, own=self._own, now=now)
                removed += len(ids)

    @staticmethod
    def _oldest(connection: Connection, before: int) -> list[int]:
        query = select(ENCOUNTER.c.id).where(ENCOUNTER.c.last < before)
        return list(connection.execute(query.limit(_PURGED_AT_ONCE)).scalars())

    # --- inside a transaction -------------------------------------------------------------------

    def _take(self, connection: Connection, event: EncounterEvent) -> bool:
        """Take one event; whether it made a new encounter."""
        if event.does is Does.MERGE_PATIENTS:
            self._link(connection, event)
            return False
        asked = AskedPatient(identifiers=event.patients, person=event.person)
        marks = self._resolved(connection, patient_marks(self._key, asked))
        visit = self._visit(event)
        known = self._read(connection, visit)
        if event.does is Does.MERGE_VISITS:
            known = self._absorb(connection, event, visit, known)
        if event.does is Does.MOVE_VISIT and known is not None:
            connection.execute(delete(PATIENT).where(PATIENT.c.encounter_id == known[0]))
        encounter = changed(known[1] if known else None, event)
        values = {"sealed": self._sealed(visit, encounter), "last": milliseconds(_last(encounter))}
        if known is not None:
            number = known[0]
            connection.execute(update(ENCOUNTER).where(ENCOUNTER.c.id == number).values(values))
        else:
            made = connection.execute(insert(ENCOUNTER).values(visit=visit, **values))
            (number,) = made.inserted_primary_key or (0,)
        self._mark(connection, number, marks)
        return known is None

    def _absorb(
        self,
        connection: Connection,
        event: EncounterEvent,
        visit: bytes,
        known: tuple[int, Encounter] | None,
    ) -> tuple[int, Encounter] | None:
        """Make the prior visit one with the visit; what there is then under the visit's number."""
        if event.prior_visit is None:
            return known
        prior = self._number(event.prior_visit)
        other = self._read(connection, prior)
        if other is None or prior == visit:
            return known
        if known is None:
            connection.execute(
                update(ENCOUNTER).where(ENCOUNTER.c.id == other[0]).values(visit=visit)
            )
            return other
        of = PATIENT.c.encounter_id == other[0]
        marks = connection.execute(select(PATIENT.c.mark).where(of)).scalars().all()
        connection.execute(delete(PATIENT).where(of))
        connection.execute(delete(ENCOUNTER).where(ENCOUNTER.c.id == other[0]))
        self._mark(connection, known[0], marks)
        return known[0], joined(known[1], other[1])

    def _link(self, connection: Connection, event: EncounterEvent) -> None:
        """Let the encounters of a patient merged away be those of the one who took over."""
        into = identifier_marks(self._key, event.patients)
        prior = [m for m in identifier_marks(self._key, event.prior_patients) if m not in into]
        if not into or not prior:
            return
        for mark in prior:
            connection.execute(delete(LINK).where(LINK.c.mark == mark))
            values = {"mark": mark, "into": into[0], "t": milliseconds(event.at)}
            connection.execute(insert(LINK).values(values))
        ids = select(PATIENT.c.encounter_id).where(PATIENT.c.mark.in_(prior)).distinct()
        for number in connection.execute(ids).scalars().all():
            self._mark(connection, number, into)

    @staticmethod
    def _mark(connection: Connection, number: int, marks: Iterable[bytes]) -> None:
        held = select(PATIENT.c.mark).where(PATIENT.c.encounter_id == number)
        known = set(connection.execute(held).scalars())
        room = max(MOST_MARKS - len(known), 0)
        fresh = [mark for mark in dict.fromkeys(marks) if mark not in known][:room]
        for mark in fresh:
            connection.execute(insert(PATIENT).values(mark=mark, encounter_id=number))

    @staticmethod
    def _resolved(connection: Connection, marks: Sequence[bytes]) -> tuple[bytes, ...]:
        """Tokens, and those of the identifiers that took over from them."""
        found = dict.fromkeys(marks)
        newest = list(found)
        for _ in range(_HOPS):
            query = select(LINK.c.into).where(LINK.c.mark.in_(newest))
            newest = [m for m in connection.execute(query).scalars() if m not in found]
            if not newest:
                break
            found |= dict.fromkeys(newest)
        return tuple(found)

    def _read(self, connection: Connection, visit: bytes) -> tuple[int, Encounter] | None:
        query = select(ENCOUNTER).where(ENCOUNTER.c.visit == visit)
        row = connection.execute(query).mappings().first()
        return (row["id"], self._unsealed(visit, row["sealed"])) if row else None

    def _visit(self, event: EncounterEvent) -> bytes:
        """The token of a visit; of one without a number, that of its patient and day."""
        if event.visit is not None:
            return self._number(event.visit)
        day = event.began or event.at
        return self._key.token("encounter-day", f"{event.patients[0].cx}\x00{day:%Y-%m-%d}")

    def _number(self, visit: PatientId) -> bytes:
        return self._key.token("encounter-visit", visit.cx)

    # --- sealing --------------------------------------------------------------------------------

    def _sealed(self, visit: bytes, encounter: Encounter) -> bytes:
        nonce = os.urandom(_NONCE)
        cipher = self._key.wrapping(f"encounter\x00{visit.hex()}")
        return nonce + cipher.encrypt(nonce, msgspec.json.encode(encounter), _SEALED)

    def _unsealed(self, visit: bytes, sealed: bytes) -> Encounter:
        cipher = self._key.wrapping(f"encounter\x00{visit.hex()}")
        try:
            text = cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _SEALED)
            return msgspec.json.decode(text, type=Encounter)
        except (InvalidTag, msgspec.MsgspecError) as error:
            raise OurFault("encounter-unreadable", "A stored encounter does not open.") from error


_SEALED: Final = b"encounter v1"


def _last(encounter: Encounter) -> datetime:
    noted = encounter.noted
    return max(noted, encounter.began or noted, encounter.ended or noted)
