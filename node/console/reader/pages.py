"""``/records/{token}/documents/{number}``: a document to be read, and its files."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from starlette.responses import Response

from node.console.clinic import door
from node.console.clinic.document_list import Grouping, Listed, document_list, title_of
from node.console.guard import missing
from node.console.parts import Visit
from node.console.reader.dates import day_words, moment_words, span_words
from node.console.reader.drawn_pages import drawn_of
from node.console.reader.files import (
    file_response,
    picture_response,
    source_response,
    text_of,
)
from node.console.reader.marking import LONGEST_TERM, finder, term_of
from node.console.reader.narrative_html import NarrativeHtml
from node.console.reader.provenance import Provenance
from node.console.reader.telling import read_and_told
from node.console.reader.view import (
    document_view,
    empty_words,
    left_out_sentences,
    same_patient,
)
from node.console.reader.visiting import Opened, number_of, opened
from node.console.rendering import page, see
from node.wire.reader import media
from node.wire.reader.document import Embedded, ReadableDocument, Unreadable
from node.wire.reader.read import read

_MOST_TEXT: Final = 1_000_000
"""Characters of a plain text that the page shows."""


def document_find(visit: Visit) -> Response:
    """``POST``: look for something in the document; the term is kept, and stands in no address."""
    asked = door.opened(visit)
    if isinstance(asked, Response):
        return asked
    typed = visit.form.get("find", "")[:LONGEST_TERM]
    visit.console.clinic.documents.look_for(visit.user.login, asked.token, typed)
    place = f"/records/{asked.token}/documents/{number_of(visit, 'number')}"
    return see(f"{place}?marked=1" if typed else place)


def document_page(visit: Visit) -> Response:
    """``GET``: the document; ``?marked=1`` with what was looked for last in the request."""
    found = opened(visit, "page")
    if isinstance(found, Response):
        return found
    documents, query = visit.console.clinic.documents, visit.request.query_params
    marked = query.get("marked") == "1"
    typed = documents.looked_for(visit.user.login, found.asked.token) if marked else ""
    document = read_and_told(visit, found.asked, found.document, found.data)
    if isinstance(document, Unreadable):
        document = ReadableDocument(problem=document)
    dense, with_empty = query.get("rows") == "dense", query.get("empty") == "show"
    writer = NarrativeHtml(
        finder(term_of(typed)), lambda number: f"{found.address}/pictures/{number}", dense=dense
    )
    drawn = drawn_of(document.body, writer)
    view = document_view(document, writer, with_empty=with_empty)
    return page(
        visit,
        "document.html",
        title="Document",
        at="/records",
        found=found,
        name=document.title or title_of(found.document),
        doc=document,
        view=view,
        same=same_patient(found.asked.demographics, document.patients),
        origin=_provenance(visit, found, document),
        row=_row(visit, found),
        term=typed,
        too_short=bool(typed) and term_of(typed) is None,
        dense=dense,
        with_empty=with_empty,
        hidden_words=empty_words(view.hidden),
        left_out=left_out_sentences(document),
        here_text=_text(document.body),
        drawn=drawn,
        body_is_picture=bool(document.body and document.body.media_type in media.SHOWN_IMAGES),
        others=sum(d.held.value == "open" for d in found.asked.documents),
        addresses=_addresses(found, marked=marked, dense=dense, with_empty=with_empty),
    )


def original(visit: Visit) -> Response:
    """``GET …/original``: the document as it came, to be kept; ``?as=text`` to be looked at."""
    as_text = visit.request.query_params.get("as") == "text"
    found = opened(visit, "source" if as_text else "original")
    if isinstance(found, Response):
        return found
    if as_text:
        return source_response(found.data)
    return file_response(found.data, _file_name(found))


def body_file(visit: Visit) -> Response:
    """``GET …/body``: the file inside the document; pictures to be looked at, others to be kept."""
    found = opened(visit, "body")
    if isinstance(found, Response):
        return found
    document = read(found.data)
    body = document.body if isinstance(document, ReadableDocument) else None
    if body is None:
        return missing(visit, "There is no file inside this document.")
    return picture_response(body.data) or file_response(body.data, f"{_file_name(found)}-body")


def picture(visit: Visit) -> Response:
    """``GET …/pictures/{place}``: a picture of the document's narrative."""
    found = opened(visit, "picture")
    if isinstance(found, Response):
        return found
    document = read(found.data)
    place = number_of(visit, "place")
    images = document.images if isinstance(document, ReadableDocument) else ()
    shown = picture_response(images[place].data) if place < len(images) else None
    return shown or missing(visit, "There is no such picture in this document.")


