"""The questions of facts pki A2 ("Manual PEM import must check, before staging"), each a test."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from cryptography import x509

from trust.certificate_import import ImportContext, check_import, serial_name
from trust.certificates import arrange, fingerprint, parse_certificates
from trust.chain import Finding, Strength
from trust.errors import TrustError
from trust.keys import plain_pem, spki_sha256
from trust.revocation_policy import RevocationDecision, RevocationPolicy, Unknown
from trust.usages import Usage

BOTH = (Usage.TLS_SERVER, Usage.TLS_CLIENT)


def known(*, ok: bool, code: str | None = None, warnings: tuple[Finding, ...] = ()):
    """What is known of revocation, whatever the path."""
    decision = RevocationDecision(
        ok=ok,
        reason_code=code,
        sentence="As the test says.",
        policy=RevocationPolicy.REQUIRE_CRL,
        unknown=Unknown.HARD,
        warnings=warnings,
    )
    return lambda path: decision


@pytest.fixture
def leaf(forge, intermediate):
    return forge("leaf.example", issuer=intermediate)


@pytest.fixture
def judge(leaf, intermediate, root, now):
    def judge(identity=leaf, *, certificates=None, at=now, **changes):
        context = {
            "key": identity.key,
            "usages": BOTH,
            "hosts": ("leaf.example",),
            "anchors": (root.certificate,),
            "revocation": known(ok=True),
            **changes,
        }
        given = certificates or (identity.certificate, intermediate.certificate)
        verdict = check_import(arrange(given), ImportContext(**context), now=at)
        assert verdict.ok == (not verdict.refusals)
        return [f.code for f in verdict.refusals], [f.code for f in verdict.warnings]

    return judge


def test_a_good_certificate_may_be_imported(judge):
    assert judge() == ([], [])


def test_a_certificate_for_another_key(judge, make_key):
    assert judge(key=make_key("p-256", "stranger"))[0] == ["key-mismatch"]


def test_an_expired_certificate(judge, now):
    assert judge(at=now + timedelta(days=31))[0] == ["certificate-expired"]


def test_a_certificate_that_is_not_valid_yet(judge, now):
    assert judge(at=now - timedelta(days=2))[0] == ["certificate-not-yet-valid"]


def test_every_host_of_our_endpoints_must_be_covered(judge):
    assert judge(hosts=("leaf.example", "LEAF.example."))[0] == []
    assert judge(hosts=("leaf.example", "b.example", "10.0.0.1"))[0] == [
        "certificate-name-missing",
        "certificate-name-missing",
    ]


def test_a_wildcard_does_not_cover_a_host(judge, forge, intermediate):
    wild = forge("wild", issuer=intermediate, names=(x509.DNSName("*.example"),))
    assert judge(wild)[0] == ["certificate-name-missing"]


def test_the_purpose_of_each_use_must_be_there(judge, forge, intermediate):
    server = forge("leaf.example", issuer=intermediate, purposes=("1.3.6.1.5.5.7.3.1",))
    assert judge(server)[0] == ["certificate-purpose-wrong"]
    assert judge(server, usages=(Usage.TLS_SERVER,))[0] == []


def test_a_root_in_the_file_is_only_left_out(judge, leaf, intermediate, root):
    given = (leaf.certificate, intermediate.certificate, root.certificate)
    assert judge(certificates=given) == ([], ["bundle-holds-root"])


def test_strangers_in_the_file_are_only_left_out(judge, leaf, intermediate, root, forge):
    other = forge("Another Intermediate", ca=True, issuer=root)
    given = (leaf.certificate, intermediate.certificate, other.certificate)
    assert judge(certificates=given) == ([], ["bundle-holds-strangers"])


def test_a_certificate_from_an_unknown_ca(judge, dev_ca):
    assert judge(anchors=(dev_ca.certificate,))[0] == ["chain-incomplete"]


def test_a_missing_intermediate(judge, leaf):
    assert judge(certificates=(leaf.certificate,))[0] == ["chain-incomplete"]


def test_a_lone_ca_certificate(judge, root):
    refusals, _ = judge(root, certificates=(root.certificate,))
    assert "certificate-is-ca" in refusals


def test_key_floor(judge, forge, intermediate):
    weak = forge("leaf.example", issuer=intermediate, kind="rsa-2048")
    assert judge(weak) == ([], ["certificate-below-128-bit"])
    assert judge(weak, floor=Strength.DENY)[0] == ["certificate-below-128-bit"]


def test_a_duplicate_certificate(judge, leaf):
    known = {fingerprint(leaf.certificate)}
    assert judge(known_fingerprints=known)[0] == ["certificate-duplicate"]


def test_a_duplicate_by_serial_and_issuer(judge, leaf, forge, intermediate):
    held = {serial_name(leaf.certificate)}
    assert judge(known_serials=held)[0] == ["certificate-duplicate"]
    other = forge("leaf.example", issuer=intermediate)
    assert judge(other, known_serials=held)[0] == []


def test_same_key_reused_after_compromised(judge, leaf):
    spent = {spki_sha256(leaf.key)}
    assert judge(compromised_keys=spent, used_keys=spent)[0] == ["key-compromised"]
    again = judge(compromised_keys=spent, used_keys=spent, allow_used_key=True)
    assert again[0] == ["key-compromised"]


def test_key_not_previously_used_unless_explicitly_overridden(judge, leaf):
    used = {spki_sha256(leaf.key)}
    assert judge(used_keys=used)[0] == ["key-used-before"]
    assert judge(used_keys=used, allow_used_key=True) == ([], [])


def test_revocation_status_known(judge):
    assert judge(revocation=None) == ([], ["revocation-not-asked"])
    assert judge(revocation=known(ok=False, code="crl-missing"))[0] == ["crl-missing"]
    assert judge(revocation=known(ok=False, code="certificate-revoked"))[0] == [
        "certificate-revoked"
    ]
    stale = Finding(code="crl-stale", sentence="Old.")
    assert judge(revocation=known(ok=True, warnings=(stale,))) == ([], ["crl-stale"])


def test_the_path_that_revocation_is_asked_for_ends_at_the_anchor(judge, leaf, intermediate, root):
    asked = []

    def revocation(path):
        asked.append(tuple(path))
        return known(ok=True)(path)

    judge(revocation=revocation)
    assert set(asked) == {(leaf.certificate, intermediate.certificate, root.certificate)}


def test_exactly_one_private_key_and_none_in_the_file(leaf):
    pem = plain_pem(leaf.key)
    with pytest.raises(TrustError) as refused:
        parse_certificates(pem)
    assert refused.value.code == "bundle-holds-key"


def test_order_independent_chain_build_without_the_root(leaf, intermediate, root):
    three = (leaf.certificate, intermediate.certificate, root.certificate)
    for order in itertools.permutations(three):
        served = parse_certificates(arrange(order).pem())
        assert served == (leaf.certificate, intermediate.certificate)


def test_an_expired_intermediate(judge, forge, root, now):
    old = forge(
        "Old Intermediate", ca=True, issuer=root, starts=now - timedelta(days=9),
        ends=now - timedelta(days=1),
    )  # fmt: skip
    leaf = forge("leaf.example", issuer=old)
    refused = judge(leaf, certificates=(leaf.certificate, old.certificate))
    assert refused[0] == ["intermediate-expired"]


def test_a_certificate_without_extended_key_usage(judge, forge, intermediate):
    without = forge("leaf.example", issuer=intermediate, without=(x509.ExtendedKeyUsage,))
    assert set(judge(without)[0]) == {"certificate-purpose-missing"}


def test_the_uri_that_names_us_is_compared_byte_for_byte(judge, forge, intermediate):
    uri = "https://leaf.example/fhir-client/T-TRTMNT"
    client = forge("client", issuer=intermediate, names=(x509.UniformResourceIdentifier(uri),))
    context = {"usages": (Usage.UDAP_SIGNER,), "hosts": ()}
    assert judge(client, uris=(uri,), **context) == ([], [])
    assert judge(client, uris=(f"{uri}/",), **context)[0] == ["certificate-name-missing"]
    assert judge(client, uris=(uri.upper(),), **context)[0] == ["certificate-name-missing"]


def test_all_faults_are_told_at_once(judge, make_key, now):
    refusals, _ = judge(
        key=make_key("p-256", "stranger"), hosts=("b.example",), at=now + timedelta(days=31)
    )
    assert refusals == ["key-mismatch", "certificate-name-missing", "certificate-expired"]
