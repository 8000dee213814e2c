"""The ladder of alarms (facts pki A5) and the renewal rule (A2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.expiry import Expiring, Kind, Level, calendar, judge, renewal_due, spread_of

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def ending(left: timedelta, lifetime: timedelta | None = 365 * DAY, **more: object) -> Expiring:
    return Expiring(
        kind=Kind.CERTIFICATE, name="server", not_after=NOW + left, lifetime=lifetime, **more
    )


@pytest.mark.parametrize(
    ("days", "level", "rung", "above"),
    [
        (60, Level.NOTICE, "60 days", None),
        (30, Level.NOTICE, "30 days", "60 days"),
        (14, Level.WARNING, "14 days", "30 days"),
        (7, Level.WARNING, "7 days", "14 days"),
        (3, Level.CRITICAL, "3 days", "7 days"),
        (1, Level.CRITICAL, "1 day", "3 days"),
    ],
)
@pytest.mark.parametrize("lifetime", [None, 90 * DAY, 3650 * DAY])
def test_long_lived_certificates_are_told_by_days(
    days: int, level: Level, rung: str, above: str | None, lifetime: timedelta | None
) -> None:
    assert judge(ending(days * DAY, lifetime), now=NOW).rung == rung
    assert judge(ending(days * DAY, lifetime), now=NOW).level is level
    assert judge(ending(days * DAY + SECOND, lifetime), now=NOW).rung == above


@pytest.mark.parametrize(
    ("part", "level", "rung", "above"),
    [
        (0.50, Level.NOTICE, "50 %", None),
        (0.33, Level.NOTICE, "33 %", "50 %"),
        (0.20, Level.WARNING, "20 %", "33 %"),
        (0.10, Level.CRITICAL, "10 %", "20 %"),
    ],
)
@pytest.mark.parametrize("lifetime", [DAY, 7 * DAY, 89 * DAY])
def test_short_lived_certificates_are_told_by_the_part_left(
    part: float, level: Level, rung: str, above: str | None, lifetime: timedelta
) -> None:
    assert judge(ending(part * lifetime, lifetime), now=NOW).rung == rung
    assert judge(ending(part * lifetime, lifetime), now=NOW).level is level
    assert judge(ending(part * lifetime + SECOND, lifetime), now=NOW).rung == above


def test_at_its_end_it_is_expired() -> None:
    assert judge(ending(timedelta(0)), now=NOW).level is Level.EXPIRED
    assert judge(ending(-DAY, None), now=NOW).level is Level.EXPIRED
    assert judge(ending(SECOND), now=NOW).level is Level.CRITICAL


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**6))
def test_urgency_never_falls_as_time_goes_by(life: int, left: int, later: int) -> None:
    item = ending(left * SECOND, life * SECOND)
    first, second = judge(item, now=NOW), judge(item, now=NOW + later * SECOND)
    assert first.level <= second.level
    assert first.in_order or not second.in_order


def test_renewal_is_due_after_two_thirds_of_the_life() -> None:
    assert renewal_due(NOW, NOW + 90 * DAY) == NOW + 60 * DAY
    assert renewal_due(NOW, NOW + 100 * DAY, spread=1) - NOW == pytest.approx(
        (200 / 3 - 5) * DAY, abs=SECOND
    )


def test_the_window_of_the_ca_comes_first() -> None:
    window = (NOW + 5 * DAY, NOW + 7 * DAY)
    assert renewal_due(NOW, NOW + 90 * DAY, window=window, spread=0.5) == NOW + 6 * DAY


@pytest.mark.parametrize("spread", [-0.1, 1.1])
def test_a_spread_outside_its_range_is_a_bug(spread: float) -> None:
    with pytest.raises(ValueError):
        renewal_due(NOW, NOW + DAY, spread=spread)


@given(st.text(max_size=50))
def test_a_name_always_spreads_alike_and_within_bounds(name: str) -> None:
    assert 0.0 <= spread_of(name) <= 1.0
    assert spread_of(name) == spread_of(name)
    due = renewal_due(NOW, NOW + 100 * DAY, spread=spread_of(name))
    assert 61 * DAY <= due - NOW <= 67 * DAY


def test_only_what_we_renew_has_a_renewal_date() -> None:
    ours = judge(ending(100 * DAY, renewable=True), now=NOW)
    assert ours.renewal_due
    assert ours.level is Level.OK
    assert not ours.in_order
    assert judge(ending(100 * DAY), now=NOW).in_order
    assert judge(ending(100 * DAY, None, renewable=True), now=NOW).renew_from is None


def test_the_calendar_has_the_first_to_end_first() -> None:
    late, soon = ending(400 * DAY), ending(2 * DAY)
    assert [due.item for due in calendar([late, soon], now=NOW)] == [soon, late]
