"""Running text of a narrative block: words, emphasis, links, notes and pictures.

Texts and marks are written in one pass. What is known only behind a part (the number of an anchor)
is put in where the part began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from lxml import etree

from node.wire.names import HL7
from node.wire.reader.characters import seen
from node.wire.reader.document import BEGIN, END, Content, Kind, Mark
from node.wire.reader.limits import Tally, TooLarge
from node.wire.reader.vocabulary import ACTIVE, PARAGRAPHS, REVISED, RUNS, STYLES, Pair

_BREAK: Final = BEGIN[Kind.BREAK]
_PARAGRAPH, _PARAGRAPH_END = BEGIN[Kind.PARAGRAPH], END[Kind.PARAGRAPH]
_BLOCKS: Final = frozenset(mark for mark in BEGIN.values() if mark.gap)
_NONE: Final[Mapping[str, str]] = MappingProxyType({})

Element = etree._Element  # noqa: SLF001 - lxml has no public name for the type
Images = Callable[[str], int | None]
"""From the id of an observationMedia to the image's number in the document."""

Way = Callable[[Element, list[Content], int], None]
"""How an element is read at a depth, and what it says put at the end of a list."""


class Name(NamedTuple):
    """What is known of an element by its tag; ``foreign``: of another vocabulary."""

    local: str
    foreign: bool
    way: Way


