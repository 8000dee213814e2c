"""One FHIR question to many peers: discovery, the Patient there, the search, each at its own pace."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from sim.clock import START, SimClock
from sim.fhir_peers import SimFhirPeers, SimFhirServer
from sim.network import (
    ALICE,
    OWN,
    PURPOSE,
    SimDirectory,
    SimLedger,
    SimPeer,
    SimPeers,
    entry,
    hcid,
    patient,
    principal,
)

from node.errors import NetworkFault
from node.exchange.fhir_broker import BrokerLimits, FhirBroker, is_ended, is_located
from node.exchange.fhir_events import FhirLegEnded
from node.exchange.fhir_legs import FhirLegs
from node.exchange.fhir_merge import PeerAnswer
from node.exchange.fhir_question import parse_question
from node.exchange.initiate import Initiator, LegEnded
from node.exchange.leg_runner import LegRunner, Patience
from node.exchange.legs import Legs
from node.exchange.network_ports import KnownAt
from node.policy.purposes import purpose_register

QUESTION = parse_question("Observation?category=laboratory", now=START)


def server(number: int, *labs: str) -> SimFhirServer:
    holds = [{"resourceType": "Observation", "id": lab} for lab in labs]
    return SimFhirServer(number, f"p{number}", holds)


class World:
    """Peers from memory, with and without FHIR servers."""

    def __init__(self, peers: list[SimPeer], *servers: SimFhirServer, alone: int = 0) -> None:
        """``alone``: the number of a community that has a FHIR server and nothing else."""
        self.ledger, self.clock = SimLedger(), SimClock(real_seconds=True)
        self.soap, self.fhir = SimPeers(*peers), SimFhirPeers(*servers)
        entries = [entry(peer.number) for peer in peers]
        if alone:
            only = replace(entry(alone), responds={}, addresses={})
            entries.append(only)
            self.fhir.alone.append(only)
        directory = SimDirectory(*entries)
        runner = LegRunner(
            own=OWN,
            own_initiates=lambda: self.initiates,
            ledger=self.ledger,
            directory=directory,
            clock=self.clock,
            purposes=purpose_register(),
            patience=Patience(pause=0.0),
        )
        self.initiates = frozenset([PURPOSE.code])
        self.broker = FhirBroker(
            legs=FhirLegs(runner=runner, peers=self.fhir),
            peers=self.fhir,
            initiator=Initiator(
                legs=Legs(runner=runner, peers=self.soap),
                directory=directory,
                clock=self.clock,
                date_range_purposes=frozenset(),
            ),
            directory=directory,
            clock=self.clock,
            limits=BrokerLimits(concurrency=3),
        )

    async def ask(self, **options) -> dict[str, PeerAnswer]:
        events = self.broker.ask(principal(), ALICE, QUESTION, **options)
        self.events = [event async for event in events]
        answers = [event.answer for event in self.events if is_ended(event)]
        assert len(answers) == len({a.home_community_id for a in answers})
        return {answer.name: answer for answer in answers}

    def steps(self, number: int) -> list[str]:
        legs = [record.leg for record in self.ledger.records]
        return [str(leg.transaction) for leg in legs if leg.peer.home_community_id == hcid(number)]


async def test_every_community_ends_once_as_what_it_is():
    down = SimPeer(5, discovery_fault=lambda: NetworkFault("connect-failed", "Nobody listens."))
    world = World(
        [SimPeer(2), SimPeer(3), SimPeer(4, knows=False), down, SimPeer(6, declines=True)],
        server(2, "a", "b"),
        alone=7,
    )
    answers = await world.ask()
    assert {name: (a.outcome, len(a.entries), a.reason) for name, a in answers.items()} == {
        "Peer 2": ("ok", 2, None),
        "Peer 3": ("failed", 0, "fhir-endpoint-missing"),
        "Peer 4": ("ok-empty", 0, None),
        "Peer 5": ("failed", 0, "connect-failed"),
        "Peer 6": ("declined", 0, "AnswerNotAvailable"),
        "Peer 7": ("ok", 0, None) if answers["Peer 7"].entries else ("ok-empty", 0, None),
    }
    assert world.steps(2) == ["ITI-55", "FHIR-SEARCH", "FHIR-SEARCH"]
    assert world.steps(3) == ["ITI-55"]
    assert world.steps(7) == ["FHIR-MATCH"]
    assert len({record.leg.exchange_id for record in world.ledger.records}) == 1


async def test_the_entry_of_a_leg_names_the_person_as_the_community_does():
    world = World([SimPeer(2)], server(2, "a"))
    await world.ask()
    searched = [r for r in world.ledger.records if str(r.leg.transaction) == "FHIR-SEARCH"]
    assert [r.private.patient for r in searched] == [{"ids": [patient(2).cx]}] * 2
    assert searched[1].private.docs[0]["id"] == "Observation/a"
    assert searched[1].private.query["type"] == "Observation"
    assert searched[1].private.who["user_id"] == principal().user_id


async def test_only_those_that_are_named_are_asked():
    world = World([SimPeer(2), SimPeer(3)], server(2, "a"), server(3, "b"))
    assert set(await world.ask(targets=[hcid(3)])) == {"Peer 3"}
    assert world.steps(2) == []


async def test_a_purpose_that_is_not_ours_asks_nobody():
    world = World([SimPeer(2)], server(2, "a"))
    world.initiates = frozenset()
    assert not world.broker.may_ask(principal()).permitted
    answers = await world.ask()
    assert (answers["Peer 2"].outcome, world.soap.calls) == ("declined", [])


async def test_a_peer_that_hangs_ends_at_the_deadline_and_the_others_answers_count():
    world = World([SimPeer(2, hang=True), SimPeer(3)], server(2), server(3, "b"))
    answers = await world.ask(seconds=0.3)
    assert (answers["Peer 2"].outcome, answers["Peer 3"].outcome) == ("timed-out", "ok")


async def test_every_entry_is_durable_before_its_event():
    world = World([SimPeer(2), SimPeer(3)], server(2, "a"), server(3, "b"))
    seen = 0
    async for event in world.broker.ask(principal(), ALICE, QUESTION):
        if isinstance(event, LegEnded | FhirLegEnded):
            seen += 1
            ids = [record.leg.leg_id for record in world.ledger.records]
            assert event.result.leg.leg_id in ids
    assert seen == len(world.ledger.records) == 6


async def test_whoever_stops_listening_stops_the_questions():
    world = World([SimPeer(2, hang=True), SimPeer(3)], server(3, "b"))
    events = world.broker.ask(principal(), ALICE, QUESTION)
    async for event in events:
        if is_ended(event):
            break
    await events.aclose()
    assert world.soap.open == 0
    assert Counter(str(r.leg.outcome) for r in world.ledger.records)["cancelled"] == 1


async def test_who_is_known_is_asked_without_discovery():
    world = World([SimPeer(2)], server(2, "a"))
    known = KnownAt(home_community_id=hcid(2), patient_id=patient(2))
    events = [e async for e in world.broker.search(principal(), [known], QUESTION)]
    assert [e.known.fhir_id for e in events if is_located(e)] == ["p2"]
    assert world.steps(2) == ["FHIR-SEARCH", "FHIR-SEARCH"]


@pytest.mark.parametrize("times", [1, 2])
async def test_an_identity_that_is_named_twice_is_asked_once(times):
    world = World([SimPeer(2)], server(2, "a"))
    known = [KnownAt(home_community_id=hcid(2), patient_id=patient(2))] * times
    events = [e async for e in world.broker.search(principal(), known, QUESTION)]
    assert len([e for e in events if is_ended(e)]) == 1
