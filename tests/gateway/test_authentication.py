"""Authentication as a decision: proved claims, directory entry, keys, replay, in this order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from soap_world import (
    AUTHORITY,
    OUR_HCID,
    PURPOSE_SYSTEM,
    THEIR_HCID,
    FakeResponding,
    World,
    gateway_of,
    their_facts,
)

from node.exchange.ports import Asker, Refusal
from node.gateway.authentication import Authenticator, Verdict
from node.gateway.protocol import TlsPeer
from node.model import HomeCommunityId, PatientId, Transaction
from node.peers.assertion import AssertionIssuer
from node.wire.addressing import Addressing
from node.wire.faults import Subcode
from node.wire.soap import XmlLimits, build_envelope, parse_envelope
from trust.binding import OrganizationTrust
from trust.errors import error_table
from trust.saml_check import AssertionPolicy
from trust.tls import PeerCertificates
from trust.wssecurity import SecurityPolicy

AUDIENCE = "https://us.example/xcpd"


@pytest.fixture
def world(us, them) -> World:
    facts, responding = their_facts(them), FakeResponding()
    gateway, replay, clock = gateway_of(us, facts, responding)
    policy = SecurityPolicy(assertion=AssertionPolicy(audiences=frozenset({AUDIENCE})))
    authenticator = replace(gateway.authenticator, policy=lambda _entry: policy)
    gateway = replace(gateway, authenticator=authenticator)
    return World(us, them, facts, responding, replay, clock, gateway)


def tls(identity) -> TlsPeer:
    certificates = PeerCertificates(
        leaf=identity.certificate, leaf_der=identity.der, intermediates=(), resumed=False
    )
    return TlsPeer(certificates=certificates, key=identity.pin, version="TLSv1.3", cipher="x")


def message(world, *, signer=None, holder=None, **call) -> bytes:
    header = AssertionIssuer(signer=signer or world.them.signer, holder=holder).sign(
        world.call(**call),
        audience=AUDIENCE,
        ids=(world.clock.new_id(), world.clock.new_id()),
        now=world.clock.now(),
    )
    return build_envelope(
        addressing=Addressing(action="urn:a", message_id="urn:uuid:1"),
        body=b"<a/>",
        security=header.octets,
    )


def judge(world, data: bytes, *, peer: TlsPeer | None, **changes) -> Verdict:
    authenticator: Authenticator = replace(world.gateway.authenticator, **changes)
    return authenticator.authenticate(
        parse_envelope(data, limits=XmlLimits()), peer, Transaction.ITI_55, world.clock.now()
    )


def code_of(verdict: Verdict) -> str:
    assert isinstance(verdict.asker, Refusal)
    assert verdict.fault is not None
    assert verdict.asker.sentence
    return verdict.asker.code


def test_who_asks_is_read_from_the_proved_assertion(world, them):
    patient = PatientId(assigning_authority=AUTHORITY, id="p-1")
    verdict = judge(world, message(world, patient_id=patient), peer=tls(them))
    assert isinstance(verdict.asker, Asker)
    assert verdict.fault is None
    assert verdict.asker.principal == world.principal
    assert verdict.asker.patient_id == patient
    assert verdict.asker.entry.organization_id == "them"
    assert verdict.asker.binding == "pinned"
    assert verdict.confirms


def test_without_a_certificate_nothing_else_is_looked_at(world):
    verdict = judge(world, message(world), peer=None)
    assert code_of(verdict) == "client-certificate-missing"
    assert verdict.claimed is not None
    assert verdict.claimed.home_community_id == THEIR_HCID


def test_the_tls_key_the_signer_and_the_holder_are_each_bound(world, them, identities):
    other = identities("other.example")
    assert code_of(judge(world, message(world), peer=tls(other))) == "tls-key-not-bound"
    foreign = message(world, signer=other.signer, holder=them.signer)
    assert code_of(judge(world, foreign, peer=tls(them))) == "saml-signer-key-not-bound"
    foreign = message(world, holder=other.signer)
    assert code_of(judge(world, foreign, peer=tls(them))) == "holder-of-key-not-bound"
    world.facts.trust["them"] = OrganizationTrust(
        organization_id="them", pins=frozenset({them.pin, other.pin})
    )
    assert isinstance(judge(world, foreign, peer=tls(them)).asker, Asker)


def test_hcid_certificate_mismatch(world, them, identities):
    """A peer with good keys of its own, rightly signed, speaks with the HCID of another."""
    victim = HomeCommunityId("urn:oid:1.3.6.1.4.1.99999.66")
    other = identities("victim.example")
    world.facts.entries["victim"] = replace(
        world.facts.entries["them"], organization_id="victim", home_community_id=victim
    )
    world.facts.trust["victim"] = OrganizationTrust(
        organization_id="victim", pins=frozenset({other.pin})
    )
    posing = replace(world.principal, home_community_id=victim)
    assert code_of(judge(world, message(world, principal=posing), peer=tls(them))) == (
        "organization-elsewhere"
    )
    posing = replace(posing, organization_id="victim")
    assert code_of(judge(world, message(world, principal=posing), peer=tls(them))) == (
        "tls-key-not-bound"
    )


def test_law_2_a_claim_outside_the_signed_bytes_counts_for_nothing(world, them):
    world.facts.entries["victim"] = replace(
        world.facts.entries["them"],
        organization_id="victim",
        home_community_id=HomeCommunityId("urn:oid:1.3.6.1.4.1.99999.66"),
    )
    data = message(world)
    forged = data.replace(b"1.3.6.1.4.1.99999.2<", b"1.3.6.1.4.1.99999.66<")
    assert forged != data
    verdict = judge(world, forged, peer=tls(them))
    assert code_of(verdict) == "signature-invalid"
    assert verdict.claimed is not None
    assert verdict.claimed.organization_id == "victim"


def test_a_message_is_accepted_once_and_a_refused_one_is_not_remembered(world, them):
    data = message(world)
    known = world.facts.entries.pop("them")
    assert code_of(judge(world, data, peer=tls(them))) == "unknown-peer"
    assert len(world.replay) == 0
    world.facts.entries["them"] = known
    assert isinstance(judge(world, data, peer=tls(them)).asker, Asker)
    assert code_of(judge(world, data, peer=tls(them))) == "replay"


def test_a_part_that_is_closed_or_suspended_stays_so(world, them):
    lab = replace(world.principal, organization_id="them-lab")
    for change in ({"active": False}, {"suspended": True}):
        entry = world.facts.entries["them-lab"]
        world.facts.entries["them-lab"] = replace(entry, **change)
        verdict = judge(world, message(world, principal=lab), peer=tls(them))
        assert isinstance(verdict.asker, Asker)
        assert verdict.asker.entry.active is change.get("active", True)
        assert verdict.asker.entry.suspended is change.get("suspended", False)
        world.facts.entries["them-lab"] = entry


def test_the_claimed_entry_chooses_the_policy_before_the_proof(world, them):
    seen = []
    policy = world.gateway.authenticator.policy(None)

    def choose(entry):
        seen.append(entry.organization_id if entry else None)
        return policy

    judge(world, message(world), peer=tls(them), policy=choose)
    judge(world, build_unsigned(), peer=tls(them), policy=choose)
    assert seen == ["them", None]


def build_unsigned() -> bytes:
    return build_envelope(addressing=Addressing(action="urn:a"), body=b"<a/>")


def test_faults_name_no_check(world, them, identities):
    """Facts ihe-wire 1.3: unknown, unbound and suspended senders all look the same."""
    other = identities("other.example")
    unbound = judge(world, message(world), peer=tls(other))
    world.facts.entries.clear()
    unknown = judge(world, message(world), peer=tls(them))
    assert unbound.fault is unknown.fault is Subcode.FAILED_AUTHENTICATION


def test_every_subcode_of_trust_is_one_that_we_can_send(world):
    known = {one.rpartition("}")[2] for one in Subcode}
    for code, row in error_table("trust").items():
        prefix, _, local = str(row.get("fault", "wsse:InvalidSecurity")).partition(":")
        assert prefix in ("wsse", "wsu", "env"), code
        assert prefix == "env" or local in known, code


def test_the_purpose_travels_with_its_code_system(world, them):
    verdict = judge(world, message(world), peer=tls(them))
    assert isinstance(verdict.asker, Asker)
    assert verdict.asker.principal.purpose.scheme == PURPOSE_SYSTEM
    assert re.fullmatch(r"[0-9a-f]{64}", tls(them).key)
    assert verdict.asker.entry.home_community_id != OUR_HCID
