"""A console that lets nothing through that would steer the terminal.

Much of what commands print was written by peers: names, sentences, addresses. A character that is
not printable would move the cursor, hide lines or change the window's title, or turn the reading
direction; it is shown as U+FFFD, in every text that is printed, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_SPACE = frozenset("\n\t")
_BREAKS = frozenset("\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029")


def printable(text: str) -> str:
    """A text without what would steer a terminal; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in _SPACE else _other(each) for each in text)


def _other(each: str) -> str:
    """A space of another width is one all the same."""
    return " " if each.isspace() and each not in _BREAKS else "\N{REPLACEMENT CHARACTER}"


class PlainConsole(Console):
    """Rich's console over ``printable`` text; colours and links of our own stay."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of what is printed."""
        for each in super().render(renderable, options):
            yield each if each.control else Segment(printable(each.text), each.style)
