"""Legs over time by outcome: what was answered above the line, what was not below it."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from node.console.wording import counted
from node.governance.histogram import Histogram
from node.model import Outcome

_STEP: Final = 36
_BAR: Final = 30
_HIGH: Final = 56
_LOW: Final = 32
_HOLLOW: Final = Outcome.OK_EMPTY.value
_ABOVE: Final = (Outcome.OK.value, Outcome.OK_EMPTY.value, Outcome.PARTIAL.value)


def histogram_chart(found: Histogram) -> Markup:
    """The picture; the table that is linked beside it has the same numbers."""
    above = max(sum(s.numbers.get(n, 0) for n in _ABOVE) for s in found.spans)
    below = max(s.number - sum(s.numbers.get(n, 0) for n in _ABOVE) for s in found.spans)
    scale = min((_HIGH - 2) / max(above, 1), (_LOW - 2) / max(below, 1))
    width = _STEP * len(found.spans)
    shapes: dict[str, list[str]] = {}
    for place, span in enumerate(found.spans):
        up, down = float(_HIGH), _HIGH + 1.0
        for outcome, number in span.numbers.items():
            height = max(number * scale, 1.0)
            if outcome in _ABOVE:
                up -= height
                begins = up
            else:
                begins = down
                down += height
            shapes.setdefault(outcome, []).append(_bar(outcome, place * _STEP, begins, height))
    # one path for each outcome, of lines as wide as a bar: a page of the list stays small
    parts = [f'<path class="axis" d="M0 {_HIGH}.5H{width}"/>']
    parts += [
        f'<path class="{"f" if name == _HOLLOW else "s"}-{name}" d="{"".join(each)}"/>'
        for name, each in shapes.items()
    ]
    height = _HIGH + _LOW + 1
    legs = counted(found.number, "leg")
    return Markup(  # noqa: S704 - numbers and our own codes
        f'<svg class="s30" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-labelledby="hg hgd"><title id="hg">{legs} over time,'
        " by outcome</title>"
        '<desc id="hgd">Above the line those that were answered, below it those that were declined,'
        f" failed, timed out or were cancelled. The table of them has the same numbers.</desc>"
        f"{''.join(parts)}</svg>"
    )


def _bar(outcome: str, x: int, begins: float, height: float) -> str:
    top, end = _px(begins), _px(begins + height)
    if outcome == _HOLLOW:
        return f"M{x + 3} {top}h{_BAR}V{end}h-{_BAR}z"
    return f"M{x + _STEP // 2} {top}V{end}"


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
