from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from trust.csr import (
    RequestedNames,
    build_csr,
    check_csr,
    csr_pem,
    describe_csr,
    load_csr,
    parse_csr,
)
from trust.errors import TrustError
from trust.keys import spki_sha256
from trust.usages import Usage

NAMES = RequestedNames(
    common_name="Test Clinic Node",
    organization="Test Clinic",
    dns_names=("Gateway.Clinic.example", "bücher.example"),
    uris=("https://gateway.clinic.example/udap",),
    ip_addresses=("127.0.0.1", "::1"),
)


def code(call, *args, **kwargs):
    with pytest.raises(TrustError) as caught:
        call(*args, **kwargs)
    return caught.value.code


def test_a_request_says_what_was_asked(make_key):
    request = build_csr(make_key(), NAMES, usages=[Usage.TLS_SERVER, Usage.TLS_CLIENT])
    described = describe_csr(request)
    assert described == {
        "subject": "CN=Test Clinic Node,O=Test Clinic",
        "dns_names": ["gateway.clinic.example", "xn--bcher-kva.example"],
        "uris": ["https://gateway.clinic.example/udap"],
        "ip_addresses": ["127.0.0.1", "::1"],
        "extended_key_usage": ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
        "key": "p-256",
        "spki_sha256": spki_sha256(make_key()),
    }


def test_the_key_may_sign_and_nothing_else(make_key):
    request = build_csr(make_key(), NAMES, usages=[Usage.SAML_SIGNER])
    usage = request.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_encipherment
    assert describe_csr(request)["extended_key_usage"] == []


def test_a_request_round_trips_through_its_file(make_key, tmp_path):
    request = build_csr(make_key(), NAMES, usages=[Usage.TLS_SERVER])
    path = tmp_path / "node.csr"
    path.write_bytes(csr_pem(request))
    assert load_csr(path) == request


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({}, "csr-names-missing"),
        ({"dns_names": ("*.clinic.example",)}, "csr-names-invalid"),
        ({"dns_names": ("10.0.0.1",)}, "csr-names-invalid"),
        ({"dns_names": ("a.example\x00.b.example",)}, "csr-names-invalid"),
        ({"ip_addresses": ("300.1.1.1",)}, "csr-names-invalid"),
        ({"uris": ("https://bücher.example/",)}, "csr-names-invalid"),
        ({"dns_names": tuple(f"n{i}.example" for i in range(101))}, "csr-names-invalid"),
        ({"dns_names": ("a.example",), "organization": "x" * 65}, "csr-names-invalid"),
    ],
)
def test_names_that_no_certificate_should_carry(make_key, names, expected):
    requested = RequestedNames(**{"common_name": "x", **names})
    assert code(build_csr, make_key(), requested, usages=[Usage.TLS_SERVER]) == expected


def test_a_request_that_was_altered_is_refused(make_key):
    request = build_csr(make_key(), NAMES, usages=[Usage.TLS_SERVER])
    der = request.public_bytes(Encoding.DER)
    altered = x509.load_der_x509_csr(der.replace(b"Test Clinic Node", b"Evil Clinic Node"))
    assert code(check_csr, altered) == "csr-invalid"


def test_a_request_without_alternative_names_is_refused(make_key):
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(make_key(), hashes.SHA256())
    )
    assert code(check_csr, request) == "csr-names-missing"


def test_a_request_for_a_key_of_another_kind_is_refused():
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
        .sign(ed25519.Ed25519PrivateKey.generate(), None)
    )
    assert code(check_csr, request) == "csr-invalid"


@pytest.mark.parametrize("pem", [b"", b"junk", b"x" * 70_000])
def test_bytes_that_are_no_request(pem):
    assert code(parse_csr, pem) == "csr-invalid"


def test_a_file_that_is_not_there(tmp_path):
    assert code(load_csr, tmp_path / "none.csr") == "file-unreadable"
