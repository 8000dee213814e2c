"""The register of denials: every refusal of ours, and what people wrote down about it.

A refusal is an entry of the log; the register adds to it what it stands on (an exception of the
catalogue of its day) and whether its requester was answered in writing. Each such note is an entry
of the log too, written in one transaction with its row; the newest counts, and none goes.

Refusals are answered when they are made, in the form of their transaction. In writing a requester
is answered by a person, outside of this node; here is noted that and when. A fault of ours that
kept records from somebody is no refusal and stands beside them (facts: governance-ux 6.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Engine, func, insert, select

from node.governance.case_rows import instant
from node.governance.exceptions import Exemption, answer_due, catalogue
from node.governance.tables import DENIAL
from node.ledger import leaf
from node.ledger.find import Cursor, Entry, LedgerFilter, find
from node.ledger.hold import lock_log
from node.ledger.leaf_check import fields_of
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import write_fact
from node.model import Direction, Outcome
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY

UNDOCUMENTED_WITHIN: Final = 10
"""Business days until a refusal without a reason is to be explained: those of an infeasible one."""

NEAR: Final = timedelta(days=3)
MOST_LOOKED_AT: Final = 500
"""Refusals without a reason that the banner looks at."""


class Side(StrEnum):
    """What the register shows."""

    OURS = "ours"
    THEIRS = "theirs"
    FAULTS = "faults"
    LIMITS = "limits"


_EVERY: Final = LedgerFilter()
_FILTERS: Final = {
    Side.OURS: LedgerFilter(direction=Direction.RESPONDING.value, outcome=Outcome.DECLINED.value),
    Side.THEIRS: LedgerFilter(direction=Direction.INITIATING.value, outcome=Outcome.DECLINED.value),
    Side.FAULTS: LedgerFilter(
        direction=Direction.RESPONDING.value,
        outcome=(Outcome.FAILED.value, Outcome.TIMED_OUT.value),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a person wrote down: which exception it is, and when the requester was answered.

    ``number`` counts the notes about a refusal; ``confirmer`` is the second person who confirmed
    this one, at ``confirmed``.
    """

    number: int
    t: datetime
    who: str
    exception: str
    answered: datetime | None
    confirmer: str | None = None
    confirmed: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """A refusal, or a fault of ours.

    Attributes:
        entry: of the log.
        exemption: what it stands on; ``None`` while it is undocumented.
        note: the newest note about it.
        due: until when the requester is to be answered in writing; ``None`` where no rule says so.
    """

    entry: Entry
    exemption: Exemption | None
    note: Note | None
    due: datetime | None

    @property
    def reason(self) -> str | None:
        """The code that the log has."""
        value = self.entry.fields.get("reason")
        return None if value is None else str(value)

    @property
    def is_open(self) -> bool:
        """Whether a written answer is due and was not given."""
        return self.due is not None and (self.note is None or self.note.answered is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A page of it, newest first."""

    denials: tuple[Denial, ...]
    following: Cursor | None


def of_side(side: Side, chosen: LedgerFilter) -> LedgerFilter:
    """A filter, of what one side of the register shows; not of those turned away at a limit."""
    of = _FILTERS[side]
    return replace(chosen, direction=of.direction, outcome=of.outcome, kind=None)


def register(
    engine: Engine,
    key: LedgerKey,
    side: Side,
    *,
    limit: int,
    after: Cursor | None = None,
    chosen: LedgerFilter = _EVERY,
) -> Register:
    """A page of the register; ``chosen`` is with instants, and says nothing of side or outcome.

    Raises:
        OurFault: as ``ledger.find.find``.
    """
    found = find(engine, of_side(side, chosen), key=key, limit=limit, after=after)
    return Register(denials=_denials(engine, found.entries), following=found.following)


def denial(engine: Engine, key: LedgerKey, seq: int) -> Denial | None:
    """The refusal with a number; ``None`` where that entry is none of ours."""
    chosen = LedgerFilter(direction=Direction.RESPONDING.value, outcome=Outcome.DECLINED.value)
    with engine.connect() as connection:
        t = connection.execute(select(ENTRY.c.t).where(ENTRY.c.seq == seq)).scalar()
    if t is None:
        return None
    page = find(engine, chosen, key=key, limit=1, after=Cursor(t=t, seq=seq + 1))
    entries = [entry for entry in page.entries if entry.seq == seq]
    return next(iter(_denials(engine, entries)), None)


def waiting(engine: Engine, *, now: datetime) -> tuple[Denial, ...]:
    """Refusals of ours with a written answer still due, what is due first standing first.

    Looked at are those without a documented reason, and those whose note says an exception that
    asks for an answer.
    """
    documented = sorted(catalogue().documented())
    columns = (ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.leaf)
    without = (
        select(*columns)
        .where(
            ENTRY.c.outcome == Outcome.DECLINED.value,
            ENTRY.c.direction == Direction.RESPONDING.value,
            ENTRY.c.reason.is_(None) | ENTRY.c.reason.not_in(documented),
        )
        .order_by(ENTRY.c.t.desc())
        .limit(MOST_LOOKED_AT)
    )
    noted = select(DENIAL.c.seq).where(DENIAL.c.answered.is_(None)).limit(MOST_LOOKED_AT)
    with engine.connect() as connection:
        rows = list(connection.execute(without))
        rows += connection.execute(select(*columns).where(ENTRY.c.seq.in_(noted))).all()
    entries = {
        row.seq: Entry(
            seq=row.seq, entry_id=row.entry_id, data=row.leaf, fields=fields_of(row.leaf)
        )
        for row in rows
    }
    found = [each for each in _denials(engine, entries.values()) if each.is_open]
    return tuple(sorted(found, key=lambda each: each.due or now))


class Denials:
    """Writes notes. Usable from several threads."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own

    def note(
        self,
        about: Denial,
        author: Author,
        *,
        login: str,
        exception: str,
        text: str,
        answered: datetime | None,
        now: datetime,
    ) -> None:
        """Write down which exception a refusal stands on, why, and when it was answered.

        Raises:
            OurFault: when the log cannot take the entry; nothing is written then.
        """
        private: dict[str, object] = {"entry": about.entry.seq, "text": text}
        if answered is not None:
            private["answered"] = leaf.from_time(answered)
        change = TrustChange(
            act="denial-note",
            home_community_id=_text(about.entry, "peer"),
            reason=exception,
            counts={"first": about.entry.seq},
            private=private,
        )
        with self._engine.begin() as connection:
            lock_log(connection)
            receipt, _ = write_fact(
                connection, self._key, change, author=author, own=self._own, now=now
            )
            count = select(func.count()).where(DENIAL.c.seq == about.entry.seq)
            connection.execute(
                insert(DENIAL).values(
                    seq=about.entry.seq,
                    number=(connection.execute(count).scalar() or 0) + 1,
                    t=leaf.milliseconds(now),
                    who=login,
                    exception=exception,
                    answered=leaf.milliseconds(answered) if answered else None,
                    entry=receipt.seq,
                )
            )


def _denials(engine: Engine, entries: Iterable[Entry]) -> tuple[Denial, ...]:
    listed = tuple(entries)
    with engine.connect() as connection:
        notes = _notes(connection, [entry.seq for entry in listed])
    return tuple(_denial(entry, notes.get(entry.seq)) for entry in listed)


def _denial(entry: Entry, note: Note | None) -> Denial:
    table = catalogue()
    day = entry.time.date()
    ours = entry.fields["dir"] == Direction.RESPONDING.value
    refused = entry.fields["outcome"] == Outcome.DECLINED.value
    exemption = table.behind(_text(entry, "reason"), day) if refused else None
    if note is not None:
        exemption = table.on(day).get(note.exception, exemption)
    due = None
    if ours and refused:
        days = UNDOCUMENTED_WITHIN if exemption is None else exemption.answer
        due = answer_due(entry.time, days) if days is not None else None
    return Denial(entry=entry, exemption=exemption, note=note, due=due)


def _notes(connection: Connection, seqs: list[int]) -> dict[int, Note]:
    """The newest note of each."""
    query = select(DENIAL).where(DENIAL.c.seq.in_(seqs)).order_by(DENIAL.c.number)
    return {
        row["seq"]: Note(
            number=row["number"],
            confirmer=row["confirmer"],
            confirmed=instant(row["confirmed"]),
            t=datetime.fromtimestamp(row["t"] / 1000, UTC),
            who=row["who"],
            exception=row["exception"],
            answered=instant(row["answered"]),
        )
        for row in connection.execute(query).mappings()
    }


def _text(entry: Entry, name: str) -> str | None:
    value = entry.fields.get(name)
    return None if value is None else str(value)
