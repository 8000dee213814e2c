"""The closed content of a narrative → HTML: one element of ours for each kind, texts escaped.

This is the only place where a peer's words become mark-up. Attributes are ours: classes, spans as
numbers, ids made of numbers, and addresses of this node's own pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from markupsafe import Markup, escape

from node.console.reader.marking import Finder
from node.wire.reader.document import BEGIN, END, Content, Kind, Mark

_ELEMENTS: Final = {
    Kind.LIST: ("<ul>", "</ul>"),
    Kind.NUMBERED: ("<ol>", "</ol>"),
    Kind.ITEM: ("<li>", "</li>"),
    Kind.PARAGRAPH: ('<div class="para">', "</div>"),
    Kind.CAPTION: ("<caption>", "</caption>"),
    Kind.HEAD: ("<thead>", "</thead>"),
    Kind.BODY: ("<tbody>", "</tbody>"),
    Kind.FOOT: ("<tfoot>", "</tfoot>"),
    Kind.ROW: ("<tr>", "</tr>"),
    Kind.CELL: ("<td>", "</td>"),
    Kind.COLUMN_HEADER: ('<th scope="col">', "</th>"),
    Kind.ROW_HEADER: ('<th scope="row">', "</th>"),
    Kind.BOLD: ("<strong>", "</strong>"),
    Kind.ITALIC: ("<em>", "</em>"),
    Kind.EMPHASIS: ("<em>", "</em>"),
    Kind.UNDERLINE: ('<span class="underlined">', "</span>"),
    Kind.SUBSCRIPT: ("<sub>", "</sub>"),
    Kind.SUPERSCRIPT: ("<sup>", "</sup>"),
    Kind.DELETED: ('<del><span class="hidden">deleted: </span>', "</del>"),
    Kind.INSERTED: ('<ins><span class="hidden">inserted: </span>', "</ins>"),
}
_PLAIN: Final = {
    BEGIN[Kind.BREAK]: "<br>",
    END[Kind.FOOTNOTE]: "]</span>",
    **{BEGIN[kind]: begin for kind, (begin, _) in _ELEMENTS.items()},
    **{END[kind]: end for kind, (_, end) in _ELEMENTS.items()},
}
"""What stands for a mark that is always the same."""

_TABLE: Final = '<div class="scroll" role="region" aria-label="{}" tabindex="0"><table class="{}">'
_TABLE_END: Final = "</table></div>"


class NarrativeHtml:
    """Writes the sections of one document."""

    def __init__(
        self, finder: Finder, image_address: Callable[[int], str], *, dense: bool = False
    ) -> None:
        """``image_address``: where this node shows the picture with a number."""
        self._table = "table dense" if dense else "table"
        self._finder = finder
        self._image_address = image_address
        self._tables = self._open_tables = self._open_links = 0
        self._name = ""

    @property
    def found(self) -> int:
        """How often what is looked for was found so far."""
        return self._finder.found

    def title(self, text: str) -> Markup:
        """A section's title, with what was found marked."""
        into: list[str] = []
        self._text(text, into)
        return Markup("".join(into))  # noqa: S704 - pieces are escaped one by one

    def section(self, name: str, content: tuple[Content, ...]) -> Markup:
        """A section's content; ``name`` is what its tables are called for those who hear them."""
        into: list[str] = []
        self._name, self._tables = str(escape(name)), 0
        self._open_tables = self._open_links = 0
        self._write(content, into)
        return Markup("".join(into))  # noqa: S704 - pieces are escaped one by one

    def _text(self, text: str, into: list[str]) -> None:
        if not self._finder.is_in(text):
            into.append(_escaped(text))
            return
        for piece, number in self._finder.pieces(text):
            words = _escaped(piece)
            into.append(f'<mark id="f{number}">{words}</mark>' if number else words)

    def _write(self, content: Iterable[Content], into: list[str]) -> None:
        add, plain, is_in = into.append, _PLAIN.get, self._finder.is_in
        looks = self._finder.pattern is not None
        for part in content:
            if not isinstance(part, str):
                add(plain(part) or self._mark(part))
            elif looks and is_in(part):
                self._text(part, into)
            elif "<" in part or "&" in part or ">" in part:
                add(_escaped(part))
            else:
                add(part)

    def _mark(self, mark: Mark) -> str:
        """What stands for a mark whose element has attributes, or depends on what it is in."""
        kind = mark.kind
        if kind is Kind.TABLE:
            return self._table_mark(begins=mark.begins)
        if kind is Kind.LINK:
            return self._link_mark(mark)
        if kind is Kind.IMAGE:
            address = escape(self._image_address(mark.number))
            words = f"Picture {mark.number + 1} of the document"
            return f'<img class="embedded" src="{address}" alt="{words}">'
        if kind is Kind.ANCHOR:
            return f'<span id="n{mark.number}"></span>'
        if kind is Kind.FOOTNOTE:
            number = f' id="n{mark.number}"' if mark.number else ""
            return f'<span class="soft"{number}> [Note: '
        spans = (f' colspan="{mark.columns}"' if mark.columns > 1 else "") + (
            f' rowspan="{mark.rows}"' if mark.rows > 1 else ""
        )
        return f"{_PLAIN[BEGIN[kind]][:-1]}{spans}>"

    def _table_mark(self, *, begins: bool) -> str:
        self._open_tables += 1 if begins else -1
        if not begins:
            return "</table>" if self._open_tables else _TABLE_END
        if self._open_tables > 1:
            return f'<table class="{self._table}">'
        self._tables += 1
        return _TABLE.format(f"{self._name}, table {self._tables}", self._table)

    def _link_mark(self, mark: Mark) -> str:
        """A link in a link is none."""
        self._open_links += 1 if mark.begins else -1
        if mark.begins:
            return f'<a href="#n{mark.number}">' if self._open_links == 1 else ""
        return "" if self._open_links else "</a>"


def _escaped(text: str) -> str:
    """Characters between tags; most texts have none to escape, and a look costs little."""
    if "<" in text or "&" in text or ">" in text:
        return str(escape(text))
    return text
