"""A peer's last 24 hours as a small picture: legs above the line, what went wrong below it."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup, escape

from node.governance.traffic import PeerHours

_STEP: Final = 10
_BAR: Final = 8
_HIGH: Final = 36
_LOW: Final = 18
_LINE: Final = 24


def hours_chart(hours: PeerHours, *, name: str, most: int, slowest: int, place: int) -> Markup:
    """One peer's picture.

    Args:
        hours: what is drawn.
        name: the peer's.
        most: the most legs of an hour of any peer, and
        slowest: the highest median of any peer, so that all pictures have the same scales.
        place: makes the picture's ids its own on the page.
    """
    width = _STEP * len(hours.hours)
    parts = [f'<line class="axis" x1="0" x2="{width}" y1="{_HIGH + 0.5}" y2="{_HIGH + 0.5}"/>']
    points = []
    for number, hour in enumerate(hours.hours):
        x = number * _STEP + 1
        good = hour.number - hour.bad
        if good:
            height = max(good * (_HIGH - 2) / most, 1)
            parts.append(
                f'<rect class="f-mid" x="{x}" y="{_HIGH - height:.1f}" width="{_BAR}"'
                f' height="{height:.1f}"/>'
            )
        if hour.bad:
            height = max(min(hour.bad * (_HIGH - 2) / most, _LOW), 1)
            parts.append(
                f'<rect class="f-failed" x="{x}" y="{_HIGH + 1}" width="{_BAR}"'
                f' height="{height:.1f}"/>'
            )
        if hour.middle is not None:
            y = _HIGH + _LOW + 4 + _LINE - hour.middle * (_LINE - 2) / slowest
            points.append(f"{x + _BAR / 2:g},{y:.1f}")
    if points:
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="currentColor"'
            ' stroke-width="1.5"/>'
        )
    height = _HIGH + _LOW + _LINE + 6
    return Markup(  # noqa: S704 - numbers, and one escaped text
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-labelledby="ht{place} hd{place}"><title id="ht{place}">{escape(name)}: legs by the'
        f' hour</title><desc id="hd{place}">Above the line those that ended well, below it those'
        " that failed or timed out; the curve is the median of what they took. The table has the"
        f" same numbers.</desc>{''.join(parts)}</svg>"
    )
