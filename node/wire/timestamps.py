"""HL7 timestamps as the model keeps them: digits in UTC with their own precision.

``YYYY[MM[DD[hh[mm[ss]]]]]``. A date never turns into an instant: an offset is applied only where
the hour is known; fractions of a second are dropped. What is no time is ``None``, never "now"
(partners' invalid dates must not become clinical dates).

Source: HL7 v3 TS; ITI TF-3 4.2.3.1.7 (DTM).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["instant", "parse_date", "parse_time"]

_TIME = re.compile(
    r"(?P<year>[0-9]{4})"
    r"(?:-?(?P<month>0[1-9]|1[0-2])"
    r"(?:-?(?P<day>0[1-9]|[12][0-9]|3[01])"
    r"(?:[T ]?(?P<hour>[01][0-9]|2[0-3])"
    r"(?::?(?P<minute>[0-5][0-9])"
    r"(?::?(?P<second>[0-5][0-9]|60)(?:[.,][0-9]{1,9})?)?)?)?)?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_LONGEST = 40
_HOUR = 10
_NO_OFFSET = ("Z", "+0000", "-0000", "+00:00", "-00:00")


def instant(now: datetime) -> str:
    """An aware instant as fourteen digits in UTC."""
    return now.astimezone(UTC).strftime("%Y%m%d%H%M%S")


def parse_time(text: str) -> str | None:
    """A timestamp in HL7 or ISO 8601 form as digits in UTC, or ``None`` when it is none.

    Without an offset it is taken as UTC (ITI TF-3 4.2.3.1.7).
    """
    if len(text) > _LONGEST:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    parts = found.groupdict()
    digits = "".join(
        parts[name] or "" for name in ("year", "month", "day", "hour", "minute", "second")
    )
    if digits.endswith("60") and parts["second"] == "60":  # a leap second: no clock of ours has it
        digits = digits[:-2] + "59"
    if not _is_real(digits):
        return None
    offset = parts["offset"]
    if offset and offset not in _NO_OFFSET and len(digits) >= _HOUR:
        return _to_utc(digits, offset)
    return digits


def parse_date(text: str) -> str | None:
    """The date part ``YYYY[MM[DD]]`` as written, without any shift by an offset, or ``None``.

    For dates of birth: they are local dates, whatever time and offset a system attached.
    """
    if len(text) > _LONGEST:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    digits = found["year"] + (found["month"] or "") + (found["day"] or "")
    return digits if _is_real(digits) else None


def _is_real(digits: str) -> bool:
    day = digits[:8] + "00000101"[len(digits) :] if len(digits) < 8 else digits[:8]  # noqa: PLR2004 - YYYYMMDD
    try:
        _moment(day)
    except ValueError:
        return False
    return True


def _moment(digits: str) -> datetime:
    """A whole date, with time or part of one; ``strptime`` takes ten times as long."""
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    hour, minute, second = (int(digits[at : at + 2] or 0) for at in (8, 10, 12))
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def _to_utc(digits: str, offset: str) -> str | None:
    sign = -1 if offset[0] == "-" else 1
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    try:
        moved = _moment(digits) - sign * shift
    except (ValueError, OverflowError):
        return None
    # The precision stays as written: an offset of half an hour adds no minutes that nobody stated.
    return f"{moved.year:04d}" + moved.strftime("%m%d%H%M%S")[: len(digits) - 4]
