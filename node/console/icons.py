"""The marks that stand before words: one drawing of each, used in two ways.

In text a mark is a mask of the style sheet (``marks.svg``): nothing of it stands in the page, so a
row of a list costs a class. In drawings, and where a mark is a thing of its own, it is a symbol of
the page; a page has those symbols that it uses and no others.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

PLACE: Final = "<!--icons-->"
"""Where a page wants its symbols."""

MARKS: Final = "marks.svg"
"""The name under which the style sheet asks for the masks."""

MASKS: Final = (
    "ok", "ok-empty", "partial", "declined", "failed", "timed-out", "cancelled", "in-progress",
    "tw", "out", "in", "x",
)  # fmt: skip
"""Those of the mask, from the top; the style sheet's ``--i`` counts them from 0."""

_SYMBOL: Final = re.compile(r'<symbol id="([a-z-]+)" viewBox="([^"]+)">(.*?)</symbol>', re.DOTALL)
_USED: Final = re.compile(r'<use href="#([a-z-]+)"')
_SIDE: Final = 16


def whole_sprite() -> str:
    """All symbols, for pages that get parts later."""
    return resources.files("node.console").joinpath("static", "sprite.svg").read_text("utf-8")


def with_symbols(page: str) -> str:
    """The page with the symbols that it uses."""
    if PLACE not in page:
        return page
    drawn, used = _symbols(), set(_USED.findall(page))
    wanted = "".join(whole for name, (_, _, whole) in drawn.items() if name in used)
    sprite = (
        f'<svg width="0" height="0" class="hidden" aria-hidden="true">{wanted}</svg>'
        if wanted
        else ""
    )
    return page.replace(PLACE, sprite, 1)


@cache
def marks_image() -> bytes:
    """The masks, one below the other: what is light is painted, what is dark is not."""
    drawn = _symbols()
    parts = []
    for place, name in enumerate(MASKS):
        box, shapes, _ = drawn[name]
        shapes = shapes.replace("currentColor", "#fff").replace('class="cut"', 'stroke="#000"')
        parts.append(
            f'<svg y="{place * _SIDE}" width="{_SIDE}" height="{_SIDE}" viewBox="{box}">'
            f"{shapes}</svg>"
        )
    height = _SIDE * len(MASKS)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SIDE}" height="{height}"'
        f' viewBox="0 0 {_SIDE} {height}">{"".join(parts)}</svg>'
    ).encode()


@cache
def _symbols() -> dict[str, tuple[str, str, str]]:
    """Of each symbol: its box, its shapes, the whole."""
    return {found[1]: (found[2], found[3], found[0]) for found in _SYMBOL.finditer(whole_sprite())}
