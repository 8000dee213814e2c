"""An SMTP server for tests, with TLS and accounts: aiosmtpd, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from node.demo.free_ports import free_ports
from node.setup import load_ca, make_ca
from trust.ca import Profile, issue
from trust.certificates import Bundle
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, generate_key, save_key
from trust.usages import Usage

PASSWORD = "words for the mail server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message that the server took."""

    recipients: list[str]
    data: bytes
    user: bytes | None
    tls: bool


@dataclass
class SmtpServer:
    """Can be started and stopped; what it took stays.

    It refuses ``refused@``, and puts ``later@`` off at the first try (always while it is told so).
    """

    folder: Path
    security: str = "starttls"
    host: str = "localhost"
    put_off_always: bool = False
    signed_in: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        now = datetime.now(UTC)
        make_ca(self.folder, "ca", "Mail CA", now=now)
        self.ca_file = self.folder / "ca.pem"
        key = generate_key(KeyKind.P_256)
        names = RequestedNames(common_name=self.host, dns_names=(self.host,))
        request = build_csr(key, names, usages=(Usage.TLS_SERVER,))
        leaf = issue(load_ca(self.folder, "ca"), request, profile=Profile.TLS_SERVER, now=now)
        save_key(self.folder / "server.key", key)
        (self.folder / "server.pem").write_bytes(Bundle(leaf=leaf).pem())
        (self.port,) = free_ports(1)
        self._taken: list[Taken] = []
        self._put_off: set[str] = set()
        self._controller: Controller | None = None

    def start(self) -> None:
        """Take connections."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        more = {
            "starttls": {"tls_context": context, "require_starttls": True},
            "tls": {"ssl_context": context, "auth_require_tls": False},
            "none": {"auth_require_tls": False},
        }[self.security]
        self._controller = Controller(
            self,
            hostname="localhost",
            port=self.port,
            authenticator=self._authenticate,
            auth_required=self.security == "starttls",
            **more,
        )
        self._controller.start()

    def stop(self) -> None:
        """Take none any more."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def taken(self) -> list[Taken]:
        """What came, oldest first."""
        return list(self._taken)

    async def until(self, number: int) -> None:
        """Wait until it has taken so many."""
        async with asyncio.timeout(30):
            while len(self._taken) < number:  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.02)

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.signed_in.append(data.login)
        right = data.password.decode() == PASSWORD
        return AuthResult(success=right, handled=False, auth_data=data)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse, put off or take an address."""
        if address.startswith("refused@"):
            return "550 5.1.1 nobody of that name"
        if address.startswith("later@") and (self.put_off_always or address not in self._put_off):
            self._put_off.add(address)
            return "450 4.2.0 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a message."""
        login = session.auth_data.login if session.auth_data else None
        self._taken.append(
            Taken(
                recipients=list(envelope.rcpt_tos),
                data=envelope.original_content or b"",
                user=login,
                tls=session.ssl is not None or self.security == "tls",
            )
        )
        return "250 OK"
