from __future__ import annotations

import itertools
import json
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from trust.certificates import (
    arrange,
    describe,
    fingerprint,
    load_certificates,
    parse_certificates,
    parse_der,
    san_hosts,
)
from trust.errors import TrustError
from trust.keys import spki_sha256


def pem(*certificates):
    return b"".join(c.public_bytes(Encoding.PEM) for c in certificates)


def code(call, *args):
    with pytest.raises(TrustError) as caught:
        call(*args)
    return caught.value.code


@pytest.fixture
def leaf(forge, intermediate):
    return forge("leaf.example", issuer=intermediate)


def test_a_bundle_is_arranged_whatever_its_order(leaf, intermediate, root, tmp_path):
    parts = (leaf.certificate, intermediate.certificate, root.certificate)
    for order in itertools.permutations(parts):
        path = tmp_path / "bundle.pem"
        path.write_bytes(pem(*order))
        bundle = arrange(load_certificates(path))
        assert bundle.leaf == leaf.certificate
        assert bundle.intermediates == (intermediate.certificate,)
        assert bundle.roots == (root.certificate,)
        assert bundle.strangers == ()
        # The root is never served.
        assert bundle.pem() == pem(leaf.certificate, intermediate.certificate)


def test_certificates_outside_the_chain_are_set_apart(leaf, intermediate, forge, root):
    stranger = forge("Another Intermediate", ca=True, issuer=root)
    bundle = arrange([stranger.certificate, leaf.certificate, intermediate.certificate])
    assert bundle.strangers == (stranger.certificate,)


def test_a_bundle_with_two_leaves_is_ambiguous(leaf, issue):
    assert code(arrange, [leaf.certificate, issue("b.example").certificate]) == "bundle-ambiguous"


def test_a_bundle_of_cas_only_has_no_leaf(intermediate, root):
    assert code(arrange, [intermediate.certificate, root.certificate]) == "bundle-ambiguous"
    assert code(arrange, []) == "bundle-ambiguous"


def test_the_same_certificate_twice_counts_once(leaf):
    assert arrange([leaf.certificate, leaf.certificate]).leaf == leaf.certificate


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "certificate-invalid"),
        (b"junk", "certificate-invalid"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificate-invalid",
        ),
        (b" " * 300_000, "bundle-too-large"),
        (b"-----BEGIN CERTIFICATE-----\n" * 17, "bundle-too-large"),
    ],
)
def test_bytes_that_are_no_bundle(data, expected):
    assert code(parse_certificates, data) == expected


def test_a_private_key_in_a_certificate_file_is_named(leaf):
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert code(parse_certificates, pem(leaf.certificate) + key) == "bundle-holds-key"


@pytest.mark.parametrize("broken", [False, True])
def test_pkcs12_wrong_mac(leaf, intermediate, broken):
    """Our keys are made here: a PKCS#12 file is refused unopened, whatever its MAC says."""
    data = bytearray(
        pkcs12.serialize_key_and_certificates(
            b"leaf",
            leaf.key,
            leaf.certificate,
            [intermediate.certificate],
            BestAvailableEncryption(b"pass"),
        )
    )
    if broken:
        place = data.rindex(b"\x04\x20") + 5  # in the MAC's digest, which stands near the end
        data[place] ^= 1
        with pytest.raises(ValueError, match="Invalid password"):
            pkcs12.load_pkcs12(bytes(data), b"pass")
    assert code(parse_certificates, bytes(data)) == "bundle-is-pkcs12"


def test_der_is_strict(leaf):
    der = leaf.certificate.public_bytes(Encoding.DER)
    assert parse_der(der) == leaf.certificate
    assert code(parse_der, der + b"\0") == "certificate-invalid"
    assert code(parse_der, der[:-1]) == "certificate-invalid"
    assert code(parse_der, b"\0" * 300_000) == "bundle-too-large"


def test_an_unknown_version_is_refused(leaf):
    der = leaf.certificate.public_bytes(Encoding.DER)
    v4 = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020103"), 1)
    assert code(parse_der, v4) == "certificate-invalid"
    text = ssl.DER_cert_to_PEM_cert(v4).encode()
    assert code(parse_certificates, text) == "certificate-invalid"


def test_a_file_that_is_not_there(tmp_path):
    assert code(load_certificates, tmp_path / "none.pem") == "file-unreadable"


def test_a_description_is_complete_and_json_ready(issue):
    identity = issue(
        "node.example", ip_addresses=("10.1.2.3",), uris=("https://node.example/udap",)
    )
    certificate = identity.certificate
    described = describe(certificate)
    assert described.subject == "CN=node.example,O=Test Clinic"
    assert described.issuer == "CN=Test Root"
    assert described.common_name == "node.example"
    assert described.dns_names == ("node.example",)
    assert described.ip_addresses == ("10.1.2.3",)
    assert described.uris == ("https://node.example/udap",)
    assert described.key == "p-256"
    assert described.spki_sha256 == spki_sha256(identity.key)
    assert described.fingerprint == fingerprint(certificate)
    assert described.not_after == certificate.not_valid_after_utc
    assert not described.is_ca
    text = json.loads(json.dumps(described.as_json()))
    assert text["not_after"] == certificate.not_valid_after_utc.isoformat()
    assert text["extended_key_usage"] == ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]


def test_a_key_of_another_kind_cannot_be_described(forge, root):
    odd = forge("odd.example", issuer=root, key=ed25519.Ed25519PrivateKey.generate())
    assert code(describe, odd.certificate) == "key-kind-refused"


def test_only_comparable_names_of_the_san_count(forge, root):
    odd = forge(
        "cn-only.example",
        issuer=root,
        names=(
            x509.DNSName("A.Example"),
            x509.DNSName("*.wild.example"),
            x509.DNSName("dot.example."),
            x509.DNSName("10.0.0.1"),
            x509.DNSName("nul.example\x00.evil.example"),
            x509.UniformResourceIdentifier("https://uri.example/"),
        ),
    )
    assert san_hosts(odd.certificate) == {"a.example"}
