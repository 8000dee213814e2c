"""FHIR dates as spans of time: what a partial date covers, in milliseconds since 1970, UTC.

A span is half-open: from ``low`` up to, not including, ``high``. Without an offset a time is UTC.
Source: FHIR R4 2.24.0.1 (date, dateTime, instant), 3.1.1.5.4 (search by date).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

EARLIEST: Final = -(2**62)
LATEST: Final = 2**62
"""The ends of what has none."""

_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?",
    re.ASCII,
)
_LONGEST = 40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _SECOND = timedelta(minutes=1), timedelta(seconds=1)
_DECEMBER = 12
_LEAP = 60
_MAX_OFFSET = timedelta(hours=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time."""

    low: int
    high: int


def parse_span(text: str) -> Span | None:
    """What a FHIR date, dateTime or instant covers, or ``None`` when it is none."""
    found = _DATE.fullmatch(text) if len(text) <= _LONGEST else None
    try:
        return _covered(*found.groups()) if found else None
    except (ValueError, OverflowError):
        return None


def _covered(  # noqa: PLR0917 - the groups of the pattern
    year: str,
    month: str | None,
    day: str | None,
    hour: str | None,
    minute: str | None,
    second: str | None,
    fraction: str | None,
    offset: str | None,
) -> Span:
    first = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    if day is None:
        return _calendar(first, is_month=month is not None)
    if hour is None:
        return _span(first, first + timedelta(days=1))
    seconds = int(second or 0)
    # a leap second counts as the second before it: no clock of ours has it
    first = first.replace(
        hour=int(hour), minute=int(minute or 0), second=59 if seconds == _LEAP else seconds
    )
    first -= _offset(offset)
    if fraction is None:
        return _span(first, first + (_MINUTE if second is None else _SECOND))
    low = _millis(first) + int(fraction[:3].ljust(3, "0"))
    return Span(low=low, high=low + 10 ** max(0, 3 - len(fraction)))


def _calendar(first: datetime, *, is_month: bool) -> Span:
    try:
        if is_month and first.month < _DECEMBER:
            return _span(first, first.replace(month=first.month + 1))
        return _span(first, first.replace(year=first.year + 1, month=1))
    except ValueError:  # the year 9999
        return Span(low=_millis(first), high=LATEST)


def _offset(text: str | None) -> timedelta:
    if text is None or text == "Z":
        return timedelta()
    shift = timedelta(hours=int(text[1:3]), minutes=int(text[4:]))
    if shift > _MAX_OFFSET:
        raise ValueError("no place on earth has this offset")
    return -shift if text[0] == "-" else shift


def _span(low: datetime, high: datetime) -> Span:
    return Span(low=_millis(low), high=_millis(high))


def _millis(instant: datetime) -> int:
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
