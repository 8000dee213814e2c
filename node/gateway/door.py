"""Connections before their TLS handshake is over: counted, and limited.

asyncio's servers begin a handshake for whoever connects, and make the protocol known only when it
is over. Each one that nobody goes on with holds memory and a file for the handshake's whole time,
and there is no end to how many come. So connections are accepted here; when too many are in the
middle of their handshake, the one that has taken longest is cut: honest peers need a second, and
whoever holds connections open without a word has the oldest of all.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_PAUSE: Final = 0.2
"""Seconds until the next try when no connection can be accepted, as where files are used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """How handshakes are made.

    Attributes:
        context: the TLS settings; ``None`` for a connection without a handshake.
        seconds: for a handshake, and for the end of a connection.
        most: how many at once.
        cut: counts each one that was cut for another.
    """

    context: ssl.SSLContext | None
    seconds: float
    most: int
    cut: Callable[[], None]


class Door:
    """Accepts the connections of one listening socket."""

    def __init__(
        self, listening: socket.socket, made: Callable[[], asyncio.Protocol], handshake: Handshake
    ) -> None:
        """``made`` is called for the protocol of a connection whose handshake is over."""
        self._listening = listening
        self._made = made
        self._handshake = handshake
        self._going_on: dict[asyncio.Task[None], None] = {}
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Accept no more, and cut the handshakes."""
        tasks = [self._accepting, *self._going_on]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError as error:
                _log.error("tls.accept-failed", detail=error.strerror or type(error).__name__)
                await asyncio.sleep(_PAUSE)
                continue
            if len(self._going_on) >= self._handshake.most:
                oldest = next(iter(self._going_on))
                del self._going_on[oldest]
                oldest.cancel()
                self._handshake.cut()
            task = loop.create_task(self._shake(connection))
            self._going_on[task] = None
            task.add_done_callback(lambda done: self._going_on.pop(done, None))
            await asyncio.sleep(0)  # a queue of connections must not keep the loop from all else

    async def _shake(self, connection: socket.socket) -> None:
        # whoever does not get through is nobody's client, and says nothing worth a line
        seconds = self._handshake.seconds if self._handshake.context else None
        with contextlib.suppress(OSError):
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._made,
                connection,
                ssl=self._handshake.context,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )


def listening_sockets(
    host: str, port: int, *, backlog: int, reuse_port: bool
) -> list[socket.socket]:
    """Bound sockets for all addresses of a host, with one port.

    Raises:
        OSError: when an address cannot be bound.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            bound = made[0].getsockname()[1] if made and port == 0 else port
            made.append(
                socket.create_server(
                    (address[0], bound), family=family, backlog=backlog, reuse_port=reuse_port
                )
            )
            made[-1].setblocking(False)
    except OSError:
        for each in made:
            each.close()
        raise
    return made
