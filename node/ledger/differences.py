"""What two statements about the same window do not agree in. Pure.

Both are sorted by token, so they are read once, side by side, and memory does not grow with them.
``data/reconciliation.toml`` says of each class what it means, whether somebody has to look, and
what to do.

An exchange at the edge of the window may be in it by one side's clock and outside by the other's:
both lists reach ten minutes further. An exchange counts for the window in which it is by our clock,
or by the peer's where only the peer has it; so it counts for one window only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from typing import Final

from node.errors import LogError
from node.ledger.statement import Row, Side, Window

SKEW_LIMIT: Final = 120_000
"""Milliseconds by which the times of both sides may differ."""

_ALIKE: Final = frozenset({"declined", "failed"})
"""A fault is one or the other, as its receiver reads it."""


class Difference(StrEnum):
    """The classes; ``AGREE`` is none."""

    AGREE = "agree"
    UNANSWERED = "unanswered"
    LOST = "lost"
    OMITTED_THERE = "omitted-there"
    OMITTED_HERE = "omitted-here"
    UNASKED_THERE = "unasked-there"
    UNASKED_HERE = "unasked-here"
    OUTCOME = "outcome"
    DIGEST = "digest"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A row of the table. ``review`` is whether each becomes a review item."""

    sentence: str
    next: str
    review: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One exchange in one class; at least one side has it."""

    difference: Difference
    ours: Row | None = None
    theirs: Row | None = None

    @property
    def token(self) -> bytes:
        """Of the exchange."""
        row = self.ours or self.theirs
        return row.token if row else b""


@lru_cache
def meanings() -> dict[Difference, Meaning]:
    """All classes with what they mean."""
    text = resources.files("node.ledger").joinpath("data/reconciliation.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return {each: Meaning(**table[each]) for each in Difference}


def compare(ours: Iterable[Row], theirs: Iterable[Row], window: Window) -> Iterator[Compared]:
    """Every exchange of the window, in the order of the tokens, once for each class it is in.

    Args:
        ours: rows of our statement, sorted by token, no token twice.
        theirs: the same of the peer's.
        window: which exchanges count.

    Raises:
        LogError: ``log-statement-invalid``: both sides have the same part in one exchange.
    """
    left, right = iter(ours), iter(theirs)
    mine, other = next(left, None), next(right, None)
    while mine or other:
        if other is None or (mine is not None and mine.token < other.token):
            assert mine is not None  # noqa: S101 - one of the two is there
            if window.has(mine.t):
                yield Compared(difference=_only(mine, here=True), ours=mine)
            mine = next(left, None)
        elif mine is None or other.token < mine.token:
            if window.has(other.t):
                yield Compared(difference=_only(other, here=False), theirs=other)
            other = next(right, None)
        else:
            if window.has(mine.t):
                for difference in _both(mine, other):
                    yield Compared(difference=difference, ours=mine, theirs=other)
            mine, other = next(left, None), next(right, None)


def _only(row: Row, *, here: bool) -> Difference:
    """What it is when one side alone has an exchange."""
    if row.side is Side.SERVED:
        return Difference.UNASKED_THERE if here else Difference.UNASKED_HERE
    if not row.answered:
        return Difference.UNANSWERED
    return Difference.OMITTED_THERE if here else Difference.OMITTED_HERE


def _both(ours: Row, theirs: Row) -> Iterator[Difference]:
    if ours.side is theirs.side:
        raise LogError(
            "log-statement-invalid", "The peer claims the part in an exchange that was ours."
        )
    asked, served = (ours, theirs) if ours.side is Side.ASKED else (theirs, ours)
    found = list(_mismatches(asked, served))
    if found:
        yield from found
    else:
        yield Difference.AGREE if asked.answered else Difference.LOST


def _mismatches(asked: Row, served: Row) -> Iterator[Difference]:
    pairs = [(asked.request, served.request)]
    if asked.answered:
        pairs.append((asked.response, served.response))
        outcomes = {asked.outcome, served.outcome}
        if len(outcomes) > 1 and outcomes != _ALIKE:
            yield Difference.OUTCOME
    if any(mine and other and mine != other for mine, other in pairs):
        yield Difference.DIGEST
    if abs(asked.t - served.t) > SKEW_LIMIT:
        yield Difference.TIME
