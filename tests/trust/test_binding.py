"""Every branch of the rule that ties keys to one organisation (facts pki A8)."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from trust.binding import (
    BindingMethod,
    KeyRole,
    OrganizationTrust,
    PresentedKeys,
    bind,
)
from trust.certificates import fingerprint
from trust.chain import Strength
from trust.errors import error_table
from trust.keys import spki_sha256
from trust.usages import Usage

HOST = "gateway.clinic.example"
ORGANIZATION = OrganizationTrust(organization_id="org-1", host_names=frozenset({HOST}))


@pytest.fixture
def judge(root, now):
    def judge(presented, trust, *, allow_unpinned=True, anchors=None, at=now, floor=Strength.WARN):
        trusted = dict.fromkeys(Usage, (root.certificate,)) if anchors is None else anchors
        verdict = bind(
            presented, trust, trusted, allow_unpinned=allow_unpinned, now=at, floor=floor
        )
        assert verdict.ok == (verdict.method is not None) == (verdict.reason_code is None)
        assert verdict.sentence
        if not verdict.ok:
            assert verdict.reason_code in error_table("trust")
            assert verdict.role is not None
        return verdict

    return judge


@pytest.fixture
def certified(forge, root):
    """A certificate of the network's root that names ``names`` in its SAN."""

    def certified(*names, key="a", signing_key=None, **more):
        san = tuple(n if isinstance(n, x509.GeneralName) else x509.DNSName(n) for n in names)
        return forge(f"clinic-{key}", issuer=root, names=san, key=signing_key, **more)

    return certified


def pins(*identities):
    return replace(ORGANIZATION, pins=frozenset(spki_sha256(i.key) for i in identities))


def refusal(verdict):
    return verdict.reason_code, verdict.role


# --- pinned -------------------------------------------------------------------------------------


def test_one_pinned_key_in_every_role(judge, certified):
    one = certified(HOST)
    presented = PresentedKeys(
        tls_leaf=one.certificate, saml_signer=one.certificate, holder_of_key=one.certificate
    )
    verdict = judge(presented, pins(one), allow_unpinned=False)
    assert verdict.method is BindingMethod.PINNED
    assert verdict.method == "pinned"
    assert verdict.key == spki_sha256(one.key)


def test_several_pinned_keys_and_bare_ones(judge, certified):
    tls, signer, holder = certified(HOST), certified(HOST, key="b"), certified(HOST, key="c")
    presented = PresentedKeys(
        tls_leaf=tls.certificate,
        saml_signer=signer.key.public_key(),
        holder_of_key=holder.key.public_key(),
    )
    assert judge(presented, pins(tls, signer, holder)).method is BindingMethod.PINNED


