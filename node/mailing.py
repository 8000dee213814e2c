"""A serving node sends what is in the outbox, and says what did not arrive.

The outbox is looked into every ``_PAUSE`` seconds, in a thread of its own: whoever breaks the glass
waits for no mail server, and nothing of it is lost when the node ends.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from email.message import EmailMessage
from threading import Event
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError, SettingsError
from node.ledger.private import load_key
from node.mail.message import BREAK_GLASS, Letterhead, glass_message
from node.mail.outbox import Notice, Outbox, Pauses, State
from node.mail.smtp import LASTING, OF_ONE, Server, session
from node.opened import OpenedHome
from node.ops.health import Check, Finding, Status
from node.settings import NodeHome, Settings
from node.users.store import Users
from trust.certificates import load_certificates
from trust.errors import error_table
from trust.tls import client_context

_log = structlog.get_logger(__name__)

_PAUSE: Final = 2.0
_SWEEP: Final = timedelta(hours=1)
_MOST_PASSWORD: Final = 1024
_LOOK: Final = "Look into the node's log for mail.not-sent."

Tell = Callable[[str, str, datetime], None]
"""Told of a login, the number of a case, and when."""


def mail_server(home: NodeHome, settings: Settings) -> Server:
    """The server of the settings; its password is read now.

    Raises:
        SettingsError: ``mail-password-unreadable``.
    """
    mail, password = settings.mail, ""
    if mail.password_file:
        try:
            with home.resolve(mail.password_file).open(encoding="utf-8") as file:
                password = file.read(_MOST_PASSWORD).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                "mail-password-unreadable", "The file of mail.password_file cannot be read."
            ) from error
    return Server(
        host=mail.host,
        port=mail.port,
        security=mail.security,
        context=lambda: _context(home, settings),
        user=mail.user,
        password=password,
        seconds=mail.seconds,
        name=urlsplit(settings.listen.public_url).hostname or "localhost",
    )


def letterhead(settings: Settings) -> Letterhead:
    """Whom messages are from, by the settings."""
    return Letterhead(
        sender=settings.mail.sender,
        node=settings.node.name,
        environment=settings.console.environment,
        console=settings.mail.console_url or settings.sign_on.console_url,
        zone=ZoneInfo(settings.console.time_zone),
    )


def _context(home: NodeHome, settings: Settings) -> ssl.SSLContext:
    if settings.mail.ca_file:
        return client_context(None, load_certificates(home.resolve(settings.mail.ca_file)))
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def glass_notices(opened: OpenedHome) -> Tell:
    """What is told that somebody broke the glass: it writes notices, where the settings want any.

    It hinders nobody: what cannot be written is said in the log, and the case is there all the
    same.
    """
    recipients, outbox = opened.settings.mail.break_glass, Outbox(opened.engine)

    def tell(login: str, case: str, at: datetime) -> None:
        code = "mail-outbox-full"
        try:
            if outbox.put(BREAK_GLASS, recipients, login=login, case=case, now=at):
                return
        except SQLAlchemyError as error:
            code = type(error).__name__
        _log.error("mail.not-written", code=code, where=f"case {case}")

    return tell


class Mailer:
    """Sends what is due. Not for several threads at a time."""

    def __init__(self, opened: OpenedHome, *, pauses: Pauses | None = None) -> None:
        """``pauses``: between tries."""
        settings = opened.settings
        self._opened = opened
        self._outbox = Outbox(opened.engine)
        self._pauses = pauses or Pauses()
        self._users = Users(opened.engine, load_key(opened.home.path), opened.clock.now)
        self._head = letterhead(settings)
        self._swept: datetime | None = None
        self.stopping = Event()

    def run(self) -> None:
        """One look into the outbox.

        Raises:
            SQLAlchemyError: when it cannot be read.
        """
        now = self._opened.clock.now()
        if self._swept is None or now - self._swept >= _SWEEP:
            self._outbox.sweep(now)
            self._swept = now
        left = self._outbox.due(now)
        if not left:
            return
        try:
            with session(mail_server(self._opened.home, self._opened.settings)) as send:
                while left and not self.stopping.is_set():
                    notice = left[0]
                    try:
                        send(self._message(notice))
                    except CodedError as error:
                        if error.code not in OF_ONE:
                            raise
                        self._failed(notice, error)
                    else:
                        self._outbox.sent(notice, self._opened.clock.now())
                        _log.info("mail.sent", where=f"case {notice.case}", attempt=notice.attempts)
                    left.pop(0)
        except CodedError as error:
            for notice in left:
                self._failed(notice, error)

    def _message(self, notice: Notice) -> EmailMessage:
        user = self._users.find(notice.login)
        who = f"{user.name} ({notice.login})" if user else notice.login
        return glass_message(
            self._head,
            id_=notice.id,
            recipient=notice.recipient,
            who=who,
            case=notice.case,
            at=notice.at,
        )

    def _failed(self, notice: Notice, error: CodedError) -> None:
        now = self._opened.clock.now()
        if error.code in LASTING:
            self._outbox.refused(notice, now, code=error.code, detail=error.detail)
            state = State.REFUSED
        else:
            state = self._outbox.failed(
                notice,
                now,
                code=error.code,
                detail=error.detail,
                pauses=self._pauses,
                keep=timedelta(hours=self._opened.settings.mail.keep_hours),
            )
        tell = _log.warning if state is State.WAITING else _log.error
        tell(
            "mail.not-sent",
            code=error.code,
            sentence=error.sentence,
            advice=error.advice,
            detail=error.detail,
            where=f"case {notice.case}",
            state=state.value,
            attempt=notice.attempts,
        )


@asynccontextmanager
async def mailing(opened: OpenedHome) -> AsyncIterator[None]:
    """Send notices while the block runs; nothing where the settings name no server.

    Raises:
        SettingsError: ``mail-password-unreadable``; a wrong setting is told at once.
        TrustError: when the CAs' file cannot be read.
    """
    if not opened.settings.mail.host:
        yield
        return
    mail_server(opened.home, opened.settings).context()
    mailer, over = Mailer(opened), asyncio.Event()
    task = asyncio.create_task(_keep(mailer, over))
    try:
        yield
    finally:
        mailer.stopping.set()
        over.set()
        await task  # what is being sent is sent, and noted


async def _keep(mailer: Mailer, over: asyncio.Event) -> None:
    while not over.is_set():
        try:
            await asyncio.to_thread(mailer.run)
        except Exception as error:  # noqa: BLE001 - whatever it is, sending must not end in silence
            _log.error("mail.outbox-not-read", code=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), _PAUSE)


def mail_check(opened: OpenedHome) -> Check:
    """Whether notices arrive."""
    mail, outbox = opened.settings.mail, Outbox(opened.engine)

    async def check() -> Finding:
        if not mail.host:
            return Finding(
                status=Status.OK,
                sentence="No notice is sent by mail: mail.host is empty. Word of broken glass goes"
                " to the start page, the queue and the log.",
            )
        found = await asyncio.to_thread(outbox.standing)
        waits = f"waiting to be sent: {found.waiting}."
        if not found.troubles:
            return Finding(status=Status.OK, sentence=f"Notices go out by mail; {waits}")
        last = found.troubles[0]
        # the address is a text that somebody set, which no bug report has
        places = [n for n, each in enumerate(mail.break_glass, 1) if each == last.recipient]
        whom = f"address {places[0]} of mail.break_glass" if places else "an address of before"
        return Finding(
            status=Status.WARN,
            sentence=f"Notices by mail, {waits} Of 30 days not arrived and not tried again:"
            f" {found.failed}. The newest trouble: case {last.case}, {whom}, {last.code}"
            f"{f' ({last.detail})' if last.detail else ''}, {last.state.value}.",
            advice=str(error_table("node").get(last.code, {}).get("advice", "")) or _LOOK,
        )

    return check