class Running:
    """Reads running text; what is made of blocks is a subclass's (``blocks``)."""

    def __init__(
        self, tally: Tally, anchors: Mapping[str, int], images: Images, own: str | None
    ) -> None:
        """``anchors``: ids that something refers to; ``own``: the namespace of the document."""
        self.tally = tally
        self.anchors = anchors
        self._images = images
        self._spaces = (HL7, own)
        self._placed: set[int] = set()
        self.own: dict[str, Name] = {}
        self._foreign: dict[str, Name] = {}

    def known(self, tag: str) -> Name:
        """What is known of a tag; of another vocabulary it counts as foreign."""
        known = self.own.get(tag) or self._foreign.get(tag)
        if known is None:
            space, _, name = tag.rpartition("}")
            local = name.lower()
            foreign = bool(space) and space[1:] not in self._spaces
            known = Name(local, foreign, self._way(local))
            (self._foreign if foreign else self.own)[tag] = known
        if known.foreign:
            self.tally.foreign += 1
        return known

    def blocks(self) -> Mapping[str, Way]:
        """How lists and tables are read, by their names."""
        raise NotImplementedError

    def _way(self, name: str) -> Way:
        """How an element is read where it stands in running text."""
        if name in ACTIVE:
            return self._active
        if name in PARAGRAPHS:
            return self._paragraph
        simple = RUNS.get(name)
        ways: dict[str, Way] = {
            "br": self._break,
            **self.blocks(),
            "linkhtml": self._link,
            "a": self._link,
            "footnoteref": self._link,
            "footnote": self._footnote,
            "rendermultimedia": self._image,
            "img": self._image,
        }
        return ways.get(name) or partial(self._run, (simple,) if simple else ())

    def text(self, text: str | None, into: list[Content]) -> None:
        """Put characters at the end of what was read; blanks only where something is before."""
        if not text:
            return
        if text.isspace():
            if into and into[-1] not in _BLOCKS:
                into.append(" ")
            return
        if not text.isascii() or "\x7f" in text:
            text, unseen = seen(text)
            self.tally.invisible += unseen
        into.append(text)

    def _lines(self, text: str | None, into: list[Content]) -> None:
        """A text without mark-up: its line breaks are all the layout that it has."""
        lines = (text or "").strip().splitlines()
        self.tally.spend(len(lines))
        for number, line in enumerate(lines):
            if number:
                into.append(_BREAK)
            self.text(line, into)

    def within(self, element: Element, into: list[Content], depth: int) -> None:
        """The content of an element in its order."""
        tally = self.tally
        if depth > tally.limits.depth:
            raise TooLarge
        tally.spend(len(element))
        self.text(element.text, into)
        for child in element:
            if isinstance(child.tag, str):
                known = self.known(child.tag)
                known.way(child, into, depth + 1)
            tail = child.tail
            if tail:
                self.text(tail, into)

    def inside(
        self, element: Element, pairs: tuple[Pair, ...], into: list[Content], depth: int
    ) -> None:
        """The content of an element between pairs of marks, the first of them the innermost."""
        for begin, _ in reversed(pairs):
            into.append(begin)
        start = len(into)
        if len(element):
            self.within(element, into, depth)
        else:
            self.text(element.text, into)
        if self.anchors:
            self.anchor(element, into, start)
        if pairs and len(into) == start:
            del into[start - len(pairs) :]
        else:
            for _, end in pairs:
                into.append(end)

    def _active(self, *_: object) -> None:
        self.tally.active += 1

    def _break(self, _: Element, into: list[Content], __: int) -> None:
        into.append(_BREAK)

    def _run(
        self, pairs: tuple[Pair, ...], element: Element, into: list[Content], depth: int
    ) -> None:
        """Running text: ``content``, its HTML likenesses, and whatever is not known."""
        given = attributes(element)
        if given:
            revised = REVISED.get(given.get("revised", ""))
            pairs = (*pairs, *((revised,) if revised else ()), *styles(given))
        self.inside(element, pairs, into, depth)

    def _paragraph(self, element: Element, into: list[Content], depth: int) -> None:
        into.append(_PARAGRAPH)
        self.lines_or_within(element, into, depth)
        into.append(_PARAGRAPH_END)

    def lines_or_within(self, element: Element, into: list[Content], depth: int) -> None:
        """The content of an element, by its lines where it has no mark-up."""
        start = len(into)
        if len(element):
            self.within(element, into, depth)
        else:
            self._lines(element.text, into)
        self.anchor(element, into, start)

    def _footnote(self, element: Element, into: list[Content], depth: int) -> None:
        start = len(into)
        into.append(BEGIN[Kind.FOOTNOTE])
        self.within(element, into, depth)
        into.append(END[Kind.FOOTNOTE])
        number = self._number(element)
        if number:
            into[start] = Mark(Kind.FOOTNOTE, number=number)

    def anchor(self, element: Element, into: list[Content], place: int) -> None:
        """A mark at a place where something in the document refers to the element."""
        number = self._number(element) if self.anchors else 0
        if number:
            into.insert(place, Mark(Kind.ANCHOR, number=number))

    def _number(self, element: Element) -> int:
        """The number of something that is referred to; an id that comes again names nothing."""
        number = self.anchors.get(element.get("ID") or "", 0)
        if number in self._placed:
            return 0
        if number:
            self._placed.add(number)
        return number

    def _link(self, element: Element, into: list[Content], depth: int) -> None:
        href = (element.get("href") or "").strip()
        target = href[1:] if href.startswith("#") else (element.get("IDREF") or "")
        number = self.anchors.get(target) if target else None
        if number is None:
            self.tally.unresolved += bool(target)
            self.tally.links += bool(href) and not target
            self.within(element, into, depth)
        else:
            into.append(Mark(Kind.LINK, number=number))
            self.within(element, into, depth)
            into.append(END[Kind.LINK])

    def _image(self, element: Element, into: list[Content], depth: int) -> None:
        for reference in (element.get("referencedObject") or "").split():
            number = self._images(reference)
            if number is None:
                self.tally.images += 1
            else:
                into.append(Mark(Kind.IMAGE, number=number))
        if element.get("src"):
            self.tally.images += 1
        self.within(element, into, depth)

    def parts(self, element: Element) -> Iterator[Element | str]:
        """The child elements, and the text between them, which has no place there but is kept."""
        self.tally.spend(len(element))
        if element.text and not element.text.isspace():
            yield element.text
        for child in element:
            if isinstance(child.tag, str):
                yield child
            tail = child.tail
            if tail and not tail.isspace():
                yield tail


def attributes(element: Element) -> Mapping[str, str]:
    """The attributes of an element; asking it for one after the other costs more."""
    given = element.items()
    return {str(name): str(value) for name, value in given} if given else _NONE


def styles(given: Mapping[str, str]) -> tuple[Pair, ...]:
    """The marks that an element's ``styleCode`` stands for, the innermost first."""
    stated = given.get("styleCode")
    if not stated:
        return ()
    found = (pair for word in stated.lower().split() for pair in STYLES.get(word, ()))
    return tuple(dict.fromkeys(found))
