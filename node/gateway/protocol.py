"""The HTTP/1.1 protocol of every listener: uvicorn's, with the peer's certificate and with limits.

uvicorn hands neither the TLS client certificate to the application nor cuts off a client that
sends its headers byte by byte, reads its answer byte by byte, or never leaves. This subclass does:

* ``scope["extensions"]["tls"]`` is the ASGI TLS extension (leaf in PEM, version) and, under
  ``peer``, a :class:`TlsPeer`.
* time limits for the headers (408), an idle connection, an unread answer, and the connection's age;
* size limits for the headers (431), also for what stands between and after the chunks of a body,
  and caps on connections (503) and on requests that are sent ahead of answers.
* fields after a body (trailers) are read and thrown away: they can neither add to the headers nor
  change them (RFC 9110 6.5.1).

One timer runs per connection and waiting state; nothing here waits for the application.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import httptools
from starlette.requests import ClientDisconnect
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from node.gateway.limits import ConnectionLimits
from node.gateway.turned_away import Throttle, TurnAway
from trust.errors import TrustError
from trust.keys import public_key_of, spki_sha256
from trust.tls import PeerCertificates, peer_certificates

_WRITE_BUFFER = 128 * 1024
_TLS_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPeer:
    """The other end of a TLS connection as the handshake proved it.

    ``key`` is the SHA-256 (hex) of the certificate's SubjectPublicKeyInfo, the form of every pin.
    """

    certificates: PeerCertificates
    key: str
    version: str
    cipher: str


def tls_peer(connection: ssl.SSLObject | ssl.SSLSocket | None) -> TlsPeer | None:
    """What a finished handshake says of the peer; ``None`` without TLS or peer certificate.

    Raises:
        TrustError: ``certificate-invalid``, ``chain-too-long``, ``key-kind-refused``.
    """
    certificates = peer_certificates(connection) if connection is not None else None
    if connection is None or certificates is None:
        return None
    cipher = connection.cipher()
    return TlsPeer(
        certificates=certificates,
        key=spki_sha256(public_key_of(certificates.leaf)),
        version=connection.version() or "",
        cipher=cipher[0] if cipher else "",
    )


def peer_of(scope: Mapping[str, Any]) -> TlsPeer | None:
    """The TLS peer of an ASGI request, or ``None`` when it came without a certificate."""
    extension = scope.get("extensions", {}).get("tls", {})
    return cast("TlsPeer | None", extension.get("peer"))


def is_ambiguous(version: str, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether another reader of a head could see another request in it (RFC 9112 3.2, 6.1).

    llhttp, the parser, has refused most such heads before: two lengths, a length beside chunks,
    folded lines, bare line feeds, blanks before the colon.
    """
    names = [name for name, _ in headers]
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if version == "1.0":
        return bool(codings)
    hosts = names.count(b"host")
    return version != "1.1" or hosts != 1 or any(coding != b"chunked" for coding in codings)


