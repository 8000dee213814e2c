"""A listener for HL7 v2 messages in MLLP frames (``<VT> message <FS><CR>``), within limits.

The library ``hl7`` has a server of its own; it has no limit to connections and no time after which
an idle one is cut, and takes a frame's end for one only where a CR follows (its issue 59).

Each message gets its answer before the next one of its connection is read. Nothing that a sender
sends ends the listener: junk before a frame is dropped up to ``MOST_JUNK``, a frame that is too
long is answered and the connection cut, an idle one is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from node.errors import OurFault
from node.gateway.door import Door, Handshake, listening_sockets
from node.gateway.turned_away import Throttle, TurnAway

BEGIN: Final = b"\x0b"
END: Final = b"\x1c"
MOST_JUNK: Final = 1024
_ANSWER_SECONDS: Final = 30.0
_HANDSHAKE_SECONDS: Final = 10.0
_MOST_HANDSHAKES: Final = 100
_BACKLOG: Final = 100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpLimits:
    """What a sender may cost: connections, bytes of a message, seconds without one."""

    connections: int = 20
    message_bytes: int = 1024 * 1024
    idle_seconds: float = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpAnswers:
    """What is done with messages; both give the bytes of an answer without framing.

    Attributes:
        take: takes a message; called in a thread. It does not raise.
        too_large: answers a message that is not read.
    """

    take: Callable[[bytes], bytes]
    too_large: Callable[[], bytes]


@contextlib.asynccontextmanager
async def serving_mllp(
    answers: MllpAnswers,
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    *,
    limits: MllpLimits,
    turn_away: TurnAway = lambda _throttle, _key: None,
) -> AsyncIterator[tuple[str, int]]:
    """Listen until the block ends; yields the bound (host, port).

    ``turn_away`` counts connections past the limit.

    Raises:
        OurFault: ``listen-failed``.
    """
    open_ones: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(open_ones) >= limits.connections:
            writer.close()
            _log.warning("mllp.refused", detail="connections")
            turn_away(Throttle.CONNECTIONS, None)
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a callback of the loop
        open_ones.add(task)
        try:
            await _connection(reader, writer, answers, limits)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the sender went, or did nothing for too long
        finally:
            open_ones.discard(task)
            writer.close()

    def made() -> asyncio.Protocol:
        reader = asyncio.StreamReader(limit=limits.message_bytes)
        return asyncio.StreamReaderProtocol(reader, connected)

    try:
        sockets = listening_sockets(host, port, backlog=_BACKLOG, reuse_port=False)
    except OSError as error:
        raise OurFault(
            "listen-failed", f"Cannot listen on {host}:{port}: {error.strerror}."
        ) from error
    handshake = Handshake(
        context=context,
        seconds=_HANDSHAKE_SECONDS,
        most=_MOST_HANDSHAKES,
        cut=lambda: turn_away(Throttle.CONNECTIONS, None),
    )
    doors = [Door(each, made, handshake) for each in sockets]
    try:
        address = sockets[0].getsockname()
        yield address[0], address[1]
    finally:
        for door in doors:
            await door.close()
        for task in list(open_ones):
            task.cancel()
        if open_ones:
            await asyncio.wait(list(open_ones))


async def _connection(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answers: MllpAnswers,
    limits: MllpLimits,
) -> None:
    """Take message after message until the sender goes."""
    while True:
        async with asyncio.timeout(limits.idle_seconds):
            if not await _begun(reader):
                return
            try:
                framed = await reader.readuntil(END)
            except asyncio.LimitOverrunError:
                framed = None
        if framed is None:
            await _answer(writer, answers.too_large())
            return
        await _answer(writer, await asyncio.to_thread(answers.take, framed[:-1]))


async def _begun(reader: asyncio.StreamReader) -> bool:
    """Whether a frame begins; what stands before it is dropped, as far as it is little."""
    for _ in range(MOST_JUNK):
        one = await reader.read(1)
        if not one:
            return False
        if one == BEGIN:
            return True
    return False


async def _answer(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(BEGIN + answer + END + b"\r")
    async with asyncio.timeout(_ANSWER_SECONDS):
        await writer.drain()
