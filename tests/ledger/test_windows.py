"""An empty page says what a longer time would have shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import parse_filter
from node.ledger.windows import nothing_found, wider

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
AGES = [timedelta(days=days) for days in (3, 4, 5, *range(8, 28), 200)]
"""How long ago the entries of the log began."""


def count(chosen: LedgerFilter) -> tuple[int, str]:
    fixed = chosen.at(NOW)
    assert not isinstance(fixed.since, timedelta)
    assert not isinstance(fixed.until, timedelta)
    times = [NOW - age for age in AGES]
    fit = [t for t in times if (fixed.since is None or t >= fixed.since)]
    fit = [t for t in fit if fixed.until is None or t < fixed.until]
    return min(len(fit), 20), f"{min(len(fit), 20)}{'+' if len(fit) > 20 else ''}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("since:24h peer:2.999.2", "No match in the last 24 hours; 3 in 7 days, 20+ in 30 days."),
        ("since:1h", "No match in the last hour; 3 in 7 days, 20+ in 30 days."),
        ("since:2026-11-27", "No match in that time; 3 in 7 days, 20+ in 30 days."),
        ("since:2025-01-01 until:2025-02-01", "No match in that time; 20+ at any time."),
        ("until:400d", "No match in that time; 20+ at any time."),
        ("peer:2.999.2", "No entry fits."),
    ],
)
def test_the_next_windows_in_which_something_fits_are_named_with_their_counts(
    text: str, said: str
) -> None:
    chosen = parse_filter(text)
    windows = wider(chosen, now=NOW, count=count)
    assert nothing_found(chosen, windows) == said
    for window in windows:
        assert count(window.chosen)[1] == window.count
        assert window.chosen.peer == chosen.peer


def test_where_no_time_has_any_that_is_said() -> None:
    chosen = parse_filter("since:24h")
    windows = wider(chosen, now=NOW, count=lambda _: (0, "0"))
    assert windows == ()
    assert nothing_found(chosen, windows) == "No match in the last 24 hours, nor at any other."
