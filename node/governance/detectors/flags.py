"""What detectors found: flags with their entries, sweeps, and what is suppressed.

Nobody sees a flag about themselves: readers pass the token of who reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, select

from node.governance.case_model import State as CaseState
from node.governance.case_model import outcomes
from node.governance.case_rows import instant
from node.governance.detector_tables import FLAG, FLAG_ENTRY, SUPPRESSION, SWEEP
from node.governance.detectors.catalogue import State
from node.ledger import leaf
from node.storage.case_tables import CASE

_MOST: Final = 200
_MONTH: Final = timedelta(days=30)

WHICH: Final = {
    "all": "all",
    "month": "last 30 days",
    "shadow": "in shadow",
    "suppressed": "kept out of cases",
    "confirmed": "confirmed",
    "dismissed": "dismissed",
}
"""What a list of flags may be narrowed to, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag; ``entries`` are (entry number, exchange id), as many as are kept."""

    id: int
    detector: str
    version: int
    subject: str
    about: str
    state: State
    t: datetime
    sentence: str
    first: int
    last: int
    count: int
    case_number: str | None
    suppression: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Until when flags of a detector about somebody make no case."""

    id: int
    detector: str
    subject: str
    about: str
    t: datetime
    until: datetime
    who: str
    entry: int
    ended: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One look at what was new; ``failed`` are the detectors that could not look."""

    t: datetime
    reached: int
    exchanges: int
    flags: int
    shadow: int
    took_ms: int
    failed: tuple[str, ...]


def last_sweep(engine: Engine) -> Sweep | None:
    """The newest sweep that looked at anything, or the newest of all."""
    with engine.connect() as connection:
        query = select(SWEEP).order_by(SWEEP.c.id.desc()).limit(1)
        row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return Sweep(
        t=at(row["t"]),
        reached=row["reached"],
        exchanges=row["exchanges"],
        flags=row["flags"],
        shadow=row["shadow"],
        took_ms=row["took_ms"],
        failed=tuple(filter(None, row["failed"].split(","))),
    )


def flags(
    engine: Engine,
    *,
    reader: str,
    detector: str | None = None,
    case: str | None = None,
    which: str = "all",
    now: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> tuple[Flag, ...]:
    """Flags newest first.

    Args:
        engine: the node's database.
        reader: token (hex) of who reads: flags about them are left out.
        detector: only those of one.
        case: only those of one case.
        which: one of ``WHICH``.
        now: the current time, for the last 30 days.
        before: the number of the last flag seen.
        limit: how many at most.
    """
    query = select(FLAG).where(FLAG.c.about != reader).order_by(FLAG.c.id.desc()).limit(limit)
    query = query.where(*_narrowed(which, now))
    if detector is not None:
        query = query.where(FLAG.c.detector == detector)
    if case is not None:
        query = query.where(FLAG.c.case_number == case)
    if before is not None:
        query = query.where(FLAG.c.id < before)
    with engine.connect() as connection:
        return tuple(flag_of(row) for row in connection.execute(query).mappings())


def _narrowed(which: str, now: datetime | None) -> list[ColumnElement[bool]]:
    """The conditions of ``WHICH``; they are those by which the scoreboard counts."""
    if which in ("confirmed", "dismissed"):
        wanted = {"confirmed": "hit", "dismissed": "miss"}[which]
        codes = [code for code, row in outcomes().items() if row.counts == wanted]
        closed = select(CASE.c.number).where(
            CASE.c.state == CaseState.CLOSED.value, CASE.c.outcome.in_(codes)
        )
        return [FLAG.c.case_number.in_(closed)]
    found: list[ColumnElement[bool]] = []
    if which != "all" and now is not None:
        found.append(FLAG.c.t >= leaf.milliseconds(now - _MONTH))
    if which == "shadow":
        found.append(FLAG.c.state == State.SHADOW.value)
    if which == "suppressed":
        found.append(FLAG.c.suppression.is_not(None))
    return found


def read_flag(engine: Engine, number: int, *, reader: str) -> Flag | None:
    """One flag; ``None`` also for who it is about."""
    query = select(FLAG).where(FLAG.c.id == number, FLAG.c.about != reader)
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    return flag_of(row) if row is not None else None


def entries_of(engine: Engine, ids: Iterable[int]) -> dict[int, tuple[tuple[int, str], ...]]:
    """The entries behind some flags: (entry number, exchange id), oldest first."""
    query = select(FLAG_ENTRY).where(FLAG_ENTRY.c.flag.in_(list(ids)))
    found: dict[int, list[tuple[int, str]]] = {}
    with engine.connect() as connection:
        for row in connection.execute(query.order_by(FLAG_ENTRY.c.flag, FLAG_ENTRY.c.seq)):
            found.setdefault(row.flag, []).append((row.seq, row.exchange_id))
    return {flag: tuple(entries) for flag, entries in found.items()}


def suppressions(
    engine: Engine, *, now: datetime, reader: str, detector: str | None = None
) -> tuple[Suppression, ...]:
    """Suppressions that stand, those that end first standing first."""
    query = select(SUPPRESSION).where(
        standing(leaf.milliseconds(now)), SUPPRESSION.c.about != reader
    )
    if detector is not None:
        query = query.where(SUPPRESSION.c.detector == detector)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(SUPPRESSION.c.until).limit(_MOST)).mappings()
        return tuple(_suppression(row) for row in rows)


def suppressed(connection: Connection, detector: str, about: str, t: int) -> int | None:
    """The number of the suppression that stands for flags of a detector about somebody."""
    query = select(SUPPRESSION.c.id).where(
        SUPPRESSION.c.about == about, SUPPRESSION.c.detector == detector, standing(t)
    )
    return connection.execute(query.limit(1)).scalar()


def flag_of(row: RowMapping) -> Flag:
    """A flag from its row."""
    values: dict[str, Any] = {name: row[name] for name in Flag.__slots__}
    return Flag(**{**values, "t": at(row["t"]), "state": State(row["state"])})


def _suppression(row: RowMapping) -> Suppression:
    values: dict[str, Any] = {name: row[name] for name in Suppression.__slots__}
    times = {"t": at(row["t"]), "until": at(row["until"]), "ended": instant(row["ended"])}
    return Suppression(**{**values, **times})


def standing(t: int) -> ColumnElement[bool]:
    """Which suppressions stand at a time (ms)."""
    return SUPPRESSION.c.ended.is_(None) & (SUPPRESSION.c.until > t)


def at(t: int) -> datetime:
    """Milliseconds since 1970 as an instant."""
    found = instant(t)
    if found is None:
        raise ValueError(t)
    return found
