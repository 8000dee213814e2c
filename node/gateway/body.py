"""Reading a request's body: bounded in size and time, decompressed, its SOAP part found.

The digest that goes into the ledger is over the SOAP part, which is what both sides of an exchange
can see in the same form; the framing around it (gzip, MIME) is made anew at every hop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

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


async def read_body(request: Request, limits: MessageLimits, *, mtom: bool) -> RequestBody:
    """Read a whole request.

    Args:
        request: the HTTP request, its body unread.
        limits: what it may cost.
        mtom: whether the transaction demands MTOM; plain SOAP is then a counted deviation.

    Raises:
        LimitError: ``message-too-large``, ``mtom-limit``.
        NetworkFault: ``request-slow`` when it did not arrive in time, ``request-cut-off`` when the
            sender went away.
        WireError: ``content-type-invalid``, ``content-coding-unsupported``,
            ``content-coding-invalid``, ``mtom-malformed``.
    """
    content_type = parse_content_type(request.headers.get("content-type", ""))
    parser = MtomParser(
        content_type,
        MtomLimits(
            root_bytes=limits.plain_bytes,
            part_bytes=limits.plain_bytes,
            total_bytes=limits.plain_bytes,
            parts=_MAX_PARTS,
        ),
    )
    decoder = Decoder(request.headers.get("content-encoding", ""), max_bytes=limits.plain_bytes)
    events: list[Event] = []
    try:
        async with asyncio.timeout(limits.body):
            async for chunk in _arriving(request, limits):
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


async def linger(request: Request, limits: MessageLimits) -> None:
    """Throw away what is still coming, so that the sender can read our early answer.

    Closing a connection with unread bytes resets it, and the answer is lost on its way.
    """
    size = 0
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
        # RuntimeError is Starlette's word for a stream that was read to its end.
        async with asyncio.timeout(limits.linger):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.linger_bytes:
                    return


async def _arriving(request: Request, limits: MessageLimits) -> AsyncIterator[bytes]:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:19]) > limits.body_bytes:
        raise _too_large(limits)
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limits.body_bytes:
                raise _too_large(limits)
            yield chunk
    except ClientDisconnect:
        raise NetworkFault("request-cut-off", "The sender closed the connection.") from None


def _too_large(limits: MessageLimits) -> LimitError:
    return LimitError("message-too-large", f"The message is larger than {limits.body_bytes} bytes.")
