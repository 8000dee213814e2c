"""Anchors and policy of a signed list: what they change at a member (facts pki A6, A8, B3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.anchors import anchor_of
from tests.network_world import BEGIN, NetworkWorld
from trust.anchors import ALL_USES
from trust.binder import Binder
from trust.binding import OrganizationTrust, PresentedKeys
from trust.certificates import fingerprint
from trust.chain import Strength
from trust.errors import TrustError
from trust.network_list.anchors import joined, listed_anchors
from trust.network_list.deny import DeniedKeys
from trust.network_list.listing import read_policy
from trust.network_list.registrar import add_anchor, anchors_of, remove_anchor, set_policy
from trust.revocation_policy import (
    ANCHOR_DEFAULT,
    RevocationPolicy,
    RevocationRule,
    Unknown,
    stricter,
)
from trust.usages import Usage

STRICT = RevocationRule(policy=RevocationPolicy.REQUIRE_CRL, unknown=Unknown.HARD)
NOBODY = DeniedKeys()
TRUST = OrganizationTrust(organization_id="org-1", host_names=frozenset({"a.example"}))
LISTED = replace(TRUST, listed=True)


@pytest.fixture
def world(tmp_path):
    world = NetworkWorld(tmp_path)
    world.publish()
    return world


@pytest.fixture
def ca(forge):
    """A CA that is valid at the time of the network's world."""
    year = timedelta(days=365)
    return forge("Valley CA", ca=True, starts=BEGIN - year, ends=BEGIN + year).certificate


def workspace(world):
    return world.publisher.workspace


def lists(world, ca, name="valley", **terms):
    world.later(hours=1)
    add_anchor(workspace(world), name, ca, now=world.now, **terms)
    world.publish()


def anchors(member):
    return listed_anchors(member.authority())


# --- from the list to the member ------------------------------------------------------------------


def test_a_listed_anchor_and_its_terms_reach_a_member(world, ca):
    lists(world, ca, uses=(Usage.TLS_CLIENT,), revocation=STRICT)
    set_policy(workspace(world), minimum_strength=Strength.DENY)
    world.publish()
    (anchor,) = anchors(world.joined())
    assert anchor.certificate == ca
    assert (anchor.label, anchor.network) == ("valley", "Test")
    assert (anchor.uses, anchor.revocation) == ((Usage.TLS_CLIENT,), STRICT)
    assert anchor.strength is Strength.DENY
    assert (anchor.local, anchor.listed, anchor.added) == (False, True, None)


