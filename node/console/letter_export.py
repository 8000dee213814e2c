"""The written answer to a refused requester, to take along and send."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from node.console.denials_page import denial_detail, found_denial
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import SECURITY_HEADERS
from node.governance.disclosure_reading import named_by
from node.governance.notice import LEAST, MEDIA, MOST, Notice, make


def denial_letter(visit: Visit) -> Response:
    """``POST /denials/{seq}/letter``: the letter; that it was made is an entry before it leaves."""
    found = found_denial(visit)
    if found is None:
        return missing(visit, "The log has no refusal of ours with this number.")
    form, console = visit.form, visit.console
    how = form.get("as", "")
    words = {name: form.get(name, "").strip() for name in ("why", "alternative", "contact")}
    problem = "Choose one of the two files." if how not in MEDIA else _lacking(words)
    if found.exemption is None:
        problem = "Write down first which exception the refusal stands on."
    if found.exemption is None or problem is not None:
        return denial_detail(visit, letter_problem=problem)
    fields = found.entry.fields
    named = named_by(console.directory)
    org, peer = fields.get("org"), fields.get("peer")
    made = make(
        Notice(
            about=found,
            exemption=found.exemption,
            to=named(None if org is None else str(org), None if peer is None else str(peer)),
            own_name=console.own.name,
            own_id=console.own.home_community_id,
            made=visit.now,
            by=visit.user.login,
            **words,
        ),
        how,
    )
    console.recorder(visit.user).fact(made.change)
    headers = {
        "content-disposition": f'attachment; filename="notice-{found.entry.seq}.{how}"',
        "content-type": MEDIA[how],
        "cache-control": "no-store",
        **SECURITY_HEADERS,
    }
    return Response(made.data, headers=headers)


def _lacking(words: Mapping[str, str]) -> str | None:
    """What a form lacks."""
    if len(words["why"]) < LEAST:
        return f"Write at least {LEAST} characters on why; this has {len(words['why'])}."
    if not words["contact"]:
        return "Say whom the requester may ask."
    if any(len(each) > MOST for each in words.values()):
        return f"Each field has at most {MOST} characters."
    return None
