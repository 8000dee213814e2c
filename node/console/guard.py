"""Who may open what: the one place where a request meets a session, a right and a form's proof.

Each route names one right. Without a session the person is sent to sign in; without the right the
page says which roles have it, and the attempt is an entry of the log; a form that is not one of the
session's own pages is refused. What was looked at is durable in the log before the page leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.console.parts import Console, Visit
from node.console.rendering import page, plain_page, see
from node.errors import CodedError
from node.ledger.trust_change import TrustChange
from node.users.roles import role_table
from node.users.sessions import Session, Stage, form_holds

Handler = Callable[[Visit], Response]
Endpoint = Callable[[Request], Awaitable[Response]]

COOKIE: Final = "session"
SECURE_COOKIE: Final = "__Host-session"
ZONE_COOKIE: Final = "zone"
MOST_FORM_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 200
_FORM_SECONDS: Final = 15.0
_SEARCH: Final = (
    "Type an id (exchange, message, document, HCID, patient as id^^^&oid&ISO, user) into the search"
    " box, or conditions such as outcome:declined since:7d."
)
_OF_THE_PERSON: Final = {
    "filter-personal": "Type it into the search box: it comes to stand in no address there.",
    "filter-unreadable": _SEARCH,
    "ledger-filter-invalid": _SEARCH,
}
"""What a person asked and cannot be answered, with the advice: no failure of ours."""

_WRITTEN: Final = {"text": "What you wrote", "why": "Why", "reason": "Why"}
"""Fields for sentences; no others are shown again, least of all a password."""

_WORTH_KEEPING: Final = 20

_log = structlog.get_logger(__name__)


def cookie_name(console: Console) -> str:
    """Browsers keep ``__Host-`` cookies to the one host and to TLS."""
    return SECURE_COOKIE if console.secure else COOKIE


def session_of(console: Console, request: Request) -> Session | None:
    """The session that a request comes with, at whatever stage of signing in."""
    token = request.cookies.get(cookie_name(console))
    return console.sessions.find(token) if token else None


def guarded(console: Console, right: str, handler: Handler, *, noted: bool = True) -> Endpoint:
    """The endpoint of a page: ``handler`` is called in a thread, for people with the right.

    ``noted``: each time the page was opened is an entry of the log.
    """

    async def endpoint(request: Request) -> Response:
        form: dict[str, str] = {}
        if request.method == "POST":
            refusal = foreign(request)
            if refusal is None:
                read = await read_form(request)
                form, refusal = (read, None) if isinstance(read, dict) else ({}, read)
            if refusal is not None:
                return plain_page(
                    console, "refused.html", title="Not accepted", status=400, sentence=refusal
                )
        opening = partial(_open, console, request, right, handler, form=form, noted=noted)
        return await run_in_threadpool(opening)

    return endpoint


def _open(
    console: Console,
    request: Request,
    right: str,
    handler: Handler,
    *,
    form: dict[str, str],
    noted: bool,
) -> Response:
    session = session_of(console, request)
    if session is None or session.stage is not Stage.WHOLE:
        return _ended(console, form)
    visit = Visit(
        console=console,
        request=request,
        session=session,
        now=console.now(),
        form=form,
        in_utc=request.cookies.get(ZONE_COOKIE) == "utc",
        preferences=console.preferences.of(session.user.login),
    )
    recorder = console.recorder(session.user)
    # for the private group alone: an address may hold the keyed token of a person
    about: dict[str, object] = {"page": request.url.path, "right": right}
    try:
        if right not in session.user.rights:
            recorder.fact(TrustChange(act="page-refuse", reason="right-missing", private=about))
            return _not_yours(visit, right)
        if request.method == "POST" and not form_holds(session, form.get("form", "")):
            recorder.fact(TrustChange(act="page-refuse", reason="form-foreign", private=about))
            return _problem(
                visit,
                400,
                "This form is not one of this session's. Copy what you typed, open the page anew,"
                " and send it from there.",
                typed=_typed(form),
            )
        response = handler(visit)
        if noted and request.method == "GET" and response.status_code == 200:  # noqa: PLR2004
            query = request.url.query
            recorder.fact(
                TrustChange(act="page-view", private=about | ({"query": query} if query else {}))
            )
    except CodedError as error:
        advice = _OF_THE_PERSON.get(error.code)
        if advice is not None:
            # without what was typed: it may be a name
            recorder.fact(TrustChange(act="page-refuse", reason=error.code, private=about))
            return _problem(visit, 400, error.sentence, advice, title="Not understood")
        _log.warning("console.page-failed", code=error.code, action=right)
        return _problem(visit, 500, error.sentence, error.advice)
    return response


def _ended(console: Console, form: Mapping[str, str]) -> Response:
    """To the sign-in; a session that ran out while somebody wrote takes no sentence with it."""
    typed = _typed(form)
    if not typed:
        return see("/sign-in")
    return plain_page(
        console, "session-ended.html", title="Session ended", status=401, kept_words=typed
    )


def _not_yours(visit: Visit, right: str) -> Response:
    table = role_table()
    return page(
        visit,
        "problem.html",
        title="Not yours to see",
        at="",
        status=403,
        sentence=f"This page is for people who may {table.rights[right]}.",
        advice=f"Those are: {', '.join(table.holders(right))}. Your administrator gives roles.",
    )


def _problem(
    visit: Visit,
    status: int,
    sentence: str,
    advice: str | None = None,
    *,
    title: str = "Not possible",
    typed: Sequence[tuple[str, str]] = (),
) -> Response:
    return page(
        visit,
        "problem.html",
        title=title,
        at="",
        status=status,
        sentence=sentence,
        advice=advice,
        kept_words=typed,
    )


def _typed(form: Mapping[str, str]) -> list[tuple[str, str]]:
    """What somebody wrote into a form that is not taken: long enough that it should not be lost."""
    return [
        (words, form[name])
        for name, words in _WRITTEN.items()
        if len(form.get(name, "")) >= _WORTH_KEEPING
    ]


def missing(visit: Visit, sentence: str) -> Response:
    """The page of an object that there is not."""
    return _problem(visit, 404, sentence, "Look for it with the search box.")


def foreign(request: Request) -> str | None:
    """Why a posted form is not from one of our pages; browsers say where it came from.

    Under our referrer policy the Origin of our own forms is ``null``, so it counts only for
    browsers that do not send Sec-Fetch-Site.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    return None if ours else "The form was sent by a page of another site."


async def read_form(request: Request) -> dict[str, str] | str:
    """The fields of a posted form, or why it cannot be read; of a repeated field the last."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return "A form was sent in a form that no page of ours has."
    data = bytearray()
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            async for piece in request.stream():
                data += piece
                if len(data) > MOST_FORM_BYTES:
                    return f"The form is larger than {MOST_FORM_BYTES // 1024} KiB."
        pairs = parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except TimeoutError:
        return "The form did not arrive in time."
    except (ValueError, ClientDisconnect):
        return "The form cannot be read."
    return dict(pairs)
