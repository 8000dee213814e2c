"""Signing in: password, one-time code, a new password, setting a one-time code up; signing out.

Each step that is done ends the session's token and begins another. What was typed stays out of the
log, out of addresses, and out of the page that comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from node.console.guard import Endpoint, cookie_name, foreign, read_form, session_of
from node.console.parts import Console
from node.console.rendering import plain_page, see
from node.errors import NodeError, OurFault
from node.gateway.oauth.patience import Patience
from node.ledger.trust_change import TrustChange
from node.users import one_time_codes
from node.users.model import Refused, User
from node.users.sessions import Session, Stage, form_holds

_REFUSED: Final = {
    Refused.WRONG: "Login and password do not belong together.",
    Refused.DISABLED: "This account is locked. Your administrator can unlock it.",
    Refused.LOCKED: "Too many attempts. Wait a minute and try again; it gets longer each time.",
}
_WRONG_CODE: Final = "This is not the code of now. Wait for the next one and type that."

_BUSY: Final = "Too many people are signing in, or too many attempts failed. Wait a minute."
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 20
_MOST_REFUSED: Final = 60  # from one address in a minute; each is an entry of the log
_REFUSED_STATUS: Final = 403

# a secret that is shown to be set up, until its first code proves it; it dies with its session
_Pending = dict[bytes, str]
_MOST_PENDING: Final = 1000


class SignIn:
    """The pages before a session is whole."""

    def __init__(
        self, console: Console, onward: Callable[[Request], str] = lambda _request: "/"
    ) -> None:
        """``onward`` is where somebody goes who has signed in."""
        self._console = console
        self._onward = onward
        self._pending: _Pending = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._patience = Patience(_MOST_REFUSED, everybody=10 * _MOST_REFUSED)

    def page(self) -> Endpoint:
        """GET: the step that is next."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(self._show, request)

        return endpoint

    def post(self) -> Endpoint:
        """POST: take a step."""

        async def endpoint(request: Request) -> Response:
            form = foreign(request) or await read_form(request)
            if isinstance(form, str):
                return self._password_page(form, status=400)
            return await self._in_turn(request, form)

        return endpoint

    def out(self) -> Endpoint:
        """POST: sign out."""

        async def endpoint(request: Request) -> Response:
            form = await read_form(request)
            response, user = await run_in_threadpool(self._end, request, form)
            onward = await self._leaving(user)
            if onward is not None:
                # the session's end is in the headers of the first answer
                onward.raw_headers.extend(
                    pair for pair in response.raw_headers if pair[0] == b"set-cookie"
                )
                return onward
            return response

        return endpoint

    async def _in_turn(self, request: Request, form: Mapping[str, str]) -> Response:
        """Take a step when it is its turn: to try a password costs much memory and time."""
        address = request.client.host if request.client else ""
        now = self._console.now().timestamp()
        if self._waiting >= _MOST_WAITING or self._patience.is_spent(address, now):
            return await run_in_threadpool(partial(self._password_page, _BUSY, status=429))
        self._waiting += 1
        try:
            async with self._turns:
                response = await run_in_threadpool(self._take, request, form)
        finally:
            self._waiting -= 1
        if response.status_code == _REFUSED_STATUS:
            self._patience.allows(address, now)
        return response

    # --- showing --------------------------------------------------------------------------------

    def _show(self, request: Request, problem: str | None = None, status: int = 200) -> Response:
        session = session_of(self._console, request)
        if session is None:
            # signing out takes the cookie back: one that is known to nobody was let run out
            ended = problem is None and cookie_name(self._console) in request.cookies
            return self._password_page(problem, status=status, ended=ended)
        if session.stage is Stage.WHOLE:
            return see(self._onward(request))
        secret = self._secret(session) if session.stage is Stage.SET_UP else ""
        issuer = self._console.own.name
        return plain_page(
            self._console,
            "sign-in-step.html",
            title="Sign in",
            status=status,
            stage=session.stage.value,
            form=session.form,
            user=session.user,
            problem=problem,
            secret=secret,
            picture=one_time_codes.picture(secret, session.user.login, issuer) if secret else "",
        )

    def _password_page(
        self, problem: str | None = None, *, status: int = 200, ended: bool = False
    ) -> Response:
        nobody = not self._console.users.all()
        return plain_page(
            self._console,
            "sign-in.html",
            title="Sign in",
            status=status,
            problem=problem,
            ended=ended,
            nobody=nobody,
            sign_on=self._console.sign_on.words if self._console.sign_on else "",
            local_accounts=self._console.local_accounts,
        )

    def _secret(self, session: Session) -> str:
        if session.key not in self._pending:
            while len(self._pending) >= _MOST_PENDING:
                self._pending.pop(next(iter(self._pending)))
            self._pending[session.key] = one_time_codes.new_secret()
        return self._pending[session.key]

    # --- taking a step --------------------------------------------------------------------------

    def _take(self, request: Request, form: Mapping[str, str]) -> Response:
        session = session_of(self._console, request)
        if session is None or session.stage is Stage.WHOLE or "login" in form:
            return self._password(form)
        if not form_holds(session, form.get("form", "")):
            return self._show(request, "This form is out of date. Type it again.", 400)
        steps: dict[Stage, Callable[[Request, Session, Mapping[str, str]], Response]] = {
            Stage.CODE: self._code,
            Stage.CHANGE: self._change,
            Stage.SET_UP: self._set_up,
        }
        return steps[session.stage](request, session, form)

    def _password(self, form: Mapping[str, str]) -> Response:
        login = form.get("login", "").strip().lower()[:64]
        if not self._console.local_accounts:
            self._refuse(None, "sign-in-local-off", login)
            return self._password_page("Nobody signs in by a password of this node.", status=403)
        proved = self._console.users.prove_password(login, form.get("password", "")[:1024])
        if isinstance(proved, Refused):
            self._refuse(None, proved.value, login)
            return self._password_page(_REFUSED[proved], status=403)
        stage = Stage.CODE if proved.has_code else self._next(proved)
        if stage is Stage.WHOLE:
            self._enter(proved)
        return self._with_cookie(self._console.sessions.begin(proved.login, stage))

    def _code(self, request: Request, session: Session, form: Mapping[str, str]) -> Response:
        proved = self._console.users.prove_code(session.user.login, form.get("code", "")[:16])
        if isinstance(proved, Refused):
            self._refuse(session.user, proved.value, session.user.login)
            if proved is Refused.WRONG:
                return self._show(request, _WRONG_CODE, 403)
            self._console.sessions.end(session.key)
            return self._password_page(_REFUSED[proved], status=403)
        return self._go_on(session, proved)

    def _change(self, request: Request, session: Session, form: Mapping[str, str]) -> Response:
        first, again = form.get("password", ""), form.get("again", "")
        if first != again:
            return self._show(request, "The two passwords differ. Type the same one twice.", 400)
        try:
            self._console.users.change_password(session.user.login, first)
        except OurFault as fault:
            return self._show(request, fault.sentence, 400)
        self._console.recorder(session.user).fact(TrustChange(act="password-change"))
        changed = self._console.users.find(session.user.login)
        return self._go_on(session, changed or session.user)

    def _set_up(self, request: Request, session: Session, form: Mapping[str, str]) -> Response:
        secret = self._secret(session)
        code = form.get("code", "")[:16]
        if not self._console.users.set_code(session.user.login, secret, code):
            return self._show(request, _WRONG_CODE, 403)
        self._pending.pop(session.key, None)
        self._console.recorder(session.user).fact(TrustChange(act="code-set-up"))
        known = self._console.users.find(session.user.login)
        return self._go_on(session, known or session.user)

    def _next(self, user: User) -> Stage:
        if user.must_change:
            return Stage.CHANGE
        return Stage.SET_UP if self._console.needs_code and not user.has_code else Stage.WHOLE

    def _go_on(self, session: Session, user: User) -> Response:
        stage = self._next(user)
        if stage is Stage.WHOLE:
            self._enter(user)
        return self._with_cookie(self._console.sessions.advance(session, stage))

    def _end(self, request: Request, form: Mapping[str, str] | str) -> tuple[Response, User | None]:
        """The way on, and who signed out."""
        session = session_of(self._console, request)
        if session is None or not isinstance(form, Mapping):
            return self._with_cookie(""), None
        if not form_holds(session, form.get("form", "")):
            return see(self._onward(request)), None
        self._console.sessions.end(session.key)
        self._console.recorder(session.user).fact(TrustChange(act="sign-out"))
        return self._with_cookie(""), session.user

    async def _leaving(self, user: User | None) -> Response | None:
        """The way to the provider, to end the person's session there as well.

        A page and no redirect: browsers judge where a form's answer leads (form-action).
        """
        provider = self._console.sign_on
        if provider is None or user is None or not user.external:
            return None
        try:
            address = await provider.leaving()
        except NodeError:
            return None  # signed out here all the same
        if address is None:
            return None
        return plain_page(
            self._console,
            "signed-out.html",
            title="Signed out",
            address=address,
            words=provider.words,
        )

    def _enter(self, user: User) -> None:
        self._console.recorder(user).fact(TrustChange(act="sign-in"))

    def _refuse(self, user: User | None, reason: str, login: str) -> None:
        self._console.recorder(user).fact(
            TrustChange(act="sign-in-refuse", reason=reason, private={"login": login})
        )

    def _with_cookie(self, token: str) -> Response:
        # the page of the next step; of a session that is whole, the page that it goes on to
        cookies = {cookie_name(self._console): token}
        return see(f"{self._console.root}/sign-in", cookies, secure=self._console.secure)
