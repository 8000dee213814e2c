"""The calendar of what runs out as a chart: a bar for each thing, and a line for today."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup, escape

_WIDTH: Final = 1168
_LEFT: Final = 340
_RIGHT: Final = 1060
_ROW: Final = 24
_TOP: Final = 52
_BEFORE: Final = timedelta(days=120)
_AFTER: Final = timedelta(days=365)
_NAME: Final = 46
_DECEMBER: Final = 12
_SEEN: Final = 0.05
"""The width of a bar that is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One thing of the calendar, or (without an end) the heading of a group.

    Attributes:
        words: what is left, such as ``19 d left``.
        mark: the symbol and class of what somebody has to act on; empty for the others.
    """

    name: str
    begins: datetime | None = None
    ends: datetime | None = None
    words: str = ""
    mark: str = ""


def calendar_chart(spans: Sequence[Span], *, now: datetime) -> Markup:
    """Four months back and a year ahead; a bar that goes on beyond says so by its end date."""
    first, last = now - _BEFORE, now + _AFTER
    scale = (_RIGHT - _LEFT) / ((last - first) / timedelta(days=1))
    height = _TOP + _ROW * len(spans) + 4

    def place(instant: datetime) -> float:
        inside = min(max(instant, first), last)
        return _LEFT + (inside - first) / timedelta(days=1) * scale

    parts = [
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="40" y2="{height - 4}"/>'
        f'<text class="{kind}" x="{x + 4:.1f}" y="34">{words}</text>'
        for month in _months(first, last)
        for x, kind, words in [_label(month, place(month))]
    ]
    today = place(now)
    for number, span in enumerate(spans):
        parts.append(_row(span, _TOP + number * _ROW, place, now, last))
    parts.append(
        f'<line class="today" x1="{today:.1f}" x2="{today:.1f}" y1="4" y2="{height - 4}"/>'
        f'<rect class="f-ink" x="{today - 44:.1f}" y="1" width="88" height="18" rx="2"/>'
        f'<text class="inv m" x="{today:.1f}" y="14">{now:%-d %b %Y}</text>'
    )
    things = sum(span.ends is not None for span in spans)
    return Markup(  # noqa: S704 - numbers, dates, our own codes, and escaped texts
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img"'
        f' aria-labelledby="kt kd"><title id="kt">Calendar of {things} things that run out</title>'
        f'<desc id="kd">The table below has the same dates.</desc>{"".join(parts)}</svg>'
    )


def _row(
    span: Span, y: int, place: Callable[[datetime], float], now: datetime, last: datetime
) -> str:
    if span.ends is None:
        return f'<text class="b" x="0" y="{y + 12}">{escape(span.name)}</text>'
    begins = span.begins or now
    middle, end = place(min(max(now, begins), span.ends)), place(span.ends)
    begin = place(begins)
    fill = f"f-{span.mark}" if span.mark else "f-mid"
    parts = [f'<text class="k" x="0" y="{y + 12}">{escape(_short(span.name))}</text>']
    if middle - begin >= _SEEN:
        parts.append(_bar("f-low", begin, middle, y))
    parts.append(_bar(fill, middle, max(end, middle + 3), y))
    if span.ends > last:
        parts.append(f'<text x="{_RIGHT + 4}" y="{y + 12}"> to {span.ends:%b %Y}</text>')
    if span.mark:
        parts.append(
            # left of the words' room: what somebody has to act on ends long before
            f'<svg x="{_RIGHT - 14}" y="{y + 2}" width="12" height="12" class="{span.mark}">'
            f'<use href="#{span.mark}" width="12" height="12"/></svg>'
            f'<text class="r {span.mark}" x="{_WIDTH}" y="{y + 12}">{escape(span.words)}</text>'
        )
    elif span.ends <= last:
        parts.append(f'<text class="r k" x="{_WIDTH}" y="{y + 12}">{escape(span.words)}</text>')
    return "".join(parts)


def _bar(fill: str, begin: float, end: float, y: int) -> str:
    return (
        f'<rect class="{fill}" x="{begin:.1f}" y="{y + 4}" width="{end - begin:.1f}" height="9"/>'
    )


def _label(month: datetime, x: float) -> tuple[float, str, str]:
    return (x, "b", f"{month:%Y}") if month.month == 1 else (x, "", f"{month:%b}")


def _months(first: datetime, last: datetime) -> list[datetime]:
    """The first days of the months between."""
    found: list[datetime] = []
    year, month = first.year, first.month
    while True:
        year, month = (year, month + 1) if month < _DECEMBER else (year + 1, 1)
        day = first.replace(
            year=year, month=month, day=1, hour=0, minute=0, second=0, microsecond=0
        )
        if day > last:
            return found
        found.append(day)


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
