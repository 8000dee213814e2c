"""Detectors about our own people who ask: D01, D04 and D07."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from node.governance.detectors.model import (
    DAY,
    About,
    Finding,
    Limits,
    Seen,
    Value,
    fresh,
    p95,
    persons,
    rests_on,
)
from node.model import Direction, Outcome

_HELD = frozenset({Outcome.OK.value, Outcome.PARTIAL.value})


def unusual_many(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D01: far more patients in a day than the person's own usual days have.

    A day is one of the calendar (UTC). The usual is the 95th percentile of the days before on which
    the person asked at all; with fewer than ``days`` of those nothing is said.
    """
    held = [row for row in _asked(rows) if row.outcome in _HELD and row.people]
    who = persons(held)
    by_day: dict[int, set[str | None]] = defaultdict(set)
    for row in held:
        by_day[row.t // DAY].add(who.of(row.people))
    found = []
    for day, of_day in _by_day(fresh(held, about)).items():
        before = [len(people) for each, people in by_day.items() if each < day]
        people = {who.of(row.people) for row in of_day}
        usual = p95(before)
        many = max(limits["patients"], limits["factor"] * usual)
        if len(before) >= limits["days"] and len(people) >= many:
            values = {"n": len(people), "usual": usual, "days": len(before)}
            found.append(Finding(values=values, entries=rests_on(of_day)))
    return found


def no_care(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D04: patients with whom our records show no care near the day of asking."""
    if not about.records:
        return []
    new = [row for row in fresh(_asked(rows), about) if row.people]
    who = persons(new)
    known = {who.of(row.people) for row in new if _near(row, limits)}
    found = []
    for of_day in _by_day([row for row in new if who.of(row.people) not in known]).values():
        people = {who.of(row.people) for row in of_day}
        if len(people) >= limits["patients"]:
            values = {"n": len(people), "days": int(limits["days"])}
            found.append(Finding(values=values, entries=rests_on(of_day)))
    return found


def small_ones(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D07: several small flags about one person, that each might pass for nothing."""
    del rows
    since = about.now - int(limits["days"]) * DAY
    new = [each for each in about.flags if each.t >= since and each.seq > about.flagged]
    if len(new) < limits["flags"]:
        return []
    values: dict[str, Value] = {
        "n": len(new),
        "days": int(limits["days"]),
        "which": ", ".join(sorted({each.detector for each in new})),
    }
    return [Finding(values=values, entries=tuple((each.seq, each.exchange) for each in new))]


def _near(row: Seen, limits: Limits) -> bool:
    return row.cared is not None and row.cared <= limits["days"]


def _asked(rows: Sequence[Seen]) -> list[Seen]:
    return [row for row in rows if row.direction == Direction.INITIATING]


def _by_day(rows: Sequence[Seen]) -> dict[int, list[Seen]]:
    found: dict[int, list[Seen]] = defaultdict(list)
    for row in rows:
        found[row.t // DAY].append(row)
    return found
