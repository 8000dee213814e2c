"""The initiating side: one question to many peers, each answer handed on as it comes.

Four questions: who knows this person (ITI-55), what documents are there (ITI-38), the documents
themselves (ITI-39), and the chart, which is all three in one pipeline per peer: a peer that answers
at once is queried at once, however slow the others are.

Every question is one exchange. Its events come in the order in which things happen; every peer
asked ends as exactly one ``LegEnded`` per request (DESIGN law 5), also past the deadline.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace

from node.exchange.deliver import Delivery
from node.exchange.fanout import Job, fan_out
from node.exchange.leg_events import Emit, Event, KnownPatient, LegEnded, LegStarted
from node.exchange.leg_runner import Asking
from node.exchange.legs import Legs
from node.exchange.ports import Clock, DirectoryView, Inbox, PeerEntry
from node.exchange.questions import DocumentSearch, find_documents_query, five_years_before
from node.model import (
    DocumentRef,
    ExchangeId,
    HomeCommunityId,
    PatientId,
    PatientQuery,
    Principal,
    Transaction,
)
from node.policy.decide import Decision

__all__ = [
    "Emit",
    "Event",
    "Initiator",
    "KnownPatient",
    "LegEnded",
    "LegStarted",
    "Limits",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How widely we ask: peers at a time, seconds for a whole question, documents per retrieve.

    Seconds are those of facts, tefca 4.13; a chart has the sum of its three steps. Documents per
    retrieve is the default where the peer's profile says nothing (facts: ihe-wire 12).
    """

    concurrency: int = 200
    discovery_seconds: float = 60.0
    query_seconds: float = 60.0
    retrieve_seconds: float = 300.0
    deliver_seconds: float = 300.0
    documents_per_retrieve: int = 5


