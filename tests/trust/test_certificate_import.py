from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from trust.certificate_import import ImportContext, check_import
from trust.certificates import arrange, fingerprint
from trust.chain import Strength
from trust.keys import spki_sha256
from trust.usages import Usage

BOTH = (Usage.TLS_SERVER, Usage.TLS_CLIENT)


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


def test_same_key_reused_after_compromised(judge, leaf):
    assert judge(retired_keys={spki_sha256(leaf.key)})[0] == ["key-retired"]


def test_all_faults_are_told_at_once(judge, make_key, now):
    refusals, _ = judge(
        key=make_key("p-256", "stranger"), hosts=("b.example",), at=now + timedelta(days=31)
    )
    assert refusals == ["key-mismatch", "certificate-name-missing", "certificate-expired"]
