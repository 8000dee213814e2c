"""The initiating use cases against the simulated network: what is asked, said and written down."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from node.errors import AnswerError, LimitError, NetworkFault, OurFault
from node.exchange.initiate import Initiator, KnownPatient, LegEnded, Limits
from node.exchange.leg_runner import LegRunner, Patience
from node.exchange.legs import Legs
from node.exchange.merge import Source, fold
from node.exchange.ports import PeerEntry
from node.exchange.questions import DocumentSearch
from node.model import (
    DiscoveryAnswer,
    Outcome,
    PatientQuery,
    QueryAnswer,
    RegistryError,
    RetrieveAnswer,
    Transaction,
)
from node.policy.purposes import purpose_register
from tests.sim.clock import SimClock
from tests.sim.network import (
    ALICE,
    OWN,
    PURPOSE,
    SimDirectory,
    SimInbox,
    SimLedger,
    SimPeer,
    SimPeers,
    entry,
    hcid,
    patient,
    principal,
)

QUERY = PatientQuery(demographics=ALICE)
QUICK = Patience(seconds=dict.fromkeys(Transaction, 5.0), pause=0.0)


class World:
    def __init__(
        self,
        *peers: SimPeer,
        entries: list[PeerEntry] | None = None,
        initiates: frozenset[str] = frozenset({PURPOSE.code}),
        limits: Limits | None = None,
        patience: Patience = QUICK,
        date_range: bool = False,
    ) -> None:
        self.peers = SimPeers(*peers)
        self.ledger = SimLedger()
        self.clock = SimClock(real_seconds=True)
        self.inbox = SimInbox()
        directory = SimDirectory(*(entries or [entry(p.number) for p in peers]))
        self.initiator = Initiator(
            legs=Legs(
                runner=LegRunner(
                    own=OWN,
                    own_initiates=lambda: initiates,
                    ledger=self.ledger,
                    directory=directory,
                    clock=self.clock,
                    purposes=purpose_register(),
                    patience=patience,
                ),
                peers=self.peers,
            ),
            directory=directory,
            clock=self.clock,
            limits=limits,
            date_range_purposes=frozenset({PURPOSE.code}) if date_range else frozenset(),
        )

    async def discover(self, **options: object) -> dict[int, LegEnded]:
        events = self.initiator.find_patients(principal(), QUERY, **options)  # type: ignore[arg-type]
        return by_peer([e async for e in events])

    async def chart(self, **options: object) -> list[LegEnded]:
        events = self.initiator.find_chart(
            principal(),
            QUERY,
            DocumentSearch(),
            self.inbox,
            **options,  # type: ignore[arg-type]
        )
        return [e async for e in events if isinstance(e, LegEnded)]

    @property
    def outcomes(self) -> list[Outcome]:
        return [record.leg.outcome for record in self.ledger.records]


def by_peer(events: list[object]) -> dict[int, LegEnded]:
    ended = [e for e in events if isinstance(e, LegEnded)]
    return {int(e.result.entry.home_community_id.split(".")[-1]): e for e in ended}


def outcome(event: LegEnded) -> Outcome:
    return event.result.leg.outcome


async def test_law_5_every_peer_asked_ends_as_exactly_one_outcome() -> None:
    world = World(
        SimPeer(2),
        SimPeer(3, knows=False),
        SimPeer(4, declines=True),
        SimPeer(5, discovery_fault=lambda: NetworkFault("timeout", "No answer in time.")),
        SimPeer(6, fault=lambda: AnswerError("soap-fault", "The peer sent a fault.")),
        SimPeer(7, hang=True),
        entries=[entry(n) for n in range(2, 8)] + [entry(8, addresses={})],
        patience=Patience(seconds=dict.fromkeys(Transaction, 0.05), pause=0.0),
    )
    ended = await world.discover(targets=[hcid(n) for n in range(2, 9)])
    assert {number: outcome(event) for number, event in ended.items()} == {
        2: Outcome.OK,
        3: Outcome.OK_EMPTY,
        4: Outcome.DECLINED,
        5: Outcome.TIMED_OUT,
        6: Outcome.FAILED,
        7: Outcome.TIMED_OUT,
        8: Outcome.FAILED,
    }
    assert ended[4].result.leg.reason == "AnswerNotAvailable"
    assert ended[4].result.leg.sentence == "The patient opted out."
    assert ended[8].result.leg.reason == "no-route"
    assert len(world.ledger.records) == 7


async def test_law_1_the_entry_is_durable_before_the_result_is_handed_on() -> None:
    world = World(SimPeer(2), SimPeer(3), SimPeer(4))
    async for event in world.initiator.find_patients(principal(), QUERY):
        if isinstance(event, LegEnded):
            written = {record.leg.leg_id for record in world.ledger.records}
            assert event.result.leg.leg_id in written


async def test_law_1_nothing_is_shown_when_the_entry_cannot_be_written() -> None:
    world = World(SimPeer(2))
    world.ledger.fails = OurFault("internal-error", "The disk is full.")
    shown = []
    with pytest.raises(OurFault):
        async for event in world.initiator.find_patients(principal(), QUERY):
            shown.append(event)
    assert not [e for e in shown if isinstance(e, LegEnded)]


async def test_answers_come_as_they_come_not_in_the_order_of_asking() -> None:
    world = World(SimPeer(2, hang=True), SimPeer(3))
    async with aclosing(world.initiator.find_patients(principal(), QUERY)) as events:
        async for event in events:
            if isinstance(event, LegEnded):
                assert event.result.entry.home_community_id == hcid(3)
                break


async def test_when_the_listener_goes_the_peers_requests_stop_and_are_written_down() -> None:
    world = World(SimPeer(2, hang=True), SimPeer(3, hang=True), SimPeer(4))
    async with aclosing(world.initiator.find_patients(principal(), QUERY)) as events:
        async for event in events:
            if isinstance(event, LegEnded):
                break
    assert sorted(world.peers.cancelled) == [hcid(2), hcid(3)]
    assert sorted(world.outcomes) == [Outcome.CANCELLED, Outcome.CANCELLED, Outcome.OK]
    assert world.peers.open == 0


async def test_the_deadline_of_the_whole_question_ends_every_leg() -> None:
    world = World(*(SimPeer(n, hang=True) for n in range(2, 12)), limits=Limits(concurrency=3))
    ended = await world.discover(seconds=0.1)
    assert {outcome(event) for event in ended.values()} == {Outcome.TIMED_OUT}
    assert len(ended) == 10


async def test_law_7_no_more_than_so_many_peers_at_a_time() -> None:
    world = World(*(SimPeer(n) for n in range(2, 42)), limits=Limits(concurrency=5))
    await world.discover()
    assert world.peers.most_open <= 5


async def test_qtf_603_a_purpose_that_our_entry_does_not_list_is_refused_before_asking() -> None:
    world = World(SimPeer(2), initiates=frozenset())
    decision = world.initiator.may_ask(principal())
    assert not decision.permitted
    assert decision.reason == "purpose-not-listed"
    ended = await world.discover()
    assert outcome(ended[2]) is Outcome.DECLINED
    assert world.peers.calls == []
    assert world.ledger.records[0].policy_rules == ("out-1-own-purpose",)


async def test_a_suspended_peer_is_not_asked_and_the_refusal_is_written_down() -> None:
    world = World(SimPeer(2), entries=[entry(2, suspended=True)])
    ended = await world.discover()
    assert ended[2].result.leg.reason == "peer-suspended"
    assert world.peers.calls == []
    assert world.outcomes == [Outcome.DECLINED]


async def test_qtf_710_each_discovery_is_directed_at_the_node_asked() -> None:
    asked = []

    class Spy(SimPeers):
        async def discover(self, peer, query, call, trace):
            asked.append((peer.home_community_id, query.target))
            return await super().discover(peer, query, call, trace)

    world = World(SimPeer(2), SimPeer(3))
    spy = Spy(SimPeer(2), SimPeer(3))
    world.initiator._legs._peers = spy
    await world.discover()
    assert sorted(asked) == [(hcid(2), hcid(2)), (hcid(3), hcid(3))]


async def test_a_retryable_fault_is_tried_again_with_a_new_message_id() -> None:
    def reset() -> NetworkFault:
        return NetworkFault("reset", "The connection broke.")

    world = World(SimPeer(2, fault=reset, faults_left=1))
    events = world.initiator.find_documents(
        principal(),
        [KnownPatient(home_community_id=hcid(2), patient_id=patient(2))],
        DocumentSearch(),
    )
    ended = [e async for e in events if isinstance(e, LegEnded)]
    assert [outcome(e) for e in ended] == [Outcome.OK_EMPTY]
    assert world.outcomes == [Outcome.FAILED, Outcome.OK_EMPTY]
    first, second = (call.message_id for _, _, call in world.peers.calls)
    assert first != second
    assert [record.attempt for record in world.ledger.records] == [1, 2]


async def test_a_fault_that_will_not_go_away_is_not_tried_again() -> None:
    world = World(SimPeer(2, fault=lambda: LimitError("xml-limit", "The answer is too large.")))
    events = world.initiator.find_documents(
        principal(),
        [KnownPatient(home_community_id=hcid(2), patient_id=patient(2))],
        DocumentSearch(),
    )
    assert [outcome(e) async for e in events if isinstance(e, LegEnded)] == [Outcome.FAILED]
    assert len(world.peers.calls) == 1


async def test_the_chart_folds_what_two_peers_hold_alike() -> None:
    world = World(
        SimPeer(2, documents={"a": b"<same/>", "b": b"<only-2/>"}),
        SimPeer(3, documents={"c": b"<same/>"}),
        SimPeer(4, knows=False),
    )
    ended = await world.chart()
    sources = [
        Source(peer=e.result.leg.peer, document=d)
        for e in ended
        if isinstance(e.result.answer, RetrieveAnswer)
        for d in e.result.answer.documents
    ]
    folded = fold(sources)
    assert len(folded) == 2
    assert sorted(len(f.sources) for f in folded) == [1, 2]
    transactions = [record.leg.transaction for record in world.ledger.records]
    assert transactions.count(Transaction.ITI_55) == 3
    assert transactions.count(Transaction.ITI_38) == 2
    assert transactions.count(Transaction.ITI_39) == 2


async def test_a_fast_peer_is_queried_while_a_slow_one_is_still_silent() -> None:
    world = World(SimPeer(2, hang=True), SimPeer(3, documents={"a": b"<a/>"}))
    seen = []
    async with aclosing(
        world.initiator.find_chart(principal(), QUERY, DocumentSearch(), world.inbox)
    ) as events:
        async for event in events:
            if isinstance(event, LegEnded):
                seen.append(event.result.leg.transaction)
                if event.result.leg.transaction is Transaction.ITI_39:
                    break
    assert seen == [Transaction.ITI_55, Transaction.ITI_38, Transaction.ITI_39]


async def test_documents_are_retrieved_so_many_at_a_time_as_the_peer_takes() -> None:
    documents = {f"d{n}": b"<x/>" + bytes([48 + n]) for n in range(7)}
    world = World(
        SimPeer(2, documents=documents), entries=[entry(2, quirks={"documents_per_retrieve": 3})]
    )
    await world.chart()
    assert [len(refs) for refs in world.peers.refs] == [3, 3, 1]


async def test_a_document_left_out_without_an_error_is_noticed() -> None:
    world = World(SimPeer(2, documents={"a": b"1", "b": b"2"}, loses=frozenset({"b"})))
    ended = await world.chart()
    last = ended[-1].result.leg
    assert (last.outcome, last.reason) == (Outcome.PARTIAL, "documents-missing")


async def test_partial_success_is_kept_end_to_end() -> None:
    error = RegistryError(code="XDSRegistryError", context="one source is down", location=hcid(2))
    world = World(SimPeer(2, documents={"a": b"1"}, errors=(error,)))
    ended = await world.chart()
    query = next(e for e in ended if e.result.leg.transaction is Transaction.ITI_38)
    assert outcome(query) is Outcome.PARTIAL
    assert query.result.leg.errors == (error,)
    assert isinstance(query.result.answer, QueryAnswer)


async def test_trt_6_1_a_treatment_query_carries_a_date_range_of_five_years() -> None:
    world = World(SimPeer(2), date_range=True)
    await world.chart()
    parameters = dict(world.peers.queries[0].parameters)
    assert parameters["$XDSDocumentEntryServiceStopTimeFrom"] == ("20211120",)
    assert parameters["$XDSDocumentEntryServiceStartTimeTo"] == ("20261120120000",)


async def test_the_patient_id_goes_into_the_call_once_it_is_known() -> None:
    world = World(SimPeer(2, documents={"a": b"1"}))
    await world.chart()
    by_transaction = {t: call.patient_id for t, _, call in world.peers.calls}
    assert by_transaction == {
        Transaction.ITI_55: None,
        Transaction.ITI_38: patient(2),
        Transaction.ITI_39: patient(2),
    }


async def test_a_community_that_is_not_in_the_directory_is_said_so() -> None:
    world = World(SimPeer(2))
    ended = await world.discover(targets=[hcid(99)])
    assert ended[99].result.leg.reason == "no-route"
    assert isinstance(ended[99].result.answer, DiscoveryAnswer | None)


async def test_a_bug_in_one_leg_is_raised_and_stops_the_others() -> None:
    def broken() -> NetworkFault:
        raise ZeroDivisionError

    world = World(SimPeer(2, fault=broken), SimPeer(3, hang=True))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(world.discover(), 5)
    assert world.peers.cancelled == [hcid(3)]


async def test_a_silent_community_is_an_error_of_the_answer_never_dropped() -> None:
    world = World(
        SimPeer(2, hang=True), patience=Patience(seconds=dict.fromkeys(Transaction, 0.05))
    )
    events = world.initiator.find_documents(
        principal(),
        [KnownPatient(home_community_id=hcid(2), patient_id=patient(2))],
        DocumentSearch(),
    )
    ended = [e async for e in events if isinstance(e, LegEnded)]
    errors = ended[0].result.leg.errors
    assert [(e.code, e.location) for e in errors] == [("XDSUnavailableCommunity", hcid(2))]
