"""What is owed about a patient's report: requests with their days, and suspensions.

A request is answered within 60 days, which may be extended once by 30 with a reason; a health
oversight agency or law enforcement may have disclosures to it kept out of a patient's reports for a
time, at most 30 days where it said so orally (facts: governance-ux 6.5; the numbers are data). Each
step is an entry of the log, in one transaction with its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, func, insert, select, update
from sqlalchemy.engine import RowMapping

from node.governance.accounting import clocks
from node.governance.case_model import Refusal
from node.governance.disclosure_tables import REQUESTED, SUSPENSION
from node.ledger import leaf
from node.ledger.hold import lock_log
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import write_fact
from node.model import PatientId
from node.storage.engine import IMMEDIATE

MOST_SHOWN: Final = 20
LEAST_TEXT: Final = 20
MOST_TEXT: Final = 2000
_LONGEST: Final = timedelta(days=3660)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A patient's request; ``answered`` is ``None`` while it is open."""

    id: int
    asked: datetime
    due: datetime
    extended: bool
    answered: datetime | None
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """Disclosures to one recipient that are kept out of a patient's reports."""

    id: int
    peer: str
    begun: datetime
    until: datetime
    oral: bool
    who: str


class Duties:
    """Usable from several threads. The schema must be migrated before."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own

    def ask(
        self, patient: PatientId, author: Author, login: str, *, asked: datetime, now: datetime
    ) -> Refusal | None:
        """Write down that the patient asks for a report.

        Raises:
            OurFault: when the log cannot take the entry; nothing is written then.
        """
        if not now - clocks().request <= asked <= now:
            return _refusal(
                "asked", "The day of the request is today, or within the time to answer."
            )
        token, due = self._key.patient_token(patient), asked + clocks().request
        with self._immediate.begin() as connection:
            seq = self._note(
                connection, "request", token, author, {"due": leaf.from_time(due)}, now=now
            )
            values = {"token": token, "asked": leaf.milliseconds(asked),
                      "due": leaf.milliseconds(due), "extended": False, "answered": None,
                      "who": login, "seq": seq}  # fmt: skip
            _insert(connection, REQUESTED, values)
        return None

    def extend(
        self, patient: PatientId, number: int, author: Author, *, text: str, now: datetime
    ) -> Refusal | None:
        """Extend the time of an open request, once, with the reason that the patient is told.

        Raises:
            OurFault: as ``ask``.
        """
        if (short := _short(text)) is not None:
            return short
        token = self._key.patient_token(patient)
        with self._immediate.begin() as connection:
            lock_log(connection)
            row = _open(connection, token, number)
            if row is None or row["extended"]:
                return Refusal(code="not-open", sentence="It is answered, or was extended before.")
            due = row["due"] + clocks().extension // timedelta(milliseconds=1)
            changed = update(REQUESTED).where(REQUESTED.c.id == number)
            connection.execute(changed.values(extended=True, due=due))
            self._note(connection, "extend", token, author, {"text": text.strip()}, now=now)
        return None

    def answer(
        self, patient: PatientId, number: int, author: Author, *, now: datetime
    ) -> Refusal | None:
        """Write down that a request was answered. Raises as ``ask``."""
        token = self._key.patient_token(patient)
        with self._immediate.begin() as connection:
            lock_log(connection)
            if _open(connection, token, number) is None:
                return Refusal(code="not-open", sentence="This request is answered already.")
            changed = update(REQUESTED).where(REQUESTED.c.id == number)
            connection.execute(changed.values(answered=leaf.milliseconds(now)))
            self._note(connection, "answer", token, author, {}, now=now)
        return None

    def suspend(
        self,
        patient: PatientId,
        peer: str,
        author: Author,
        login: str,
        *,
        until: datetime,
        oral: bool,
        text: str,
        now: datetime,
    ) -> Refusal | None:
        """Keep disclosures to a recipient out of the patient's reports, as an authority asked.

        Raises:
            OurFault: as ``ask``.
        """
        if not leaf.fits("peer", peer):
            return _refusal("peer", "Name the authority by its HCID, such as urn:oid:2.999.7.")
        longest = clocks().oral if oral else _LONGEST
        if not now < until <= now + longest:
            days = longest.days
            return _refusal("until", f"A suspension like this ends within {days} days from now.")
        if (short := _short(text)) is not None:
            return short
        token = self._key.patient_token(patient)
        private = {"peer": peer, "until": leaf.from_time(until), "oral": oral, "text": text.strip()}
        with self._immediate.begin() as connection:
            seq = self._note(connection, "suspend", token, author, private, now=now)
            values = {"token": token, "peer": peer, "begun": leaf.milliseconds(now),
                      "until": leaf.milliseconds(until), "oral": oral, "who": login,
                      "seq": seq}  # fmt: skip
            _insert(connection, SUSPENSION, values)
        return None

    def lift(
        self, patient: PatientId, number: int, author: Author, *, now: datetime
    ) -> Refusal | None:
        """End a suspension before its time. Raises as ``ask``."""
        token = self._key.patient_token(patient)
        with self._immediate.begin() as connection:
            lock_log(connection)
            at = leaf.milliseconds(now)
            ended = connection.execute(
                update(SUSPENSION)
                .where(
                    SUSPENSION.c.id == number, SUSPENSION.c.token == token, SUSPENSION.c.until > at
                )
                .values(until=at)
            )
            if not ended.rowcount:
                return Refusal(code="not-open", sentence="This suspension is over already.")
            self._note(connection, "lift", token, author, {}, now=now)
        return None

    def requests(self, patient: PatientId) -> tuple[Requested, ...]:
        """The requests of a patient, the newest first."""
        token = self._key.patient_token(patient)
        query = select(REQUESTED).where(REQUESTED.c.token == token)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(REQUESTED.c.id.desc()).limit(MOST_SHOWN))
            return tuple(
                Requested(
                    id=row["id"], asked=_instant(row["asked"]), due=_instant(row["due"]),
                    extended=row["extended"], who=row["who"],
                    answered=None if row["answered"] is None else _instant(row["answered"]),
                )
                for row in rows.mappings()
            )  # fmt: skip

    def suspensions(self, patient: PatientId, *, now: datetime) -> tuple[Suspension, ...]:
        """The suspensions of a patient that stand."""
        token = self._key.patient_token(patient)
        with self._engine.connect() as connection:
            rows = connection.execute(_standing(token, now).limit(MOST_SHOWN)).mappings()
            return tuple(
                Suspension(
                    id=row["id"], peer=row["peer"], begun=_instant(row["begun"]),
                    until=_instant(row["until"]), oral=row["oral"], who=row["who"],
                )
                for row in rows
            )  # fmt: skip

    def due_soon(self, *, now: datetime, within: timedelta) -> int:
        """How many open requests of all patients are due by then, or late."""
        query = select(func.count()).where(
            REQUESTED.c.answered.is_(None), REQUESTED.c.due <= leaf.milliseconds(now + within)
        )
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def _note(
        self,
        connection: Connection,
        act: str,
        token: bytes,
        author: Author,
        private: Mapping[str, object],
        *,
        now: datetime,
    ) -> int:
        lock_log(connection)
        change = TrustChange(
            act=f"disclosure-{act}", private={"patient": f"~{token.hex()}", **private}
        )
        receipt, _ = write_fact(
            connection, self._key, change, author=author, own=self._own, now=now
        )
        return receipt.seq


def suspended_peers(connection: Connection, token: bytes, *, now: datetime) -> frozenset[str]:
    """The recipients whose disclosures are kept out of a patient's reports now."""
    return frozenset(row["peer"] for row in connection.execute(_standing(token, now)).mappings())


def _standing(token: bytes, now: datetime) -> Any:
    where = (SUSPENSION.c.token == token, SUSPENSION.c.until > leaf.milliseconds(now))
    return select(SUSPENSION).where(*where).order_by(SUSPENSION.c.until)


def _open(connection: Connection, token: bytes, number: int) -> RowMapping | None:
    query = select(REQUESTED).where(
        REQUESTED.c.id == number, REQUESTED.c.token == token, REQUESTED.c.answered.is_(None)
    )
    return connection.execute(query).mappings().first()


def _insert(connection: Connection, table: Table, values: Mapping[str, object]) -> None:
    last = connection.execute(select(func.max(table.c.id))).scalar() or 0
    connection.execute(insert(table).values({"id": last + 1, **values}))


def _short(text: str) -> Refusal | None:
    length = len(text.strip())
    if LEAST_TEXT <= length <= MOST_TEXT:
        return None
    return _refusal("text", f"Write {LEAST_TEXT} to {MOST_TEXT} characters; this has {length}.")


def _refusal(name: str, sentence: str) -> Refusal:
    return Refusal(code=f"{name}-invalid", sentence=sentence, field=name)


def _instant(t: int) -> datetime:
    return datetime.fromtimestamp(t / 1000, UTC)
