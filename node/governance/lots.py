"""Draws exchanges by lot: of each asker so many, each as likely as any other. Pure.

Every exchange has a lot, a keyed hash of the month and its id; of an asker those with the lowest
lots are drawn. So a draw can be repeated by whoever has the key, and nobody without it can tell
beforehand what will be looked at (facts: tefca 11.2 no. 12).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

Lot = Callable[[str], bytes]
"""The lot of a text."""

SETTLED: Final = timedelta(days=1)
"""How long after its end a month is drawn: legs are written when they end."""


class Lots:
    """The exchanges of one month: how many each asker has, and the lowest lots of each.

    Memory grows with the askers and with the exchanges of one day.
    """

    def __init__(self, month: str, lot: Lot, *, each: int) -> None:
        """``each`` is how many are drawn of an asker."""
        self._month = month
        self._lot = lot
        self._each = each
        self._today: set[str] = set()
        self.counted: dict[str, int] = {}
        self._lowest: dict[str, list[tuple[int, str]]] = {}

    def next_day(self) -> None:
        """Forget which exchanges were met: one that lasts over midnight is counted twice."""
        self._today.clear()

    def add(self, asker: str, exchange: str) -> None:
        """A leg of an exchange; further ones of it change nothing."""
        if exchange in self._today:
            return
        self._today.add(exchange)
        self.counted[asker] = self.counted.get(asker, 0) + 1
        # the heap's first is the highest of the lowest lots
        place = -int.from_bytes(self._lot(f"{self._month} {exchange}")), exchange
        lowest = self._lowest.setdefault(asker, [])
        if place in lowest:
            return
        if len(lowest) < self._each:
            heapq.heappush(lowest, place)
        else:
            heapq.heappushpop(lowest, place)

    def drawn(self, *, most: int, first: str) -> Mapping[str, Sequence[str]]:
        """What is drawn by asker: at most ``most`` exchanges, those of ``first`` before all.

        Where there are more, whose are drawn is by lot as well; of an asker all are drawn or none.
        """
        found: dict[str, Sequence[str]] = {}
        left = most

        def order(asker: str) -> tuple[bool, bytes]:
            return asker != first, self._lot(f"{self._month} asker {asker}")

        for asker in sorted(self._lowest, key=order):
            lowest = [exchange for _, exchange in sorted(self._lowest[asker], reverse=True)]
            if len(lowest) > left:
                break
            left -= len(lowest)
            found[asker] = lowest
        return found


def month_to_draw(now: datetime) -> str:
    """The newest month (UTC) that has ended and settled."""
    return f"{(now - SETTLED).astimezone(UTC).replace(day=1) - timedelta(days=1):%Y-%m}"


def days_of(month: str) -> tuple[datetime, ...]:
    """The beginnings of the days of a month, and of the day after it."""
    day = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    days = [day]
    while days[-1].month == day.month:
        days.append(days[-1] + timedelta(days=1))
    return tuple(days)
