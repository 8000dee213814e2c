"""From the service's messages back to events, for clients that share the node's nouns (the CLI).

What the messages do not carry is absent in the values: addresses and purposes of a peer, the rarer
metadata of a document.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from node.exchange.initiate import LegEnded, LegStarted
from node.exchange.leg_runner import LegResult
from node.exchange.ports import PeerEntry
from node.model import (
    Author,
    Availability,
    Code,
    DeliveryAnswer,
    Direction,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentType,
    ExchangeId,
    HomeCommunityId,
    Leg,
    LegId,
    Match,
    MatchStatus,
    Outcome,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    RetrieveAnswer,
    RetrievedDocument,
    Severity,
    Step,
    Transaction,
)
from node.rpc.convert import to_demographics, to_patient_id, to_ref
from protos.tefca_node.v1 import exchange_pb2 as pb


def to_started(message: Any) -> LegStarted:
    """A leg that begins."""
    return LegStarted(entry=to_entry(message.peer), transaction=Transaction(message.transaction))


def to_ended(message: Any, received: Sequence[RetrievedDocument] = ()) -> LegEnded:
    """A leg that ended; ``received`` are its documents once all their chunks are here."""
    transaction = Transaction(message.transaction)
    bare = to_leg(message, transaction)
    leg, entry = bare.leg, bare.entry
    outcome, errors = leg.outcome, leg.errors
    status = _STATUS.get(outcome, ResponseStatus.FAILURE)
    match transaction:
        case Transaction.ITI_55:
            matches = tuple(_to_match(m) for m in message.matches)
            found = MatchStatus.OK if matches else MatchStatus.NF
            discovered = DiscoveryAnswer(status=found, matches=matches)
            return LegEnded(result=LegResult(leg=leg, entry=entry, answer=discovered))
        case Transaction.ITI_38:
            documents = tuple(_to_document(d) for d in message.documents)
            listed = QueryAnswer(status=status, documents=documents, errors=errors)
            return LegEnded(result=LegResult(leg=leg, entry=entry, answer=listed))
        case Transaction.ITI_39:
            came = RetrieveAnswer(status=status, documents=tuple(received), errors=errors)
            return LegEnded(result=LegResult(leg=leg, entry=entry, answer=came))
        case Transaction.ITI_80:
            said = DeliveryAnswer(status=status, errors=errors)
            return LegEnded(result=LegResult(leg=leg, entry=entry, answer=said))


def to_leg(message: Any, step: Step) -> LegResult[Any]:
    """A leg that ended, without what the peer gave."""
    entry = to_entry(message.peer)
    leg = Leg(
        leg_id=LegId(message.leg_id),
        exchange_id=ExchangeId(message.exchange_id),
        direction=Direction.INITIATING,
        transaction=step,
        peer=entry.peer(step),
        outcome=Outcome[pb.Outcome.Name(message.outcome).removeprefix("OUTCOME_")],
        reason=message.reason or None,
        sentence=message.sentence or None,
        started=message.started.ToDatetime(tzinfo=UTC),
        duration_ms=message.duration_ms,
        documents=len(message.documents) + len(message.received),
        errors=tuple(_to_error(error) for error in message.errors),
    )
    return LegResult(leg=leg, entry=entry)


_STATUS = {
    Outcome.OK: ResponseStatus.SUCCESS,
    Outcome.OK_EMPTY: ResponseStatus.SUCCESS,
    Outcome.PARTIAL: ResponseStatus.PARTIAL_SUCCESS,
}


def to_entry(peer: Any) -> PeerEntry:
    """The peer of an event, as far as it is told."""
    return PeerEntry(
        organization_id=peer.organization_id,
        home_community_id=HomeCommunityId(peer.home_community_id),
        name=peer.name,
        active=True,
        initiates=frozenset(),
        responds={},
        addresses={},
    )


def _to_error(error: Any) -> RegistryError:
    return RegistryError(
        code=error.code,
        context=error.context,
        severity=Severity.WARNING if error.warning else Severity.ERROR,
        location=error.location or None,
    )


def _to_match(match: Any) -> Match:
    return Match(
        patient_id=to_patient_id(match.patient_id),
        home_community_id=HomeCommunityId(match.home_community_id),
        demographics=to_demographics(match.demographics),
        score=match.score if match.HasField("score") else None,
        organization_name=match.organization_name or None,
    )


def _to_code(message: Any, field: str) -> Code | None:
    if not message.HasField(field):
        return None
    return _code(getattr(message, field))


def _code(code: Any) -> Code:
    return Code(code=code.code, scheme=code.scheme, display=code.display or None)


def _to_document(entry: Any) -> DocumentEntry:
    ref = to_ref(entry.ref)
    return DocumentEntry(
        entry_uuid=entry.entry_uuid,
        unique_id=ref.document_unique_id,
        repository_unique_id=ref.repository_unique_id,
        home_community_id=ref.home_community_id or None,
        patient_id=to_patient_id(entry.patient_id) if entry.HasField("patient_id") else None,
        type=DocumentType.ON_DEMAND if entry.on_demand else DocumentType.STABLE,
        status=Availability.DEPRECATED if entry.deprecated else Availability.APPROVED,
        mime_type=entry.mime_type,
        class_code=_to_code(entry, "class_code"),
        type_code=_to_code(entry, "type_code"),
        format_code=_to_code(entry, "format_code"),
        confidentiality=tuple(_code(code) for code in entry.confidentiality),
        authors=tuple(
            Author(
                person=author.person or None,
                institutions=tuple(author.institutions),
                roles=tuple(author.roles),
                specialties=tuple(author.specialties),
            )
            for author in entry.authors
        ),
        title=entry.title or None,
        language=entry.language or None,
        creation_time=entry.creation_time or None,
        service_start=entry.service_start or None,
        service_stop=entry.service_stop or None,
        hash=entry.hash or None,
        size=entry.size if entry.HasField("size") else None,
    )
