"""Documents on their way out: what is sent, how each recipient's answer ends the leg."""

from __future__ import annotations

import pytest
from test_initiate import World, by_peer, outcome

from node.errors import NetworkFault, OurFault
from node.exchange.initiate import KnownPatient, LegEnded
from node.exchange.leg_runner import Patience
from node.exchange.outcomes import of_delivery
from node.model import (
    DeliveryAnswer,
    Outcome,
    PatientId,
    RegistryError,
    ResponseStatus,
    Severity,
    Transaction,
)
from node.policy.purposes import purpose_register
from node.records.entries import Community
from node.records.outgoing import delivery_of
from tests.delivery_world import NOW, note
from tests.sim.clock import SimClock
from tests.sim.network import OWN, SimPeer, entry, hcid, principal

COMMUNITY = Community(
    home_community_id=OWN, repository_unique_id="2.999.1.2", assigning_authority="2.999.1.1"
)
THEIRS = PatientId(assigning_authority="2.999.2.1", id="Canary-their-id")


def delivery():
    return delivery_of(
        [note()], community=COMMUNITY, principal=principal(), now=NOW, new_id=SimClock().new_id
    )


async def sent(world: World, *targets, who=None):
    events = world.initiator.deliver(who or principal(), delivery(), targets, seconds=5)
    return by_peer([event async for event in events])


async def test_law_5_every_recipient_ends_as_exactly_one_outcome():
    refuses = RegistryError(code="LocalPolicyRestrictionError", context="Not for this purpose.")
    world = World(
        SimPeer(2),
        SimPeer(3, errors=(refuses,)),
        SimPeer(4, errors=(RegistryError(code="XDSUnknownPatientId"),)),
        SimPeer(5, fault=lambda: NetworkFault("peer-unavailable", "Down.")),
        SimPeer(6, hang=True),
        SimPeer(7, errors=(RegistryError(code="DocumentQueued", severity=Severity.WARNING),)),
        entries=[entry(n) for n in range(2, 8)] + [entry(8, addresses={})],
        patience=Patience(seconds=dict.fromkeys(Transaction, 0.05), pause=0.0),
    )
    ended = await sent(world, *[hcid(n) for n in range(2, 10)])
    assert {number: (outcome(e), e.result.leg.reason) for number, e in ended.items()} == {
        2: (Outcome.OK, None),
        3: (Outcome.DECLINED, "LocalPolicyRestrictionError"),
        4: (Outcome.FAILED, "XDSUnknownPatientId"),
        5: (Outcome.FAILED, "peer-unavailable"),
        6: (Outcome.TIMED_OUT, "timeout"),
        7: (Outcome.OK, None),
        8: (Outcome.FAILED, "no-route"),
        9: (Outcome.FAILED, "no-route"),
    }
    assert len(world.ledger.records) == 8


async def test_qtf_912_where_nothing_can_be_delivered_the_error_is_unavailable_community():
    world = World(SimPeer(2, fault=lambda: NetworkFault("peer-unavailable", "Down.")))
    leg = (await sent(world, hcid(2)))[2].result.leg
    assert [(e.code, e.location) for e in leg.errors] == [("XDSUnavailableCommunity", hcid(2))]


async def test_what_may_have_arrived_is_not_sent_again_by_itself():
    world = World(SimPeer(2, fault=lambda: NetworkFault("peer-unavailable", "Down.")))
    await sent(world, hcid(2))
    assert len(world.peers.calls) == 1


async def test_law_1_the_entry_is_durable_before_the_answer_is_handed_on():
    world = World(SimPeer(2))
    world.ledger.fails = OurFault("internal-error", "The disk is full.")
    shown = []
    with pytest.raises(OurFault):
        async for event in world.initiator.deliver(principal(), delivery(), [hcid(2)]):
            shown.append(event)
    assert not [event for event in shown if isinstance(event, LegEnded)]


async def test_each_recipient_gets_its_own_id_of_the_person_and_nobody_elses():
    world = World(SimPeer(2), SimPeer(3))
    known = KnownPatient(home_community_id=hcid(2), patient_id=THEIRS)
    await sent(world, known, hcid(3))
    named = {d.submission_set.patient_id for d in world.peers.deliveries}
    assert named == {THEIRS, None}
    for made in world.peers.deliveries:
        assert {each.entry.patient_id for each in made.documents} == {
            made.submission_set.patient_id
        }


async def test_the_same_recipient_twice_gets_it_once():
    world = World(SimPeer(2))
    await sent(world, hcid(2), hcid(2))
    assert len(world.peers.deliveries) == 1


async def test_the_private_record_has_what_was_sent_also_when_it_failed():
    world = World(SimPeer(2, errors=(RegistryError(code="XDSRepositoryError"),)))
    await sent(world, hcid(2))
    (record,) = world.ledger.records
    assert record.private.docs[0]["sha256"] == note().content.sha256
    assert record.private.query["submission_set"].startswith("2.25.")
    assert record.private.patient["ids"]
    assert "Canary" not in str(record.leg)


async def test_a_purpose_that_our_entry_does_not_list_sends_nothing():
    world = World(SimPeer(2), initiates=frozenset())
    assert not world.initiator.may_ask(principal(), delivers=True).permitted
    assert outcome((await sent(world, hcid(2)))[2]) is Outcome.DECLINED
    assert world.peers.deliveries == []


async def test_a_purpose_for_pushes_alone_may_be_sent_and_not_asked_for():
    ecr = purpose_register().purposes["T-PH-ECR"].code
    lists = {"responds": {t: frozenset({ecr.code}) for t in Transaction}}
    world = World(SimPeer(2), entries=[entry(2, **lists)], initiates=frozenset({ecr.code}))
    who = principal(ecr)
    assert world.initiator.may_ask(who, delivers=True).permitted
    assert world.initiator.may_ask(who).reason == "purpose-push-only"
    assert outcome((await sent(world, hcid(2), who=who))[2]) is Outcome.OK


def test_a_failure_that_says_nothing_is_named():
    ending = of_delivery(DeliveryAnswer(status=ResponseStatus.FAILURE), sent=1)
    assert (ending.outcome, ending.reason) == (Outcome.FAILED, "delivery-refused")
    assert ending.documents == 0
