"""A document that a FHIR server named: the content of its DocumentReference, or of a link in it."""

from __future__ import annotations

from node.console.clinic.not_opened import NotOpened, why
from node.console.clinic.request import ClinicRequest, FoundDocument
from node.errors import TheirFault
from node.exchange.call_inbox import CallInbox
from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_peer_ports import LinkedDocument
from node.exchange.ports import Inbox
from node.model import LegId, RetrievedDocument
from node.wire.fhir.attachment import Attachment, StatedContent, decoded

_CHUNK = 256 * 1024
_MOST_INSIDE = 64 * 1024 * 1024
"""Bytes of a document inside a resource; a search's answer has a lower limit of its own."""

_WRONG = {
    "fhir-attachment-changed": "{} listed this document with a size or a digest that it does not"
    " have, so it is not shown.",
    "fhir-attachment-empty": "{} listed this document without any content that can be read.",
}


async def from_resource(
    attachment: Attachment, document: FoundDocument, inbox: Inbox
) -> RetrievedDocument | NotOpened:
    """The content that stands in the DocumentReference, against what that says of it."""
    data = decoded(attachment.data, _MOST_INSIDE) or b""
    stated = StatedContent(attachment, _MOST_INSIDE)
    try:
        stated.feed(data)
        stated.close()
    except TheirFault as error:
        return NotOpened(code=error.code, sentence=_WRONG[error.code].format(document.organization))
    incoming = await inbox.begin()
    for start in range(0, len(data), _CHUNK):
        await incoming.write(data[start : start + _CHUNK])
    token, size, sha256 = await incoming.finish()
    return RetrievedDocument(
        ref=document.entry.ref,
        mime_type=document.entry.mime_type,
        size=size,
        sha256=sha256,
        token=token,
    )


async def from_link(
    attachment: Attachment,
    document: FoundDocument,
    asked: ClinicRequest,
    broker: FhirBroker,
    inbox: Inbox,
) -> tuple[RetrievedDocument | NotOpened, LegId]:
    """The content behind the link, and its leg: in the log before the content is ours."""
    call = CallInbox(inbox)
    known = asked.identity(document.identity)
    demographics = known.known.demographics if known else None
    person = (document.patient_id,) if document.patient_id else ()
    try:
        result = await broker.fetch(
            asked.principal,
            LinkedDocument(
                ref=document.entry.ref,
                attachment=attachment,
                person=person or (demographics.identifiers if demographics else ()),
            ),
            call,
            exchange_id=asked.exchange_id,
        )
    except BaseException:
        await call.discard_all()
        raise
    if result.answer is None:
        await call.discard_all()
        return why(document, [result.leg]), result.leg.leg_id
    return result.answer, result.leg.leg_id