def _until_gone(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """The application, told by ``OSError`` when its client is gone (ASGI 2.4).

    uvicorn lets ``send`` return silently then, and a streamed answer would be produced to its end
    for nobody.
    """

    async def run(scope: Any, receive: Any, send: Any) -> None:
        async def checked(message: Any) -> None:
            await send(message)
            if cycle.disconnected and not cycle.response_complete:
                raise ConnectionAbortedError

        try:
            await app(scope, receive, checked)
        except (ConnectionAbortedError, ClientDisconnect):
            if not cycle.disconnected:
                raise

    return run


class GatewayProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with peer certificate, time limits and size limits."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
        turn_away: TurnAway,
    ) -> None:
        """As uvicorn calls it, with ``limits`` and what counts them bound beforehand."""
        super().__init__(config, server_state, app_state, _loop)
        self.limits = limits
        self._turn_away = turn_away
        self._peer_key: str | None = None
        self._tls: dict[str, object] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._age_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        self._idle_bytes = 0
        self._refused = False

    # --- connection ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the peer's certificate, start the clocks, or refuse one connection too many."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        try:
            peer = tls_peer(transport.get_extra_info("ssl_object"))
        except TrustError:
            # OpenSSL took a certificate that we cannot read: nobody can be bound to it.
            transport.close()
            return
        if peer is not None:
            self._peer_key = peer.key
            self._tls = {
                "server_cert": None,
                "client_cert_chain": [ssl.DER_cert_to_PEM_cert(peer.certificates.leaf_der)],
                "client_cert_error": None,
                "tls_version": _TLS_VERSIONS.get(peer.version),
                "cipher_suite": None,
                "peer": peer,
            }
        if len(self.connections) > self.limits.connections or self._is_one_too_many():
            self._refuse(503, "Too many connections.", Throttle.CONNECTIONS)
            return
        self._age_timer = self.loop.call_later(self.limits.age, self._aged)
        self._arm_head()

    def _is_one_too_many(self) -> bool:
        """Whether the peer has more connections than one may; without its key nobody knows."""
        most = self.limits.of_one_peer
        if self._peer_key is None or len(self.connections) <= most:
            return False
        keys = [getattr(each, "_peer_key", None) for each in self.connections]
        return keys.count(self._peer_key) > most

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._disarm_head()
        for timer in (self._stall_timer, self._age_timer):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _aged(self) -> None:
        self.shutdown()  # now when idle, else after the running request
        self._age_timer = self.loop.call_later(self.limits.overtime, self.transport.abort)

    # --- request head -------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the parser, watching the size and the time of the request's head."""
        if self._refused or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._in_head:
            self._arm_head()
            self._head_bytes += len(data)
        self._idle_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Never offered: the request was parsed as it stands and is answered as it stands.
            self.shutdown()
        except httptools.HttpParserError:
            if not self._refused:
                self._refuse(400, "This is not an HTTP/1.1 request.")
        else:
            within = self._head_bytes if self._in_head else self._idle_bytes
            if within > self.limits.head_bytes:
                self._refuse(431, "The request's headers are too large.", Throttle.HEAD_SIZE)

    def on_message_begin(self) -> None:
        """A new request starts."""
        super().on_message_begin()
        self._in_head = True
        self._arm_head()
        self.scope["asgi"]["spec_version"] = "2.4"
        if self._tls is not None:
            self.scope["extensions"] = {"tls": cast("dict[object, object]", self._tls)}

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes after the body is none."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is in: judge it, stop its clock, and let uvicorn start the request."""
        if len(self.pipeline) >= self.limits.ahead:
            self._refused = True
            self._turn_away(Throttle.REQUESTS, self._peer_key)
            self.transport.abort()  # the place of an answer to this one is far behind
            raise ValueError("too many requests ahead")
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.limits.head_bytes or len(self.headers) > self.limits.head_fields:
            self._refuse(431, "The request's headers are too large.", Throttle.HEAD_SIZE)
            raise ValueError("headers too large")  # stops the parser
        if is_ambiguous(self.parser.get_http_version(), self.headers):
            raise ValueError("not HTTP/1, or not plainly")  # stops the parser
        self._in_head = False
        self._idle_bytes = 0
        self._disarm_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is in: the next byte belongs to another one."""
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def _arm_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.head, self._head_late)

    def _busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's None is not in its type
        return cycle is not None and not cycle.response_complete

    def _disarm_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self._busy():
            return  # bytes of a pipelined request behind one that is being served
        self._refuse(408, "The request's headers took too long.", Throttle.HEAD_TIME)

    # --- answer -------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        busy = len(self.tasks) >= self.limits.requests
        if busy:
            self._turn_away(Throttle.REQUESTS, self._peer_key)
        super()._start_asgi_task(cycle, _until_gone(service_unavailable if busy else app, cycle))

    def on_response_complete(self) -> None:
        """A request answered before it was all here ends its connection."""
        super().on_response_complete()
        if self.cycle.more_body and not self.pipeline:
            self.transport.close()

    def pause_writing(self) -> None:
        """The client is slower than we are: give it a time to go on reading."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.limits.stall, self.transport.abort)

    def resume_writing(self) -> None:
        """The client went on reading."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _refuse(self, status: int, sentence: str, throttle: Throttle | None = None) -> None:
        """Answer without the application, and close; at a limit, count it."""
        self._refused = True
        if throttle is not None:
            self._turn_away(throttle, self._peer_key)
        self._disarm_head()
        if self.transport.is_closing():
            return
        text = sentence.encode("ascii")
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: "
            + b"%d\r\n\r\n" % len(text)
            + text
        )
        self.transport.close()
