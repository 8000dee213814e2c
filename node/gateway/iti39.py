"""ITI-39 at the responding gateway: the documents follow the SOAP part as MTOM attachments.

The SOAP part is built first and its ledger entry written; only then are the documents' bytes read,
piece by piece, as fast as the peer takes them (ITI TF-2 3.39.4.1, 3.43.5).
"""

from __future__ import annotations

from node.errors import LimitError
from node.exchange.respond import ServedDocuments
from node.gateway.reply import Reply
from node.gateway.responding import GatewayIdentity, Served, Understood
from node.model import DocumentRef, Transaction
from node.wire.mtom_writer import MtomWriter
from node.wire.names import OPERATIONS
from node.wire.retrieve import DocumentPart, build_retrieve_response, parse_retrieve_request
from node.wire.soap import Envelope
from node.wire.xml import serialize

_OPERATION = OPERATIONS[Transaction.ITI_39]


def read(envelope: Envelope, own: GatewayIdentity) -> Understood:
    """Read a request.

    Raises:
        WireError: when it is no RetrieveDocumentSetRequest.
        LimitError: ``too-many-documents``.
    """
    refs, deviations = parse_retrieve_request(envelope.body)
    if len(refs) > own.documents_per_request:
        raise LimitError(
            "too-many-documents",
            f"At most {own.documents_per_request} documents may be asked for at a time.",
        )

    async def answer(served: Served) -> Reply:
        stamp = served.clock.new_id()

        def encode(found: ServedDocuments) -> bytes:
            parts = [
                DocumentPart(
                    ref=DocumentRef(
                        home_community_id=document.home_community_id or own.home_community_id,
                        repository_unique_id=document.repository_unique_id,
                        document_unique_id=document.unique_id,
                    ),
                    mime_type=document.mime_type,
                    content_id=_content_id(stamp, place),
                )
                for place, document in enumerate(found.documents)
            ]
            body = build_retrieve_response(
                found.status, parts, found.errors, home=own.home_community_id
            )
            return served.frame.envelope(_OPERATION, serialize(body))

        soap, opened = await served.responding.retrieve(served.inbound, refs, encode)
        return Reply(
            soap=soap,
            writer=MtomWriter(boundary=f"node-{stamp}", root_cid=f"soap-{stamp}@node"),
            attachments=tuple(
                (_content_id(stamp, place), document) for place, document in enumerate(opened)
            ),
        )

    return Understood(deviations=tuple(str(d) for d in deviations), answer=answer)


def _content_id(stamp: str, place: int) -> str:
    return f"document-{place}-{stamp}@node"
