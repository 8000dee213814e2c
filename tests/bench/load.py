"""A plain load generator: keep-alive connections with our client certificate, nothing parsed."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.questions import Prepared

CONNECTIONS = 16


class BadAnswerError(Exception):
    """The server did not answer as it should: what was measured means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where to send requests, and the TLS settings to do it with."""

    port: int
    context: ssl.SSLContext


class Load:
    """Connections to one server, open until ``close``."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, requests: Sequence[Prepared], *, expected: bytes) -> None:
        """Send all, at most ``CONNECTIONS`` at a time; each answer must hold ``expected``.

        Raises:
            BadAnswerError: at the first answer that does not.
        """
        while len(self._open) < CONNECTIONS:
            self._open.append(
                await asyncio.open_connection(
                    "127.0.0.1",
                    self._server.port,
                    ssl=self._server.context,
                    server_hostname="localhost",
                )
            )
        waiting = iter(requests)
        async with asyncio.TaskGroup() as group:
            for reader, writer in self._open:
                group.create_task(_work(reader, writer, waiting, expected))

    async def close(self) -> None:
        """Close all connections."""
        for _, writer in self._open:
            writer.close()
        self._open.clear()


async def _work(reader, writer, waiting, expected) -> None:  # type: ignore[no-untyped-def]
    for request in waiting:
        head = (
            f"POST {request.path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n"
            f"Content-Type: {request.content_type}\r\nContent-Length: {len(request.body)}\r\n\r\n"
        )
        writer.write(head.encode() + request.body)
        status, body = await _answer(reader)
        if status != 200 or expected not in body:
            raise BadAnswerError(f"status {status}, {body[:2000]!r}")


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines[1:] if line)
    body = await reader.readexactly(int(headers[b"content-length"]))
    if headers.get(b"content-encoding") == b"gzip":
        body = zlib.decompress(body, wbits=31)
    return int(lines[0].split()[1]), body
