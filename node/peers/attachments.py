"""A document that a FHIR server gives, on its way into the inbox: bounded, and as it was listed.

It comes as it is, or inside a Binary resource where a server knows no other way; such a resource is
read whole, anything else goes into the inbox piece by piece.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from node.errors import LimitError
from node.exchange.fhir_binary import safe_media_type
from node.exchange.fhir_peer_ports import LinkedDocument
from node.exchange.ports import Inbox, Trace
from node.model import RetrievedDocument
from node.peers.attempt import HttpAnswer
from node.wire.fhir.attachment import Attachment, StatedContent, bare, binary_content, is_json

_MOST_JSON: Final = 96 * 1024 * 1024
"""Bytes of a resource that is read whole: it stands in memory, and once more decoded."""

_AROUND: Final = 64 * 1024


def accept_of(attachment: Attachment) -> str:
    """What is asked for: the type that was listed, else whatever there is."""
    listed = attachment.media_type
    if listed is None or safe_media_type(listed) != listed:
        return "*/*"
    return f"{listed}, */*;q=0.1"


def most_octets(document_bytes: int) -> int:
    """The limit of an answer whose document has at most ``document_bytes``: base64 is a third."""
    return document_bytes * 4 // 3 + _AROUND


async def stored(
    answer: HttpAnswer, document: LinkedDocument, trace: Trace, inbox: Inbox, *, most: int
) -> RetrievedDocument:
    """Take the document in.

    Args:
        answer: a successful one.
        document: what was listed.
        trace: is told the digest of the answer, and what of it was tolerated.
        inbox: where the document waits until its entry is durable.
        most: bytes of it that are taken.

    Raises:
        TheirFault: ``fhir-attachment-type``, ``-changed``, ``-empty``.
        LimitError: ``document-too-large``, ``message-too-large``.
        NodeError: of the connection, and of the inbox.
    """
    stated, media_type = StatedContent(document.attachment, most), bare(answer.content_type)
    digest = hashlib.sha256()
    body = _digested(answer.body, digest)
    if is_json(media_type):
        data = await _whole(body)
        wrapped = binary_content(data, most)
        content, media_type = wrapped if wrapped is not None else (data, media_type)
        body = _one(content)
    trace.note(*stated.check_type(media_type))
    incoming = await inbox.begin()
    try:
        async for chunk in body:
            stated.feed(chunk)
            await incoming.write(chunk)
        trace.note(*stated.close())
        token, size, sha256 = await incoming.finish()
    except BaseException:
        await incoming.abort()
        raise
    trace.evidence = replace(trace.evidence, response_digest=digest.digest())
    return RetrievedDocument(
        ref=document.ref,
        mime_type=document.attachment.media_type or safe_media_type(media_type),
        size=size,
        sha256=sha256,
        token=token,
    )


async def _digested(body: AsyncIterator[bytes], digest: hashlib._Hash) -> AsyncIterator[bytes]:
    async for chunk in body:
        digest.update(chunk)
        yield chunk


async def _whole(body: AsyncIterator[bytes]) -> bytes:
    data = bytearray()
    async for chunk in body:
        data += chunk
        if len(data) > _MOST_JSON:
            raise _too_large(_MOST_JSON)
    return bytes(data)


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _too_large(most: int) -> LimitError:
    return LimitError("document-too-large", f"A document is larger than {most} bytes.")
