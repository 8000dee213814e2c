"""``cert inspect`` explains whatever it is given, and is never thrown by it."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from trust.csr import RequestedNames, build_csr, csr_pem
from trust.errors import TrustError
from trust.inspection import MAX_FILE_BYTES, MAX_PARTS, Part, Surroundings, inspect_bytes
from trust.keys import plain_pem, spki_sha256
from trust.pkcs8 import encrypted_pem
from trust.usages import PARTNER_USES, Usage


@pytest.fixture
def look(now):
    def look(data, **more):
        return inspect_bytes(data, Surroundings(now=more.pop("now", now), **more))

    return look


def pem(*identities) -> bytes:
    return b"".join(each.certificate.public_bytes(Encoding.PEM) for each in identities)


def codes(inspected) -> list[str]:
    return [finding.code for finding in inspected.findings]


@pytest.fixture
def leaf(forge, intermediate):
    return forge("leaf.example", issuer=intermediate)


def test_a_chain_in_any_order_is_told_part_by_part(look, leaf, intermediate, root):
    found = look(pem(root, leaf, intermediate))
    assert [each.part for each in found] == [Part.LEAF, Part.ISSUER, Part.ROOT]
    assert found[0].facts["good_for"] == [usage.value for usage in PARTNER_USES]
    assert found[0].facts["spki_sha256"] == spki_sha256(leaf.key)
    assert found[0].facts["fingerprint"]


def test_the_same_in_der(look, leaf, intermediate):
    (found,) = look(leaf.certificate.public_bytes(Encoding.DER))
    assert found.part is Part.CERTIFICATE
    assert found.facts["dns_names"] == ["leaf.example"]


def test_extended_key_usage_is_told_per_use(look, forge, intermediate, now):
    server = forge("leaf.example", issuer=intermediate, purposes=("1.3.6.1.5.5.7.3.1",))
    (found,) = look(pem(server))
    assert "tls-client" not in found.facts["good_for"]
    (told,) = found.facts["not_for"]
    assert told.startswith("tls-client: ")
    assert told.endswith("(certificate-purpose-wrong)")
    assert "certificate-purpose-wrong" not in codes(found)
    code_signing = forge("leaf.example", issuer=intermediate, purposes=("1.3.6.1.5.5.7.3.3",))
    assert "certificate-purpose-wrong" in codes(look(pem(code_signing))[0])


@pytest.mark.parametrize(
    ("days", "code"),
    [(-2, "certificate-not-yet-valid"), (29, "certificate-ends-soon"), (31, "certificate-expired")],
)
def test_dates(look, leaf, now, days, code):
    (found,) = look(pem(leaf), now=now + timedelta(days=days))
    assert code in codes(found)


def test_names(look, forge, intermediate):
    without = forge("host.example", issuer=intermediate, without=(x509.SubjectAlternativeName,))
    assert "certificate-name-missing" in codes(look(pem(without))[0])
    wild = forge("wild", issuer=intermediate, names=(x509.DNSName("*.example"),))
    assert "certificate-name-ignored" in codes(look(pem(wild))[0])


def test_floor(look, forge, intermediate):
    weak = forge("leaf.example", issuer=intermediate, kind="rsa-2048")
    assert "certificate-below-128-bit" in codes(look(pem(weak))[0])


def test_the_chain_is_tried_against_the_anchors_that_are_trusted(
    look, leaf, intermediate, root, dev_ca
):
    def by(anchor):
        return dict.fromkeys(Usage, (anchor,))

    good = look(pem(leaf, intermediate), anchors=by(root.certificate))[0]
    assert "chain-incomplete" not in codes(good)
    assert "chain-incomplete" in codes(look(pem(leaf), anchors=by(root.certificate))[0])
    stranger = look(pem(leaf, intermediate), anchors=by(dev_ca.certificate))[0]
    assert "chain-incomplete" in codes(stranger)


def test_a_compromised_or_known_key_is_told_whatever_carries_it(look, leaf):
    spki = spki_sha256(leaf.key)
    names = RequestedNames(common_name="x", dns_names=("leaf.example",))
    request = build_csr(leaf.key, names, usages=(Usage.TLS_SERVER,))
    for data in (pem(leaf), csr_pem(request), plain_pem(leaf.key)):
        (found,) = look(data, compromised=frozenset({spki}), known_keys={spki: "our saml"})
        assert codes(found)[0] == "key-compromised"
        assert found.facts["known_as"] == "our saml"


def test_a_signing_request(look, leaf):
    names = RequestedNames(common_name="x", dns_names=("leaf.example",), uris=("https://a/b",))
    request = build_csr(leaf.key, names, usages=(Usage.TLS_SERVER,))
    for data in (csr_pem(request), request.public_bytes(Encoding.DER)):
        (found,) = look(data)
        assert found.part is Part.REQUEST
        assert found.facts["uris"] == ["https://a/b"]
        assert found.findings == ()
    unnamed = x509.CertificateSigningRequestBuilder().subject_name(request.subject)
    signed = unnamed.sign(leaf.key, request.signature_hash_algorithm)
    assert codes(look(csr_pem(signed))[0]) == ["csr-names-missing"]


def test_private_keys(look, leaf):
    (plain,) = look(plain_pem(leaf.key))
    assert plain.part is Part.PRIVATE_KEY
    assert plain.facts["key"] == "p-256"
    assert plain.facts["spki_sha256"] == spki_sha256(leaf.key)
    assert codes(plain) == ["key-not-encrypted"]
    shut = encrypted_pem(leaf.key, b"correct horse")
    assert look(shut)[0].facts == {"encrypted": True}
    assert codes(look(shut, passphrase=b"wrong horse")[0]) == ["key-passphrase-wrong"]
    opened = look(shut, passphrase=b"correct horse")[0]
    assert (opened.facts["key"], opened.findings) == ("p-256", ())
    log = ed25519.Ed25519PrivateKey.generate()
    assert look(plain_pem(log))[0].facts["key"] == "ed25519"
    der = leaf.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert look(der)[0].facts["key"] == "p-256"


def test_a_private_key_is_never_in_what_is_told(look, leaf):
    (found,) = look(plain_pem(leaf.key))
    secret = f"{leaf.key.private_numbers().private_value:x}"
    body = plain_pem(leaf.key).decode().splitlines()[1]
    assert secret not in repr(found)
    assert body not in repr(found)


def test_a_public_key(look, leaf):
    data = leaf.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (found,) = look(data)
    assert (found.part, found.facts["spki_sha256"]) == (Part.PUBLIC_KEY, spki_sha256(leaf.key))


def test_a_crl(look, sign_crl, root, now):
    der = sign_crl(root)
    crl = x509.load_der_x509_crl(der)
    for data in (der, crl.public_bytes(Encoding.PEM)):
        (found,) = look(data)
        assert found.part is Part.CRL
        assert found.facts["issuer"] == root.certificate.subject.rfc4514_string()
        assert found.findings == ()
    late = crl.next_update_utc + timedelta(seconds=1)
    assert codes(look(der, now=late)[0]) == ["crl-stale"]


def test_several_things_in_one_file(look, leaf, intermediate):
    data = plain_pem(leaf.key) + b"some words\n" + pem(leaf, intermediate)
    assert [each.part for each in look(data)] == [Part.LEAF, Part.ISSUER, Part.PRIVATE_KEY]


@pytest.mark.parametrize(
    "data",
    [
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICAT-----\n",
    ],
    ids=range(7),
)
def test_what_cannot_be_read_is_a_finding(look, data):
    assert any(each.findings for each in look(data))


def test_what_is_nothing_of_all_that_is_refused(look):
    for data, code in (
        (b"", "file-not-recognised"),
        (b"PK\x03\x04", "file-not-recognised"),
        (b"0" * (MAX_FILE_BYTES + 1), "file-too-large"),
        (b"-----BEGIN X-----\n-----END X-----\n" * (MAX_PARTS + 1), "file-too-large"),
    ):
        with pytest.raises(TrustError) as refused:
            look(data)
        assert refused.value.code == code


def test_damage_anywhere_is_a_finding_or_a_refusal(look, leaf, sign_crl, root):
    for whole in (leaf.certificate.public_bytes(Encoding.DER), sign_crl(root), pem(leaf)):
        for place in range(len(whole)):
            damaged = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
            with contextlib.suppress(TrustError):
                assert look(damaged)