def pdf(visit: Visit) -> Response:
    """``GET …/pdf``: the document on paper, with its source, the time and what is missing."""
    # it loads the library of papers, which would make every start of a node longer
    from node.console.reader.document_pdf import to_pdf  # noqa: PLC0415

    found = opened(visit, "pdf")
    if isinstance(found, Response):
        return found
    document = read_and_told(visit, found.asked, found.document, found.data)
    if isinstance(document, Unreadable):
        return missing(visit, f"{document.sentence} The original can be saved.")
    name = document.title or title_of(found.document)
    made = to_pdf(document, name, _provenance(visit, found, document), made=visit.now)
    return file_response(made, _file_name(found))


def _file_name(found: Opened) -> str:
    """A name that says nothing of anybody: the beginning of the content's hash."""
    return f"document-{found.kept.sha256[:12]}"


def _provenance(visit: Visit, found: Opened, document: ReadableDocument) -> Provenance:
    entry = found.document.entry
    encounter = document.encounter
    visit_words = (
        ", ".join(
            words
            for words in (
                encounter.kind,
                encounter.place,
                span_words(encounter.start, encounter.stop),
            )
            if words
        )
        if encounter
        else span_words(entry.service_start, entry.service_stop)
    )
    patients = tuple(
        ", ".join(
            words
            for words in (
                printed.name or "no name",
                f"born {day_words(printed.birth_date)}" if printed.birth_date else "",
                printed.sex or "",
            )
            if words
        )
        for printed in document.patients
    )
    return Provenance(
        organization=found.document.organization,
        home=found.document.home.removeprefix("urn:oid:"),
        authors=document.authors,
        custodian=document.custodian,
        created=moment_words(document.created or entry.creation_time, visit.shown),
        visit=visit_words,
        fetched=f"{visit.shown(found.kept.fetched):%-d %b %Y, %H:%M}",
        zone="UTC" if visit.in_utc else str(visit.console.zone),
        sha256=found.kept.sha256,
        patients=patients,
        printed_by=visit.user.name,
        node=visit.console.own.name,
    )


def _row(visit: Visit, found: Opened) -> Listed | None:
    """The document's row of the list, for where else it is."""
    documents = visit.console.clinic.documents
    listed = document_list(
        found.asked,
        Grouping.VISIT,
        known=documents.known(found.asked),
        seen=documents.seen(visit.user.login),
    )
    number = found.document.number
    for group in listed.groups:
        for row in group.rows:
            if row.number == number:
                return row
            if any(each.number == number for each in row.also):
                others = tuple(each for each in row.also if each.number != number)
                same = next(each for each in row.also if each.number == number)
                first = replace(same, number=row.number, organization=row.organization)
                return replace(row, number=number, also=(first, *others))
    return None


def _text(body: Embedded | None) -> str | None:
    """A body that is plain text, to be shown as such."""
    if body is None or body.media_type != media.TEXT:
        return None
    text = text_of(body.data)
    return text if len(text) <= _MOST_TEXT else None


def _addresses(found: Opened, *, marked: bool, dense: bool, with_empty: bool) -> dict[str, str]:
    """The page with one of its settings changed."""

    def address(*, dense: bool, with_empty: bool) -> str:
        settings = {"marked=1": marked, "rows=dense": dense, "empty=show": with_empty}
        parts = [words for words, is_on in settings.items() if is_on]
        return f"{found.address}?{'&'.join(parts)}" if parts else found.address

    return {
        "dense": address(dense=not dense, with_empty=with_empty),
        "empty": address(dense=dense, with_empty=not with_empty),
    }
