"""What the organizations named, as a list a person can take in: grouped, folded, counted. Pure.

The same file at three organizations is one row that says where else it is; so is the same content
in different files, once both were opened (the hash of the words, ``wire.reader``). Documents that
are held back are counted and not listed: their titles are of a person who may be somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from node.console.clinic.request import ClinicRequest, FoundDocument, Held
from node.console.reader.dates import day_words, span_words
from node.wire.reader.characters import seen as without_unseen

_DAY: Final = 8
_MAX_TITLE: Final = 160
_KINDS: Final = {
    "text/xml": "clinical document",
    "application/xml": "clinical document",
    "application/hl7-v3+xml": "clinical document",
    "application/fhir+json": "FHIR document",
    "application/pdf": "PDF",
    "text/plain": "text",
    "text/rtf": "RTF",
    "application/rtf": "RTF",
}

Key = tuple[str, str, str]
"""Community, repository and unique id: what a document is called everywhere."""


class Grouping(StrEnum):
    """What stands together."""

    VISIT = "visit"
    TYPE = "type"
    ORGANIZATION = "organization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What became known of a document when it was opened.

    Attributes:
        sha256: of its bytes, hex.
        size: of its bytes.
        content_hash: of its words, where there are enough of them.
    """

    sha256: str
    size: int
    content_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlsoAt:
    """Where else a document is, and whether it is the same file or another with the same words."""

    number: int
    organization: str
    same_file: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A row.

    Attributes:
        number: its place in addresses.
        title: the document's, else its type's.
        kind: what sort of file it is, in words.
        day: when it was made or the visit ended, digits; ``None`` where nothing says so.
        visit: the visit's days in words; empty where there is none.
        organization: who has it.
        author: the institution that wrote it, where it is another.
        size: bytes, where known.
        is_new: whether this person has not opened it yet.
        is_here: whether it was fetched and is still kept.
        also: where else it is.
    """

    number: int
    title: str
    type: str
    kind: str
    day: str | None
    visit: str
    organization: str
    author: str | None
    size: int | None
    is_new: bool
    is_here: bool
    also: tuple[AlsoAt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows that stand together."""

    title: str
    rows: tuple[Listed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentList:
    """The list.

    Attributes:
        groups: newest first.
        rows: in all groups.
        folded: documents that stand in another's row.
        new: rows that this person has not opened.
        left_out: rows that are not shown because they are not new.
        held_back: documents of people about whom nobody has said yet that they are the same.
        hidden: documents of somebody else, by the person's answer.
    """

    groups: tuple[Group, ...] = ()
    rows: int = 0
    folded: int = 0
    new: int = 0
    left_out: int = 0
    held_back: int = 0
    hidden: int = 0


@dataclass(slots=True)
class _Fold:
    row: Listed
    also: list[AlsoAt] = field(default_factory=list)


def key_of(document: FoundDocument) -> Key:
    """What a document is called everywhere."""
    return document.home, document.entry.repository_unique_id, document.entry.unique_id


def document_list(
    asked: ClinicRequest,
    grouping: Grouping,
    *,
    known: Mapping[int, Known],
    seen: AbstractSet[Key],
    only_new: bool = False,
) -> DocumentList:
    """The list of a request's documents.

    Args:
        asked: the request.
        grouping: what stands together.
        known: what became known of documents that were opened, by number.
        seen: documents that this person has opened.
        only_new: whether rows that the person has opened are left out.
    """
    open_ones = [d for d in asked.documents if d.held is Held.OPEN]
    rows = _folded([_row(d, known.get(d.number), seen) for d in open_ones], open_ones, known)
    shown = [row for row in rows if row.is_new or not only_new]
    return DocumentList(
        groups=tuple(_groups(shown, grouping)),
        rows=len(shown),
        folded=len(open_ones) - len(rows),
        new=sum(row.is_new for row in rows),
        left_out=len(rows) - len(shown),
        held_back=sum(d.held is Held.HELD_BACK for d in asked.documents),
        hidden=sum(d.held is Held.HIDDEN for d in asked.documents),
    )


def title_of(document: FoundDocument) -> str:
    """A document's title, else its type's name."""
    entry = document.entry
    return _plain(entry.title) or _type(document) or "Document without a title"


def kind_words(mime_type: str) -> str:
    """What sort of file it is, for people."""
    bare = mime_type.partition(";")[0].strip().lower()
    return "picture" if bare.startswith("image/") else _KINDS.get(bare, "file")


def _type(document: FoundDocument) -> str | None:
    code = document.entry.type_code or document.entry.class_code
    return _plain(code.display) or code.code if code else None


def _row(document: FoundDocument, known: Known | None, seen: AbstractSet[Key]) -> Listed:
    entry = document.entry
    institutions = (i for author in entry.authors for i in author.institutions)
    author = next((i.partition("^")[0] for i in institutions), None)
    return Listed(
        number=document.number,
        title=title_of(document),
        type=_type(document) or "Without a type",
        kind=kind_words(entry.mime_type),
        day=entry.creation_time or entry.service_stop or entry.service_start,
        visit=span_words(entry.service_start, entry.service_stop),
        organization=document.organization,
        author=_plain(author) if author and author != document.organization else None,
        size=known.size if known else entry.size,
        is_new=key_of(document) not in seen,
        is_here=known is not None,
    )


def _folded(
    rows: list[Listed], documents: list[FoundDocument], known: Mapping[int, Known]
) -> list[Listed]:
    """Rows of the same file or the same words as one, in the order of the first of them."""
    folds: list[_Fold] = []
    by_file: dict[str, _Fold] = {}
    by_words: dict[str, _Fold] = {}
    for row, document in zip(rows, documents, strict=True):
        opened, entry = known.get(row.number), document.entry
        files = [f"sha256 {opened.sha256}"] if opened else []
        if entry.hash and entry.size:  # what the organization says of it
            files.append(f"sha1 {entry.hash.lower()} {entry.size}")
        words = opened.content_hash if opened else None
        fold = next((by_file[f] for f in files if f in by_file), None)
        same_file = fold is not None
        if fold is None and words is not None:
            fold = by_words.get(words)
        if fold is None:
            fold = _Fold(row)
            folds.append(fold)
        else:
            fold.also.append(
                AlsoAt(number=row.number, organization=row.organization, same_file=same_file)
            )
            # whoever opened one of them knows what all of them say
            fold.row = replace(fold.row, is_new=fold.row.is_new and row.is_new)
        for name in files:
            by_file.setdefault(name, fold)
        if words is not None:
            by_words.setdefault(words, fold)
    return [replace(fold.row, also=tuple(fold.also)) for fold in folds]


def _groups(rows: Iterable[Listed], grouping: Grouping) -> list[Group]:
    newest = sorted(rows, key=lambda row: ((row.day or "")[:_DAY], -row.number), reverse=True)
    found: dict[str, list[Listed]] = {}
    for row in newest:
        found.setdefault(_group_title(row, grouping), []).append(row)
    groups = [Group(title=title, rows=tuple(each)) for title, each in found.items()]
    if grouping is not Grouping.VISIT:
        groups.sort(key=lambda group: group.title.casefold())
    return groups


def _group_title(row: Listed, grouping: Grouping) -> str:
    if grouping is Grouping.TYPE:
        return row.type
    if grouping is Grouping.ORGANIZATION:
        return row.organization
    if row.visit:
        return f"Care of {row.visit}"
    return f"Written {day_words(row.day)}" if row.day else "Without a date"


def _plain(text: str | None) -> str:
    return " ".join(without_unseen(text)[0].split())[:_MAX_TITLE] if text else ""
