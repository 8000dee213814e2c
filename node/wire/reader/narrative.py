"""A section's narrative block (CDA R2 4.3.5, NarrativeBlock.xsd) → the closed tree of a page.

The names of the narrative and the plain ones of HTML that senders use in its place are known; of
every other element only the text is taken, so that no word of the author is lost, and elements
that run or load something are left out whole. Attributes are read one by one: ``styleCode``,
``listType``, ``colspan``, ``rowspan``, ``revised``, and ids for references inside the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from lxml import etree

from node.wire.names import HL7
from node.wire.reader.characters import seen
from node.wire.reader.document import Content, Kind, Node
from node.wire.reader.limits import Tally, TooLarge
from node.wire.reader.vocabulary import (
    ACTIVE,
    LISTS,
    PARAGRAPHS,
    REVISED,
    ROW_GROUPS,
    RUNS,
    STYLES,
)

_MOST_DIGITS: Final = 4

Images = Callable[[str], int | None]
"""From the id of an observationMedia to the image's number in the document."""


class Narrative:
    """Reads the narratives of one document."""

    def __init__(
        self, tally: Tally, anchors: Mapping[str, int], images: Images, own: str | None
    ) -> None:
        """``anchors``: ids that something refers to; ``own``: the namespace of the document."""
        self._tally = tally
        self._anchors = anchors
        self._images = images
        self._own = (HL7, own)
        self._placed: set[int] = set()
        self._names: dict[str, tuple[str, bool]] = {}

    def read(self, text: etree._Element) -> tuple[Content, ...]:
        """The blocks of a ``text`` element.

        Raises:
            TooLarge: past a limit of the section or of the document.
        """
        found: list[Content] = []
        if len(text) == 0:
            self._lines(text.text, found)
        else:
            self._within(text, found, 0)
        return self._anchored(text, found)

    def _name(self, element: etree._Element) -> str:
        """The local name; of another vocabulary it counts as foreign."""
        tag = str(element.tag)
        known = self._names.get(tag)
        if known is None:
            space, _, name = tag.rpartition("}")
            known = (name.lower(), bool(space) and space[1:] not in self._own)
            self._names[tag] = known
        if known[1]:
            self._tally.foreign += 1
        return known[0]

    def _text(self, text: str | None, into: list[Content]) -> None:
        if not text:
            return
        if text.isspace():
            if into:
                into.append(" ")
            return
        if not text.isascii() or "\x7f" in text:
            text, unseen = seen(text)
            self._tally.invisible += unseen
        into.append(text)

    def _lines(self, text: str | None, into: list[Content]) -> None:
        """A text without mark-up: its line breaks are all the layout that it has."""
        lines = (text or "").strip().splitlines()
        for number, line in enumerate(lines):
            if number:
                self._tally.spend()
                into.append(Node(Kind.BREAK))
            self._text(line, into)

    def _within(self, element: etree._Element, into: list[Content], depth: int) -> None:
        """The content of an element in its order."""
        if depth > self._tally.limits.depth:
            raise TooLarge
        self._text(element.text, into)
        for child in element:
            if isinstance(child.tag, str):
                self._element(child, into, depth + 1)
            self._text(child.tail, into)

    def _element(self, element: etree._Element, into: list[Content], depth: int) -> None:
        self._tally.spend()
        self._named(element, self._name(element), into, depth)

    def _named(self, element: etree._Element, name: str, into: list[Content], depth: int) -> None:
        if name in ACTIVE:
            self._tally.active += 1
            return
        if name == "br":
            into.append(Node(Kind.BREAK))
        elif name == "table":
            self._table(element, into, depth)
        elif name in LISTS:
            self._list(element, LISTS[name], into, depth)
        elif name in PARAGRAPHS:
            found: list[Content] = []
            if len(element) == 0:
                self._lines(element.text, found)
            else:
                self._within(element, found, depth)
            into.append(Node(Kind.PARAGRAPH, self._anchored(element, found)))
        elif name in ("linkhtml", "a", "footnoteref"):
            self._link(element, into, depth)
        elif name == "footnote":
            found = []
            self._within(element, found, depth)
            into.append(Node(Kind.FOOTNOTE, tuple(found), self._number(element)))
        elif name in ("rendermultimedia", "img"):
            self._image(element, into, depth)
        else:
            self._run(element, name, into, depth)

    def _run(self, element: etree._Element, name: str, into: list[Content], depth: int) -> None:
        """Running text: ``content``, its HTML likenesses, and whatever is not known."""
        found: list[Content] = []
        self._within(element, found, depth)
        simple = RUNS.get(name)
        kinds = [simple] if simple else []
        revised = REVISED.get(element.get("revised") or "")
        if revised is not None:
            kinds.append(revised)
        kinds.extend(_styles(element))
        inner = self._anchored(element, found)
        into.extend(_wrapped(kinds, inner))

    def _anchored(self, element: etree._Element, found: list[Content]) -> tuple[Content, ...]:
        """The content, behind a mark where something in the document refers to it."""
        number = self._number(element) if self._anchors else 0
        return (Node(Kind.ANCHOR, number=number), *found) if number else tuple(found)

    def _number(self, element: etree._Element) -> int:
        """The number of something that is referred to; an id that comes again names nothing."""
        number = self._anchors.get(element.get("ID") or "", 0)
        if number in self._placed:
            return 0
        if number:
            self._placed.add(number)
        return number

    def _link(self, element: etree._Element, into: list[Content], depth: int) -> None:
        found: list[Content] = []
        self._within(element, found, depth)
        href = (element.get("href") or "").strip()
        target = href[1:] if href.startswith("#") else (element.get("IDREF") or "")
        number = self._anchors.get(target) if target else None
        if number is None:
            self._tally.unresolved += bool(target)
            self._tally.links += bool(href) and not target
            into.extend(found)
        else:
            into.append(Node(Kind.LINK, tuple(found), number))

    def _image(self, element: etree._Element, into: list[Content], depth: int) -> None:
        for reference in (element.get("referencedObject") or "").split():
            number = self._images(reference)
            if number is None:
                self._tally.images += 1
            else:
                into.append(Node(Kind.IMAGE, number=number))
        if element.get("src"):
            self._tally.images += 1
        self._within(element, into, depth)

    def _parts(self, element: etree._Element) -> Iterator[etree._Element | str]:
        """The child elements, and the text between them, which has no place there but is kept."""
        if element.text and not element.text.isspace():
            yield element.text
        for child in element:
            if isinstance(child.tag, str):
                self._tally.spend()
                yield child
            if child.tail and not child.tail.isspace():
                yield child.tail

    def _list(self, element: etree._Element, kind: Kind, into: list[Content], depth: int) -> None:
        if (element.get("listType") or "").lower() == "ordered":
            kind = Kind.NUMBERED
        items: list[Content] = []
        for part in self._parts(element):
            found: list[Content] = []
            if isinstance(part, str):
                self._text(part, found)
                items.append(Node(Kind.ITEM, tuple(found)))
                continue
            name = self._name(part)
            if name == "caption":
                self._within(part, found, depth)
                into.append(Node(Kind.PARAGRAPH, (Node(Kind.BOLD, tuple(found)),)))
            elif name in ("item", "li"):
                self._within(part, found, depth)
                items.append(Node(Kind.ITEM, _styled(part, self._anchored(part, found))))
            else:
                self._named(part, name, found, depth)
                items.append(Node(Kind.ITEM, tuple(found)))
        into.append(Node(kind, tuple(items)))

    def _table(self, element: etree._Element, into: list[Content], depth: int) -> None:
        captions: list[Content] = []
        groups: list[tuple[Kind, list[Content]]] = []
        for part in self._parts(element):
            name = "" if isinstance(part, str) else self._name(part)
            if name == "caption" and not isinstance(part, str):
                self._within(part, captions, depth)
                captions.append(" ")
            elif name in ROW_GROUPS and not isinstance(part, str):
                groups.append((ROW_GROUPS[name], []))
                for row in self._parts(part):
                    self._row(row, groups[-1][1], depth)
            elif name not in ("col", "colgroup"):
                if not groups or groups[-1][0] is not Kind.BODY:
                    groups.append((Kind.BODY, []))
                self._row(part, groups[-1][1], depth, name)
        children: list[Content] = [Node(Kind.CAPTION, tuple(captions))] if captions else []
        children.extend(Node(kind, tuple(rows)) for kind, rows in groups if rows)
        into.extend(self._anchored(element, []))
        into.append(Node(Kind.TABLE, tuple(children)))

    def _row(
        self, row: etree._Element | str, into: list[Content], depth: int, known: str = ""
    ) -> None:
        """A row of a table; what is no row stands in one of its own."""
        cells: list[Content] = []
        if isinstance(row, str):
            self._cell(row, cells, depth)
        elif (name := known or self._name(row)) == "tr":
            for part in self._parts(row):
                self._cell(part, cells, depth)
            if cells and self._anchors:
                cells[0] = _with_anchor(cells[0], self._anchored(row, []))
        else:
            self._cell(row, cells, depth, name)
        if cells:
            into.append(Node(Kind.ROW, tuple(cells)))

    def _cell(
        self, part: etree._Element | str, into: list[Content], depth: int, known: str = ""
    ) -> None:
        """A cell of a row; what is no cell stands in one of its own."""
        found: list[Content] = []
        if isinstance(part, str):
            self._text(part, found)
            into.append(Node(Kind.CELL, tuple(found)))
            return
        name = known or self._name(part)
        if name not in ("td", "th"):
            self._named(part, name, found, depth + 1)
            if found:
                into.append(Node(Kind.CELL, tuple(found)))
            return
        if len(part):
            self._within(part, found, depth + 1)
        else:
            self._text(part.text, found)
        inner = self._anchored(part, found)
        kind = Kind.HEADER_CELL if name == "th" else Kind.CELL
        if not part.attrib:
            into.append(Node(kind, inner))
            return
        limits = self._tally.limits
        columns = _span(part.get("colspan"), limits.columns)
        rows = _span(part.get("rowspan"), limits.rows)
        into.append(Node(kind, _styled(part, inner), 0, columns, rows))


def _with_anchor(cell: Content, anchor: tuple[Content, ...]) -> Content:
    if isinstance(cell, str) or not anchor:
        return cell
    return Node(cell.kind, (*anchor, *cell.children), cell.number, cell.columns, cell.rows)


def _wrapped(kinds: list[Kind], inner: tuple[Content, ...]) -> tuple[Content, ...]:
    for kind in kinds:
        inner = (Node(kind, inner),)
    return inner


def _styled(element: etree._Element, inner: tuple[Content, ...]) -> tuple[Content, ...]:
    return _wrapped(_styles(element), inner) if inner else inner


def _styles(element: etree._Element) -> list[Kind]:
    stated = element.get("styleCode")
    if not stated:
        return []
    found = (kind for word in stated.lower().split() for kind in STYLES.get(word, ()))
    return list(dict.fromkeys(found))


def _span(value: str | None, most: int) -> int:
    """A span as a number within the bounds; what is none is one."""
    text = (value or "").strip()
    if not (0 < len(text) <= _MOST_DIGITS and text.isascii() and text.isdecimal()):
        return 1
    return min(max(int(text), 1), most)
