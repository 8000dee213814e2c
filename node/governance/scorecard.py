"""What the log says of one peer, counted: each number with the filter that opens its rows.

Nothing here is a score: shares have their n, and nobody adds them up (facts: governance-ux 6.7).
Numbers are those of the tallies (``tallying``), by whole days (UTC), today among them; whoever
shows them has the tallies brought up to date first, and says so where that did not end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, select

from node.governance.durations import percentile
from node.governance.marks import marks
from node.governance.measures import (
    MEASURES,
    Conditions,
    Measure,
    of_deviation,
    of_purpose,
    of_time,
)
from node.governance.tallying import DAY_MS
from node.ledger import leaf
from node.ledger.filter import Term
from node.ledger.find import LedgerFilter, find
from node.ledger.leaf import Kind
from node.model import Direction, Outcome
from node.storage.tally_tables import DURATION, TALLY

WINDOWS: Final = (7, 30, 90)
"""Days, today among them."""

FEW: Final = 50
"""Below so many a share says little: the numbers stand for themselves."""

CATCH_UP: Final = 500
"""Entries that a page counts before it shows its numbers; more are left to the sweep."""

_MOST_PURPOSES: Final = 8
_MOST_DEVIATIONS: Final = 8
_FAULTS: Final = (Outcome.FAILED.value, Outcome.TIMED_OUT.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Legs of a window that are alike; ``mark`` is empty for all of them."""

    direction: str
    transaction: str
    outcome: str
    purpose: str
    mark: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A number of the scorecard: a part of a whole, or how long the part took (ms)."""

    part: int
    whole: int | None = None
    half: int | None = None
    most: int | None = None
    timed: bool = False

    @property
    def few(self) -> bool:
        """Whether there are too few for a share or a percentile."""
        return (self.part if self.timed else self.whole or 0) < FEW

    @property
    def words(self) -> str:
        """The number as people read it; no share and no percentile of too few."""
        if self.timed:
            if self.few or self.half is None or self.most is None:
                return "too few" if self.part else "none"
            return f"{_seconds(self.half)} / {_seconds(self.most)}"
        if self.whole is None:
            return f"{self.part:,}"
        if not self.whole:
            return "none"
        return (
            f"{self.part} of {self.whole}" if self.few else f"{100 * self.part / self.whole:.1f} %"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """The legs of a window with one peer, counted; ``first`` is its first day (since 1970)."""

    days: int
    first: int
    rows: Sequence[Tally]
    took: Mapping[tuple[str, str], Mapping[int, int]]

    def number(self, conditions: Conditions) -> int:
        """How many legs fit."""
        wanted = conditions.get("mark") or ("",)
        without = conditions.get("-mark", ())
        plain = {name: v for name, v in conditions.items() if name not in ("mark", "-mark")}
        whole = 0
        for row in self.rows:
            if all(getattr(row, name) in values for name, values in plain.items()):
                # a leg has at most one of the marks that a measure leaves out
                whole += row.number * ((row.mark in wanted) - (row.mark in without))
        return whole

    def cell(self, measure: Measure) -> Cell:
        """The number of a row of the scorecard."""
        part = self.number(measure.part)
        if measure.timed:
            place = (measure.part["direction"][0], measure.part["transaction"][0])
            counts = self.took.get(place, {})
            return Cell(
                part=part,
                half=percentile(counts, 0.5),
                most=percentile(counts, 0.95),
                timed=True,
            )
        return Cell(part=part, whole=None if measure.whole is None else self.number(measure.whole))

    def filter_of(self, hcid: str, conditions: Conditions) -> LedgerFilter:
        """The filter that opens the legs that fit."""
        values: dict[str, Any] = {name: v for name, v in conditions.items() if name != "-mark"}
        if without := conditions.get("-mark", ()):
            values["mark"] = Term(none_of=without)
        given = {name: v for name, v in values.items() if v}
        until = day_of(self.first + 1) if self.days == 1 else None
        return LedgerFilter(since=day_of(self.first), until=until, peer=hcid, **given)

    def measures(self) -> Iterator[Measure]:
        """The rows of a scorecard whose longest window this is."""
        groups: dict[str, list[Measure]] = {}
        for measure in (*MEASURES, *self._further()):
            groups.setdefault(measure.group, []).append(measure)
        for group in groups.values():
            yield from group

    def _further(self) -> Iterator[Measure]:
        """What there is of this peer: its deviations, transactions and purposes."""
        known = marks().keys()
        found: dict[str, int] = {}
        for row in self.rows:
            if row.mark and row.mark not in known:
                found[row.mark] = found.get(row.mark, 0) + row.number
        for name in sorted(found, key=lambda name: (-found[name], name))[:_MOST_DEVIATIONS]:
            yield of_deviation(name)
        for direction, transaction in sorted(self.took):
            yield of_time(direction, transaction)
        for purpose in self.purposes_asked[:_MOST_PURPOSES]:
            yield of_purpose(purpose)

    @property
    def purposes_asked(self) -> tuple[str, ...]:
        """The purposes for which the peer asked us."""
        way = Direction.RESPONDING.value
        asked = {row.purpose for row in self.rows if row.direction == way}
        return tuple(sorted(purpose for purpose in asked if purpose))

    @property
    def by_outcome(self) -> dict[str, int]:
        """How many legs ended how, in the order of the outcomes."""
        found = {each.value: self.number({"outcome": (each.value,)}) for each in Outcome}
        return {outcome: number for outcome, number in found.items() if number}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The legs with a peer that began on a day; ``bad`` of them failed or timed out."""

    day: int
    number: int
    bad: int


