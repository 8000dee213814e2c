"""Between the nouns of the node and the messages of ``exchange.proto``: pure, both ways."""

from __future__ import annotations

from typing import Any

from node.exchange.initiate import LegEnded, LegStarted
from node.exchange.questions import DocumentSearch
from node.model import (
    Address,
    Availability,
    Code,
    DeliveryAnswer,
    Demographics,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    DocumentType,
    Leg,
    Match,
    Outcome,
    PatientId,
    Peer,
    PersonName,
    QueryAnswer,
    RegistryError,
    RetrieveAnswer,
    RetrievedDocument,
    Severity,
    Telecom,
)
from protos.tefca_node.v1 import exchange_pb2 as pb

_OUTCOMES = {outcome: f"OUTCOME_{outcome.name}" for outcome in Outcome}


def to_demographics(message: Any) -> Demographics:
    """A person as a client describes them."""
    return Demographics(
        names=tuple(to_name(name) for name in message.names),
        birth_date=message.birth_date or None,
        sex=message.sex or None,
        addresses=tuple(
            Address(
                lines=tuple(a.lines),
                city=a.city or None,
                state=a.state or None,
                postal_code=a.postal_code or None,
                country=a.country or None,
            )
            for a in message.addresses
        ),
        telecoms=tuple(Telecom(value=value) for value in message.telecoms),
        identifiers=tuple(to_patient_id(i) for i in message.identifiers),
        mothers_maiden_name=(
            to_name(message.mothers_maiden_name)
            if message.HasField("mothers_maiden_name")
            else None
        ),
    )


def to_name(message: Any) -> PersonName:
    """A person's name."""
    return PersonName(
        family=message.family or None,
        given=tuple(message.given),
        prefix=message.prefix or None,
        suffix=message.suffix or None,
    )


def to_patient_id(message: Any) -> PatientId:
    """A patient identifier."""
    return PatientId(assigning_authority=message.assigning_authority, id=message.id)


def to_search(message: Any) -> DocumentSearch:
    """What is wanted of a patient's documents."""
    return DocumentSearch(
        since=message.since or None,
        until=message.until or None,
        on_demand=not message.without_on_demand,
        deprecated=message.with_deprecated,
    )


def from_demographics(person: Demographics) -> Any:
    """A person as the node knows them."""
    message = pb.Demographics(
        names=[from_name(name) for name in person.names],
        birth_date=person.birth_date or "",
        sex=person.sex or "",
        addresses=[
            pb.Address(
                lines=a.lines,
                city=a.city or "",
                state=a.state or "",
                postal_code=a.postal_code or "",
                country=a.country or "",
            )
            for a in person.addresses
        ],
        telecoms=[telecom.value for telecom in person.telecoms],
        identifiers=[from_patient_id(i) for i in person.identifiers],
    )
    if person.mothers_maiden_name:
        message.mothers_maiden_name.CopyFrom(from_name(person.mothers_maiden_name))
    return message


def from_name(name: PersonName) -> Any:
    """A person's name."""
    return pb.PersonName(
        family=name.family or "",
        given=name.given,
        prefix=name.prefix or "",
        suffix=name.suffix or "",
    )


def from_patient_id(patient: PatientId) -> Any:
    """A patient identifier."""
    return pb.PatientId(assigning_authority=patient.assigning_authority, id=patient.id)


def from_started(event: LegStarted) -> Any:
    """A leg that begins."""
    peer = event.entry.peer(event.transaction)
    return pb.Event(
        started=pb.LegStarted(peer=from_peer(peer), transaction=event.transaction.value)
    )


def from_leg(leg: Leg) -> Any:
    """How a leg ended, without what the peer gave."""
    message = pb.LegEnded(
        leg_id=leg.leg_id,
        exchange_id=leg.exchange_id,
        peer=from_peer(leg.peer),
        transaction=leg.transaction.value,
        outcome=from_outcome(leg.outcome),
        reason=leg.reason or "",
        sentence=leg.sentence or "",
        duration_ms=leg.duration_ms,
        errors=[_from_error(error) for error in leg.errors],
    )
    message.started.FromDatetime(leg.started)
    return message


def from_outcome(outcome: Outcome) -> Any:
    """An outcome."""
    return _OUTCOMES[outcome]


def from_ended(event: LegEnded) -> Any:
    """A leg that ended, with what the peer gave."""
    message, answer = from_leg(event.result.leg), event.result.answer
    match answer:
        case DiscoveryAnswer():
            message.matches.extend(_from_match(m) for m in answer.matches)
        case QueryAnswer():
            message.documents.extend(_from_entry(d) for d in answer.documents)
        case RetrieveAnswer():
            message.received.extend(_from_received(d) for d in answer.documents)
        case DeliveryAnswer() | None:
            pass  # what it says are the leg's errors
    return pb.Event(ended=message)


def to_ref(message: Any) -> DocumentRef:
    """The ids of a document."""
    return DocumentRef(
        home_community_id=message.home_community_id,
        repository_unique_id=message.repository_unique_id,
        document_unique_id=message.document_unique_id,
    )


def from_ref(ref: DocumentRef) -> Any:
    """The ids of a document."""
    return pb.DocumentRef(
        home_community_id=ref.home_community_id,
        repository_unique_id=ref.repository_unique_id,
        document_unique_id=ref.document_unique_id,
    )


def from_peer(peer: Peer) -> Any:
    """The other side of a leg."""
    return pb.Peer(
        organization_id=peer.organization_id,
        home_community_id=peer.home_community_id,
        name=peer.name,
    )


def _from_error(error: RegistryError) -> Any:
    return pb.RegistryError(
        code=error.code,
        context=error.context,
        warning=error.severity is Severity.WARNING,
        location=error.location or "",
    )


def _from_match(match: Match) -> Any:
    return pb.Match(
        patient_id=from_patient_id(match.patient_id),
        home_community_id=match.home_community_id,
        demographics=from_demographics(match.demographics),
        score=match.score,
        organization_name=match.organization_name or "",
    )


def _from_code(code: Code | None) -> Any:
    if code is None:
        return None
    return pb.Code(code=code.code, scheme=code.scheme, display=code.display or "")


def _from_entry(entry: DocumentEntry) -> Any:
    return pb.DocumentEntry(
        ref=from_ref(entry.ref),
        entry_uuid=entry.entry_uuid,
        patient_id=from_patient_id(entry.patient_id) if entry.patient_id else None,
        on_demand=entry.type is DocumentType.ON_DEMAND,
        deprecated=entry.status is Availability.DEPRECATED,
        mime_type=entry.mime_type,
        class_code=_from_code(entry.class_code),
        type_code=_from_code(entry.type_code),
        format_code=_from_code(entry.format_code),
        confidentiality=[_from_code(code) for code in entry.confidentiality],
        authors=[
            pb.Author(
                person=author.person or "",
                institutions=author.institutions,
                roles=author.roles,
                specialties=author.specialties,
            )
            for author in entry.authors
        ],
        title=entry.title or "",
        language=entry.language or "",
        creation_time=entry.creation_time or "",
        service_start=entry.service_start or "",
        service_stop=entry.service_stop or "",
        hash=entry.hash or "",
        size=entry.size,
    )


def _from_received(document: RetrievedDocument) -> Any:
    return pb.ReceivedDocument(
        ref=from_ref(document.ref),
        mime_type=document.mime_type,
        size=document.size,
        sha256=document.sha256,
    )
