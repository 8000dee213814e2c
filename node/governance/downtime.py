"""When the node was down, from the heartbeats of its log. Pure.

While it serves, the node writes a heartbeat each few minutes. Where the next one is more than twice
that away, it was down from when the next one was due until it came. What was planned is what people
stated to be; the rest was not. A time before the first heartbeat there is says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_ZERO: Final = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time from ``begin`` to just before ``end``."""

    begin: datetime
    end: datetime

    def within(self, other: Span) -> Span | None:
        """The part that both have."""
        begin, end = max(self.begin, other.begin), min(self.end, other.end)
        return Span(begin=begin, end=end) if begin < end else None

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Downtime:
    """How long the node was down in a period; ``unknown``: for which no heartbeat speaks."""

    planned: timedelta
    unplanned: timedelta
    unknown: timedelta
    gaps: tuple[Span, ...]


def downtime(
    beats: Sequence[datetime],
    *,
    period: Span,
    every: timedelta,
    planned: Iterable[Span] = (),
    now: datetime,
) -> Downtime:
    """How long the node was down.

    Args:
        beats: the heartbeats in order: the last one before the period, those in it, the first one
            after it, as far as there are such.
        period: of the report.
        every: how often the node writes one.
        planned: windows that were announced; they may overlap.
        now: the current time: nothing later is down yet.
    """
    until = min(period.end, now)
    if not beats:
        whole = max(until - period.begin, _ZERO)
        return Downtime(planned=_ZERO, unplanned=_ZERO, unknown=whole, gaps=())
    ends = [*beats[1:], max(until, beats[-1])]
    gaps = []
    for beat, following in zip(beats, ends, strict=True):
        if following - beat > 2 * every:
            gap = Span(begin=beat + every, end=following).within(period)
            if gap is not None:
                gaps.append(gap)
    windows = joined(planned)
    announced = sum(
        (part.length for gap in gaps for each in windows if (part := gap.within(each))), _ZERO
    )
    down = sum((gap.length for gap in gaps), _ZERO)
    unknown = min(beats[0], until) - period.begin
    return Downtime(
        planned=announced,
        unplanned=down - announced,
        unknown=max(unknown, _ZERO),
        gaps=tuple(gaps),
    )


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same times, without overlap and in order."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda each: each.begin):
        if found and span.begin <= found[-1].end:
            found[-1] = Span(begin=found[-1].begin, end=max(found[-1].end, span.end))
        else:
            found.append(span)
    return tuple(found)
