"""Reading a request's body: bounded in size and time, decompressed, its SOAP part found.

The digest that goes into the ledger is over the SOAP part, which is what both sides of an exchange
can see in the same form; the framing around it (gzip, MIME) is made anew at every hop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.types import Receive

from node.errors import LimitError, NetworkFault
from node.exchange.document_sink import DocumentSink
from node.gateway.limits import MessageLimits
from node.wire.compression import Decoder
from node.wire.content_type import MULTIPART_RELATED, SOAP_XML, parse_content_type
from node.wire.mtom import Event, MtomLimits, PartBegin, PartData, PartEnd, RootPart
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
    headers: Mapping[str, str],
    incoming: Incoming,
    limits: MessageLimits,
    *,
    mtom: bool,
    sink: DocumentSink | None = None,
) -> RequestBody:
    """Read a whole request.

    Args:
        headers: the HTTP request's headers, by names in lower case.
        incoming: its body, unread.
        limits: what it may cost.
        mtom: whether the transaction demands MTOM; plain SOAP is then a counted deviation.
        sink: takes attachments as they come, where the transaction brings documents; without it
            they are thrown away.

    Raises:
        LimitError: ``message-too-large``, ``mtom-limit``, ``document-too-large``.
        OurFault: of the sink's inbox.
        NetworkFault: ``request-slow`` when it did not arrive in time, ``request-cut-off`` when the
            sender went away.
        WireError: ``content-type-invalid``, ``content-coding-unsupported``,
            ``content-coding-invalid``, ``mtom-malformed``.
    """
    content_type = parse_content_type(headers.get("content-type", ""))
    sent, plain = limits.body_bytes, limits.plain_bytes
    if sink is not None:
        sent = plain = limits.delivery_bytes
    parser = MtomParser(
        content_type,
        MtomLimits(
            root_bytes=limits.plain_bytes,
            part_bytes=plain,
            total_bytes=plain,
            parts=_MAX_PARTS if sink is None else limits.documents + 1,
        ),
    )
    decoder = Decoder(headers.get("content-encoding", ""), max_bytes=plain)
    length = headers.get("content-length", "")
    _check_size(int(length[:19]) if length.isdecimal() else 0, sent)
    size, soap = 0, b""
    try:
        async with asyncio.timeout(limits.body if sink is None else limits.delivery):
            while (chunk := await incoming.next()) is not None:
                size += len(chunk)
                _check_size(size, sent)
                for piece in decoder.feed(chunk):
                    soap = await _take(parser.feed(piece), sink) or soap
            decoder.close()
            soap = await _take(parser.close(), sink) or soap
    except TimeoutError:
        raise NetworkFault("request-slow", "The request did not arrive in time.") from None
    deviations = dict.fromkeys(parser.deviations)
    multipart = content_type.media_type == MULTIPART_RELATED
    if not mtom:
        deviations.pop(Deviation.MTOM_NOT_USED, None)
        if multipart:
            deviations[Deviation.CONTENT_TYPE] = None
    if not multipart and content_type.media_type != SOAP_XML:
        deviations[Deviation.CONTENT_TYPE] = None
    return RequestBody(soap=soap, deviations=tuple(deviations))


async def _take(events: Iterable[Event], sink: DocumentSink | None) -> bytes:
    """Put attachments where they go; returns the SOAP part where it is among the events."""
    soap = b""
    for event in events:
        match event:
            case RootPart():
                soap = event.data
            case PartBegin() if sink is not None:
                await sink.begin()
            case PartData() if sink is not None:
                await sink.write(event.data)
            case PartEnd() if sink is not None:
                await sink.finish(event.content_id)
            case _:
                pass
    return soap


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


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise LimitError("message-too-large", f"The message is larger than {most} bytes.")
