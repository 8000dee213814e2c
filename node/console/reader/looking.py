"""Looking for a term in everything that a document says: its sections, or the file that it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.console.reader.files import text_of
from node.console.reader.marking import hits, hits_in
from node.console.reader.page_pictures import MOST_CHARACTERS, pages_of
from node.console.reader.page_text import lines_of
from node.wire.reader import media
from node.wire.reader.document import Embedded, ReadableDocument, Unreadable

_NO_TEXT: Final = "This is no text that can be looked through."
_PICTURE: Final = "A picture has no text that can be looked through."
_PAGES_WITHOUT: Final = "Its pages are pictures without a text."
_NO_TIME: Final = "Other files took too long. Open it and look there."


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of it.

    Attributes:
        count: how often the term is there; ``None`` where nobody could look.
        why: why not, or which part was not looked through.
    """

    count: int | None
    why: str = ""


def looked_for(
    document: ReadableDocument | Unreadable, term: str, *, may_draw: bool = True
) -> Looked:
    """Look through a document.

    Args:
        document: what can be shown of it.
        term: what is looked for.
        may_draw: whether there is time left to have a PDF's text read.
    """
    if isinstance(document, Unreadable):
        return Looked(count=None, why=document.sentence)
    if document.body is not None:
        return _in_file(document.body, term, may_draw=may_draw)
    if document.problem is not None:
        return Looked(count=None, why=document.problem.sentence)
    left = document.left_out.large
    why = "A part is too large and was not looked through." if left else ""
    return Looked(count=hits(document, term), why=why)


def _in_file(body: Embedded, term: str, *, may_draw: bool) -> Looked:
    if body.media_type == media.TEXT:
        return Looked(count=hits_in([text_of(body.data)], term))
    if body.media_type == media.PDF:
        return _in_pages(body.data, term) if may_draw else Looked(count=None, why=_NO_TIME)
    is_picture = (body.media_type or "").startswith("image/")
    return Looked(count=None, why=_PICTURE if is_picture else _NO_TEXT)


def _in_pages(data: bytes, term: str) -> Looked:
    """The text layer of a PDF, page by page; pages that are pictures have none."""
    found = pages_of(data)
    if isinstance(found, Unreadable):
        return Looked(count=None, why=found.sentence)
    lines = [lines_of(page.text) for page in found.pages]
    if not any(lines):
        return Looked(count=None, why=_PAGES_WITHOUT)
    told = []
    if found.count > len(found.pages):
        told.append(f"Only the first {len(found.pages)} of {found.count} pages.")
    bare = sum(not each for each in lines)
    if sum(len(page.text) for page in found.pages) >= MOST_CHARACTERS:
        told.append("Only the beginning: its text is too long.")
    elif bare:
        pages = "1 page is a picture" if bare == 1 else f"{bare} pages are pictures"
        told.append(f"{pages} without a text.")
    count = hits_in([line for each in lines for line in each], term)
    return Looked(count=count, why=" ".join(told))
