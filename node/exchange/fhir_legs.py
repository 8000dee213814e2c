"""The legs of FHIR questions: one request to one peer's server, one entry in the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from node.exchange import private
from node.exchange.fhir_peer_ports import FhirEndpoint, FhirPeers, LinkedDocument
from node.exchange.leg_runner import Asking, LegResult, LegRunner, Question
from node.exchange.outcomes import Ending
from node.exchange.ports import Call, Inbox, PeerEntry, Trace
from node.model import (
    Demographics,
    Interaction,
    Outcome,
    PatientId,
    Principal,
    PrivateFacts,
    RetrievedDocument,
)
from node.policy.decide import Decision
from node.wire.fhir.catalogue import ResourceType, resource_types
from node.wire.fhir.match_question import write_match_question
from node.wire.fhir.query import Pair
from node.wire.fhir.searchset_reader import Asked, ReadEntry, Searchset, read_searchset


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSearch:
    """One page of a search at one peer.

    Attributes:
        type: what is searched.
        pairs: the parameters, or
        link: the link to follow.
        patient: id of the Patient there, whom everything has to be about.
        person: identifiers of the person, for the private record.
    """

    type: ResourceType
    pairs: Sequence[Pair] = ()
    link: str | None = None
    patient: str | None = None
    person: tuple[PatientId, ...] = ()


class FhirLegs:
    """Runs legs over the peers it is given."""

    def __init__(self, *, runner: LegRunner, peers: FhirPeers) -> None:
        """``runner`` decides, waits and enters; ``peers`` are asked."""
        self._runner = runner
        self._peers = peers

    def may_ask(self, principal: Principal) -> Decision:
        """As ``LegRunner.may_ask``."""
        return self._runner.may_ask(principal)

    async def search(
        self, asking: Asking, entry: PeerEntry, search: PeerSearch
    ) -> LegResult[Searchset]:
        """One page of a search."""
        type_, pairs, link = search.type, search.pairs, search.link

        async def send(call: Call, trace: Trace) -> bytes:
            if link is not None:
                return await self._peers.follow(entry, link, call, trace)
            return await self._peers.search(entry, type_.name, pairs, call, trace)

        asked: dict[str, object] = {"type": type_.name}
        if link is not None:
            asked["page"] = hashlib.sha256(link.encode()).hexdigest()
        else:
            asked["parameters"] = [[name, value] for name, value in pairs]
        return await self._run(
            asking,
            entry,
            _Sent(
                step=Interaction.SEARCH,
                type=type_,
                patient=search.patient,
                person=search.person,
                send=send,
                query=asked,
            ),
        )

    async def match(
        self, asking: Asking, entry: PeerEntry, demographics: Demographics
    ) -> LegResult[Searchset]:
        """``$match`` for the one person who matches with certainty."""
        parameters = write_match_question(demographics)
        return await self._run(
            asking,
            entry,
            _Sent(
                step=Interaction.MATCH,
                type=resource_types()["Patient"],
                patient=None,
                person=demographics.identifiers,
                send=lambda call, trace: self._peers.match(entry, parameters, call, trace),
                query=private.of_demographics(demographics),
            ),
        )

    async def fetch(
        self, asking: Asking, entry: PeerEntry, document: LinkedDocument, inbox: Inbox
    ) -> LegResult[RetrievedDocument]:
        """The content of one attachment, by its link."""
        at, attachment = _At.of(self._peers.endpoint(entry)), document.attachment

        def facts(came: RetrievedDocument | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query={"type": "Binary", "url": attachment.url},
                patient=private.of_patients(document.person),
                docs=private.of_retrieved([came] if came else []),
            )

        question = Question(
            step=Interaction.READ,
            peer=entry.fhir_peer(at.base_url or None),
            responds=at.responds,
            no_route=at.no_route,
            send=lambda call, trace: self._peers.fetch(entry, document, call, trace, inbox),
            ending=lambda _came: Ending(outcome=Outcome.OK, documents=1),
            private=facts,
        )
        return await self._runner.run(asking, entry, question)

    async def _run(self, asking: Asking, entry: PeerEntry, sent: _Sent) -> LegResult[Searchset]:
        at = _At.of(self._peers.endpoint(entry))

        async def send(call: Call, trace: Trace) -> Searchset:
            data = await sent.send(call, trace)
            asked = Asked(base_url=at.base_url, type=sent.type, patient=sent.patient)
            page = read_searchset(data, asked)
            trace.note(*page.deviations)
            return page

        def facts(page: Searchset | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query=sent.query,
                patient=private.of_patients(sent.person),
                docs=_named(page),
            )

        question = Question(
            step=sent.step,
            peer=entry.fhir_peer(at.base_url or None),
            responds=at.responds,
            no_route=at.no_route,
            send=send,
            ending=of_searchset,
            private=facts,
        )
        return await self._runner.run(asking, entry, question)


@dataclass(frozen=True, slots=True, kw_only=True)
class _At:
    """Where a peer's FHIR server is, or that there is none."""

    base_url: str = ""
    responds: frozenset[str] = frozenset()
    no_route: str | None = "The directory has no FHIR endpoint of this community."

    @classmethod
    def of(cls, endpoint: FhirEndpoint | None) -> _At:
        if endpoint is None:
            return cls()
        return cls(base_url=endpoint.base_url, responds=endpoint.responds, no_route=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What is sent, and what is entered of it."""

    step: Interaction
    type: ResourceType
    patient: str | None
    person: tuple[PatientId, ...]
    send: Callable[[Call, Trace], Awaitable[bytes]]
    query: dict[str, object]


def of_searchset(page: Searchset) -> Ending:
    """How a page ends its leg."""
    if page.quarantined:
        first, count = page.quarantined[0], len(page.quarantined)
        return Ending(
            outcome=Outcome.PARTIAL,
            reason="fhir-entries-unfit",
            sentence=f"{count} entries could not be passed on: {first.sentence}",
            documents=len(page.entries),
        )
    outcome = Outcome.OK if page.entries else Outcome.OK_EMPTY
    return Ending(outcome=outcome, documents=len(page.entries))


def _named(page: Searchset | None) -> list[dict[str, object]]:
    """Group ``docs``: the resources that came, with the digest of their bytes."""
    if page is None:
        return []
    return [
        {"id": _name(entry), "sha256": hashlib.sha256(entry.resource).hexdigest()}
        for entry in page.entries
    ]


def _name(entry: ReadEntry) -> str:
    """``Type/id``, or the ``urn:`` of what has none."""
    if entry.full_url.startswith("urn:"):
        return entry.full_url
    return f"{entry.type}/{entry.full_url.rpartition('/')[2]}"
