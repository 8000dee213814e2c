"""How many legs ended how, over the time of a filter: the newest of them, counted in equal spans.

At most ``MOST`` legs are read, newest first, by the index that the filter's page is read from;
``capped`` says that there are older ones, and the picture then begins where they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, select

from node.ledger.filter import LedgerFilter
from node.ledger.filter_sql import statement_of_times
from node.ledger.find import rarest
from node.ledger.private import LedgerKey
from node.model import Outcome
from node.storage.tables import ENTRY

MOST: Final = 2000
"""Legs: each is looked up for how it ended, which is most of what a first page of a list costs."""

SPANS: Final = 24
_LEAST: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One bar: from when to when, and how many legs ended how."""

    begins: datetime
    ends: datetime
    numbers: Mapping[str, int]

    @property
    def number(self) -> int:
        """Legs in all."""
        return sum(self.numbers.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """The bars, oldest first."""

    spans: tuple[Span, ...]
    number: int
    capped: bool


def histogram(
    engine: Engine, key: LedgerKey, chosen: LedgerFilter, *, now: datetime
) -> Histogram | None:
    """The bars of a filter whose times are fixed; ``None`` where nothing fits.

    Raises:
        OurFault: as ``ledger.find.find``.
    """
    with engine.connect() as connection:
        leading = rarest(connection, chosen, key)
        times = statement_of_times(chosen, key, limit=MOST + 1, leading=leading).subquery("times")
        query = select(times.c.t, ENTRY.c.outcome).join_from(
            times, ENTRY, ENTRY.c.seq == times.c.seq
        )
        rows = connection.execute(query).all()
    capped = len(rows) > MOST
    newest = sorted(rows, key=lambda row: row[0], reverse=True)[:MOST]
    found = [(t, outcome) for t, outcome in newest if outcome is not None]
    if not found:
        return None
    oldest = min(t for t, _ in found)
    first = oldest if capped or not isinstance(chosen.since, datetime) else _ms(chosen.since)
    until = chosen.until if isinstance(chosen.until, datetime) else now
    last = max(_ms(min(until, now)), max(t for t, _ in found) + 1)
    width = max(-(-(last - first) // SPANS), int(_LEAST / timedelta(milliseconds=1)))
    counted: list[dict[str, int]] = [{} for _ in range(SPANS)]
    for t, outcome in found:
        place = min(max((t - first) // width, 0), SPANS - 1)
        counted[place][outcome] = counted[place].get(outcome, 0) + 1
    order = [each.value for each in Outcome]
    return Histogram(
        spans=tuple(
            Span(
                begins=_time(first + place * width),
                ends=_time(first + (place + 1) * width),
                numbers={name: numbers[name] for name in order if name in numbers},
            )
            for place, numbers in enumerate(counted)
        ),
        number=len(found),
        capped=capped,
    )


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