@pytest.mark.parametrize(
    ("role", "code"),
    [
        (KeyRole.TLS, "tls-key-not-bound"),
        (KeyRole.SAML_SIGNER, "saml-signer-key-not-bound"),
        (KeyRole.HOLDER_OF_KEY, "holder-of-key-not-bound"),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_each_key_must_be_pinned(judge, certified, role, code, bare):
    keys = {r: certified(HOST, key=r.value) for r in KeyRole}

    def shown(r):
        return keys[r].key.public_key() if bare else keys[r].certificate

    presented = PresentedKeys(
        tls_leaf=keys[KeyRole.TLS].certificate,
        saml_signer=shown(KeyRole.SAML_SIGNER),
        holder_of_key=shown(KeyRole.HOLDER_OF_KEY),
    )
    pinned = pins(*(identity for r, identity in keys.items() if r is not role))
    verdict = judge(presented, pinned)
    assert refusal(verdict) == (code, role)
    assert verdict.key == spki_sha256(keys[role].key)


def test_a_good_name_does_not_help_where_pins_are_known(judge, certified):
    old, new = certified(HOST), certified(HOST, key="new")
    verdict = judge(PresentedKeys(tls_leaf=new.certificate), pins(old), allow_unpinned=True)
    assert refusal(verdict) == ("tls-key-not-bound", KeyRole.TLS)


def test_a_whole_certificate_may_be_pinned_for_tls_only(judge, certified):
    one = certified(HOST)
    trust = replace(ORGANIZATION, pins=frozenset({fingerprint(one.certificate)}))
    assert judge(PresentedKeys(tls_leaf=one.certificate), trust).ok
    presented = PresentedKeys(tls_leaf=one.certificate, saml_signer=one.certificate)
    assert refusal(judge(presented, trust)) == (
        "saml-signer-key-not-bound",
        KeyRole.SAML_SIGNER,
    )


def test_a_pinned_self_signed_signer_is_accepted(judge, certified, forge):
    tls, signer = certified(HOST), forge("self-signed")
    presented = PresentedKeys(tls_leaf=tls.certificate, saml_signer=signer.certificate)
    assert judge(presented, pins(tls, signer)).ok


def test_a_pinned_tls_certificate_must_still_chain_to_an_anchor(judge, certified, root, forge):
    """As in the handshake: a connection must not outlive the anchor it was made under."""
    one = certified(HOST)
    presented = PresentedKeys(tls_leaf=one.certificate)
    verdict = judge(presented, pins(one))
    assert verdict.anchor == fingerprint(root.certificate)
    assert verdict.path == (spki_sha256(one.key), spki_sha256(root.key))
    other = {Usage.TLS_CLIENT: (forge("Other", ca=True).certificate,)}
    for anchors in (other, {}, {Usage.SAML_SIGNER: (root.certificate,)}):
        refused = judge(presented, pins(one), anchors=anchors)
        assert refusal(refused) == ("chain-incomplete", KeyRole.TLS)


def test_a_pin_does_not_make_an_expired_certificate_good(judge, certified, now):
    one = certified(HOST)
    verdict = judge(PresentedKeys(tls_leaf=one.certificate), pins(one), at=now + timedelta(days=31))
    assert refusal(verdict) == ("certificate-expired", KeyRole.TLS)


def test_a_pin_does_not_make_a_weak_key_good(judge, certified):
    weak_key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    tls, weak = certified(HOST), certified(HOST, signing_key=weak_key)
    presented = PresentedKeys(tls_leaf=tls.certificate, saml_signer=weak.certificate)
    verdict = judge(presented, pins(tls, weak))
    assert refusal(verdict) == ("certificate-key-weak", KeyRole.SAML_SIGNER)


# --- anchor and name ----------------------------------------------------------------------------


def test_unpinned_organisations_may_be_refused(judge, certified):
    one = certified(HOST)
    verdict = judge(PresentedKeys(tls_leaf=one.certificate), ORGANIZATION, allow_unpinned=False)
    assert refusal(verdict) == ("peer-not-pinned", KeyRole.TLS)


def test_anchor_and_name_bind_one_key_in_every_role(judge, certified, root):
    one = certified(HOST)
    presented = PresentedKeys(
        tls_leaf=one.certificate,
        saml_signer=one.certificate,
        holder_of_key=one.key.public_key(),
    )
    verdict = judge(presented, ORGANIZATION)
    assert verdict.method == "anchor+name"
    assert verdict.host_name == HOST
    assert verdict.anchor == fingerprint(root.certificate)
    assert verdict.path == (spki_sha256(one.key), spki_sha256(root.key))
    assert verdict.key == spki_sha256(one.key)


def test_anchor_and_name_bind_several_keys(judge, certified):
    tls = certified(HOST)
    signer = certified(HOST, key="b", purposes=())
    holder = certified(HOST, key="c", purposes=())
    presented = PresentedKeys(
        tls_leaf=tls.certificate,
        saml_signer=signer.certificate,
        holder_of_key=holder.certificate,
    )
    assert judge(presented, ORGANIZATION).ok


def test_a_bare_key_must_be_one_that_was_bound(judge, certified):
    tls, other = certified(HOST), certified(HOST, key="b")
    bare = other.key.public_key()
    presented = PresentedKeys(tls_leaf=tls.certificate, holder_of_key=bare)
    verdict = judge(presented, ORGANIZATION)
    assert refusal(verdict) == ("holder-of-key-not-bound", KeyRole.HOLDER_OF_KEY)
    presented = PresentedKeys(tls_leaf=tls.certificate, saml_signer=bare)
    assert refusal(judge(presented, ORGANIZATION)) == (
        "saml-signer-key-not-bound",
        KeyRole.SAML_SIGNER,
    )
    # The signer's certificate binds the key that the Timestamp names without one.
    presented = PresentedKeys(
        tls_leaf=tls.certificate, saml_signer=other.certificate, holder_of_key=bare
    )
    assert judge(presented, ORGANIZATION).ok


@pytest.mark.parametrize(
    ("role", "code"),
    [
        (KeyRole.TLS, "tls-name-not-bound"),
        (KeyRole.SAML_SIGNER, "saml-signer-name-not-bound"),
        (KeyRole.HOLDER_OF_KEY, "holder-of-key-name-not-bound"),
    ],
)
def test_each_certificate_must_name_a_host_of_the_organisation(judge, certified, role, code):
    def shown(r):
        name = "gateway.other.example" if r is role else HOST
        return certified(name, key=r.value).certificate

    presented = PresentedKeys(
        tls_leaf=shown(KeyRole.TLS),
        saml_signer=shown(KeyRole.SAML_SIGNER),
        holder_of_key=shown(KeyRole.HOLDER_OF_KEY),
    )
    assert refusal(judge(presented, ORGANIZATION)) == (code, role)


def test_the_host_of_the_managing_qhin_binds_too(judge, certified):
    one = certified("gateway.qhin.example")
    presented = PresentedKeys(tls_leaf=one.certificate)
    assert refusal(judge(presented, ORGANIZATION))[0] == "tls-name-not-bound"
    managed = replace(ORGANIZATION, manager_host_names=frozenset({"gateway.qhin.example"}))
    verdict = judge(presented, managed)
    assert verdict.host_name == "gateway.qhin.example"


def test_names_are_compared_as_lower_case_a_labels(judge, certified):
    one = certified("Gateway.XN--BCHER-KVA.example")
    trust = replace(ORGANIZATION, host_names=frozenset({"GATEWAY.bücher.example."}))
    assert judge(PresentedKeys(tls_leaf=one.certificate), trust).ok


@pytest.mark.parametrize(
    "name",
    [
        "*.clinic.example",
        f"{HOST}.",
        f"{HOST}\x00.evil.example",
        f"evil.{HOST}",
        "clinic.example",
        x509.UniformResourceIdentifier(f"https://{HOST}/"),
        x509.RFC822Name(f"a@{HOST}"),
    ],
)
def test_names_that_only_look_alike_do_not_bind(judge, certified, name):
    one = certified(name)
    verdict = judge(PresentedKeys(tls_leaf=one.certificate), ORGANIZATION)
    assert refusal(verdict) == ("tls-name-not-bound", KeyRole.TLS)


def test_a_wildcard_in_the_directory_does_not_bind_either(judge, certified):
    one = certified("*.clinic.example")
    trust = replace(ORGANIZATION, host_names=frozenset({"*.clinic.example"}))
    assert not judge(PresentedKeys(tls_leaf=one.certificate), trust).ok


def test_cn_only(judge, forge, root):
    one = forge(HOST, issuer=root, names=())
    verdict = judge(PresentedKeys(tls_leaf=one.certificate), ORGANIZATION)
    assert refusal(verdict) == ("tls-name-not-bound", KeyRole.TLS)


def test_an_address_binds_only_where_the_directory_lists_it(judge, certified):
    address = x509.IPAddress(ipaddress.ip_address("10.1.2.3"))
    presented = PresentedKeys(tls_leaf=certified(address).certificate)
    assert refusal(judge(presented, ORGANIZATION))[0] == "tls-name-not-bound"
    listed = replace(ORGANIZATION, host_names=frozenset({"10.1.2.3"}))
    assert judge(presented, listed).host_name == "10.1.2.3"
    # An address written as a DNS name is not one.
    as_text = PresentedKeys(tls_leaf=certified("10.1.2.3", key="b").certificate)
    assert refusal(judge(as_text, listed))[0] == "tls-name-not-bound"


def test_no_host_in_the_directory_binds_nothing(judge, certified):
    trust = OrganizationTrust(organization_id="org-1")
    verdict = judge(PresentedKeys(tls_leaf=certified(HOST).certificate), trust)
    assert refusal(verdict) == ("tls-name-not-bound", KeyRole.TLS)


# --- two organisations --------------------------------------------------------------------------


def test_two_organisations_share_the_host_of_their_qhin(judge, certified):
    one = certified("gateway.qhin.example")
    shared = frozenset({"gateway.qhin.example"})
    for name in ("org-1", "org-2"):
        trust = OrganizationTrust(organization_id=name, manager_host_names=shared)
        assert judge(PresentedKeys(tls_leaf=one.certificate), trust).ok


def test_a_pin_tells_organisations_of_one_host_apart(judge, certified):
    first, second = certified(HOST), certified(HOST, key="second")
    pinned = replace(pins(second), organization_id="org-2")
    verdict = judge(PresentedKeys(tls_leaf=first.certificate), pinned)
    assert refusal(verdict) == ("tls-key-not-bound", KeyRole.TLS)
    assert judge(PresentedKeys(tls_leaf=second.certificate), pinned).ok


def test_two_directory_entries_claiming_one_fqdn(judge, certified):
    one = certified(HOST)
    contested = replace(ORGANIZATION, contested_host_names=frozenset({HOST.upper()}))
    verdict = judge(PresentedKeys(tls_leaf=one.certificate), contested)
    assert refusal(verdict) == ("host-name-contested", KeyRole.TLS)
    # Another name that is its own alone, or a pin, still binds.
    both = certified(HOST, "b.clinic.example", key="b")
    wider = replace(contested, host_names=frozenset({HOST, "b.clinic.example"}))
    assert judge(PresentedKeys(tls_leaf=both.certificate), wider).host_name == "b.clinic.example"
    pinned = replace(contested, pins=frozenset({spki_sha256(one.key)}))
    assert judge(PresentedKeys(tls_leaf=one.certificate), pinned).ok


# --- chain --------------------------------------------------------------------------------------


def test_a_good_name_from_an_unknown_ca_does_not_bind(judge, forge):
    stranger = forge(HOST, issuer=forge("Other Root", ca=True))
    verdict = judge(PresentedKeys(tls_leaf=stranger.certificate), ORGANIZATION)
    assert refusal(verdict) == ("chain-incomplete", KeyRole.TLS)


def test_an_anchor_binds_only_the_uses_it_is_authorised_for(judge, certified, root):
    one = certified(HOST)
    anchors = {Usage.TLS_CLIENT: (root.certificate,)}
    assert judge(PresentedKeys(tls_leaf=one.certificate), ORGANIZATION, anchors=anchors).ok
    presented = PresentedKeys(tls_leaf=one.certificate, saml_signer=one.certificate)
    verdict = judge(presented, ORGANIZATION, anchors=anchors)
    assert refusal(verdict) == ("chain-incomplete", KeyRole.SAML_SIGNER)
    called = PresentedKeys(tls_leaf=one.certificate, tls_usage=Usage.TLS_SERVER)
    assert not judge(called, ORGANIZATION, anchors=anchors).ok


def test_the_tls_role_decides_the_purpose(judge, certified):
    server = certified(HOST, purposes=("1.3.6.1.5.5.7.3.1",))
    asks = PresentedKeys(tls_leaf=server.certificate)
    assert refusal(judge(asks, ORGANIZATION))[0] == "certificate-purpose-wrong"
    assert refusal(judge(asks, pins(server)))[0] == "certificate-purpose-wrong"
    asked = replace(asks, tls_usage=Usage.TLS_SERVER)
    assert judge(asked, ORGANIZATION).ok
    assert judge(asked, pins(server)).ok


def test_intermediates_of_the_message_complete_the_chain(judge, forge, intermediate):
    one = forge(HOST, issuer=intermediate)
    presented = PresentedKeys(tls_leaf=one.certificate)
    assert refusal(judge(presented, ORGANIZATION))[0] == "chain-incomplete"
    assert judge(replace(presented, intermediates=(intermediate.certificate,)), ORGANIZATION).ok


def test_weak_keys_warn_or_deny(judge, certified):
    one = certified(HOST, kind="rsa-2048")
    presented = PresentedKeys(tls_leaf=one.certificate)
    assert [w.code for w in judge(presented, ORGANIZATION).warnings] == [
        "certificate-below-128-bit"
    ]
    for trust in (ORGANIZATION, pins(one)):
        verdict = judge(presented, trust, floor=Strength.DENY)
        assert refusal(verdict) == ("certificate-below-128-bit", KeyRole.TLS)


# --- rotation -----------------------------------------------------------------------------------


def test_old_and_new_are_both_accepted_during_overlap_and_the_old_is_refused_after(
    judge, certified
):
    """The peer announces its next key beside the old one; both count until it drops the old."""
    old, new = certified(HOST, key="old"), certified(HOST, key="new")
    presented = [PresentedKeys(tls_leaf=each.certificate) for each in (old, new)]
    assert [judge(each, pins(old, new)).ok for each in presented] == [True, True]
    assert [judge(each, pins(old)).ok for each in presented] == [True, False]
    verdicts = [judge(each, pins(new)) for each in presented]
    assert refusal(verdicts[0]) == ("tls-key-not-bound", KeyRole.TLS)
    assert verdicts[1].ok
