"""Business days: Monday to Friday, without the federal holidays of ``data/holidays.toml``. Pure."""

from __future__ import annotations

import tomllib
from calendar import monthrange
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
_SUNDAY: Final = 6


def after(begun: datetime, days: int) -> datetime:
    """The same time of day after so many business days."""
    return begun + _days_until(begun.date(), days) * _DAY


@lru_cache(maxsize=1024)
def _days_until(first: date, business_days: int) -> int:
    """Days of the calendar; a list asks for those of the same few dates again and again."""
    day, left = first, business_days
    while left:
        day += _DAY
        left -= is_business_day(day)
    return (day - first).days


def between(first: date, last: date) -> int:
    """How many business days there are after ``first``, up to ``last``; 0 when it is earlier."""
    days = (last - first).days
    return sum(is_business_day(first + each * _DAY) for each in range(1, days + 1))


def is_business_day(day: date) -> bool:
    """Whether it is neither a Saturday, a Sunday nor kept as a holiday."""
    return day.weekday() < _SATURDAY and day not in holidays(day.year)


@lru_cache(maxsize=64)
def holidays(year: int) -> Mapping[date, str]:
    """The days of a year that are kept as holidays; the next New Year's Day may be one of them."""
    found = {}
    for row in _rules():
        # the first of January is kept in the year before where it is a Saturday
        for each in (year, year + 1):
            if each < row.get("from", each):
                continue
            day = _kept(row, each)
            if day.year == year:
                found[day] = str(row["name"])
    return found


def _kept(row: Mapping[str, Any], year: int) -> date:
    if "on" in row:
        month, number = row["on"]
        day = date(year, month, number)
        if day.weekday() == _SATURDAY:
            return day - _DAY
        return day + _DAY if day.weekday() == _SUNDAY else day
    month, nth = row["month"], row["nth"]
    if nth > 0:
        first = date(year, month, 1)
        ahead = (row["weekday"] - first.weekday()) % 7
        return first + timedelta(days=ahead + 7 * (nth - 1))
    last = date(year, month, monthrange(year, month)[1])
    return last - timedelta(days=(last.weekday() - row["weekday"]) % 7)


@cache
def _rules() -> list[dict[str, Any]]:
    path = resources.files("node.ledger").joinpath("data", "holidays.toml")
    rows: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["holiday"]
    return rows
