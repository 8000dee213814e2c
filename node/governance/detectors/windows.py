"""The newest legs of those who were looked at, kept in memory between sweeps. Pure.

A cache, never the truth: a window that is not here is read from the log, and what is here is what
would be read (``Rows.of`` at the time that was said last). So a window goes as soon as that cannot
be said of it: when a leg lies in the future, or the clock went back.

No more than so many legs are kept in all. Where they do not fit, the windows go that were not
looked at for longest; one that was looked at in this sweep stays, so that a log with more askers
than memory keeps the windows of some of them and does not read all of them each time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.governance.detectors.model import Seen, Whom

MOST_LEGS: Final = 100_000
"""Legs that are kept of all subjects together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The legs of a subject, oldest first, and when its first one ever was (of a peer)."""

    legs: Sequence[Seen]
    first: int | None = None


@dataclass(slots=True, kw_only=True)
class _Kept:
    legs: list[Seen]
    first: int | None
    looked: int


class Windows:
    """Windows by subject. Not to be used by two threads at once."""

    def __init__(self, *, most: int = MOST_LEGS, longest: int) -> None:
        """``most`` legs are kept in all, ``longest`` ones of a subject."""
        self._most = most
        self._longest = longest
        self._kept: OrderedDict[Whom, _Kept] = OrderedDict()
        self._legs = 0
        self._now = 0
        self._sweep = 0

    def __contains__(self, whom: Whom) -> bool:
        return whom in self._kept

    def __len__(self) -> int:
        """The windows that are kept."""
        return len(self._kept)

    @property
    def legs(self) -> int:
        """The legs that are kept."""
        return self._legs

    def begin(self, now: int) -> None:
        """Begin a sweep at an instant (ms)."""
        if now < self._now:
            self.forget()
        self._now = now
        self._sweep += 1

    def forget(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self._legs = 0

    def add(self, whom: Whom, leg: Seen) -> None:
        """Take a leg that the log did not have when the subject's window was read."""
        kept = self._kept.get(whom)
        if kept is None:
            return
        if leg.t > self._now:
            self._drop(whom)
            return
        insort(kept.legs, leg, key=_place)
        self._legs += 1
        self._kept.move_to_end(whom)  # who has something new is about to be looked at
        if kept.first is not None:
            kept.first = min(kept.first, leg.t)
        if len(kept.legs) > self._longest:
            self._shorten(kept, 1)
        self._fit(0)

    def of(self, whom: Whom, since: int) -> Window | None:
        """The legs of a subject since an instant (ms), which only ever moves on."""
        kept = self._kept.get(whom)
        if kept is None:
            return None
        kept.looked = self._sweep
        self._kept.move_to_end(whom)
        self._shorten(kept, bisect_left(kept.legs, since, key=_time))
        return Window(legs=tuple(kept.legs), first=kept.first)

    def keep(self, whom: Whom, window: Window) -> None:
        """Keep what was read of a subject, if it fits."""
        self._drop(whom)
        if self._fit(len(window.legs) + 1):
            legs = list(window.legs)
            self._kept[whom] = _Kept(legs=legs, first=window.first, looked=self._sweep)
            self._legs += len(legs)

    def _fit(self, more: int) -> bool:
        """Make room for so many legs more; whether there is."""
        while self._taken + more > self._most and self._kept:
            whom, oldest = next(iter(self._kept.items()))
            if more and oldest.looked == self._sweep:
                return False
            self._drop(whom)
        return self._taken + more <= self._most

    @property
    def _taken(self) -> int:
        """The legs that are kept; a window counts as one, so that empty ones have an end, too."""
        return self._legs + len(self._kept)

    def _drop(self, whom: Whom) -> None:
        if (kept := self._kept.pop(whom, None)) is not None:
            self._legs -= len(kept.legs)

    def _shorten(self, kept: _Kept, by: int) -> None:
        del kept.legs[:by]
        self._legs -= by


def _time(leg: Seen) -> int:
    return leg.t


def _place(leg: Seen) -> tuple[int, int]:
    return leg.t, leg.seq
