"""Reading a request's body: bounded in size and time, decompressed, its SOAP part found.

The digest that goes into the ledger is over the SOAP part, which is what both sides of an exchange
can see in the same form; the framing around it (gzip, MIME) is made anew at every hop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Receive

from node.errors import LimitError, NetworkFault
from node.gateway.limits import MessageLimits
from node.wire.compression import Decoder
from node.wire.content_type import MULTIPART_RELATED, SOAP_XML, parse_content_type
from node.wire.mtom import Event, MtomLimits, RootPart
from node.wire.mtom_parser import MtomParser
from node.wire.names import Deviation

_MAX_PARTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestBody:
    """A request's SOAP part, and what was tolerated on the way to it."""

    soap: bytes
    deviations: tuple[str, ...] = ()


class Incoming:
    """The pieces of a request's body (ASGI HTTP 2.4, Request), read once."""

    def __init__(self, receive: Receive) -> None:
        """``receive`` gives the body, of which nothing was read."""
        self._receive = receive
        self._ended = False

    async def next(self) -> bytes | None:
        """The next piece, or ``None`` after the last one.

        Raises:
            NetworkFault: ``request-cut-off``.
        """
        if self._ended:
            return None
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        if message["type"] != "http.request":
            raise NetworkFault("request-cut-off", "The sender closed the connection.")
        piece: bytes = message.get("body", b"")
        return piece


async def read_body(
    headers: Mapping[str, str], incoming: Incoming, limits: MessageLimits, *, mtom: bool
) -> RequestBody:
    """Read a whole request.

    Args:
        headers: the HTTP request's headers, by names in lower case.
        incoming: its body, unread.
        limits: what it may cost.
        mtom: whether the transaction demands MTOM; plain SOAP is then a counted deviation.

    Raises:
        LimitError: ``message-too-large``, ``mtom-limit``.
        NetworkFault: ``request-slow`` when it did not arrive in time, ``request-cut-off`` when the
            sender went away.
        WireError: ``content-type-invalid``, ``content-coding-unsupported``,
            ``content-coding-invalid``, ``mtom-malformed``.
    """
    content_type = parse_content_type(headers.get("content-type", ""))
    parser = MtomParser(
        content_type,
        MtomLimits(
            root_bytes=limits.plain_bytes,
            part_bytes=limits.plain_bytes,
            total_bytes=limits.plain_bytes,
            parts=_MAX_PARTS,
        ),
    )
    decoder = Decoder(headers.get("content-encoding", ""), max_bytes=limits.plain_bytes)
    events: list[Event] = []
    length = headers.get("content-length", "")
    _check_size(int(length[:19]) if length.isdecimal() else 0, limits)
    size = 0
    try:
        async with asyncio.timeout(limits.body):
            while (chunk := await incoming.next()) is not None:
                size += len(chunk)
                _check_size(size, limits)
                for piece in decoder.feed(chunk):
                    events += parser.feed(piece)
    except TimeoutError:
        raise NetworkFault("request-slow", "The request did not arrive in time.") from None
    decoder.close()
    events += parser.close()
    soap = next((event.data for event in events if isinstance(event, RootPart)), b"")
    deviations = dict.fromkeys(parser.deviations)
    multipart = content_type.media_type == MULTIPART_RELATED
    if not mtom:
        deviations.pop(Deviation.MTOM_NOT_USED, None)
        if multipart:
            deviations[Deviation.CONTENT_TYPE] = None
    if not multipart and content_type.media_type != SOAP_XML:
        deviations[Deviation.CONTENT_TYPE] = None
    return RequestBody(soap=soap, deviations=tuple(deviations))


async def linger(incoming: Incoming, limits: MessageLimits) -> None:
    """Throw away what is still coming, so that the sender can read our early answer.

    Closing a connection with unread bytes resets it, and the answer is lost on its way.
    """
    size = 0
    with contextlib.suppress(TimeoutError, NetworkFault):
        async with asyncio.timeout(limits.linger):
            while (chunk := await incoming.next()) is not None:
                size += len(chunk)
                if size > limits.linger_bytes:
                    return


def _check_size(size: int, limits: MessageLimits) -> None:
    if size > limits.body_bytes:
        raise LimitError(
            "message-too-large", f"The message is larger than {limits.body_bytes} bytes."
        )
