"""Business days: weekends and federal holidays are none (5 U.S.C. 6103)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from node.ledger.business_days import after, between, holidays, is_business_day

# as the calendar of the Office of Personnel Management has them
OF_2026 = {
    (1, 1), (1, 19), (2, 16), (5, 25), (6, 19), (7, 3), (9, 7), (10, 12), (11, 11), (11, 26),
    (12, 25),
}  # fmt: skip


def test_the_holidays_of_2026_one_kept_on_the_friday_before() -> None:
    assert {(day.month, day.day) for day in holidays(2026)} == OF_2026


def test_a_new_years_day_on_a_saturday_is_kept_in_the_old_year() -> None:
    assert date(2027, 12, 31) in holidays(2027)
    assert date(2028, 1, 1) not in holidays(2028)


def test_one_on_a_sunday_is_kept_on_the_monday_after() -> None:
    assert date(2022, 6, 20) in holidays(2022)
    assert date(2022, 6, 19) not in holidays(2022)


def test_juneteenth_is_none_before_2021() -> None:
    assert is_business_day(date(2020, 6, 19))
    assert not is_business_day(date(2021, 6, 18))


@pytest.mark.parametrize(
    ("begun", "days", "due"),
    [
        ("2026-11-13", 10, "2026-11-30"),  # Thanksgiving between
        ("2026-11-27", 10, "2026-12-11"),
        ("2026-12-24", 1, "2026-12-28"),
        ("2026-07-02", 1, "2026-07-06"),
        ("2026-11-28", 0, "2026-11-28"),
    ],
)
def test_ten_business_days_after(begun: str, days: int, due: str) -> None:
    at = datetime.fromisoformat(f"{begun}T15:30").replace(tzinfo=UTC)
    assert f"{after(at, days):%Y-%m-%d %H:%M}" == f"{due} 15:30"
    assert between(at.date(), after(at, days).date()) == days


def test_none_are_between_a_day_and_an_earlier_one() -> None:
    day = date(2026, 11, 27)
    assert between(day, day - timedelta(days=9)) == 0
