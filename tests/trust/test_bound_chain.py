"""Revocation as a part of every binding, by the rule of the chain's anchor (facts pki A6, A8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from trust.anchors import Anchor
from trust.binder import MAX_AGE, Binder
from trust.binding import OrganizationTrust, PresentedKeys
from trust.crl import parse_crl
from trust.crl_intake import known_authorities, take_crl
from trust.errors import TrustError
from trust.keys import spki_sha256
from trust.live_revocation import LiveRevocations
from trust.network_list.deny import DeniedKeys
from trust.network_list.listing import Denial
from trust.revocation_policy import (
    ANCHOR_DEFAULT,
    RevocationPolicy,
    RevocationRule,
    State,
    Unknown,
)

HARD = RevocationRule(policy=RevocationPolicy.REQUIRE_CRL, unknown=Unknown.HARD)
NAMED = OrganizationTrust(organization_id="org", host_names=frozenset({"leaf.example"}))


@pytest.fixture
def leaf(forge, intermediate):
    return forge("leaf.example", issuer=intermediate)


@pytest.fixture
def signer(forge, intermediate, make_key):
    return forge("leaf.example", issuer=intermediate, key=make_key("p-256", "signer"))


@pytest.fixture
def presented(leaf, signer, intermediate):
    return PresentedKeys(
        tls_leaf=leaf.certificate,
        saml_signer=signer.certificate,
        intermediates=(intermediate.certificate,),
    )


@pytest.fixture
def pinned(leaf, signer):
    pins = frozenset({spki_sha256(leaf.certificate), spki_sha256(signer.certificate)})
    return replace(NAMED, pins=pins)


@pytest.fixture
def world(tmp_path, root, intermediate, sign_crl, now):
    """A folder of CRLs, what is known of it, and a binder that asks."""

    class World:
        folder = tmp_path / "crls"
        rule = HARD
        denied = DeniedKeys()

        def start(self):
            anchor = Anchor(
                certificate=root.certificate, label="r", network="n", added=now,
                revocation=self.rule,
            )  # fmt: skip
            self.known = LiveRevocations(self.folder, [anchor], now=now)
            self.binder = Binder(
                [anchor],
                allow_unpinned=True,
                denied=self.denied,
                revocations=self.known,
            )
            return self.binder

        def take(self, issuer, *, notice=True, **options):
            paths = known_authorities(
                [root.certificate], self.known.shelf, [intermediate.certificate], now=now
            )
            take_crl(self.folder, parse_crl(sign_crl(issuer, **options)), paths, now=now)
            if notice:
                assert self.known.refresh(now=now)

    return World()


@pytest.fixture(params=["pinned", "named"])
def trust(request, pinned):
    return pinned if request.param == "pinned" else NAMED


def test_every_chain_of_a_binding_is_judged(world, presented, trust, intermediate, root, now):
    binder = world.start()
    world.take(root)
    world.take(intermediate, number=7)
    verdict = binder.bind(presented, trust, now=now)
    assert verdict.ok
    assert [chain.role for chain in verdict.chains] == ["tls", "saml-signer"]
    for chain in verdict.chains:
        assert chain.anchor
        assert [s.state for s in chain.revocation.certificates] == [State.GOOD, State.GOOD]
        assert chain.revocation.certificates[0].crl_number == 7


@pytest.mark.parametrize("role", ["tls", "saml-signer"])
def test_revoked_leaf(world, presented, trust, intermediate, root, now, role, leaf, signer):
    binder = world.start()
    world.take(root)
    revoked = leaf if role == "tls" else signer
    world.take(intermediate, revoked=[revoked.certificate.serial_number])
    verdict = binder.bind(presented, trust, now=now)
    assert (verdict.reason_code, verdict.role) == ("certificate-revoked", role)
    assert verdict.key == spki_sha256(revoked.certificate)
    assert verdict.chains


def test_revoked_ca(world, presented, trust, intermediate, root, now):
    binder = world.start()
    world.take(intermediate)
    world.take(root, revoked=[intermediate.certificate.serial_number])
    assert binder.bind(presented, trust, now=now).reason_code == "certificate-revoked"


def test_a_pinned_peer_does_not_escape_by_leaving_its_intermediates_out(
    world, presented, pinned, intermediate, root, now, leaf
):
    binder = world.start()
    world.take(root)
    world.take(intermediate, revoked=[leaf.certificate.serial_number])
    bare = replace(presented, intermediates=())
    assert binder.bind(bare, pinned, now=now).reason_code == "certificate-revoked"


def test_a_pinned_signer_without_an_anchor_of_ours_is_bound_and_nobody_was_asked(
    world, presented, pinned, intermediate, root, forge, now
):
    elsewhere = forge("elsewhere.example")
    binder = world.start()
    world.take(root)
    world.take(intermediate)
    trust = replace(pinned, pins=pinned.pins | {spki_sha256(elsewhere.certificate)})
    verdict = binder.bind(replace(presented, saml_signer=elsewhere.certificate), trust, now=now)
    assert verdict.ok
    tls, signer = verdict.chains
    assert tls.anchor
    assert (signer.anchor, signer.revocation) == (None, None)
    assert signer.reason_code == "anchor-unknown"


def test_a_remembered_verdict_ends_when_a_new_crl_says_revoked(
    world, presented, trust, intermediate, root, now, leaf
):
    binder = world.start()
    world.take(root)
    world.take(intermediate)
    first = binder.bind(presented, trust, now=now)
    assert binder.bind(presented, trust, now=now) is first
    world.take(intermediate, number=2, revoked=[leaf.certificate.serial_number], notice=False)
    assert binder.bind(presented, trust, now=now) is first
    assert world.known.refresh(now=now)
    assert binder.bind(presented, trust, now=now).reason_code == "certificate-revoked"
    assert not world.known.refresh(now=now)


def test_an_anchor_without_a_rule_lets_the_unknown_pass_with_a_warning(
    world, presented, trust, now
):
    world.rule = ANCHOR_DEFAULT
    binder = world.start()
    first = binder.bind(presented, trust, now=now)
    assert first.ok
    assert [w.code for w in first.warnings] == ["crl-missing"]
    # Nobody's silence is remembered as long as a good word is, and no longer.
    assert binder.bind(presented, trust, now=now + timedelta(seconds=1)) is first
    assert binder.bind(presented, trust, now=now + MAX_AGE) is not first


def test_a_verdict_ends_with_the_crl_it_rests_on(world, presented, trust, intermediate, root, now):
    binder = world.start()
    world.take(root)
    world.take(intermediate, ends=now + timedelta(seconds=60))
    assert binder.bind(presented, trust, now=now).valid_until == now + timedelta(seconds=60)
    late = now + timedelta(seconds=61)
    assert binder.bind(presented, trust, now=late).reason_code == "crl-stale"


def test_the_deny_list_wins_over_every_certificate_of_the_path(world, presented, trust, root, now):
    world.rule = ANCHOR_DEFAULT
    digest = spki_sha256(root.certificate)
    world.denied = DeniedKeys(keys={digest: Denial(sha256=digest, reason="lost", since=now)})
    verdict = world.start().bind(presented, trust, now=now)
    assert (verdict.reason_code, verdict.key) == ("key-denied", digest)


def test_a_rolled_back_crl_leaves_the_revoked_revoked(
    world, presented, trust, intermediate, root, now, leaf
):
    binder = world.start()
    world.take(root)
    world.take(intermediate, number=5, revoked=[leaf.certificate.serial_number])
    with pytest.raises(TrustError) as refused:
        world.take(intermediate, number=4)
    assert refused.value.code == "crl-rollback"
    assert binder.bind(presented, trust, now=now).reason_code == "certificate-revoked"


def test_a_crl_file_damaged_while_running_stays_in_force(
    world, presented, trust, intermediate, root, now, leaf
):
    binder = world.start()
    world.take(root)
    world.take(intermediate, revoked=[leaf.certificate.serial_number])
    for path in world.folder.glob("*.pem"):
        path.write_bytes(path.read_bytes()[:-60])
    assert world.known.refresh(now=now)
    assert {fault.code for fault in world.known.faults} == {"crl-store-invalid"}
    assert binder.bind(presented, trust, now=now).reason_code == "certificate-revoked"


def test_another_rule_of_the_anchor_counts_at_once(world, presented, trust, root, now):
    binder = world.start()
    assert binder.bind(presented, trust, now=now).reason_code == "crl-missing"
    anchor = Anchor(certificate=root.certificate, label="r", network="n", added=now)
    world.known.use_anchors([anchor], now=now)
    assert binder.bind(presented, trust, now=now).ok
    world.known.use_anchors([replace(anchor, revocation=HARD)], now=now)
    assert binder.bind(presented, trust, now=now).reason_code == "crl-missing"
