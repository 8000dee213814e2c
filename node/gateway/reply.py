"""Answers of the responding gateway: the envelope around a body, and the bytes that leave."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

from node.exchange.ports import Clock, OpenDocument
from node.wire.addressing import Addressing
from node.wire.content_type import soap_content_type
from node.wire.faults import Fault, build_fault
from node.wire.mtom_writer import MtomWriter
from node.wire.names import Operation
from node.wire.soap import build_response
from trust.wssecurity import build_response_security


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that may leave: its HTTP status, its SOAP part, and the documents behind it.

    ``attachments`` and ``writer`` are set for MTOM answers only; each attachment is the content id
    of its part and the opened document. ``closes`` ends the connection after it.
    """

    soap: bytes
    status: int = 200
    closes: bool = False
    writer: MtomWriter | None = None
    attachments: Sequence[tuple[str, OpenDocument]] = ()

    @property
    def content_type(self) -> str:
        """The HTTP Content-Type."""
        return self.writer.content_type if self.writer else soap_content_type()

    @property
    def length(self) -> int | None:
        """Bytes of the whole answer, or ``None`` while a document's size is not known."""
        if self.writer is None:
            return len(self.soap)
        parts = []
        for content_id, document in self.attachments:
            if document.entry.size is None:
                return None
            parts.append((content_id, document.entry.mime_type, document.entry.size))
        return self.writer.content_length(len(self.soap), parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of an MTOM answer in order; one chunk of one document is held at a time.

        What stands between two chunks leaves as one piece: each piece is a TLS record of its own.
        """
        writer = self.writer
        if writer is None:
            yield self.soap
            return
        try:
            between = writer.head(self.soap)
            for content_id, document in self.attachments:
                yield between + writer.part_head(content_id, document.entry.mime_type)
                async for chunk in document.chunks:
                    yield chunk
                between = writer.part_end()
            yield between + writer.tail()
        finally:  # also when the peer went away: a source must not keep its files open
            for _, document in self.attachments:
                if isinstance(document.chunks, AsyncGenerator):
                    await document.chunks.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every answer to one request has around its body.

    ``confirms`` is the request's endorsing signature, which eHealth Exchange peers expect to be
    confirmed (facts: ihe-wire 8.1).
    """

    clock: Clock
    request: Addressing = field(default_factory=Addressing)
    confirms: str | None = None

    def envelope(self, operation: Operation, body: bytes) -> bytes:
        """The answer's envelope: own MessageID, RelatesTo, Timestamp, SignatureConfirmation."""
        return build_response(
            request=self.request,
            action=operation.response_action,
            message_id=self._message_id(),
            body=body,
            security=build_response_security(
                now=self.clock.now(),
                timestamp_id=f"TS-{self.clock.new_id()}",
                confirms=self.confirms,
            ),
        )

    def fault(self, fault: Fault) -> bytes:
        """The envelope of a fault."""
        return build_fault(fault, request=self.request, message_id=self._message_id())

    def _message_id(self) -> str:
        return f"urn:uuid:{self.clock.new_id()}"
