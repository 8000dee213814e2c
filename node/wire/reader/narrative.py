"""A section's narrative block (CDA R2 4.3.5, NarrativeBlock.xsd) → the closed content of a page.

The names of the narrative and the plain ones of HTML that senders use in its place are known; of
every other element only the text is taken, so that no word of the author is lost, and elements
that run or load something are left out whole. Attributes are read one by one: ``styleCode``,
``listType``, ``colspan``, ``rowspan``, ``revised``, and ids for references inside the document.

Here are the lists and the tables; ``running`` has the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from node.wire.reader.document import BEGIN, END, Content, Kind, Mark
from node.wire.reader.running import Element, Name, Running, Way, attributes, styles
from node.wire.reader.vocabulary import LISTS, NUMBERED, ROW_GROUPS, Pair

_MOST_DIGITS: Final = 4
_ITEMS: Final = frozenset({"item", "li"})
_CELLS: Final = frozenset({"td", "th"})
_COLUMNS: Final = frozenset({"col", "colgroup"})
_ITEM, _ITEM_END = BEGIN[Kind.ITEM], END[Kind.ITEM]
_CAPTION = (BEGIN[Kind.PARAGRAPH], BEGIN[Kind.BOLD])
_CAPTION_END = (END[Kind.BOLD], END[Kind.PARAGRAPH])
_HEAD, _BODY = ROW_GROUPS["thead"], ROW_GROUPS["tbody"]
_ROW, _ROW_END = BEGIN[Kind.ROW], END[Kind.ROW]
_CELL, _CELL_END = BEGIN[Kind.CELL], END[Kind.CELL]


class Narrative(Running):
    """Reads the narratives of one document."""

    _rows = _items = _outer = 0

    @property
    def count(self) -> int:
        """Of what was read last, the rows of its tables' bodies, else the items of its lists.

        Those inside of a table or list do not count.
        """
        return self._rows or self._items

    def read(self, text: Element) -> tuple[Content, ...]:
        """The blocks of a ``text`` element.

        Raises:
            TooLarge: past a limit of the section or of the document.
        """
        self._rows = self._items = self._outer = 0
        found: list[Content] = []
        self.lines_or_within(text, found, 0)
        return tuple(found)

    def blocks(self) -> Mapping[str, Way]:
        """How lists and tables are read, by their names."""
        return {"table": self._table} | {
            name: partial(self._list, pair) for name, pair in LISTS.items()
        }

    def _list(self, pair: Pair, element: Element, into: list[Content], depth: int) -> None:
        ordered = (element.get("listType") or "").lower() == "ordered"
        begin, end = NUMBERED if ordered else pair
        self._outer += 1
        start = len(into)
        captions: list[Content] = []
        into.append(begin)
        for part in self.parts(element):
            self._items += self._outer == 1
            if isinstance(part, str):
                into.append(_ITEM)
                self.text(part, into)
                into.append(_ITEM_END)
                continue
            known = self.known(part.tag)
            if known.local == "caption":
                self._items -= self._outer == 1
                captions += _CAPTION
                self.within(part, captions, depth)
                captions += _CAPTION_END
                continue
            into.append(_ITEM)
            if known.local in _ITEMS:
                self.inside(part, styles(attributes(part)), into, depth)
            else:
                known.way(part, into, depth)
            into.append(_ITEM_END)
        into.append(end)
        into[start:start] = captions
        self._outer -= 1

    def _table(self, element: Element, into: list[Content], depth: int) -> None:
        start = len(into)
        captions: list[Content] = []
        into.append(BEGIN[Kind.TABLE])
        self._outer += 1
        group, begun = None, 0
        for part in self.parts(element):
            known = None if isinstance(part, str) else self.known(part.tag)
            name = known.local if known else ""
            if name == "caption" and not isinstance(part, str):
                self.within(part, captions, depth)
                captions.append(" ")
                continue
            if name in _COLUMNS:
                continue
            wanted = ROW_GROUPS.get(name)
            if wanted is not None or group is not _BODY:
                _end_group(group, begun, into)
                group, begun = wanted or _BODY, len(into)
                into.append(group[0])
            if wanted is None or isinstance(part, str):
                self._row(part, known, into, depth, group)
                continue
            for row in self.parts(part):
                inner = None if isinstance(row, str) else self.known(row.tag)
                self._row(row, inner, into, depth, group)
        _end_group(group, begun, into)
        into.append(END[Kind.TABLE])
        self._outer -= 1
        if captions:
            into[start + 1 : start + 1] = [BEGIN[Kind.CAPTION], *captions, END[Kind.CAPTION]]
        self.anchor(element, into, start)

    def _row(
        self,
        row: Element | str,
        known: Name | None,
        into: list[Content],
        depth: int,
        group: Pair,
    ) -> None:
        """A row of a table; what is no row stands in one of its own."""
        start = len(into)
        into.append(_ROW)
        headers: list[tuple[int, int]] = []
        others = False
        if known is None or isinstance(row, str) or known.local != "tr":
            others = self._cell(row, known, into, depth, headers)
        else:
            others = self._cells(row, into, depth, headers)
        if len(into) == start + 1:
            into.pop()
            return
        into.append(_ROW_END)
        self._rows += group is _BODY and self._outer == 1
        if headers:
            # a row of header cells alone names the columns, wherever it stands
            _heads(
                headers,
                Kind.ROW_HEADER if others and group is not _HEAD else Kind.COLUMN_HEADER,
                into,
            )
        if self.anchors and not isinstance(row, str) and known and known.local == "tr":
            self.anchor(row, into, start + 2)

    def _cells(
        self, row: Element, into: list[Content], depth: int, headers: list[tuple[int, int]]
    ) -> bool:
        """The cells of a row; whether one of them is no header."""
        others, own = False, self.own
        self.tally.spend(len(row))
        if row.text and not row.text.isspace():
            others |= self._cell(row.text, None, into, depth, headers)
        for part in row:
            tag = part.tag
            if isinstance(tag, str):
                known = own.get(tag) or self.known(tag)
                if known.local == "td" and not len(part) and not part.items():
                    into.append(_CELL)  # what most cells are
                    self.text(part.text, into)
                    into.append(_CELL_END)
                    others = True
                else:
                    others |= self._cell(part, known, into, depth, headers)
            tail = part.tail
            if tail and not tail.isspace():
                others |= self._cell(tail, None, into, depth, headers)
        return others

    def _cell(
        self,
        part: Element | str,
        known: Name | None,
        into: list[Content],
        depth: int,
        headers: list[tuple[int, int]],
    ) -> bool:
        """A cell of a row; what is no cell stands in one of its own. Whether it is no header."""
        start = len(into)
        into.append(_CELL)
        if known is None or isinstance(part, str):
            self.text(str(part), into)
            into.append(_CELL_END)
            return True
        if known.local not in _CELLS:
            known.way(part, into, depth + 1)
            if len(into) == start + 1:
                into.pop()
                return False
            into.append(_CELL_END)
            return True
        given = attributes(part)
        if given:
            limits = self.tally.limits
            columns = _span(given.get("colspan"), limits.columns)
            rows = _span(given.get("rowspan"), limits.rows)
            if columns > 1 or rows > 1:
                into[start] = Mark(Kind.CELL, columns=columns, rows=rows)
            self.inside(part, styles(given), into, depth + 1)
        elif len(part):
            self.within(part, into, depth + 1)
        else:
            self.text(part.text, into)
        if known.local == "th":
            headers.append((start, len(into)))
        into.append(_CELL_END)
        return known.local == "td"


def _end_group(group: Pair | None, begun: int, into: list[Content]) -> None:
    """Close a group of rows; one without any is none."""
    if group is None:
        return
    if len(into) == begun + 1:
        into.pop()
    else:
        into.append(group[1])


def _heads(places: list[tuple[int, int]], kind: Kind, into: list[Content]) -> None:
    """Make cells headers; one without a word names nothing for those who hear the table."""
    for start, end in places:
        mark = into[start]
        has_words = any(isinstance(part, str) and part.strip() for part in into[start:end])
        if has_words and isinstance(mark, Mark):
            into[start] = Mark(kind, columns=mark.columns, rows=mark.rows)
            into[end] = END[kind]


def _span(value: str | None, most: int) -> int:
    """A span as a number within the bounds; what is none is one."""
    text = (value or "").strip()
    if not (0 < len(text) <= _MOST_DIGITS and text.isascii() and text.isdecimal()):
        return 1
    return min(max(int(text), 1), most)
