"""Communities that have a FHIR server alone: found by ``$match``, asked for documents by FHIR.

What XCPD and XCA do not reach is asked through the broker, in the same exchange. Their resources
stay as they came, under their own addresses, but for links to documents at their own server: those
become links of ours, so that who asked gets the document through the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import orjson

from node.exchange.fhir_broker import FhirBroker, is_ended, is_located
from node.exchange.fhir_question import question_of
from node.exchange.network_handles import DocumentHandle
from node.exchange.network_ports import KnownAt
from node.exchange.network_serve import NetworkQuestion
from node.model import Demographics, DocumentRef, HomeCommunityId, Outcome, PatientId
from node.wire.fhir.attachment import Attachment, document_name
from node.wire.fhir.attachment_links import with_own_links
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.mhd_search import DocumentQuestion
from node.wire.fhir.peer_results import PeerResult

_TYPE = "DocumentReference"
_OURS = frozenset({"patient", "patient.identifier", "targetCommunityIdList"})
_ABOUT_THE_ANSWER = frozenset({"_count", "_sort", "_revinclude"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldThere:
    """A resource as a community's server gave it, under its address there."""

    home: HomeCommunityId
    full_url: str
    id: str
    date: str
    resource: bytes


class FhirPeersAlone:
    """Asks them."""

    def __init__(self, broker: FhirBroker) -> None:
        """``broker`` asks, and enters every request."""
        self._broker = broker

    async def find_patients(
        self, question: NetworkQuestion, asked: Demographics
    ) -> tuple[list[KnownAt], list[PeerResult]]:
        """Who of them knows a person, and how each answer ended."""
        known: list[KnownAt] = []
        results: list[PeerResult] = []
        events = self._broker.locate(question.principal, asked, exchange_id=question.exchange_id)
        async with aclosing(events):
            async for event in events:
                if is_located(event):
                    known.append(event.known)
                    results.append(
                        PeerResult(
                            home_community_id=event.entry.home_community_id,
                            name=event.entry.name,
                            outcome=Outcome.OK,
                        )
                    )
                elif is_ended(event):
                    answer = event.answer
                    results.append(
                        PeerResult(
                            home_community_id=answer.home_community_id,
                            name=answer.name,
                            outcome=answer.outcome,
                            reason=answer.reason,
                        )
                    )
        return known, results

    async def find_documents(
        self,
        question: NetworkQuestion,
        known: Sequence[KnownAt],
        wanted: DocumentQuestion,
        *,
        now: datetime,
    ) -> tuple[list[HeldThere], list[PeerResult], tuple[str, ...]]:
        """Their DocumentReferences, how each answer ended, and the parameters they cannot take.

        Where there is such a parameter nobody is asked: an answer without it would be wider than
        what was asked for.
        """
        conditions = [p for p in wanted.used if p[0] not in _OURS | _ABOUT_THE_ANSWER]
        taken = resource_types()[_TYPE].parameters
        beyond = tuple(dict.fromkeys(name for name, _ in conditions if name not in taken))
        if beyond or not known:
            return [], [], beyond if known else ()
        asked = question_of(_TYPE, conditions, now=now)
        events = self._broker.search(
            question.principal, known, asked, exchange_id=question.exchange_id
        )
        found: list[HeldThere] = []
        results: list[PeerResult] = []
        async with aclosing(events):
            async for event in events:
                if not is_ended(event):
                    continue
                answer = event.answer
                results.append(
                    PeerResult(
                        home_community_id=answer.home_community_id,
                        name=answer.name,
                        outcome=answer.outcome,
                        reason=answer.reason,
                    )
                )
                found += [
                    _held(answer.home_community_id, entry.full_url, entry.resource)
                    for entry in answer.entries
                    if entry.type == _TYPE and entry.mode == "match"
                ]
        return found, results, ()


def with_links(
    held: HeldThere, person: Sequence[PatientId], link_of: Callable[[DocumentHandle], str]
) -> bytes:
    """The resource with our links; ``person`` are identifiers of whom it is about there."""

    def link(place: int, attachment: Attachment) -> str:
        return link_of(
            DocumentHandle(
                ref=DocumentRef(
                    home_community_id=held.home,
                    repository_unique_id="",
                    document_unique_id=document_name(held.full_url, place),
                ),
                patient_id=None,
                mime_type=attachment.media_type or "",
                attachment=attachment,
                person=tuple(person),
            )
        )

    return with_own_links(held.resource, held.full_url, link)


def _held(home: HomeCommunityId, full_url: str, resource: bytes) -> HeldThere:
    content = orjson.loads(resource)
    return HeldThere(
        home=home,
        full_url=full_url,
        id=str(content.get("id")),
        date=str(content.get("date") or ""),
        resource=resource,
    )
