"""Documents made ready to be pushed to other communities (``exchange.deliver``). Pure.

Their metadata is what we would answer a query with: what a document says of itself, and where XDS
wants more than it says, the assumed values of ``entries``.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from node.errors import SettingsError, WireError
from node.exchange.deliver import Delivery, OutgoingDocument
from node.model import Author, Demographics, PatientId, Principal
from node.records.entries import (
    Community,
    Content,
    derived_id,
    entry_of,
    source_patient_info,
)
from node.records.likeness import likeness
from node.wire import document_codes
from node.wire.cda import read_document
from node.wire.document_facts import DocumentFacts
from node.wire.identifiers import Institution, bare_oid, build_xon
from node.wire.submission_set import SubmissionSet
from node.wire.timestamps import instant

Chunks = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A document that somebody wants to send: what is known of it, and its bytes."""

    facts: DocumentFacts
    content: Content
    chunks: Chunks


def content_of(data: bytes) -> Content:
    """Digests and size of bytes at hand."""
    return Content(
        sha1=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )


def in_memory(data: bytes) -> Chunks:
    """Bytes at hand, as they are sent."""

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    return chunks


def read_outgoing(
    data: bytes,
    *,
    mime_type: str | None,
    person: Demographics | None = None,
    type_: str | None = None,
    title: str | None = None,
) -> Outgoing:
    """A document as it is sent: a C-CDA tells what it is itself, of any other it has to be said.

    Args:
        data: its bytes.
        mime_type: what it is; ``None`` for what is no C-CDA of an unknown kind.
        person: whom it is about; of a C-CDA, who must not be somebody else.
        type_: its LOINC code, and
        title: what people call it; a C-CDA has its own.

    Raises:
        SettingsError: ``delivery-person``, ``delivery-type-missing``, ``delivery-kind``.
    """
    content = content_of(data)
    facts = _of_cda(data)
    if facts is not None:
        if person is not None and likeness(person, facts.patient).contradicts:
            raise SettingsError(
                "delivery-person", "A document's own header is about another person."
            )
        return Outgoing(facts=facts, content=content, chunks=in_memory(data))
    if mime_type is None:
        raise SettingsError("delivery-kind", "A file is neither a C-CDA nor of a known kind.")
    if person is None or not person.names:
        raise SettingsError(
            "delivery-person", "A document that is no C-CDA does not say whom it is about."
        )
    if not type_:
        raise SettingsError("delivery-type-missing", "A document does not say of what type it is.")
    coded = document_codes.type_code(type_)
    facts = DocumentFacts(
        patient=person,
        mime_type=mime_type,
        unique_id=derived_id(content),
        type_code=coded,
        class_code=document_codes.class_code(coded),
        format_code=document_codes.plain_format(),
        title=title,
    )
    return Outgoing(facts=facts, content=content, chunks=in_memory(data))


def _of_cda(data: bytes) -> DocumentFacts | None:
    try:
        return read_document(data)
    except WireError:
        return None


def delivery_of(
    documents: Sequence[Outgoing],
    *,
    community: Community,
    principal: Principal,
    now: datetime,
    new_id: Callable[[], str],
    set_id: str | None = None,
) -> Delivery:
    """One submission of documents about one person.

    Args:
        documents: at least one.
        community: ours.
        principal: who sends them: the submission's author.
        now: when.
        new_id: gives new UUIDs.
        set_id: an OID for the submission set where it has one already: who sends the same again
            does not make another.

    Raises:
        SettingsError: ``delivery-person`` when they are about two people, or name nobody by an id;
            ``delivery-type-missing`` when a document does not say what it is.
    """
    people = [each.facts.patient for each in documents]
    if any(likeness(people[0], other).contradicts for other in people[1:]):
        raise SettingsError(
            "delivery-person", "The documents are about two people; one delivery is about one."
        )
    source = next((found for each in documents if (found := _source_id(each.facts))), None)
    if source is None:
        raise SettingsError(
            "delivery-person", "Nothing names the person by an id of the source (id^^^&oid&ISO)."
        )
    sent = tuple(_outgoing(each, community, source, now) for each in documents)
    submission = SubmissionSet(
        entry_uuid=f"urn:uuid:{new_id()}",
        unique_id=set_id or f"2.25.{UUID(new_id()).int}",
        source_id=bare_oid(community.home_community_id),
        submission_time=instant(now),
        content_type=sent[0].entry.class_code,
        authors=(_author(principal, community),),
    )
    return Delivery(submission_set=submission, documents=sent)


def _outgoing(
    document: Outgoing, community: Community, source: PatientId, now: datetime
) -> OutgoingDocument:
    facts = document.facts
    if facts.type_code is None:
        raise SettingsError("delivery-type-missing", "A document does not say of what type it is.")
    entry, _ = entry_of(facts, document.content, community)
    person = _named(facts.patient, source)
    return OutgoingDocument(
        entry=replace(
            entry,
            # when it was made is not known: it is not older than its sending
            creation_time=entry.creation_time or instant(now),
            source_patient_id=source,
            source_patient_info=source_patient_info(person),
        ),
        sha256=document.content.sha256,
        chunks=document.chunks,
    )


def _source_id(facts: DocumentFacts) -> PatientId | None:
    return facts.source_patient_id or next(iter(facts.patient.identifiers), None)


def _named(person: Demographics, source: PatientId) -> Demographics:
    return replace(person, identifiers=tuple(dict.fromkeys((source, *person.identifiers))))


def _author(principal: Principal, community: Community) -> Author:
    name = principal.subject_id.replace("^", " ").replace("&", " ")
    institution = Institution(name=principal.organization, id=bare_oid(community.home_community_id))
    return Author(person=f"^{name}", institutions=(build_xon(institution),))
