"""The periods of the reports: months and quarters, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from node.errors import SettingsError
from node.governance.downtime import Span

_TEXT: Final = re.compile(r"(20[0-9]{2})-(?:Q([1-4])|(0[1-9]|1[0-2]))", re.ASCII)
_WINDOW: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})/([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})",
    re.ASCII,
)
MOST_WINDOWS: Final = 50


class How(StrEnum):
    """Which report."""

    MONTHLY = "monthly"
    QUARTERLY = "quarterly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A month or a quarter; ``text`` is such as ``2026-10`` or ``2026-Q3``."""

    how: How
    text: str
    span: Span

    @property
    def words(self) -> str:
        """Such as ``October 2026``."""
        if self.how is How.QUARTERLY:
            year, _, quarter = self.text.partition("-Q")
            return f"quarter {quarter} of {year}"
        return f"{self.span.begin:%B %Y}"


def read_period(how: How, text: str) -> Period:
    """The period that is meant.

    Raises:
        SettingsError: ``report-period-invalid``.
    """
    found = _TEXT.fullmatch(text)
    if found is None or (found[2] is None) != (how is How.MONTHLY):
        form = "2026-10" if how is How.MONTHLY else "2026-Q3"
        raise SettingsError(
            "report-period-invalid", f"A {how.value} report has a period such as {form}."
        )
    first = int(found[3]) if found[3] else int(found[2]) * 3 - 2
    return _period(how, int(found[1]), first)


def last_whole(how: How, now: datetime) -> Period:
    """The newest period that is over."""
    return recent(how, now, 1)[0]


def recent(how: How, now: datetime, number: int) -> tuple[Period, ...]:
    """The newest periods that are over, the newest first."""
    months = 1 if how is How.MONTHLY else 3
    today = now.astimezone(UTC)
    month = today.year * 12 + (today.month - 1) // months * months
    found = []
    for back in range(1, number + 1):
        year, index = divmod(month - back * months, 12)
        found.append(_period(how, year, index + 1))
    return tuple(found)


def _period(how: How, year: int, month: int) -> Period:
    months = 1 if how is How.MONTHLY else 3
    after, index = divmod(year * 12 + month - 1 + months, 12)
    span = Span(
        begin=datetime(year, month, 1, tzinfo=UTC), end=datetime(after, index + 1, 1, tzinfo=UTC)
    )
    text = f"{year}-{month:02}" if how is How.MONTHLY else f"{year}-Q{(month + 2) // 3}"
    return Period(how=how, text=text, span=span)


def read_windows(text: str) -> tuple[Span, ...]:
    """Planned downtimes, ``2026-10-03T02:00/2026-10-03T04:00`` (UTC) each, apart by white space.

    Raises:
        SettingsError: ``report-window-invalid``.
    """
    words = text.split()
    spans = []
    for number, word in enumerate(words[: MOST_WINDOWS + 1], 1):
        found = _WINDOW.fullmatch(word)
        try:
            ends = [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in found.groups()]  # type: ignore[union-attr]
        except (AttributeError, ValueError):
            ends = []
        if number > MOST_WINDOWS or len(ends) != 2 or ends[0] >= ends[1]:  # noqa: PLR2004
            raise SettingsError(
                "report-window-invalid",
                f"Window {number} is none: write 2026-10-03T02:00/2026-10-03T04:00 (UTC), at most"
                f" {MOST_WINDOWS} of them.",
            )
        spans.append(Span(begin=ends[0], end=ends[1]))
    return tuple(spans)
