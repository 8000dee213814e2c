"""The closed tree of a narrative → HTML: one element of ours for each kind, every text escaped.

This is the only place where a peer's words become mark-up. Attributes are ours: classes, spans as
numbers, ids made of numbers, and addresses of this node's own pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from markupsafe import Markup, escape

from node.console.reader.marking import Finder
from node.wire.reader.document import Content, Kind, Node

_PLAIN: Final = {
    Kind.LIST: ("<ul>", "</ul>"),
    Kind.NUMBERED: ("<ol>", "</ol>"),
    Kind.ITEM: ("<li>", "</li>"),
    Kind.PARAGRAPH: ('<div class="para">', "</div>"),
    Kind.CAPTION: ("<caption>", "</caption>"),
    Kind.HEAD: ("<thead>", "</thead>"),
    Kind.BODY: ("<tbody>", "</tbody>"),
    Kind.FOOT: ("<tfoot>", "</tfoot>"),
    Kind.ROW: ("<tr>", "</tr>"),
    Kind.BREAK: ("<br>", ""),
    Kind.BOLD: ("<strong>", "</strong>"),
    Kind.ITALIC: ("<em>", "</em>"),
    Kind.EMPHASIS: ("<em>", "</em>"),
    Kind.UNDERLINE: ('<span class="underlined">', "</span>"),
    Kind.SUBSCRIPT: ("<sub>", "</sub>"),
    Kind.SUPERSCRIPT: ("<sup>", "</sup>"),
    Kind.DELETED: ('<del><span class="hidden">deleted: </span>', "</del>"),
    Kind.INSERTED: ('<ins><span class="hidden">inserted: </span>', "</ins>"),
}
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
        self._tables = 0
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
        self._write(content, into, in_table=0, in_link=False, in_head=False)
        return Markup("".join(into))  # noqa: S704 - pieces are escaped one by one

    def _text(self, text: str, into: list[str]) -> None:
        if self._finder.pattern is None or not self._finder.pattern.search(text):
            into.append(_escaped(text))
            return
        for piece, number in self._finder.pieces(text):
            words = _escaped(piece)
            into.append(f'<mark id="f{number}">{words}</mark>' if number else words)

    def _write(
        self,
        content: tuple[Content, ...],
        into: list[str],
        *,
        in_table: int,
        in_link: bool,
        in_head: bool,
    ) -> None:
        for part in content:
            if isinstance(part, str):
                self._text(part, into)
                continue
            kind = part.kind
            begin, end = _PLAIN.get(kind) or self._marks(
                part, in_table=in_table, in_link=in_link, in_head=in_head
            )
            into.append(begin)
            if part.children:
                self._write(
                    part.children,
                    into,
                    in_table=in_table + (kind is Kind.TABLE),
                    in_link=in_link or kind is Kind.LINK,
                    in_head=kind is Kind.HEAD
                    or (kind is Kind.ROW and (in_head or _all_headers(part))),
                )
            into.append(end)

    def _marks(self, node: Node, *, in_table: int, in_link: bool, in_head: bool) -> tuple[str, str]:
        """What stands before and after the children of a node whose element has attributes."""
        kind = node.kind
        if kind in (Kind.CELL, Kind.HEADER_CELL):
            return _cell_marks(node, in_head=in_head)
        if kind is Kind.TABLE:
            return self._table_marks(in_table=in_table)
        if kind is Kind.IMAGE:
            address = escape(self._image_address(node.number))
            words = f"Picture {node.number + 1} of the document"
            return f'<img class="embedded" src="{address}" alt="{words}">', ""
        return ("", "") if kind is Kind.LINK and in_link else _reference_marks(node)

    def _table_marks(self, *, in_table: int) -> tuple[str, str]:
        if in_table:
            return f'<table class="{self._table}">', "</table>"
        self._tables += 1
        return _TABLE.format(f"{self._name}, table {self._tables}", self._table), _TABLE_END


def _cell_marks(node: Node, *, in_head: bool) -> tuple[str, str]:
    spans = (f' colspan="{node.columns}"' if node.columns > 1 else "") + (
        f' rowspan="{node.rows}"' if node.rows > 1 else ""
    )
    # a header cell without a word names nothing for those who hear the table
    if node.kind is Kind.CELL or not _has_words(node.children):
        return f"<td{spans}>", "</td>"
    scope = "col" if in_head else "row"
    return f'<th scope="{scope}"{spans}>', "</th>"


def _reference_marks(node: Node) -> tuple[str, str]:
    if node.kind is Kind.LINK:
        return f'<a href="#n{node.number}">', "</a>"
    if node.kind is Kind.ANCHOR:
        return f'<span id="n{node.number}">', "</span>"
    mark = f' id="n{node.number}"' if node.number else ""
    return f'<span class="soft"{mark}> [Note: ', "]</span>"


def _escaped(text: str) -> str:
    """Characters between tags; most texts have none to escape, and a look costs little."""
    if "<" in text or "&" in text or ">" in text:
        return str(escape(text))
    return text


def _all_headers(row: Node) -> bool:
    """A row of header cells alone names the columns, wherever it stands."""
    return all(isinstance(cell, Node) and cell.kind is Kind.HEADER_CELL for cell in row.children)


def _has_words(content: tuple[Content, ...]) -> bool:
    return any(
        bool(part.strip()) if isinstance(part, str) else _has_words(part.children)
        for part in content
    )
