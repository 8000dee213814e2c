"""What can be shown of a clinical document: texts between marks of a closed set of kinds.

These are all that reaches a page. A mark has no attribute of the peer's but numbers within bounds
(spans) and members of closed sets; every text is characters to be escaped, never mark-up. Content
is flat, a text or a mark at a time in the document's order, since a tree of a large document costs
more to build and to walk than all the rest; ``tree`` makes one where somebody needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a part of a narrative is; a page knows one element for each."""

    PARAGRAPH = "paragraph"
    LIST = "list"
    NUMBERED = "numbered"
    ITEM = "item"
    TABLE = "table"
    CAPTION = "caption"
    HEAD = "head"
    BODY = "body"
    FOOT = "foot"
    ROW = "row"
    COLUMN_HEADER = "column-header"
    ROW_HEADER = "row-header"
    CELL = "cell"
    BREAK = "break"
    BOLD = "bold"
    ITALIC = "italic"
    UNDERLINE = "underline"
    EMPHASIS = "emphasis"
    SUBSCRIPT = "subscript"
    SUPERSCRIPT = "superscript"
    DELETED = "deleted"
    INSERTED = "inserted"
    ANCHOR = "anchor"
    LINK = "link"
    FOOTNOTE = "footnote"
    IMAGE = "image"


POINTS = frozenset({Kind.BREAK, Kind.ANCHOR, Kind.IMAGE})
"""Kinds with nothing inside: one mark, without one for the end."""

_INLINE = frozenset(
    {
        Kind.BOLD,
        Kind.ITALIC,
        Kind.UNDERLINE,
        Kind.EMPHASIS,
        Kind.SUBSCRIPT,
        Kind.SUPERSCRIPT,
        Kind.DELETED,
        Kind.INSERTED,
        Kind.ANCHOR,
        Kind.LINK,
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Where a part of a narrative begins or ends. Every mark of a beginning has its end's.

    Marks without a number or a span are shared (``BEGIN``, ``END``) and compared as objects.

    Attributes:
        kind: what it is.
        begins: whether it begins here; a kind of ``POINTS`` only does.
        number: of an ANCHOR or FOOTNOTE its own, of a LINK its anchor's, of an IMAGE its place in
            ``ReadableDocument.images``. Numbers are ours; a peer's ids never leave the reader.
        columns: a cell's column span.
        rows: a cell's row span.
        gap: what parts the words on its two sides: a blank, or nothing within running text.
    """

    kind: Kind
    begins: bool = True
    number: int = 0
    columns: int = 1
    rows: int = 1
    gap: str = field(init=False)

    def __post_init__(self) -> None:
        """Know the gap, which is asked for often."""
        object.__setattr__(self, "gap", "" if self.kind in _INLINE else " ")


BEGIN = {kind: Mark(kind) for kind in Kind}
END = {kind: Mark(kind, begins=False) for kind in Kind if kind not in POINTS}

Content = str | Mark
"""Characters, or where a part begins or ends."""


class SectionState(StrEnum):
    """Where a section's content is from, or why there is none."""

    NARRATIVE = "narrative"
    ENTRIES = "entries"
    """The author wrote no text: what is shown is our plain rendering of the coded entries."""
    EMPTY = "empty"
    TOO_LARGE = "too-large"
    """Not shown: past a limit of the reader. The original has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the body; subsections follow theirs, one level deeper.

    Attributes:
        title: as the author wrote it, else the code's name, else ``None``.
        code: LOINC or other code, as stated.
        group: the word of the index it belongs to, such as ``medications``.
        level: 1 for sections of the body.
        count: rows of its tables or items of its lists, else its entries; ``None`` where it is
            running text.
        state: where the content is from.
        content: the blocks.
    """

    title: str | None
    code: str | None
    group: str
    level: int
    count: int | None
    state: SectionState
    content: tuple[Content, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A file inside the document: the whole body, or an image of the narrative.

    Attributes:
        media_type: recognised from its bytes, one of a closed set, or ``None``.
        data: the bytes.
        stated: the media type that the document states.
    """

    media_type: str | None
    data: bytes = field(repr=False)
    stated: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedPatient:
    """The person as the document names them, for people to compare.

    Attributes:
        name: all parts in their usual order.
        birth_date: ``YYYY[MM[DD]]``, as written.
        sex: the code's name, else the code.
    """

    name: str | None = None
    birth_date: str | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Encounter:
    """The visit that the document is about; times as digits in UTC with their own precision."""

    kind: str | None = None
    place: str | None = None
    start: str | None = None
    stop: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What of the peer's mark-up was not taken over, by number.

    Attributes:
        active: elements that run or load something (script, style, form, frame), with their text.
        foreign: elements of other vocabularies; their text is shown.
        links: links that lead out of the document; their text is shown.
        images: pictures that are not inside the document, or are none.
        invisible: characters that cannot be seen and can turn or hide text.
        unresolved: references to parts that the document does not have.
        large: sections past a limit.
        damaged: texts whose mark-up is broken.
    """

    active: int = 0
    foreign: int = 0
    links: int = 0
    images: int = 0
    invisible: int = 0
    unresolved: int = 0
    large: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A document, or a body, that cannot be shown.

    Attributes:
        reason: a code of the package's error table.
        sentence: why, for a person; the original is still there.
    """

    reason: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadableDocument:
    """A document that can be shown.

    Attributes:
        title: the author's title, else the type's name, else ``None``.
        patients: as printed; none where the document names nobody, several where it names several.
        authors: people, devices and organisations that wrote it.
        custodian: who keeps it.
        created: digits in UTC with their own precision.
        encounter: the visit.
        sections: in the document's order.
        images: that the narratives show.
        body: the file that is the whole body, where there is no structured one.
        problem: why there is neither, where only the header can be shown.
        left_out: what of the mark-up was not taken over.
        content_hash: SHA-256 (hex) of what it says, without who wrote it when; ``None`` where that
            is too little to tell two documents apart.
    """

    title: str | None = None
    patients: tuple[PrintedPatient, ...] = ()
    authors: tuple[str, ...] = ()
    custodian: str | None = None
    created: str | None = None
    encounter: Encounter | None = None
    sections: tuple[Section, ...] = ()
    images: tuple[Embedded, ...] = ()
    body: Embedded | None = None
    problem: Unreadable | None = None
    left_out: LeftOut = LeftOut()
    content_hash: str | None = None

    @property
    def empty_sections(self) -> tuple[Section, ...]:
        """Those that the document has without saying anything in them."""
        return tuple(s for s in self.sections if s.state is SectionState.EMPTY)


def texts(content: Iterable[Content]) -> list[str]:
    """The texts in their order; blocks, cells and breaks are parted by a blank."""
    return [part if isinstance(part, str) else part.gap for part in content]
