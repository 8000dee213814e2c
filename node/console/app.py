"""The console as an ASGI application: each route with the one right that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from node.console.access_log import access_find, access_log, own_access
from node.console.ask_anew import ask_anew
from node.console.case_page import case_act, case_detail
from node.console.choices import choose_columns, choose_keys, keys, save_view
from node.console.clinic.breaking import glass_end, glass_post
from node.console.clinic.find_page import again_post, find_page, find_post, names_post
from node.console.clinic.found_page import found_page, leg_page, same_post, stop_post
from node.console.clinic.reporting import report_form, report_post, reported
from node.console.clinic.stream import stream
from node.console.clinic.why import why_page
from node.console.denials_page import denial_ask, denial_detail, denial_note, denials
from node.console.detector_flag import flag_act, flag_page
from node.console.detectors_page import detector_list, detector_page, detector_set
from node.console.duties_page import patient_duties
from node.console.evidence_export import evidence_export, packet_export
from node.console.exchange_list import exchange_list, list_view, over_time
from node.console.exchange_page import exchange_detail
from node.console.exchange_rows import exchange_object, exchange_rows, newer
from node.console.exports_page import (
    export_act,
    export_ask,
    export_detail,
    export_file,
    export_new,
    exports_list,
)
from node.console.flagging import flag, flag_many
from node.console.guard import ZONE_COOKIE, Handler, guarded
from node.console.home import home
from node.console.icons import MARKS, marks_image
from node.console.letter_export import denial_letter
from node.console.list_files import LISTS
from node.console.operations import bug_report, operations
from node.console.parts import Console, Visit
from node.console.patients_page import patient, patient_find, patient_report, patients
from node.console.peer_list import peer_list
from node.console.peer_page import peer_ask, peer_page
from node.console.peer_sheet import peer_sheet
from node.console.raw_message import raw_message
from node.console.reader.drawn_pages import page_picture
from node.console.reader.list_page import documents_page, find_documents, found_everywhere
from node.console.reader.pages import (
    body_file,
    document_find,
    document_page,
    original,
    pdf,
    picture,
)
from node.console.rendering import SECURITY_HEADERS, plain_page, see
from node.console.reports_page import report_file, reports
from node.console.requests_page import request_act, request_detail, requests
from node.console.revealing import exchange_person, patient_person
from node.console.review_bulk import review_act
from node.console.review_queue import review_queue
from node.console.sample_page import sample
from node.console.searching import search
from node.console.sign_in import SignIn
from node.console.sign_on import SignOnPages, local_address
from node.console.trust_page import anchor_ask, trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A route: its address, its right, what answers it."""

    path: str
    right: str
    handler: Handler
    method: str = "GET"
    noted: bool = True


def _zone(visit: Visit) -> Response:
    """``POST /zone``: read times in UTC or locally, and back to where it was asked."""
    address = local_address(visit.form.get("back", "/"))
    to = "utc" if visit.form.get("to") == "utc" else "local"
    return see(address, {ZONE_COOKIE: to}, secure=visit.console.secure)


_DOCUMENT: Final = "/records/{token}/documents/{number}"

