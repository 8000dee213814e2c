"""What an empty page says: that the time was too short, and how many there are in a longer one.

``wider`` names the longer windows, the caller counts in each, ``nothing_found`` says it. Pure: the
time is an argument, and counting is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import ago

LADDER: Final = tuple(timedelta(days=days) for days in (1, 7, 30, 90, 365))
"""The windows, back from now (facts: governance-ux 5.1, "filtered out")."""

_SHOWN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A longer time, and how many entries fit in it.

    Attributes:
        span: back from now, ``None`` for any time.
        chosen: the same filter with this time.
        count: of what it finds, such as ``57`` or ``10,000+``; empty when nothing.
    """

    span: timedelta | None
    chosen: LedgerFilter
    count: str


def wider(
    chosen: LedgerFilter, *, now: datetime, count: Callable[[LedgerFilter], tuple[int, str]]
) -> tuple[Window, ...]:
    """The next windows in which something fits, two at most; none when the filter names no time.

    Args:
        chosen: a filter that found nothing.
        now: the end of each window.
        count: how many a filter finds: as a number, and as it is shown.
    """
    if chosen.since is None and chosen.until is None:
        return ()
    found: list[Window] = []
    last = 0
    for span, longer in _longer(chosen, now):
        number, shown = count(longer)
        if number > last:
            found.append(Window(span=span, chosen=longer, count=shown))
            last = number
        if len(found) == _SHOWN:
            break
    return tuple(found)


def _longer(chosen: LedgerFilter, now: datetime) -> Iterator[tuple[timedelta | None, LedgerFilter]]:
    since = chosen.at(now).since
    if chosen.until is None:
        for span in LADDER:
            if since is None or now - span < since:  # type: ignore[operator]
                yield span, replace(chosen, since=span)
    yield None, replace(chosen, since=None, until=None)


def nothing_found(chosen: LedgerFilter, windows: Sequence[Window]) -> str:
    """The sentence of an empty page: ``No match in the last 24 hours; 3 in 7 days.``."""
    if chosen.since is None and chosen.until is None:
        return "No entry fits."
    if isinstance(chosen.since, timedelta) and chosen.until is None:
        said = f"No match in the last {ago(chosen.since).removeprefix('1 ')}"
    else:
        said = "No match in that time"
    if not windows:
        return f"{said}, nor at any other."
    told = ", ".join(
        f"{window.count} {'at any time' if window.span is None else f'in {ago(window.span)}'}"
        for window in windows
    )
    return f"{said}; {told}."
