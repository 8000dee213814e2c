"""Connections to peers: one pool for all, judged before anything is sent on them.

TLS proves that the host is who its address says. Whether that key is the *organisation's* is a
question of pins, and connections are shared by all organisations behind one host (a QHIN's
participants). So each attempt looks at the connection it was given, fresh or reused, and only then
sends its request: no demographics leave before the peer is bound.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from trust.keys import public_key_of, spki_sha256
from trust.tls import PeerCertificates, peer_certificates

Judge = Callable[[PeerCertificates, str], None]
"""Takes the server's certificates and its key's SPKI SHA-256; raises when it may not be asked."""

_judge: ContextVar[Judge | None] = ContextVar("judge", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """Limits of the pool: counts, and times in seconds.

    ``connect`` covers DNS, TCP and TLS; ``silence`` is the longest wait between two pieces of an
    answer (the whole attempt is limited by its caller).
    """

    connections: int = 500
    connections_per_host: int = 50
    keep_alive: float = 30.0
    dns_cache: int = 60
    connect: float = 10.0
    silence: float = 60.0
    header_bytes: int = 16 * 1024


class JudgedConnector(aiohttp.TCPConnector):
    """A TCP connector that shows each connection to the attempt's judge before it is used."""

    def use_context(self, context: ssl.SSLContext) -> None:
        """Let new connections be made with another context; those in the pool live on."""
        self._ssl = context

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Give a connection that the judge accepts."""
        connection = await super().connect(req, traces, timeout)
        judge = _judge.get()
        if judge is None:
            return connection
        try:
            transport = connection.transport
            end: ssl.SSLObject | None = (
                transport.get_extra_info("ssl_object") if transport is not None else None
            )
            certificates = peer_certificates(end) if end is not None else None
            if certificates is not None:
                judge(certificates, spki_sha256(public_key_of(certificates.leaf)))
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def judged(judge: Judge) -> Iterator[None]:
    """Every connection that is taken inside the block, in this task, is shown to ``judge``."""
    token = _judge.set(judge)
    try:
        yield
    finally:
        _judge.reset(token)


def open_pool(
    context: ssl.SSLContext, *, limits: PoolLimits | None = None, user_agent: str = "tefca-node"
) -> aiohttp.ClientSession:
    """A session for calls to peers; must be opened and closed inside the event loop.

    It keeps no cookies, follows no proxy of the environment, and leaves decompression to us.

    Args:
        context: ``trust.tls.client_context``: our certificate, the anchors, host name checks.
        limits: of the pool.
        user_agent: how we introduce ourselves.
    """
    limits = limits or PoolLimits()
    connector = JudgedConnector(
        ssl=context,
        limit=limits.connections,
        limit_per_host=limits.connections_per_host,
        keepalive_timeout=limits.keep_alive,
        ttl_dns_cache=limits.dns_cache,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect, sock_read=limits.silence),
        max_line_size=limits.header_bytes,
        max_field_size=limits.header_bytes,
        headers={"User-Agent": user_agent},
    )
