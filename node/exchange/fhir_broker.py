"""One FHIR question to many peers: whom to ask, in parallel with a deadline, answers as they come.

``ask`` does all of it for a person: discovery (ITI-55) where a community answers that, the Patient
at each FHIR server, the search there, page after page. ``locate`` and ``search`` are its two halves
for whoever keeps what is known of a person in between. Every question is one exchange; each request
in it is a leg with a ledger entry that is durable before the answer is used, and each community
ends as one ``PeerEnded``, past the deadline as well (DESIGN law 5).

Typical use, with ``fhir_merge.merge`` and ``fhir_merged_writer.write_merged`` after it::

    question = parse_question("Observation?category=laboratory", now=clock.now())
    answers = [e.answer async for e in broker.ask(principal, person, question) if is_ended(e)]
    bundle = write_merged(merge(answers), own=own, now=clock.now(), new_id=clock.new_id)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeGuard

from node.exchange.fanout import Job, fan_out
from node.exchange.fhir_events import FhirEvent, Located, PeerEnded
from node.exchange.fhir_gather import Budget, Gatherer, GatherLimits
from node.exchange.fhir_legs import FhirLegs
from node.exchange.fhir_locate import Emit, Locator, Whom
from node.exchange.fhir_merge import PeerAnswer
from node.exchange.fhir_peer_ports import FhirPeers, LinkedDocument
from node.exchange.fhir_question import FhirQuestion
from node.exchange.initiate import Initiator, LegEnded
from node.exchange.leg_runner import Asking, LegResult
from node.exchange.network_ports import KnownAt
from node.exchange.ports import Clock, DirectoryView, Inbox, PeerEntry
from node.model import (
    Demographics,
    DiscoveryAnswer,
    ExchangeId,
    HomeCommunityId,
    Leg,
    Outcome,
    PatientId,
    PatientQuery,
    Principal,
    RetrievedDocument,
    Transaction,
)
from node.policy.decide import Decision

_MOMENT = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLimits:
    """How widely we ask: peers at a time, seconds for a whole question and for discovery in it.

    ``retrieve_seconds`` for one document with its attempts.
    """

    concurrency: int = 200
    seconds: float = 120.0
    discovery_seconds: float = 60.0
    retrieve_seconds: float = 300.0
    gather: GatherLimits = field(default_factory=GatherLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What is asked for a person, and what of the exchange all its jobs share."""

    asking: Asking
    demographics: Demographics | None
    question: FhirQuestion | None
    budget: Budget
    taken: set[tuple[HomeCommunityId, PatientId | None]] = field(default_factory=set)


