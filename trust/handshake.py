"""A TLS handshake in memory: two contexts meet without a socket (facts pki A4).

Run before a context is used, and before a new certificate is switched on: what fails here would
have failed every peer.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import StrEnum

from trust.chain import Finding
from trust.tls import explain

_MAX_ROUNDS = 20


class Side(StrEnum):
    """One end of a handshake."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeVerdict:
    """How a handshake ended.

    Attributes:
        ok: whether both sides finished.
        failed_side: which side refused first.
        finding: why, as code and sentence.
        tls_version: such as ``TLSv1.3``.
        cipher: the suite's OpenSSL name.
        alpn: the protocol agreed on.
        resumed: whether a session was resumed.
    """

    ok: bool
    failed_side: Side | None = None
    finding: Finding | None = None
    tls_version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    resumed: bool = False


class MemoryConnection:
    """Two TLS ends joined by buffers.

    Attributes:
        server: the server's end.
        client: the client's end.
    """

    def __init__(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        host_name: str,
        *,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._to_server, self._to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self._to_server, self._to_client, server_side=True)
        self.client = client.wrap_bio(
            self._to_client, self._to_server, server_hostname=host_name, session=session
        )

    def handshake(self) -> HandshakeVerdict:
        """Runs the handshake to its end; a refusal is a value."""
        pending = {Side.CLIENT: self.client, Side.SERVER: self.server}
        for _ in range(_MAX_ROUNDS):
            for side, end in tuple(pending.items()):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLError as error:
                    return HandshakeVerdict(ok=False, failed_side=side, finding=explain(error))
                del pending[side]
            if not pending:
                return self._agreed()
        return HandshakeVerdict(
            ok=False,
            finding=Finding(
                code="tls-failed", sentence="The TLS handshake did not come to an end."
            ),
        )

    def _agreed(self) -> HandshakeVerdict:
        cipher = self.client.cipher()
        return HandshakeVerdict(
            ok=True,
            tls_version=self.client.version(),
            cipher=cipher[0] if cipher else None,
            alpn=self.client.selected_alpn_protocol(),
            resumed=bool(self.server.session_reused),
        )


def self_test(server: ssl.SSLContext, client: ssl.SSLContext, host_name: str) -> HandshakeVerdict:
    """Lets two contexts meet in memory; ``host_name`` is what the client expects of the server."""
    return MemoryConnection(server, client, host_name).handshake()
