"""Small pictures drawn on the server: SVG markup that needs no style and no script of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from markupsafe import Markup, escape

from node.console.wording import counted
from node.model import Outcome

_STEP: Final = 5  # px from one leg's bar to the next; the style sheet's dashes are as long
_MOST_BARS: Final = 24
# the middle of the bars: those of legs that broke stand on the ground, the others are centred
_MIDDLE: Final = dict.fromkeys((Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED), 11)
_OUTCOMES: Final = [each.value for each in Outcome]  # the style sheet counts them: .b0, .b1
_DIGITS: Final = 16


def legs_strip(outcomes: Sequence[str]) -> Markup:
    """One 4 px bar for each leg; after 24 the rest is left to the count beside it.

    Tall answered, hollow held nothing, low broke. Legs that ended alike and stand together are one
    dashed line: a list has hundreds of bars.
    """
    shown = outcomes[:_MOST_BARS]
    paths: dict[str, list[str]] = {}
    place = 0
    for outcome, alike in groupby(shown):
        number = len(list(alike))
        line = f"M{place * _STEP} {_MIDDLE.get(Outcome(outcome), 7)}h{number * _STEP - 1}"
        paths.setdefault(outcome, []).append(line)
        place += number
    drawn = []
    for outcome, lines in paths.items():
        drawn.append(f'<path class=b{_OUTCOMES.index(outcome)} d="{"".join(lines)}"/>')
        if outcome == Outcome.OK_EMPTY:
            drawn.append(f'<path class=bh d="{"".join(lines)}"/>')
    width = max(len(shown) * _STEP - 1, 4)
    return Markup(  # noqa: S704 - numbers and our own codes
        f"<svg class=legs width={width} aria-hidden=true>{''.join(drawn)}</svg>"
    )


def seal(digest: str) -> Markup:
    """The first 16 hex digits of a hash as bars, then the first 8 of them."""
    # one path: as sixteen elements it would be the largest thing of some pages
    bars = "".join(
        f"M{place * 3 + 1} 14v-{max(round(int(digit, 16) * 14 / 15), 2)}"
        for place, digit in enumerate(digest[:_DIGITS])
    )
    return Markup(  # noqa: S704 - hexadecimal digits, read as such
        '<span class="seal"><svg width="47" height="14" aria-hidden="true"><path stroke-width="2"'
        f' stroke="currentColor" d="{bars}"/></svg><span class="id">{escape(digest[:8])}</span>'
        "</span>"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One leg of a timeline: when it began and how long it took, in ms from the first one's."""

    name: str
    outcome: str
    words: str
    begins: int
    took: int


_LEFT: Final = 196
_RIGHT: Final = 700
_ROW: Final = 24
_WIDTH: Final = 856
_TICKS: Final = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 120_000, 600_000)
_MOST_TICKS: Final = 8


def waterfall(bars: Sequence[Bar]) -> Markup:
    """The legs of an exchange along their time, one row for each; a table says the same."""
    end = max((bar.begins + bar.took for bar in bars), default=0) or 1
    tick = next((t for t in _TICKS if end / t <= _MOST_TICKS), _TICKS[-1])
    scale = (_RIGHT - _LEFT) / max(end, tick)
    height = 26 + _ROW * len(bars)
    parts = []
    for number in range(min(end // tick, _MOST_TICKS) + 1):
        x = _LEFT + number * tick * scale
        words = f"{number * tick / 1000:g} s"
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="{height - 4}"/>'
            f'<text class="m" x="{x:.1f}" y="12">{words}</text>'
        )
    for row, bar in enumerate(bars):
        y = 26 + row * _ROW
        width = max(bar.took * scale, 1.0)
        parts.append(
            f'<text class="k" x="22" y="{y + 11}">{escape(_short(bar.name))}</text>'
            f'<svg x="2" y="{y}" width="12" height="12" class="{bar.outcome}">'
            f'<use href="#{bar.outcome}" width="12" height="12"/></svg>'
            f'<rect class="f-mid" x="{_LEFT + bar.begins * scale:.1f}" y="{y + 2}"'
            f' width="{width:.1f}" height="10"/>'
            f'<text class="k" x="712" y="{y + 11}">{escape(bar.words)}</text>'
        )
    return Markup(  # noqa: S704 - numbers, our own codes, and escaped texts
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img"'
        f' aria-labelledby="wt wd"><title id="wt">Timeline of {counted(len(bars), "leg")}</title>'
        f'<desc id="wd">The table of legs has the same numbers.</desc>{"".join(parts)}</svg>'
    )


_NAME: Final = 26


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