class FhirBroker:
    """Asks the FHIR servers of peers for our own users and systems."""

    def __init__(
        self,
        *,
        legs: FhirLegs,
        peers: FhirPeers,
        initiator: Initiator,
        directory: DirectoryView,
        clock: Clock,
        limits: BrokerLimits | None = None,
    ) -> None:
        """``initiator`` discovers people by ITI-55."""
        self._legs = legs
        self._peers = peers
        self._initiator = initiator
        self._directory = directory
        self._clock = clock
        self._limits = limits or BrokerLimits()
        self._locator = Locator(legs)
        self._gatherer = Gatherer(legs, self._limits.gather)

    def may_ask(self, principal: Principal) -> Decision:
        """Whether our own directory entry lists the purpose; a caller refuses early with it."""
        return self._legs.may_ask(principal)

    def ask(
        self,
        principal: Principal,
        demographics: Demographics,
        question: FhirQuestion,
        *,
        targets: Sequence[HomeCommunityId] = (),
        seconds: float | None = None,
        exchange_id: ExchangeId | None = None,
    ) -> AsyncGenerator[FhirEvent, None]:
        """Find the person and ask the question, each peer at its own pace.

        Asked are all communities that answer discovery or have a FHIR server, or the ``targets``
        alone. One that knows the person and has no FHIR server ends as failed with
        ``fhir-endpoint-missing``: what it holds can be had as documents.
        ``exchange_id`` joins the legs to an exchange that has others; so in the next two.
        """
        search = self._begun(principal, demographics, question, seconds, exchange_id)

        def job(entry: PeerEntry) -> Job[FhirEvent]:
            async def run(emit: Emit) -> None:
                for known in await self._discover(search, entry, emit):
                    await self._one(search, known, emit)

            return run

        jobs = [job(entry) for entry in self._communities(targets)]
        return fan_out(jobs, concurrency=self._limits.concurrency)

    def alone(self) -> Sequence[PeerEntry]:
        """The communities that have a FHIR server alone: discovery does not reach them."""
        found = self._peers.communities()
        return [entry for entry in found if Transaction.ITI_55 not in entry.addresses]

    def locate(
        self,
        principal: Principal,
        demographics: Demographics,
        known: Sequence[KnownAt] = (),
        *,
        seconds: float | None = None,
        exchange_id: ExchangeId | None = None,
    ) -> AsyncGenerator[FhirEvent, None]:
        """Find the person's Patient at FHIR servers; what is found comes as ``Located``.

        Asked are the communities of ``known`` (what discovery gave) that have a FHIR server, and
        by ``$match`` those that have a FHIR server alone and could not be discovered.
        """
        search = self._begun(principal, demographics, None, seconds, exchange_id)
        homes = {each.home_community_id for each in known}
        only_fhir = [
            KnownAt(home_community_id=entry.home_community_id)
            for entry in self.alone()
            if entry.home_community_id not in homes
        ]
        return self._run(search, (*known, *only_fhir))

    def search(
        self,
        principal: Principal,
        known: Sequence[KnownAt],
        question: FhirQuestion,
        *,
        demographics: Demographics | None = None,
        seconds: float | None = None,
        exchange_id: ExchangeId | None = None,
    ) -> AsyncGenerator[FhirEvent, None]:
        """Ask the question at each community where the person is known.

        Where a ``fhir_id`` is missing it is looked up first, by ``patient_id`` and, where they are
        given, by the ``demographics``.
        """
        return self._run(
            self._begun(principal, demographics, question, seconds, exchange_id), known
        )

    async def fetch(
        self,
        principal: Principal,
        document: LinkedDocument,
        inbox: Inbox,
        *,
        seconds: float | None = None,
        exchange_id: ExchangeId | None = None,
    ) -> LegResult[RetrievedDocument]:
        """Have a document that a search named by a link; its entry is durable when this ends.

        A link that leads off the community's own FHIR server is not followed, nor is a redirect.
        """
        limit = seconds or self._limits.retrieve_seconds
        asking = self._begun(principal, None, None, limit, exchange_id).asking
        entry = self._entry(document.ref.home_community_id)
        return await self._legs.fetch(asking, entry, document, inbox)

    # --- the steps ----------------------------------------------------------------------------

    def _run(self, search: _Search, known: Sequence[KnownAt]) -> AsyncGenerator[FhirEvent, None]:
        def job(known: KnownAt) -> Job[FhirEvent]:
            async def run(emit: Emit) -> None:
                await self._one(search, known, emit)

            return run

        return fan_out([job(each) for each in known], concurrency=self._limits.concurrency)

    async def _discover(self, search: _Search, entry: PeerEntry, emit: Emit) -> list[KnownAt]:
        """What a community calls the person, and whom else it names; its end where it does not."""
        home = entry.home_community_id
        if Transaction.ITI_55 not in entry.addresses or search.demographics is None:
            return [KnownAt(home_community_id=home)]
        left = search.asking.deadline - self._clock.monotonic()
        events = self._initiator.find_patients(
            search.asking.principal,
            PatientQuery(demographics=search.demographics),
            targets=[home],
            seconds=max(min(left, self._limits.discovery_seconds), _MOMENT),
            exchange_id=search.asking.exchange_id,
        )
        found: dict[KnownAt, None] = {}
        async with aclosing(events):
            async for event in events:
                emit(event)
                if not isinstance(event, LegEnded):
                    continue
                answer = event.result.answer
                matches = answer.matches if isinstance(answer, DiscoveryAnswer) else ()
                for match in matches:
                    known = KnownAt(
                        home_community_id=match.home_community_id or home,
                        patient_id=match.patient_id,
                        demographics=match.demographics,
                    )
                    found[known] = None
                if not matches:
                    emit(PeerEnded(answer=_undiscovered(entry, event.result.leg)))
        return list(found)

    async def _one(self, search: _Search, known: KnownAt, emit: Emit) -> None:
        """One identity of the person at one community."""
        entry = self._entry(known.home_community_id)
        identity = known.home_community_id, known.patient_id
        if identity in search.taken:  # a record locator named it, too
            return
        search.taken.add(identity)
        if self._peers.endpoint(entry) is None:
            emit(PeerEnded(answer=_without_server(entry)))
            return
        whom = Whom(known=known, demographics=search.demographics)
        found = await self._locator.locate(search.asking, entry, whom, emit)
        if isinstance(found, PeerAnswer):
            emit(PeerEnded(answer=found))
            return
        if search.question is None or found.fhir_id is None:
            return
        answer = await self._gatherer.search(
            search.asking,
            entry,
            found,
            search.question,
            budget=search.budget,
            emit=emit,
        )
        emit(PeerEnded(answer=answer))

    # --- whom to ask --------------------------------------------------------------------------

    def _begun(
        self,
        principal: Principal,
        demographics: Demographics | None,
        question: FhirQuestion | None,
        seconds: float | None,
        exchange_id: ExchangeId | None,
    ) -> _Search:
        return _Search(
            asking=Asking(
                exchange_id=exchange_id or ExchangeId(self._clock.new_id()),
                principal=principal,
                deadline=self._clock.monotonic() + (seconds or self._limits.seconds),
            ),
            demographics=demographics,
            question=question,
            budget=self._gatherer.budget(),
        )

    def _communities(self, targets: Sequence[HomeCommunityId]) -> Sequence[PeerEntry]:
        if targets:
            return [self._entry(hcid) for hcid in dict.fromkeys(targets)]
        discovered = self._directory.responders(Transaction.ITI_55)
        by_id = {e.organization_id: e for e in (*discovered, *self._peers.communities())}
        return list(by_id.values())

    def _entry(self, hcid: HomeCommunityId) -> PeerEntry:
        return self._directory.by_home_community_id(hcid) or PeerEntry.unknown(hcid)


def is_ended(event: FhirEvent) -> TypeGuard[PeerEnded]:
    """Whether an event is the end of a community."""
    return isinstance(event, PeerEnded)


def is_located(event: FhirEvent) -> TypeGuard[Located]:
    """Whether an event says what a community calls the person."""
    return isinstance(event, Located)


def _undiscovered(entry: PeerEntry, leg: Leg) -> PeerAnswer:
    """The end of a community whose discovery gave nobody."""
    return PeerAnswer(
        home_community_id=entry.home_community_id,
        name=entry.name,
        outcome=leg.outcome,
        reason=leg.reason,
        sentence=leg.sentence
        or ("The peer does not know the person." if leg.outcome is Outcome.OK_EMPTY else None),
        messages=(leg.message_id,) if leg.message_id else (),
    )


def _without_server(entry: PeerEntry) -> PeerAnswer:
    return PeerAnswer(
        home_community_id=entry.home_community_id,
        name=entry.name,
        outcome=Outcome.FAILED,
        reason="fhir-endpoint-missing",
        sentence="The directory has no FHIR endpoint of this community; "
        "what it holds can be asked for as documents.",
    )
