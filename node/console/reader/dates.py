"""HL7 digits as people read them, with no more precision than was stated. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

_YEAR, _MONTH, _DAY, _MINUTE = 4, 6, 8, 12


def day_words(digits: str | None) -> str:
    """Such as ``19 Nov 2026``, ``Nov 2026`` or ``2026``; empty where there is nothing."""
    if not digits:
        return ""
    if len(digits) < _MONTH:
        return digits[:_YEAR]
    month = date(int(digits[:4]), int(digits[4:6]), 1)
    if len(digits) < _DAY:
        return f"{month:%b %Y}"
    return f"{month.replace(day=int(digits[6:8])):%-d %b %Y}"


def moment_words(digits: str | None, shown: Callable[[datetime], datetime]) -> str:
    """A day, with the time where the digits have one; ``shown`` brings it to the reader's zone."""
    if not digits or len(digits) < _MINUTE:
        return day_words(digits)
    month, day, hour, minute = (int(digits[at : at + 2]) for at in (4, 6, 8, 10))
    instant = datetime(int(digits[:4]), month, day, hour, minute, tzinfo=UTC)
    return f"{shown(instant):%-d %b %Y, %H:%M}"


def span_words(start: str | None, stop: str | None) -> str:
    """The days from one to the other; one day where both are the same or one is missing."""
    first, last = day_words((start or "")[:_DAY]), day_words((stop or "")[:_DAY])
    if not first or not last or first == last:
        return first or last
    return f"{first} to {last}"
