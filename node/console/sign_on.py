"""Signing in with the account of our organisation, and proving oneself anew with it.

The browser is sent to the provider and comes back with a code. What comes back counts once, in the
browser that was sent, and within ten minutes. Each sign-in and each refusal is an entry of the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.console.guard import Endpoint, cookie_name, session_of
from node.console.parts import Console
from node.console.provider import Answered, Provider
from node.console.rendering import SECURITY_HEADERS, plain_page, see
from node.errors import NodeError, TheirFault
from node.ledger.trust_change import TrustChange
from node.users.sessions import Session, Stage
from node.users.sign_on import Identity
from node.users.sign_on_attempts import Begun, Returned, SignOnAttempts
from node.users.welcome import Welcome

COOKIE: Final = "sign-on"
SECURE_COOKIE: Final = "__Host-sign-on"
_ERROR: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)
_MAX_CODE: Final = 4096

_log = structlog.get_logger(__name__)


def local_address(text: str) -> str:
    """An address of ours to go back to: ``//other.example`` would leave the console."""
    ours = text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if ours and _PRINTABLE.fullmatch(text) else "/"


_PRINTABLE: Final = re.compile(r"[!-~]{1,1024}", re.ASCII)


class SignOnPages:
    """The two ways: to the provider, and back."""

    def __init__(self, console: Console, provider: Provider) -> None:
        self._console = console
        self._provider = provider
        self._attempts = SignOnAttempts(console.engine, console.now)
        self._welcome = Welcome(console.engine, console.now)

    def begin(self) -> Endpoint:
        """GET ``/sign-on``: to the provider; ``anew`` for somebody who is in already."""

        async def endpoint(request: Request) -> Response:
            anew = "anew" in request.query_params
            back = local_address(request.query_params.get("back", "/"))
            try:
                begun = await run_in_threadpool(self._begun, request, back, anew=anew)
                if begun is None:
                    return see("/sign-in")
                address = await self._provider.address(begun, anew=anew)
            except NodeError as error:
                return await run_in_threadpool(self._refused, error)
            response = RedirectResponse(address, status_code=303, headers=_HEADERS)
            response.set_cookie(
                self._cookie, begun.cookie, max_age=600, httponly=True, samesite="lax",
                secure=self._console.secure, path="/",
            )  # fmt: skip
            return response

        return endpoint

    def back(self) -> Endpoint:
        """GET ``/sign-on/back``: from the provider."""

        async def endpoint(request: Request) -> Response:
            try:
                response = await self._returned(request)
            except NodeError as error:
                response = await run_in_threadpool(self._refused, error)
            response.delete_cookie(
                self._cookie, path="/", httponly=True, samesite="lax", secure=self._console.secure
            )
            return response

        return endpoint

    async def _returned(self, request: Request) -> Response:
        given = request.query_params
        state, cookie = given.get("state", ""), request.cookies.get(self._cookie, "")
        taken = await run_in_threadpool(self._attempts.take, state, cookie)
        if taken is None:
            raise TheirFault(
                "sign-on-state", "This answer belongs to no sign-in that this browser has begun."
            )
        code = given.get("code", "")
        if "error" in given or not 0 < len(code) <= _MAX_CODE:
            named = given.get("error", "")
            raise TheirFault(
                "sign-on-denied",
                "The provider did not let you in.",
                detail=named if _ERROR.fullmatch(named) else None,
            )
        anew = taken.began if taken.session else None
        answered = Answered(code=code, issuer=given.get("iss"))
        identity = await self._provider.identity(answered, taken.begun, anew=anew)
        entering: Callable[[], Response] = (
            (lambda: self._prove(request, taken, identity))
            if taken.session
            else (lambda: self._enter(taken, identity))
        )
        return await run_in_threadpool(entering)

    # --- in a thread ----------------------------------------------------------------------------

    def _begun(self, request: Request, back: str, *, anew: bool) -> Begun | None:
        session = session_of(self._console, request) if anew else None
        if anew and (session is None or session.stage is not Stage.WHOLE):
            return None
        return self._attempts.begin(back, session.key if session else b"")

    def _enter(self, taken: Returned, identity: Identity) -> Response:
        try:
            user = self._welcome.enter(identity)
        except NodeError as error:
            return self._refused(error, identity.login)
        self._console.recorder(user).fact(
            TrustChange(act="sign-in", private={"issuer": identity.issuer, "roles": [*user.roles]})
        )
        token = self._console.sessions.begin(user.login, Stage.WHOLE)
        return see(taken.back, {cookie_name(self._console): token}, secure=self._console.secure)

    def _prove(self, request: Request, taken: Returned, identity: Identity) -> Response:
        """The person of a session has proved themselves anew, and is the same person."""
        session: Session | None = session_of(self._console, request)
        same = session is not None and session.key == taken.session
        if session is None or not same or self._welcome.known(identity) != session.user.login:
            return self._refused(
                TheirFault("sign-on-other", "Somebody else proved themselves than is signed in.")
            )
        self._console.sessions.prove(session)
        self._console.recorder(session.user).fact(TrustChange(act="person-prove"))
        return see(taken.back)

    def _refused(self, error: NodeError, login: str = "") -> Response:
        private: dict[str, object] = {"login": login} if login else {}
        if error.detail:
            private["detail"] = error.detail
        self._console.recorder(None).fact(
            TrustChange(act="sign-in-refuse", reason=error.code, private=private)
        )
        _log.warning("console.sign-on-refused", code=error.code)
        return plain_page(
            self._console,
            "sign-on-problem.html",
            title="Not signed in",
            status=403,
            sentence=error.sentence,
            advice=error.advice,
            code=error.code,
        )

    @property
    def _cookie(self) -> str:
        return SECURE_COOKIE if self._console.secure else COOKIE


_HEADERS: Final = {"cache-control": "no-store", **SECURITY_HEADERS}