class Initiator:
    """The use cases of the initiating gateway."""

    def __init__(
        self,
        *,
        legs: Legs,
        directory: DirectoryView,
        clock: Clock,
        date_range_purposes: frozenset[str],
        limits: Limits | None = None,
    ) -> None:
        """``date_range_purposes``: codes whose queries have to carry a date range."""
        self._legs = legs
        self._directory = directory
        self._clock = clock
        self._date_range_purposes = date_range_purposes
        self._limits = limits or Limits()

    def may_ask(self, principal: Principal, *, delivers: bool = False) -> Decision:
        """Whether our own directory entry lists the purpose; a caller refuses early with it.

        Asking all the same would end every leg as declined by our own policy.
        """
        return self._legs.may_ask(principal, delivers=delivers)

    def asked(self) -> Sequence[PeerEntry]:
        """Whom a discovery asks that names no targets."""
        return self._directory.responders(Transaction.ITI_55)

    def find_patients(
        self,
        principal: Principal,
        query: PatientQuery,
        *,
        targets: Sequence[HomeCommunityId] = (),
        seconds: float | None = None,
        synthetic: bool = False,
        exchange_id: ExchangeId | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Ask every peer that answers discovery, or the ``targets`` alone (QTF-705, 710).

        ``synthetic``: nobody is asked about, it is a connectivity test. ``exchange_id`` joins the
        legs to an exchange that has others. Both so in the next two.
        """
        seconds = seconds or self._limits.discovery_seconds
        asking = self._asking(principal, seconds, synthetic=synthetic, exchange_id=exchange_id)

        def job(entry: PeerEntry) -> Job[Event]:
            async def run(emit: Emit) -> None:
                await self._discover(asking, entry, query, emit)

            return run

        jobs = [job(entry) for entry in self._entries(targets, Transaction.ITI_55)]
        return fan_out(jobs, concurrency=self._limits.concurrency)

    def find_documents(
        self,
        principal: Principal,
        patients: Sequence[KnownPatient],
        search: DocumentSearch,
        *,
        seconds: float | None = None,
        synthetic: bool = False,
        exchange_id: ExchangeId | None = None,
    ) -> AsyncGenerator[Event, None]:
        """FindDocuments at each community where the person is known, one per patient id."""
        seconds = seconds or self._limits.query_seconds
        asking = self._asking(principal, seconds, synthetic=synthetic, exchange_id=exchange_id)

        def job(patient: KnownPatient) -> Job[Event]:
            async def run(emit: Emit) -> None:
                await self._find(asking, patient, search, emit)

            return run

        jobs = [job(patient) for patient in patients]
        return fan_out(jobs, concurrency=self._limits.concurrency)

    def retrieve(
        self,
        principal: Principal,
        refs: Sequence[DocumentRef],
        inbox: Inbox,
        *,
        patient_id: PatientId | None = None,
        seconds: float | None = None,
        synthetic: bool = False,
        exchange_id: ExchangeId | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Retrieve documents, grouped by community and cut to what each takes at a time."""
        seconds = seconds or self._limits.retrieve_seconds
        asking = self._asking(principal, seconds, synthetic=synthetic, exchange_id=exchange_id)
        by_home: dict[HomeCommunityId, list[DocumentRef]] = {}
        for ref in refs:
            by_home.setdefault(ref.home_community_id, []).append(ref)

        def job(home: HomeCommunityId) -> Job[Event]:
            async def run(emit: Emit) -> None:
                refs_there = by_home[home]
                await self._retrieve(
                    asking, home, refs_there, inbox=inbox, patient_id=patient_id, emit=emit
                )

            return run

        jobs = [job(home) for home in by_home]
        return fan_out(jobs, concurrency=self._limits.concurrency)

    def find_chart(
        self,
        principal: Principal,
        query: PatientQuery,
        search: DocumentSearch,
        inbox: Inbox | None,
        *,
        targets: Sequence[HomeCommunityId] = (),
        seconds: float | None = None,
        exchange_id: ExchangeId | None = None,
    ) -> AsyncGenerator[Event, None]:
        """All three steps for every peer; without an ``inbox`` documents are listed, not fetched.

        Discovery keeps its own, shorter time: a peer that has not answered it by then has timed
        out, and the rest of the time belongs to those that did.
        """
        limits = self._limits
        whole = seconds or (
            limits.discovery_seconds + limits.query_seconds + limits.retrieve_seconds
        )
        asking = self._asking(principal, whole, exchange_id=exchange_id)
        first = min(asking.deadline, self._clock.monotonic() + limits.discovery_seconds)
        discovering = replace(asking, deadline=first)

        def job(entry: PeerEntry) -> Job[Event]:
            async def run(emit: Emit) -> None:
                for patient in await self._discover(discovering, entry, query, emit):
                    refs = await self._find(asking, patient, search, emit)
                    if inbox is not None and refs:
                        await self._retrieve(
                            asking,
                            patient.home_community_id,
                            refs,
                            inbox=inbox,
                            patient_id=patient.patient_id,
                            emit=emit,
                        )

            return run

        jobs = [job(entry) for entry in self._entries(targets, Transaction.ITI_55)]
        return fan_out(jobs, concurrency=limits.concurrency)

    def deliver(
        self,
        principal: Principal,
        delivery: Delivery,
        targets: Sequence[KnownPatient | HomeCommunityId],
        *,
        seconds: float | None = None,
        exchange_id: ExchangeId | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Send documents to communities, to each with its own id of the person where it is known.

        A community that the directory does not have ends as not reached, like one without address.
        """
        seconds = seconds or self._limits.deliver_seconds
        asking = self._asking(principal, seconds, exchange_id=exchange_id)

        def job(target: KnownPatient | HomeCommunityId) -> Job[Event]:
            async def run(emit: Emit) -> None:
                home, known = (
                    (target.home_community_id, target.patient_id)
                    if isinstance(target, KnownPatient)
                    else (target, None)
                )
                entry = self._entry(home)
                emit(LegStarted(entry=entry, transaction=Transaction.ITI_80))
                result = await self._legs.deliver(asking, entry, delivery.about(known))
                emit(LegEnded(result=result))

            return run

        jobs = [job(target) for target in dict.fromkeys(targets)]
        return fan_out(jobs, concurrency=self._limits.concurrency)

    # --- the steps ----------------------------------------------------------------------------

    async def _discover(
        self, asking: Asking, entry: PeerEntry, query: PatientQuery, emit: Emit
    ) -> list[KnownPatient]:
        emit(LegStarted(entry=entry, transaction=Transaction.ITI_55))
        directed = replace(query, target=entry.home_community_id)
        result = await self._legs.discover(asking, entry, directed)
        emit(LegEnded(result=result))
        matches = result.answer.matches if result.answer else ()
        # A record locator may name other communities, and a peer may repeat an identity.
        return list(
            dict.fromkeys(
                KnownPatient(
                    home_community_id=match.home_community_id or entry.home_community_id,
                    patient_id=match.patient_id,
                )
                for match in matches
            )
        )

    async def _find(
        self, asking: Asking, patient: KnownPatient, search: DocumentSearch, emit: Emit
    ) -> list[DocumentRef]:
        entry = self._entry(patient.home_community_id)
        emit(LegStarted(entry=entry, transaction=Transaction.ITI_38, patient=patient))
        query = find_documents_query(
            patient.patient_id,
            patient.home_community_id,
            self._dated(search, asking.principal, entry),
        )
        result = await self._legs.find(asking, entry, query, patient.patient_id)
        emit(LegEnded(result=result, patient=patient))
        documents = result.answer.documents if result.answer else ()
        home = patient.home_community_id
        return list(
            dict.fromkeys(
                replace(d.ref, home_community_id=d.home_community_id or home) for d in documents
            )
        )

    async def _retrieve(
        self,
        asking: Asking,
        home: HomeCommunityId,
        refs: Sequence[DocumentRef],
        *,
        inbox: Inbox,
        patient_id: PatientId | None,
        emit: Emit,
    ) -> None:
        entry = self._entry(home)
        quirk = entry.quirks.get("documents_per_retrieve")
        size = quirk if isinstance(quirk, int) else self._limits.documents_per_retrieve
        for batch in _batches(refs, max(size, 1)):
            emit(LegStarted(entry=entry, transaction=Transaction.ITI_39))
            result = await self._legs.retrieve(asking, entry, batch, inbox, patient_id)
            emit(LegEnded(result=result))

    def _dated(
        self, search: DocumentSearch, principal: Principal, entry: PeerEntry
    ) -> DocumentSearch:
        """Give the search a date range where the purpose or the peer demands one."""
        demanded = (
            principal.purpose.code in self._date_range_purposes
            or entry.quirks.get("date_range_required") is True
        )
        if not demanded:
            return search
        now = self._clock.now()
        return replace(
            search,
            since=search.since or five_years_before(now),
            until=search.until or now.strftime("%Y%m%d%H%M%S"),
        )

    # --- whom to ask --------------------------------------------------------------------------

    def _asking(
        self,
        principal: Principal,
        seconds: float,
        *,
        synthetic: bool = False,
        exchange_id: ExchangeId | None = None,
    ) -> Asking:
        return Asking(
            exchange_id=exchange_id or ExchangeId(self._clock.new_id()),
            principal=principal,
            deadline=self._clock.monotonic() + seconds,
            synthetic=synthetic,
        )

    def _entries(
        self, targets: Sequence[HomeCommunityId], transaction: Transaction
    ) -> Sequence[PeerEntry]:
        if not targets:
            return self._directory.responders(transaction)
        return [self._entry(hcid) for hcid in dict.fromkeys(targets)]

    def _entry(self, hcid: HomeCommunityId) -> PeerEntry:
        """The entry of a community; an unknown one has no route, and its leg will say so."""
        return self._directory.by_home_community_id(hcid) or PeerEntry.unknown(hcid)


def _batches(refs: Sequence[DocumentRef], size: int) -> Iterator[Sequence[DocumentRef]]:
    for start in range(0, len(refs), size):
        yield refs[start : start + size]