PAGES: Final = (
    Page(path="/", right="home", handler=home),
    Page(path="/keys", right="home", handler=keys),
    Page(path="/keys", right="home", handler=choose_keys, method="POST"),
    Page(path="/preferences/columns", right="exchanges", handler=choose_columns, method="POST"),
    Page(path="/views", right="exchanges", handler=save_view, method="POST"),
    Page(path="/zone", right="home", handler=_zone, method="POST"),
    Page(path="/records", right="ask", handler=find_page),
    Page(path="/records", right="ask", handler=find_post, method="POST"),
    Page(path="/records/why/{code}", right="ask", handler=why_page),
    Page(path="/records/names", right="ask", handler=names_post, method="POST"),
    Page(path="/records/{token}", right="ask", handler=found_page),
    Page(path="/records/{token}/glass", right="ask", handler=glass_post, method="POST"),
    Page(path="/records/{token}/glass/end", right="ask", handler=glass_end, method="POST"),
    Page(path="/records/{token}/legs/{number}/report", right="ask", handler=report_form),
    Page(
        path="/records/{token}/legs/{number}/report",
        right="ask",
        handler=report_post,
        method="POST",
    ),
    Page(path="/records/{token}/documents/{number}/report", right="ask", handler=report_form),
    Page(
        path="/records/{token}/documents/{number}/report",
        right="ask",
        handler=report_post,
        method="POST",
    ),
    Page(path="/records/{token}/reported/{case}", right="ask", handler=reported),
    Page(path="/records/{token}/stream", right="ask", handler=stream),
    Page(path="/records/{token}/stop", right="ask", handler=stop_post, method="POST"),
    Page(path="/records/{token}/again", right="ask", handler=again_post, method="POST"),
    Page(path="/records/{token}/legs/{number}", right="ask", handler=leg_page),
    Page(path="/records/{token}/people/{number}", right="ask", handler=same_post, method="POST"),
    Page(path="/records/{token}/documents", right="ask", handler=documents_page),
    Page(path="/records/{token}/find", right="ask", handler=find_documents, method="POST"),
    Page(path="/records/{token}/found", right="ask", handler=found_everywhere, noted=False),
    # these write down themselves which document it was
    Page(path=_DOCUMENT, right="ask", handler=document_page, noted=False),
    Page(path=_DOCUMENT, right="ask", handler=document_find, method="POST"),
    Page(path=f"{_DOCUMENT}/original", right="ask", handler=original, noted=False),
    Page(path=f"{_DOCUMENT}/body", right="ask", handler=body_file, noted=False),
    Page(path=f"{_DOCUMENT}/pdf", right="ask", handler=pdf, noted=False),
    Page(path=f"{_DOCUMENT}/pictures/{{place}}", right="ask", handler=picture, noted=False),
    Page(path=f"{_DOCUMENT}/pages/{{place}}", right="ask", handler=page_picture, noted=False),
    Page(path="/exchanges", right="exchanges", handler=exchange_list),
    Page(path="/exchanges.{how}", right="exchanges", handler=exchange_rows),
    Page(path="/exchanges/over-time", right="exchanges", handler=over_time),
    Page(path="/exchanges/view", right="exchanges", handler=list_view),
    Page(path="/exchanges/newer", right="exchanges", handler=newer, noted=False),
    Page(path="/exchanges/{exchange_id}.json", right="exchanges", handler=exchange_object),
    Page(path="/exchanges", right="review", handler=flag_many, method="POST"),
    Page(path="/exchanges/{exchange_id}", right="exchanges", handler=exchange_detail),
    Page(path="/exchanges/{exchange_id}/person", right="reveal", handler=exchange_person),
    Page(path="/exchanges/{exchange_id}/anew", right="ask", handler=ask_anew),
    Page(path="/exchanges/{exchange_id}/anew", right="ask", handler=ask_anew, method="POST"),
    Page(path="/exchanges/{exchange_id}/raw/{seq}", right="bodies", handler=raw_message),
    Page(
        path="/exchanges/{exchange_id}/raw/{seq}",
        right="bodies",
        handler=raw_message,
        method="POST",
    ),
    Page(
        path="/exchanges/{exchange_id}/person",
        right="reveal",
        handler=exchange_person,
        method="POST",
    ),
    Page(path="/exchanges/{exchange_id}/flag", right="review", handler=flag, method="POST"),
    Page(path="/review", right="cases", handler=review_queue),
    Page(path="/review", right="review", handler=review_act, method="POST"),
    Page(path="/cases/{number}", right="cases", handler=case_detail),
    Page(path="/cases/{number}/evidence", right="exports", handler=evidence_export, noted=False),
    Page(path="/cases/{number}", right="review", handler=case_act, method="POST"),
    Page(path="/detectors", right="cases", handler=detector_list),
    Page(path="/detectors/{code}", right="cases", handler=detector_page),
    Page(path="/detectors/{code}", right="detectors", handler=detector_set, method="POST"),
    Page(path="/flags/{number}", right="cases", handler=flag_page),
    Page(path="/flags/{number}", right="review", handler=flag_act, method="POST"),
    Page(path="/denials", right="denials", handler=denials),
    Page(path="/denials/{seq}", right="denials", handler=denial_detail),
    Page(path="/denials/{seq}", right="review", handler=denial_note, method="POST"),
    Page(path="/denials/{seq}/letter", right="review", handler=denial_letter, method="POST"),
    Page(path="/denials/{seq}/confirm", right="review", handler=denial_ask, method="POST"),
    Page(path="/patients", right="disclosures", handler=patients),
    Page(path="/patients", right="disclosures", handler=patient_find, method="POST"),
    Page(path="/patients/{reference}", right="disclosures", handler=patient),
    Page(path="/patients/{reference}", right="disclosures", handler=patient_report, method="POST"),
    Page(path="/patients/{reference}/person", right="reveal", handler=patient_person),
    Page(
        path="/patients/{reference}/person", right="reveal", handler=patient_person, method="POST"
    ),
    Page(
        path="/patients/{reference}/duties",
        right="disclosures",
        handler=patient_duties,
        method="POST",
    ),
    Page(path="/peers", right="peers", handler=peer_list),
    Page(path="/peers/{hcid}", right="peers", handler=peer_page),
    Page(path="/peers/{hcid}/sheet", right="peers", handler=peer_sheet),
    Page(path="/peers/{hcid}/ask", right="review", handler=peer_ask, method="POST"),
    Page(path="/trust", right="trust", handler=trust),
    Page(path="/trust/anchors", right="anchors", handler=anchor_ask, method="POST"),
    Page(path="/reports", right="reports", handler=reports),
    Page(path="/reports", right="reports", handler=report_file, method="POST"),
    Page(path="/reports/sample", right="reports", handler=sample),
    Page(path="/packets", right="exports", handler=packet_export, method="POST"),
    Page(path="/exports", right="exports", handler=exports_list),
    Page(path="/exports", right="exports", handler=export_ask, method="POST"),
    Page(path="/exports/new", right="exports", handler=export_new),
    Page(path="/exports/{number}", right="exports", handler=export_detail),
    Page(path="/exports/{number}", right="exports", handler=export_act, method="POST"),
    Page(path="/exports/{number}/file", right="exports", handler=export_file, noted=False),
    Page(path="/requests", right="home", handler=requests),
    Page(path="/requests/{number}", right="home", handler=request_detail),
    Page(path="/requests/{number}", right="home", handler=request_act, method="POST"),
    Page(path="/operations", right="operations", handler=operations),
    Page(path="/operations/report", right="operations", handler=bug_report, method="POST"),
    Page(path="/search", right="exchanges", handler=search, method="POST"),
    Page(path="/access", right="access-log", handler=access_log),
    Page(path="/access", right="access-log", handler=access_find, method="POST"),
    Page(path="/access/own", right="home", handler=own_access),
    *(Page(path=f"{each.path}.{{how}}", right=each.right, handler=each.handler) for each in LISTS),
)
"""Every page behind a session (a test asks each with each role)."""

