"""Legs over time by outcome: what was answered above the line, what was not below it."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from node.governance.histogram import Histogram
from node.model import Outcome

_STEP: Final = 36
_BAR: Final = 30
_HIGH: Final = 56
_LOW: Final = 32
_ABOVE: Final = (Outcome.OK.value, Outcome.OK_EMPTY.value, Outcome.PARTIAL.value)


def histogram_chart(found: Histogram) -> Markup:
    """The picture; the table beside it has the same numbers."""
    above = max(sum(s.numbers.get(n, 0) for n in _ABOVE) for s in found.spans)
    below = max(s.number - sum(s.numbers.get(n, 0) for n in _ABOVE) for s in found.spans)
    scale = min((_HIGH - 2) / max(above, 1), (_LOW - 2) / max(below, 1))
    width = _STEP * len(found.spans)
    shapes: dict[str, list[str]] = {}
    for place, span in enumerate(found.spans):
        x, up, down = place * _STEP + 3, float(_HIGH), _HIGH + 1.0
        for outcome, number in span.numbers.items():
            height = max(number * scale, 1.0)
            if outcome in _ABOVE:
                up -= height
                y = up
            else:
                y = down
                down += height
            shape = f"M{x} {y:.1f}h{_BAR}v{height:.1f}h-{_BAR}z"
            shapes.setdefault(outcome, []).append(shape)
    # one path for each outcome: a page of the list stays small
    parts = [f'<line class="axis" x1="0" x2="{width}" y1="{_HIGH + 0.5}" y2="{_HIGH + 0.5}"/>']
    parts += [f'<path class="f-{name}" d="{"".join(each)}"/>' for name, each in shapes.items()]
    height = _HIGH + _LOW + 1
    return Markup(  # noqa: S704 - numbers and our own codes
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-labelledby="hg hgd"><title id="hg">{found.number} legs over time,'
        " by outcome</title>"
        '<desc id="hgd">Above the line those that were answered, below it those that were declined,'
        f" failed, timed out or were cancelled. The table has the same numbers.</desc>"
        f"{''.join(parts)}</svg>"
    )