def tallies(engine: Engine, hcid: str, days: int, *, now: datetime) -> Tallies:
    """The legs with a peer of the days that end with today."""
    return of_days(engine, hcid, leaf.milliseconds(now) // DAY_MS - days + 1, days)


def of_days(engine: Engine, hcid: str, first: int, days: int) -> Tallies:
    """The legs with a peer of some days on end."""
    alike = (
        TALLY.c.direction, TALLY.c.txn, TALLY.c.outcome, TALLY.c.purpose, TALLY.c.mark,
    )  # fmt: skip
    timed = (DURATION.c.direction, DURATION.c.txn, DURATION.c.bucket)
    of_peer, took_there = TALLY.c.peer == hcid, DURATION.c.peer == hcid
    last = first + days - 1
    took: dict[tuple[str, str], dict[int, int]] = {}
    with engine.connect() as connection:
        found = connection.execute(
            select(*alike, func.sum(TALLY.c.number))
            .where(of_peer, TALLY.c.day.between(first, last))
            .group_by(*alike)
        ).all()
        for way, txn, bucket, number in connection.execute(
            select(*timed, func.sum(DURATION.c.number))
            .where(took_there, DURATION.c.day.between(first, last))
            .group_by(*timed)
        ):
            took.setdefault((way, txn), {})[bucket] = int(number)
    rows = tuple(
        Tally(
            direction=way,
            transaction=txn,
            outcome=outcome,
            purpose=purpose,
            mark=mark,
            number=int(number),
        )
        for way, txn, outcome, purpose, mark, number in found
    )
    return Tallies(days=days, first=first, rows=rows, took=took)


def daily(engine: Engine, hcid: str, days: int, *, now: datetime) -> tuple[Day, ...]:
    """Each of the days that end with today, oldest first."""
    last = leaf.milliseconds(now) // DAY_MS
    with engine.connect() as connection:
        counts = _daily(connection, hcid, last - days + 1)
    return tuple(
        Day(
            day=day,
            number=sum(counts.get(day, {}).values()),
            bad=sum(counts.get(day, {}).get(outcome, 0) for outcome in _FAULTS),
        )
        for day in range(last - days + 1, last + 1)
    )


def _daily(connection: Connection, hcid: str, first: int) -> dict[int, dict[str, int]]:
    query = (
        select(TALLY.c.day, TALLY.c.outcome, func.sum(TALLY.c.number))
        .where(TALLY.c.peer == hcid, TALLY.c.day >= first, TALLY.c.mark == "")
        .group_by(TALLY.c.day, TALLY.c.outcome)
    )
    found: dict[int, dict[str, int]] = {}
    for day, outcome, number in connection.execute(query):
        found.setdefault(day, {})[outcome] = int(number)
    return found


def day_of(day: int) -> datetime:
    """When a day of the tallies begins."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)


def last_exchange(engine: Engine, hcid: str) -> datetime | None:
    """When the newest leg with a peer began."""
    chosen = LedgerFilter(peer=hcid, kind=Kind.EXCHANGE.value)
    found = find(engine, chosen, limit=1).entries
    return found[0].time if found else None


def _seconds(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"  # noqa: PLR2004 - a second
