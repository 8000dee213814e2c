"""Exports: ask for a file of entries, see how far it is, decide about it, take it along."""

from __future__ import annotations

import re
from itertools import chain
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response, StreamingResponse

from node.console.case_filter import permitted
from node.console.case_forms import actor_of
from node.console.exports_words import job_row, others
from node.console.guard import missing
from node.console.parts import Visit
from node.console.proof import FIELD, unproved
from node.console.rendering import SECURITY_HEADERS, page, see
from node.errors import OurFault
from node.governance.case_model import Refusal
from node.governance.export_model import FORMATS, MEDIA, OPEN, Ask, Job, Source, State
from node.governance.two_person_model import LEAST_TEXT, MOST_TEXT, Who
from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import format_filter, from_query, parse_filter, sentence

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_NONE: Final = "There is no export with this number."


def exports_list(visit: Visit) -> Response:
    """``GET /exports``: the newest, and the other files that left."""
    typed = visit.request.query_params.get("before", "")
    before = int(typed) if _NUMBER.fullmatch(typed) else None
    jobs = visit.console.exports.listed(before=before)
    return page(
        visit,
        "exports.html",
        title="Exports",
        at="/exports",
        rows=[job_row(visit, job) for job in jobs],
        older=f"/exports?before={jobs[-1].id}" if jobs and jobs[-1].id > 1 else None,
        newest="/exports" if before is not None else None,
        others=others(visit) if before is None else (),
        waiting=sum(job.state is State.WAITING and job.asker != visit.user.login for job in jobs),
    )


def export_new(visit: Visit) -> Response:
    """``GET /exports/new``: what a filter would give, and the form that asks for it.

    Raises:
        OurFault: ``filter-unreadable``.
    """
    asked = parse_qsl(visit.request.url.query)
    source = _source(dict(asked).get("source", ""))
    if source is Source.ACCESS and not visit.may("access-log"):
        return missing(visit, "The access log is not yours to export.")
    query = urlencode([(name, value) for name, value in asked if name != "source"])
    return _form(visit, source, permitted(visit, from_query(query)))


def export_ask(visit: Visit) -> Response:
    """``POST /exports``: ask for a file.

    Raises:
        OurFault: ``filter-unreadable``; when the log cannot take the entry.
    """
    form = visit.form
    source = _source(form.get("source", ""))
    if source is Source.ACCESS and not visit.may("access-log"):
        return missing(visit, "The access log is not yours to export.")
    chosen = permitted(visit, parse_filter(form.get("filter", "")))
    how = form.get("format", "")
    if how not in FORMATS:
        return _form(visit, source, chosen, problem="Choose one of the two formats.")
    ask = Ask(
        source=source,
        chosen=chosen.at(visit.now).tokenized(visit.console.key),
        format=how,
        tokens=form.get("tokens") == "yes",
    )
    text = form.get("text", "")
    ruled = visit.console.exports.ask(ask, _who(visit), text=text, now=visit.now)
    if isinstance(ruled, Refusal):
        return _form(visit, source, chosen, problem=ruled.sentence)
    if ruled.state is State.QUEUED:
        visit.console.export_writer.submit(ruled.id)
    return see(f"/exports/{ruled.id}")


def export_detail(
    visit: Visit, problem: str | None = None, *, status: int = 200, unsure: Refusal | None = None
) -> Response:
    """``GET /exports/{number}``: how far it is, and what the reader may do."""
    job = _found(visit)
    if job is None:
        return missing(visit, _NONE)
    console, mine = visit.console, job.asker == visit.user.login
    request = console.two_person.read(job.request) if job.request is not None else None
    asked = console.two_person.asked_for(request) if request is not None else None
    stands = request is not None and job.state is State.WAITING and request.until > visit.now
    return page(
        visit,
        "export.html",
        title=f"Export {job.id}",
        at="/exports",
        status=status,
        row=job_row(visit, job),
        job=job,
        request=request,
        why=asked.text if asked else None,
        stands=stands,
        may_decide=stands and not mine,
        may_cancel=mine and job.state in OPEN and (job.state is not State.WAITING or stands),
        may_take=mine and job.state is State.DONE,
        mine=mine,
        problem=problem,
        unsure=unsure,
        typed=visit.form.get("text", ""),
        least=LEAST_TEXT,
        most=MOST_TEXT,
    )