_log = structlog.get_logger(__name__)
_STATIC: Final = {
    "look.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    MARKS: "image/svg+xml",
    "console.js": "text/javascript; charset=utf-8",
    "records.js": "text/javascript; charset=utf-8",
    "glass.js": "text/javascript; charset=utf-8",
}


def console_app(console: Console, pages: Sequence[Page] = PAGES) -> Starlette:
    """The application."""
    signing = SignIn(console)
    sign_on = SignOnPages(console, console.sign_on) if console.sign_on else None
    routes = [
        Route("/sign-in", signing.page(), methods=["GET"]),
        Route("/sign-in", signing.post(), methods=["POST"]),
        Route("/sign-out", signing.out(), methods=["POST"]),
        *(
            (
                Route("/sign-on", sign_on.begin(), methods=["GET"]),
                Route("/sign-on/back", sign_on.back(), methods=["GET"]),
            )
            if sign_on
            else ()
        ),
        Route("/static/{name}", static, methods=["GET"]),
        *(
            Route(
                each.path,
                guarded(console, each.right, each.handler, noted=each.noted),
                methods=[each.method],
            )
            for each in pages
        ),
    ]

    async def failed(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 500:  # noqa: PLR2004
            # no traceback: an exception's text may quote what a page was asked for (law 6)
            _log.error("console.page-broken", detail=type(error).__name__)
        words = {404: "There is no such page.", 405: "This page is not asked for in this way."}
        sentence = words.get(status, "Something went wrong on our side; it is in the node's log.")
        title = "Not found" if status == 404 else "Not possible"  # noqa: PLR2004
        return plain_page(console, "refused.html", title=title, status=status, sentence=sentence)

    return Starlette(routes=routes, exception_handlers={HTTPException: failed, 500: failed})


async def static(request: Request) -> Response:
    """A file of the pages' look."""
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404)
    data = (
        marks_image()
        if name == MARKS
        else resources.files("node.console").joinpath("static", name).read_bytes()
    )
    headers = {"cache-control": "public, max-age=300", **SECURITY_HEADERS}
    return Response(data, media_type=_STATIC[name], headers=headers)
