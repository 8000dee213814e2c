"""FHIR questions over gRPC: requests that make sense, and events that arrive as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sim.clock import START, SimClock
from sim.network import entry, hcid, patient

from node.exchange.fhir_events import FhirLegEnded, FhirLegStarted, Located
from node.exchange.fhir_whole import PeerSummary, WholeBundle
from node.exchange.initiate import LegEnded, LegStarted
from node.exchange.leg_runner import LegResult
from node.exchange.network_ports import KnownAt
from node.model import (
    Direction,
    DiscoveryAnswer,
    ExchangeId,
    Interaction,
    Leg,
    LegId,
    MatchStatus,
    Outcome,
    Transaction,
)
from node.rpc.requests import InvalidRequest
from node.rpc.resources import CHUNK, from_event, from_known, read_question, to_event
from protos.tefca_node.v1 import exchange_pb2 as pb

TOLD = replace(entry(2), initiates=frozenset(), responds={}, addresses={})
LEG = Leg(
    leg_id=LegId("leg"),
    exchange_id=ExchangeId("exchange"),
    direction=Direction.INITIATING,
    transaction=Interaction.SEARCH,
    peer=TOLD.peer(Interaction.SEARCH),
    outcome=Outcome.PARTIAL,
    reason="fhir-entries-unfit",
    sentence="One could not be passed on.",
    started=START,
    duration_ms=12,
    documents=7,
)
DISCOVERED = replace(
    LEG, transaction=Transaction.ITI_55, outcome=Outcome.OK_EMPTY, reason=None, documents=0
)
EVENTS = [
    LegStarted(entry=TOLD, transaction=Transaction.ITI_55),
    LegEnded(
        result=LegResult(leg=DISCOVERED, entry=TOLD, answer=DiscoveryAnswer(status=MatchStatus.NF))
    ),
    FhirLegStarted(entry=TOLD, interaction=Interaction.MATCH),
    FhirLegEnded(result=LegResult(leg=LEG, entry=TOLD), interaction=Interaction.SEARCH),
    Located(entry=TOLD, known=KnownAt(home_community_id=hcid(2), fhir_id="p2")),
    PeerSummary(
        home_community_id=hcid(2),
        name="Peer 2",
        outcome=Outcome.TIMED_OUT,
        reason="timeout",
        sentence=None,
        cut="it has more than 3 pages.",
        resources=5,
        put_aside=1,
        pages=3,
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_arrives_as_it_was(event):
    (message,) = from_event(event)
    assert to_event(pb.ResourceEvent.FromString(message.SerializeToString())) == event


def test_the_bundle_comes_in_pieces():
    bundle = bytes(range(256)) * (CHUNK // 128)
    pieces = [message.bundle for message in from_event(WholeBundle(bundle=bundle))]
    assert max(map(len, pieces)) == CHUNK
    assert b"".join(pieces) == bundle


def asked(**changes):
    found = {"question": "Observation?category=laboratory", "targets": [hcid(2)]}
    return pb.FindResourcesRequest(**(found | changes))


def test_a_request_says_whom_where_and_what():
    known = [
        KnownAt(home_community_id=hcid(2), fhir_id="p2"),
        KnownAt(home_community_id=hcid(3), patient_id=patient(3)),
    ]
    read = read_question(asked(known=map(from_known, known)), SimClock())
    assert read.known == tuple(known)
    assert (read.person, read.targets) == (None, (hcid(2),))
    assert read.question.pairs == (("category", "laboratory"),)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (asked(), "neither a person nor where"),
        (asked(demographics=pb.Demographics()), "neither a person nor an identifier"),
        (asked(known=[pb.KnownResourcePatient(home_community_id="x")]), "home_community_id"),
        (
            asked(known=[pb.KnownResourcePatient(home_community_id=hcid(2))]),
            "patient_id or fhir_id",
        ),
        (
            asked(known=[pb.KnownResourcePatient(home_community_id=hcid(2), fhir_id="a b")]),
            "fhir_id",
        ),
        (
            asked(
                known=[pb.KnownResourcePatient(home_community_id=hcid(2), fhir_id="a")],
                question="Observation?_id=1",
            ),
            "question: _id cannot be asked here",
        ),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_by_its_field(request_, field):
    with pytest.raises(InvalidRequest) as caught:
        read_question(request_, SimClock())
    assert field in caught.value.sentence
