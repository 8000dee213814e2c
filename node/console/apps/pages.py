"""``authorize``: where an app sends a person, and what they see until it is opened or not.

==================================  =============================================================
``GET, POST authorize``             an app's request: kept for ten minutes under a handle
``GET authorize/{handle}``          the step that is next: sign in, choose a patient, approve
``POST authorize/{handle}``         take a step
``authorize/sign-in``, ``sign-out`` as at the console, of whose people these are
==================================  =============================================================

The address of a page holds the handle alone: 32 random bytes that mean nothing without the session
of the browser. What a person decides is in the log before the app hears of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from node.console.app import static
from node.console.apps.site import AppSite
from node.console.apps.visit import AppVisit
from node.console.guard import Endpoint, foreign, read_form, session_of
from node.console.rendering import see
from node.console.sign_in import SignIn
from node.errors import CodedError
from node.gateway.oauth import http
from node.gateway.oauth.asking_app import AskingApp, asking_app
from node.gateway.oauth.authorize_request import (
    WAITS,
    AppRequest,
    asked_back,
    from_json,
    read_request,
)
from node.gateway.oauth.patience import Patience
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.token import digest_of, new_secret
from node.model import Authorization
from node.users.sessions import Stage, form_holds

COOKIE: Final = "__Host-app"
"""Holds the handle of the request that signing in goes on with."""

MAX_PARAMETERS: Final = 30
_log = structlog.get_logger(__name__)
_HANDLE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_TOO_MANY = 429
_MANY: Final = "Too many apps were opened from this address. Wait a minute."
_MOST_BEGUN: Final = 300
"""Requests from one address in a minute; a third of the places that there are, in ten minutes."""


class AppPages:
    """The pages, over an authorization server and the console's people."""

    def __init__(self, site: AppSite) -> None:
        """``site`` has the parts."""
        self._site = site
        self._server = site.server
        self._console = site.console
        # each waits for ten minutes: whoever opens an app for nobody must not fill all places
        self._begun = Patience(_MOST_BEGUN, everybody=3 * _MOST_BEGUN)

    def routes(self) -> list[Route]:
        """The routes, which begin with the console's ``root``."""
        root = self._console.root
        signing = SignIn(self._console, self._onward)
        return [
            Route(root, self._safe(self.begin), methods=["GET", "POST"]),
            Route(f"{root}/sign-in", signing.page(), methods=["GET"]),
            Route(f"{root}/sign-in", signing.post(), methods=["POST"]),
            Route(f"{root}/sign-out", signing.out(), methods=["POST"]),
            Route(f"{root}/static/{{name}}", static, methods=["GET"]),
            Route(f"{root}/{{handle}}", self._safe(self.show), methods=["GET"]),
            Route(f"{root}/{{handle}}", self._safe(self.take), methods=["POST"]),
        ]

    def _safe(self, handler: Endpoint) -> Endpoint:
        """No traceback: an exception's text may quote what a page was asked for (law 6)."""

        async def endpoint(request: Request) -> Response:
            try:
                return await handler(request)
            except CodedError as error:
                _log.warning("console.page-failed", code=error.code, action="authorize")
                return self._site.problem("The node could not do it.", code=error.code, status=500)
            except Exception as error:  # noqa: BLE001 - the page says so, whatever it was
                _log.error("console.page-broken", detail=type(error).__name__)
                return self._site.problem("Something went wrong on our side.", status=500)

        return endpoint

    # --- an app asks ------------------------------------------------------------------------------

    async def begin(self, request: Request) -> Response:
        """An app's request: checked, kept, and on to the first step."""
        attempt = self._server.log.begin(Authorization.APP_APPROVAL)
        address = request.client.host if request.client else ""
        given: Mapping[str, str] = {}
        target: str | None = None
        try:
            given = await _parameters(request)
            client_id = given.get("client_id", "")
            app = await asyncio.to_thread(asking_app, self._server, client_id, attempt)
            target = asked_back(app, given)
            if not self._begun.allows(address, self._server.clock.now().timestamp()):
                return self._site.problem(_MANY, status=_TOO_MANY)
            asked = await asyncio.to_thread(read_request, self._server, app, given, attempt)
            handle = await asyncio.to_thread(self._keep, asked)
        except Refused as refused:
            if not await self._site.answering.noted(attempt, refused, address):
                return self._site.problem(
                    "Too many refused requests. Wait a minute.", status=_TOO_MANY
                )
            if target is None:
                return self._site.problem(refused.sentence, code=refused.code)
            return self._site.back(target, given.get("state"), refused)
        return self._on(f"{self._console.root}/{handle}", handle)

    def _keep(self, asked: AppRequest) -> str:
        handle, now = new_secret(self._server), self._server.clock.now()
        kept = self._server.approvals.add_request(
            digest_of(handle), asked.client_id, asked.as_json(), until=now + WAITS, now=now
        )
        if not kept:
            raise Refused("oauth-too-many", "Too many requests wait for people.")
        return handle

    # --- the steps --------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        """The step that is next."""
        return await self._step(request, {})

    async def take(self, request: Request) -> Response:
        """A step that was taken."""
        form = foreign(request) or await read_form(request)
        if isinstance(form, str):
            return self._site.problem(form)
        return await self._step(request, form)

    async def _step(self, request: Request, form: Mapping[str, str]) -> Response:
        handle = request.path_params["handle"]
        kept = await asyncio.to_thread(self._kept, handle)
        if kept is None:
            return self._site.problem("This request of an app is over, or never was.", status=404)
        session = await asyncio.to_thread(session_of, self._console, request)
        if session is None or session.stage is not Stage.WHOLE:
            return self._on(f"{self._console.root}/sign-in", handle)
        asked, app = kept
        visit = AppVisit(site=self._site, handle=handle, session=session, asked=asked, app=app)
        if request.method == "GET":
            return await visit.next()
        if not form_holds(session, form.get("form", "")):
            return self._site.problem(
                "This form is not one of this session's. Go back and try again."
            )
        return await visit.took(form)

    def _kept(self, handle: str) -> tuple[AppRequest, AskingApp] | None:
        if not _HANDLE.fullmatch(handle):
            return None
        now = self._server.clock.now()
        body = self._server.approvals.request(digest_of(handle), now=now)
        if body is None:
            return None
        asked = from_json(body)
        attempt = self._server.log.begin(Authorization.APP_APPROVAL)
        try:
            # judged anew at every step: its organisation may have been suspended a moment ago
            return asked, asking_app(self._server, asked.client_id, attempt)
        except Refused:
            return None

    @staticmethod
    def _on(address: str, handle: str) -> Response:
        return see(address, {COOKIE: handle}, secure=True)

    def _onward(self, request: Request) -> str:
        handle = request.cookies.get(COOKIE, "")
        return f"{self._console.root}/{handle if _HANDLE.fullmatch(handle) else 'none'}"


async def _parameters(request: Request) -> Mapping[str, str]:
    """The parameters of an app's request, each given once; by POST they are a form (2.3).

    Raises:
        Refused: ``oauth-*``.
    """
    if request.method == "POST":
        return await http.read_form(request)
    try:
        pairs = parse_qsl(
            request.url.query,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise Refused("oauth-body-malformed", "The request cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refused("oauth-parameter-twice", "A parameter was sent more than once.")
    return {name: value for name, value in fields.items() if value}