def export_act(visit: Visit) -> Response:
    """``POST /exports/{number}``: cancel, approve or refuse."""
    job = _found(visit)
    if job is None:
        return missing(visit, _NONE)
    store, who, now = visit.console.exports, _who(visit), visit.now
    ruled: Job | Refusal | None
    match visit.form.get("verb", ""):
        case "cancel":
            ruled = store.cancel(job.id, who, now=now)
        case "approve":
            digest = visit.form.get("digest", "")
            shown = bytes.fromhex(digest) if re.fullmatch(r"[0-9a-f]{64}", digest) else b""
            ruled = unproved(visit) or store.approve(job.id, who, digest=shown, now=now)
        case "refuse":
            ruled = store.refuse(job.id, who, text=visit.form.get("text", ""), now=now)
        case _:
            return missing(visit, "There is no such thing to do to an export.")
    if isinstance(ruled, Refusal) and ruled.field == FIELD:
        return export_detail(visit, status=400, unsure=ruled)
    if isinstance(ruled, Refusal):
        return export_detail(visit, ruled.sentence, status=400 if ruled.field else 409)
    if ruled is None:
        return export_detail(visit, "No second person is asked about this export.", status=409)
    if ruled.state is State.QUEUED:
        visit.console.export_writer.submit(ruled.id)
    return see(f"/exports/{job.id}")


def export_file(visit: Visit) -> Response:
    """``GET /exports/{number}/file``: the file, for who asked; the log says so before it leaves."""
    job = _found(visit)
    if job is None:
        return missing(visit, _NONE)
    if job.asker != visit.user.login:
        return export_detail(visit, "Only who asked for an export takes it along.", status=403)
    over = job.until is not None and job.until <= visit.now
    if job.state is not State.DONE or over:
        return export_detail(visit, "There is no file, or not any more.", status=410)
    pieces = visit.console.export_writer.pieces_of(job)
    try:
        first = next(pieces)
    except OurFault as fault:
        return export_detail(visit, f"{fault.sentence} Ask for it again.", status=410)
    visit.console.exports.downloaded(job, actor_of(visit).author, now=visit.now)
    headers = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="{job.file_name}"',
        "content-length": str(job.size),
        **SECURITY_HEADERS,
    }
    # a later piece that was changed ends it short of its length, which browsers say
    whole = chain((first,), pieces)
    return StreamingResponse(whole, media_type=MEDIA[job.format], headers=headers)


def _form(
    visit: Visit, source: Source, chosen: LedgerFilter, problem: str | None = None
) -> Response:
    store = visit.console.exports
    fixed = chosen.at(visit.now).tokenized(visit.console.key)
    ask = Ask(source=source, chosen=fixed, format=FORMATS[0], tokens=True)
    rows = store.rows_of(ask)
    return page(
        visit,
        "export-new.html",
        title="New export",
        at="/exports",
        status=400 if problem else 200,
        source=source.value,
        is_access=source is Source.ACCESS,
        sentence=sentence(chosen),
        filter=format_filter(chosen.tokenized(visit.console.key)),
        rows=rows,
        most=store.rules.most_rows,
        second=store.needs_second(ask, rows),
        above=store.rules.second_person_above,
        keep=store.rules.keep.total_seconds() / 86_400,
        problem=problem,
        typed={name: visit.form.get(name, "") for name in ("text", "format", "tokens")},
        least=LEAST_TEXT,
        most_text=MOST_TEXT,
    )


def _source(text: str) -> Source:
    return Source(text) if text in list(Source) else Source.EXCHANGES


def _found(visit: Visit) -> Job | None:
    number = str(visit.request.path_params["number"])
    return visit.console.exports.read(int(number)) if _NUMBER.fullmatch(number) else None


def _who(visit: Visit) -> Who:
    user = visit.user
    return Who(login=user.login, rights=user.rights, author=actor_of(visit).author)
