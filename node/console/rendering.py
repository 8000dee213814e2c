"""From a template to a response, with the headers that every page has.

Pages hold data of people: nothing may keep a copy, nothing of another origin is loaded, no inline
script or style runs, and no other site may frame them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node.console import drawing, wording
from node.console.clinic.glass import glass_banner, glass_form
from node.console.icons import PLACE, whole_sprite, with_symbols
from node.console.navigation import rail
from node.console.parts import Console, Visit
from node.governance.case_queue import QueueFilter, counted
from node.users.preferences import SHORTCUTS

SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_FRESH: Final = {"cache-control": "no-store"}


_TURNING: Final = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
"""Characters that turn the direction of what follows: a name may not rewrite the words after it."""


def _left_to_right(value: object) -> object:
    """What an expression of a template gives, without them; markup of ours is left as it is."""
    return value.translate(_TURNING) if type(value) is str and not value.isascii() else value


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("node.console"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_left_to_right,
    )
    made.globals |= {
        "sprite": Markup(whole_sprite()),  # noqa: S704 - a file of ours
        "icons_here": Markup(PLACE),  # noqa: S704 - a comment of ours
        "outcome_word": wording.outcome_word,
        "transaction_word": wording.transaction_word,
        "date_words": wording.date_words,
        "legs_strip": drawing.legs_strip,
        "seal": drawing.seal,
        "glass_banner": glass_banner,
        "glass_form": glass_form,
    }
    made.filters |= {
        "took": wording.took,
        "bare": lambda urn: str(urn).removeprefix("urn:oid:"),
        "count": lambda number: f"{number:,}",
        "counted": wording.counted,
    }
    return made


def page(
    visit: Visit,
    template: str,
    /,
    *,
    title: str,
    at: str,
    status: int = 200,
    **context: Any,
) -> Response:
    """A page inside the frame; ``at`` is the entry of the rail that it belongs to."""
    console = visit.console
    times = _Times(visit)
    text = (
        _environment()
        .get_template(template)
        .render(
            visit=visit,
            own=console.own,
            root=console.root,
            head=console.head(),
            title=title,
            rail=rail(visit.user, at),
            day=times.day,
            time=times.time,
            moment=times.moment,
            short=times.short,
            zone=times.zone,
            single_keys=visit.preferences.get(SHORTCUTS, "on"),
            here=_here(visit, status),
            open_cases=_open_cases(visit),
            **context,
        )
    )
    return HTMLResponse(with_symbols(text), status_code=status, headers=_FRESH | SECURITY_HEADERS)


def fragment(template: str, /, **context: Any) -> str:
    """A part of a page, for a page that is there."""
    return _environment().get_template(template).render(**context)


def _open_cases(visit: Visit) -> int | None:
    """How many cases are open, for who may read them."""
    if not visit.may("cases"):
        return None
    return counted(visit.console.engine, QueueFilter(), now=visit.now, reader=visit.mark)


def _here(visit: Visit, status: int) -> str:
    """The page's own address; what could not be answered is not repeated."""
    url = visit.request.url
    return f"{url.path}?{url.query}" if url.query and status == 200 else url.path  # noqa: PLR2004


def plain_page(
    console: Console, template: str, /, *, title: str, status: int = 200, **context: Any
) -> Response:
    """A page without the frame, as for somebody who is not signed in (yet)."""
    text = (
        _environment()
        .get_template(template)
        .render(own=console.own, root=console.root, title=title, **context)
    )
    return HTMLResponse(text, status_code=status, headers=_FRESH | SECURITY_HEADERS)


def see(
    address: str, cookies: Mapping[str, str] | None = None, *, secure: bool = False
) -> Response:
    """Go on at another address of the console by GET (Post/Redirect/Get)."""
    response = RedirectResponse(address, status_code=303, headers=_FRESH | SECURITY_HEADERS)
    for name, value in (cookies or {}).items():
        response.set_cookie(name, value, httponly=True, samesite="lax", secure=secure, path="/")
    return response


class _Times:
    """Times as the person reads them."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.zone = "UTC" if visit.in_utc else str(visit.console.zone)

    def day(self, instant: datetime) -> str:
        """Such as ``Thu 19 Nov 2026``."""
        return f"{self._visit.shown(instant):%a %-d %b %Y}"

    def time(self, instant: datetime) -> str:
        """Such as ``13:24:05.118``."""
        shown = self._visit.shown(instant)
        return f"{shown:%H:%M:%S}.{shown.microsecond // 1000:03}"

    def short(self, instant: datetime) -> str:
        """The minute of a day of today, else the day and the minute."""
        shown, now = self._visit.shown(instant), self._visit.shown(self._visit.now)
        if shown.date() == now.date():
            return f"{shown:%H:%M}"
        return f"{shown:%-d %b %H:%M}" if shown.year == now.year else f"{shown:%-d %b %Y}"

    def moment(self, instant: datetime) -> str:
        """Day and time to the second."""
        return f"{self._visit.shown(instant):%-d %b %Y, %H:%M:%S}"
