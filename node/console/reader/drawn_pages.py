"""A body that is a PDF or TIFF on its page: pictures of its pages, with their texts beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from markupsafe import Markup
from starlette.responses import Response

from node.console.guard import missing
from node.console.parts import Visit
from node.console.reader.files import picture_response
from node.console.reader.narrative_html import NarrativeHtml
from node.console.reader.page_pictures import MOST_PAGES, pages_of, picture_of
from node.console.reader.page_text import lines_of
from node.console.reader.visiting import number_of, opened
from node.wire.reader import media
from node.wire.reader.document import (
    BEGIN,
    END,
    Content,
    Embedded,
    Kind,
    ReadableDocument,
    Unreadable,
)
from node.wire.reader.read import read

_TIFF: Final = "image/tiff"
_DRAWN: Final = frozenset({media.PDF, _TIFF})


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPage:
    """A page; ``html`` is its text with what was found marked, empty where it has none."""

    number: int
    shape: int
    html: Markup
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The pages that are shown, of ``count``; ``problem`` says why there are none."""

    pages: tuple[DrawnPage, ...] = ()
    count: int = 0
    problem: str | None = None


def drawn_of(body: Embedded | None, writer: NarrativeHtml) -> Drawn | None:
    """The pages of a body; ``None`` where it is no file of pages."""
    if body is None or body.media_type not in _DRAWN:
        return None
    found = pages_of(body.data)
    if isinstance(found, Unreadable):
        return Drawn(problem=found.sentence)
    drawn = []
    for page in found.pages:
        before, content = writer.found, _paragraphs(page.text)
        text = writer.section(f"Page {page.number}", content) if content else Markup("")
        drawn.append(
            DrawnPage(number=page.number, shape=page.shape, html=text, hits=writer.found - before)
        )
    return Drawn(pages=tuple(drawn), count=found.count)


def page_picture(visit: Visit) -> Response:
    """``GET …/pages/{place}``: one page of the file as a picture."""
    found = opened(visit, "page-picture")
    if isinstance(found, Response):
        return found
    document, place = read(found.data), number_of(visit, "place")
    body = document.body if isinstance(document, ReadableDocument) else None
    if body is None or body.media_type not in _DRAWN or not 0 < place <= MOST_PAGES:
        return missing(visit, "There is no such page in this document.")
    made = picture_of(body.data, place)
    shown = None if isinstance(made, Unreadable) else picture_response(made)
    return shown or missing(visit, "This page cannot be drawn. The file can be saved.")


def _paragraphs(text: str) -> tuple[Content, ...]:
    begin, end = BEGIN[Kind.PARAGRAPH], END[Kind.PARAGRAPH]
    return tuple(part for line in lines_of(text) for part in (begin, line, end))