def test_an_anchor_without_terms_vouches_for_everything_by_the_default_rule(world, ca):
    (workspace(world).anchors / "plain.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    world.publish()
    (anchor,) = anchors(world.joined())
    assert (anchor.uses, anchor.revocation) == (ALL_USES, ANCHOR_DEFAULT)


def test_what_is_no_ca_is_no_anchor_even_when_it_is_signed(world, ca, forge):
    leaf = forge("leaf").certificate
    two = ca.public_bytes(Encoding.PEM) + leaf.public_bytes(Encoding.PEM)
    for name, data in (("leaf", leaf.public_bytes(Encoding.PEM)), ("two", two)):
        (workspace(world).anchors / f"{name}.pem").write_bytes(data)
    world.publish()
    assert anchors(world.joined()) == ()


def test_the_authority_is_read_without_the_entries_and_checked_like_them(world, ca):
    lists(world, ca)
    member = world.joined()
    authority, listed = member.authority(), member.applied()
    assert (authority.digest, authority.version) == (listed.digest, listed.version)
    assert authority.anchors == listed.anchors
    assert (authority.policy, authority.deny) == (listed.policy, listed.deny)
    for file in (world.folder / "member" / "targets").iterdir():
        file.write_bytes(file.read_bytes().replace(b"CERTIFICATE", b"CERTIFICATE "))
    with pytest.raises(TrustError) as caught:
        member.authority()
    assert caught.value.code == "network-list-mixed"


# --- a change of anchors waits --------------------------------------------------------------------


def test_the_anchors_of_the_first_list_are_approved_by_joining(world, ca):
    lists(world, ca)
    assert len(anchors(world.joined())) == 1


@pytest.mark.parametrize("change", ["added", "removed", "other-certificate", "other-terms"])
def test_a_change_of_anchors_is_shown_and_waits_however_small(world, ca, forge, change):
    """An anchor is the greatest power there is: no share of entries excuses it."""
    if change != "added":
        lists(world, ca)
    member = world.joined()
    before = anchors(member)
    if change == "removed":
        world.later(hours=1)
        remove_anchor(workspace(world), "valley")
        world.publish()
    elif change == "other-certificate":
        year = timedelta(days=365)
        lists(world, forge("Other", ca=True, starts=BEGIN - year, ends=BEGIN + year).certificate)
    elif change == "other-terms":
        lists(world, ca, uses=(Usage.TLS_SERVER,))
    else:
        lists(world, ca)
    report = member.sync(now=world.now)
    assert not report.applied
    assert any("anchor" in sentence for sentence in report.change.approval)
    shown = " ".join(report.change.sentences)
    if change != "other-certificate":
        assert f"The anchor valley ({fingerprint(ca)})" in shown
    assert anchors(member) == before
    member.approve(report.change.after, now=world.now)
    assert anchors(member) != before


def test_a_laxer_or_stricter_floor_waits(world):
    member = world.joined()
    world.later(hours=1)
    set_policy(workspace(world), minimum_strength=Strength.DENY)
    world.publish()
    report = member.sync(now=world.now)
    assert not report.applied
    assert "The policy of Test (minimum strength) changed." in report.change.sentences


def test_other_changes_of_the_policy_do_not_wait(world):
    member = world.joined()
    world.later(hours=1)
    set_policy(workspace(world), purposes=("T-TRTMNT",))
    world.publish()
    report = member.sync(now=world.now)
    assert report.applied
    assert report.change.sentences == ("The policy of Test (purposes) changed.",)


# --- the member's own anchors ---------------------------------------------------------------------


def test_a_local_setting_makes_a_listed_anchor_stricter_and_never_laxer(ca):
    theirs = anchor_of(ca, listed=True, local=False, revocation=STRICT, strength=Strength.DENY,
                       uses=(Usage.TLS_CLIENT, Usage.TLS_SERVER))  # fmt: skip
    ours = anchor_of(ca, label="ours", uses=(Usage.TLS_CLIENT, Usage.SAML_SIGNER))
    (both,) = joined([ours], [theirs], NOBODY)
    assert both.uses == (Usage.TLS_CLIENT,)
    assert both.revocation.policy is RevocationPolicy.REQUIRE_CRL
    assert both.revocation.unknown is Unknown.HARD
    assert both.strength is Strength.DENY
    assert (both.label, both.local, both.listed) == ("ours", True, True)
    careful, lax = replace(ours, revocation=STRICT), replace(theirs, revocation=ANCHOR_DEFAULT)
    (other,) = joined([careful], [lax], NOBODY)
    assert other.revocation == STRICT


def test_the_stricter_of_two_rules_demands_what_either_does():
    lax = RevocationRule(
        policy=RevocationPolicy.DIRECTORY_ONLY, unknown=Unknown.HARD,
        grace=timedelta(hours=1), short_lived=timedelta(days=9),
    )  # fmt: skip
    other = RevocationRule(
        policy=RevocationPolicy.PREFER_CRL_THEN_OCSP, unknown=Unknown.SOFT,
        grace=timedelta(hours=2), short_lived=timedelta(days=3),
    )  # fmt: skip
    expected = RevocationRule(
        policy=RevocationPolicy.PREFER_CRL_THEN_OCSP, unknown=Unknown.HARD,
        grace=timedelta(hours=1), short_lived=timedelta(days=3),
    )  # fmt: skip
    assert stricter(lax, other) == stricter(other, lax) == expected


def test_an_anchor_that_leaves_the_list_is_gone_and_the_operators_stays(ca, forge):
    own = anchor_of(forge("own", ca=True).certificate)
    theirs = anchor_of(ca, local=False, listed=True)
    assert {a.fingerprint for a in joined([own], [theirs], NOBODY)} == {
        own.fingerprint, theirs.fingerprint,
    }  # fmt: skip
    assert joined([own], [], NOBODY) == (own,)


def test_a_denied_anchor_is_none_at_once_even_while_the_list_waits(world, ca):
    """The fast way: a removal waits for approval, a denial does not."""
    lists(world, ca)
    member = world.joined()
    assert len(joined([], anchors(member), member.denied())) == 1
    world.later(hours=1)
    workspace(world).deny(fingerprint(ca), "stolen", certificate=True, now=world.now)
    remove_anchor(workspace(world), "valley")
    world.publish()
    assert not member.sync(now=world.now).applied
    assert len(anchors(member)) == 1
    assert joined([], anchors(member), member.denied()) == ()


# --- what a listed anchor may do ------------------------------------------------------------------


def test_a_listed_anchor_vouches_for_members_of_the_list_alone(issue, dev_ca, now):
    """Facts A8 (1): authorised for that network. Else one network could speak for another."""
    leaf = issue("a.example").certificate
    shown = PresentedKeys(tls_leaf=leaf)
    theirs = anchor_of(dev_ca.certificate, local=False, listed=True)
    binder = Binder([theirs], allow_unpinned=True)
    assert binder.bind(shown, LISTED, now=now).ok
    assert binder.bind(shown, TRUST, now=now).reason_code == "chain-incomplete"
    binder.use([replace(theirs, local=True)])
    assert binder.bind(shown, TRUST, now=now).ok


@pytest.mark.parametrize("trust", [TRUST, LISTED])
def test_the_networks_floor_holds_below_its_anchors_and_no_others(forge, root, now, trust):
    weak = forge("a.example", issuer=root, kind="rsa-2048")
    shown = PresentedKeys(tls_leaf=weak.certificate)
    other = anchor_of(forge("Other", ca=True).certificate, strength=Strength.DENY)
    for strength, code in ((Strength.WARN, None), (Strength.DENY, "certificate-below-128-bit")):
        anchor = anchor_of(root.certificate, strength=strength)
        binder = Binder([anchor, other], allow_unpinned=True, floor=Strength.WARN)
        assert binder.bind(shown, trust, now=now).reason_code == code
    binder = Binder(
        [anchor_of(root.certificate)], allow_unpinned=True, floor=Strength.DENY
    )  # the node's own setting is stricter than the list's
    assert binder.bind(shown, trust, now=now).reason_code == "certificate-below-128-bit"


# --- the registrar --------------------------------------------------------------------------------


def test_the_registrar_lists_replaces_and_removes_an_anchor(world, ca, forge):
    add_anchor(workspace(world), "valley", ca, now=BEGIN, uses=(Usage.TLS_CLIENT,))
    (staged,) = anchors_of(workspace(world))
    assert (staged.name, staged.certificate) == ("valley", ca)
    assert staged.terms.uses == (Usage.TLS_CLIENT,)
    add_anchor(workspace(world), "valley", ca, now=BEGIN, revocation=STRICT)
    assert anchors_of(workspace(world))[0].terms.revocation == STRICT
    assert remove_anchor(workspace(world), "other") is None
    assert remove_anchor(workspace(world), fingerprint(ca)).name == "valley"
    assert anchors_of(workspace(world)) == ()
    policy = workspace(world).policy()
    assert (policy.uses, policy.revocation) == ({}, {})


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", ".x", "x" * 120])
def test_an_anchor_has_a_name_that_a_file_can_have(world, ca, name):
    with pytest.raises(TrustError) as caught:
        add_anchor(workspace(world), name, ca, now=BEGIN)
    assert caught.value.code == "network-anchor-invalid"


def test_the_registrar_cannot_list_what_is_no_ca_now(world, ca, forge):
    for certificate, now in ((forge("leaf").certificate, BEGIN), (ca, BEGIN.replace(year=2049))):
        with pytest.raises(TrustError) as caught:
            add_anchor(workspace(world), "valley", certificate, now=now)
        assert caught.value.code == "anchor-refused"
    assert anchors_of(workspace(world)) == ()


def test_a_rule_that_nobody_can_follow_is_refused():
    good = b'{"network": "N", "revocation": {"anchors/a.pem": {"policy": "require-crl"}}}'
    assert read_policy(good).revocation
    for bad in (b'"always"', b'"require-crl", "nonsense": 1'):
        with pytest.raises(TrustError) as caught:
            read_policy(good.replace(b'"require-crl"', bad))
        assert (caught.value.code, caught.value.where) == ("network-list-invalid", "anchors/a.pem")
