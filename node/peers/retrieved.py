"""Which stored part is which document of an ITI-39 answer."""

from __future__ import annotations

from collections.abc import Sequence

from node.exchange.document_sink import DocumentSink, StoredPart
from node.model import DocumentRef, RetrieveAnswer, RetrievedDocument
from node.peers.answer import AnswerDeviation
from node.wire.identifiers import same_community
from node.wire.mtom import find_part
from node.wire.retrieve import RetrieveHead, RetrieveItem


async def collect(
    head: RetrieveHead, refs: Sequence[DocumentRef], sink: DocumentSink
) -> tuple[RetrieveAnswer, tuple[str, ...]]:
    """The answer with its documents, each kept in the inbox, and the deviations.

    A document that nobody asked for, or that comes a second time, is not kept; the answer names
    the document by the ids that were asked for, whatever form the peer repeats them in.

    Raises:
        WireError: ``mtom-part-missing`` when the message refers to a part that did not come.
        NodeError: of the inbox, for inline documents.
    """
    wanted = list(refs)
    documents: list[RetrievedDocument] = []
    deviations: dict[str, None] = {}
    claimed: set[str] = set()
    for item in head.items:
        asked = next((ref for ref in wanted if _same(ref, item.ref)), None)
        if asked is None:
            repeated = any(_same(ref, item.ref) for ref in refs)
            deviations[
                AnswerDeviation.DOCUMENT_REPEATED
                if repeated
                else AnswerDeviation.DOCUMENT_UNREQUESTED
            ] = None
            continue
        part = await _part(item, sink, claimed)
        if part is None:
            continue
        wanted.remove(asked)
        claimed.add(part.token)
        documents.append(
            RetrievedDocument(
                ref=asked,
                mime_type=item.mime_type,
                size=part.size,
                sha256=part.sha256,
                token=part.token,
            )
        )
    for document in documents:
        sink.release(document.token)
    answer = RetrieveAnswer(status=head.status, documents=tuple(documents), errors=head.errors)
    return answer, tuple(str(one) for one in deviations)


async def _part(item: RetrieveItem, sink: DocumentSink, claimed: set[str]) -> StoredPart | None:
    if item.content_id is not None:
        part = sink.parts[find_part(item.content_id, sink.parts)]
        # Two documents may share a part on the wire; in the inbox each has bytes of its own.
        return await sink.copy(part) if part.token in claimed else part
    if item.inline is not None:
        return await sink.store(item.inline)
    return None


def _same(asked: DocumentRef, given: DocumentRef) -> bool:
    """Whether an answered document is one that was asked for; forms of an id may differ."""
    same_document = _bare(asked.document_unique_id) == _bare(given.document_unique_id)
    same_repository = _bare(asked.repository_unique_id) == _bare(given.repository_unique_id)
    same_home = (
        not given.home_community_id
        or given.home_community_id == asked.home_community_id
        or same_community(given.home_community_id, asked.home_community_id)
    )
    return same_document and same_repository and same_home


def _bare(text: str) -> str:
    lower = text.lower()
    for prefix in ("urn:oid:", "urn:uuid:"):
        lower = lower.removeprefix(prefix)
    return lower
