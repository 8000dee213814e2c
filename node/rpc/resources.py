"""FHIR questions over gRPC: both directions of every message (``FindResources``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from node.exchange.fhir_events import FhirLegEnded, FhirLegStarted, Located
from node.exchange.fhir_question import parse_question
from node.exchange.fhir_whole import PeerSummary, WholeBundle, WholeEvent, WholeQuestion
from node.exchange.initiate import LegEnded, LegStarted
from node.exchange.network_ports import KnownAt
from node.exchange.ports import Clock
from node.model import HomeCommunityId, Interaction, Outcome
from node.rpc import convert
from node.rpc.convert_back import to_ended, to_entry, to_leg, to_started
from node.rpc.requests import InvalidRequest, read_known, read_person, read_targets
from node.wire.fhir.problem import FhirProblem
from protos.tefca_node.v1 import exchange_pb2 as pb

CHUNK = 256 * 1024


# --- at the node --------------------------------------------------------------------------------


def read_question(request: Any, clock: Clock) -> WholeQuestion:
    """A request. Raises ``InvalidRequest``."""
    known = read_known(request.known)
    has_person = request.HasField("demographics")
    if not has_person and not known:
        raise InvalidRequest("The request names neither a person nor where they are known.")
    try:
        question = parse_question(request.question, now=clock.now())
    except FhirProblem as problem:
        raise InvalidRequest(f"question: {problem.sentence}") from None
    return WholeQuestion(
        person=read_person(request.demographics) if has_person else None,
        known=tuple(known),
        targets=tuple(read_targets(request.targets)),
        question=question,
    )


def from_event(event: WholeEvent) -> Iterator[Any]:
    """The messages of an event."""
    match event:
        case LegStarted():
            yield pb.ResourceEvent(started=convert.from_started(event).started)
        case LegEnded():
            yield pb.ResourceEvent(ended=convert.from_ended(event).ended)
        case FhirLegStarted():
            peer = convert.from_peer(event.entry.fhir_peer(None))
            started = pb.LegStarted(peer=peer, transaction=event.interaction.value)
            yield pb.ResourceEvent(started=started)
        case FhirLegEnded():
            ended = convert.from_leg(event.result.leg)
            ended.resources = event.result.leg.documents
            yield pb.ResourceEvent(ended=ended)
        case Located():
            peer = convert.from_peer(event.entry.fhir_peer(None))
            located = pb.LocatedPatient(peer=peer, fhir_id=event.known.fhir_id or "")
            yield pb.ResourceEvent(located=located)
        case PeerSummary():
            yield pb.ResourceEvent(answer=_from_summary(event))
        case WholeBundle():
            for start in range(0, len(event.bundle), CHUNK):
                yield pb.ResourceEvent(bundle=event.bundle[start : start + CHUNK])
        case _:  # what a summary stands for
            return


def _from_summary(summary: PeerSummary) -> Any:
    return pb.PeerAnswer(
        peer=pb.Peer(home_community_id=summary.home_community_id, name=summary.name),
        outcome=convert.from_outcome(summary.outcome),
        reason=summary.reason or "",
        sentence=summary.sentence or "",
        cut=summary.cut or "",
        resources=summary.resources,
        put_aside=summary.put_aside,
        pages=summary.pages,
    )


# --- at the caller ------------------------------------------------------------------------------


def from_known(known: KnownAt) -> Any:
    """Where the person is known."""
    message = pb.KnownResourcePatient(
        home_community_id=known.home_community_id, fhir_id=known.fhir_id or ""
    )
    if known.patient_id is not None:
        message.patient_id.CopyFrom(convert.from_patient_id(known.patient_id))
    return message


def to_event(message: Any) -> WholeEvent:
    """An event that is no piece of the Bundle."""
    match message.WhichOneof("kind"):
        case "started":
            return _to_started(message.started)
        case "ended":
            return _to_ended(message.ended)
        case "located":
            entry = to_entry(message.located.peer)
            home = entry.home_community_id
            known = KnownAt(home_community_id=home, fhir_id=message.located.fhir_id)
            return Located(entry=entry, known=known)
    return _to_summary(message.answer)


def _to_started(message: Any) -> WholeEvent:
    if message.transaction not in tuple(Interaction):
        return to_started(message)
    entry, interaction = to_entry(message.peer), Interaction(message.transaction)
    return FhirLegStarted(entry=entry, interaction=interaction)


def _to_ended(message: Any) -> WholeEvent:
    if message.transaction not in tuple(Interaction):
        return to_ended(message)
    interaction = Interaction(message.transaction)
    result = to_leg(message, interaction)
    leg = replace(result.leg, documents=message.resources)
    return FhirLegEnded(result=replace(result, leg=leg), interaction=interaction)


def _to_summary(message: Any) -> PeerSummary:
    return PeerSummary(
        home_community_id=HomeCommunityId(message.peer.home_community_id),
        name=message.peer.name,
        outcome=Outcome[pb.Outcome.Name(message.outcome).removeprefix("OUTCOME_")],
        reason=message.reason or None,
        sentence=message.sentence or None,
        cut=message.cut or None,
        resources=message.resources,
        put_aside=message.put_aside,
        pages=message.pages,
    )
