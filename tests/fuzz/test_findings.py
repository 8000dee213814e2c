"""What fuzzing found, one test each, and named after what was wrong."""

from __future__ import annotations

import base64
import warnings
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from tests.fuzz.der_mutation import Tree, read, write
from tests.fuzz.import_files import check_certificate, check_key_file
from tests.fuzz.signatures import check_security, check_signature
from tests.fuzz.target import original
from trust.certificates import describe, parse_der
from trust.chain import verify_chain
from trust.crl import parse_crl
from trust.csr import parse_csr
from trust.errors import TrustError
from trust.keys import KeyKind, generate_key, plain_pem
from trust.pkcs8 import encrypted_pem
from trust.usages import Usage

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
# A SEQUENCE with the one general name that cryptography has no type for: an X.400 address.
X400_NAME = bytes.fromhex("3004a3023000")


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def code(call, *args) -> str:
    with pytest.raises(TrustError) as caught:
        call(*args)
    return caught.value.code


def named_by_x400() -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, X400_NAME)


def test_a_certificate_of_an_unknown_version_in_a_message_is_a_refusal():
    """``InvalidVersion`` is no ``ValueError``: it went through to the gateway."""
    for name, check in (
        ("signature-enveloped-p-256.xml", check_signature),
        ("security-p-256.xml", check_security),
    ):
        data = original(name)
        start = data.index(b"<ds:X509Certificate>") + len(b"<ds:X509Certificate>")
        text = data[start : data.index(b"</ds:X509Certificate>")]
        der = base64.b64decode(text)
        version = bytes.fromhex("a003020102")
        assert version in der
        odd = base64.b64encode(der.replace(version, version[:-1] + b"\x03", 1))
        assert check(data) == "accepted"
        assert check(data.replace(text, odd, 1)) == "signature-malformed"


def test_a_request_with_a_name_of_no_known_type_is_a_refusal(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    request = builder.add_extension(named_by_x400(), critical=False).sign(key, hashes.SHA256())
    assert code(parse_csr, request.public_bytes(Encoding.PEM)) == "csr-invalid"


def test_a_request_of_an_unknown_version_is_a_refusal():
    der = base64.b64decode(b"".join(original("request-p-256.pem").splitlines()[1:-1]))
    odd = der.replace(bytes.fromhex("020100"), bytes.fromhex("020107"), 1)
    body = base64.encodebytes(odd)
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"
    assert code(parse_csr, pem) == "csr-invalid"


def test_a_crl_whose_point_has_a_name_of_no_known_type_is_a_refusal():
    trees = read(original("crl-full.der"))
    assert trees is not None
    point = find(trees, bytes.fromhex("551d1c"))  # issuingDistributionPoint
    point[-1] = (0x04, bytes.fromhex("3008a006a004a3023000"))
    assert code(parse_crl, write(trees)) == "crl-malformed"


def find(trees: list[Tree], oid: bytes) -> list[Tree]:
    """The elements that stand around an object identifier."""
    stack = [trees]
    while stack:
        siblings = stack.pop()
        if (0x06, oid) in siblings:
            return siblings
        stack.extend(content for _, content in siblings if isinstance(content, list))
    raise AssertionError("no such identifier")


@pytest.mark.parametrize("usage", list(Usage))
def test_a_certificate_with_a_name_of_no_known_type_is_a_refusal(key, usage):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW.replace(year=2027))
        .add_extension(named_by_x400(), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    assert code(describe, certificate) == "certificate-invalid"
    for leaf in (certificate, parse_der(original("leaf.der"))):
        verdict = verify_chain(leaf, [certificate], [certificate], usage=usage, now=NOW)
        assert not verdict.ok


def test_a_subject_whose_name_is_a_bit_string_is_a_refusal():
    """``TypeError`` out of the subject of a peer's certificate."""
    der = original("leaf.der")
    name = b"\x0c\x0cleaf.example"
    assert der.count(name) == 1
    odd = der.replace(name, b"\x03\x0c\0eaf.example")
    assert code(describe, parse_der(odd)) == "certificate-invalid"
    assert check_certificate(odd) == "certificate-invalid"


@pytest.fixture(scope="module")
def locked() -> list[Tree]:
    pem = encrypted_pem(generate_key(KeyKind.P_256), b"fuzz")
    trees = read(base64.b64decode(b"".join(pem.splitlines()[1:-1])))
    assert trees is not None
    return trees


def with_numbers(trees: list[Tree], *numbers: int) -> bytes:
    """The key file with other parameters of scrypt."""
    again = read(write(trees))
    assert again is not None
    parameters = find(again, bytes.fromhex("2b06010401da47040b"))[-1][1]
    assert isinstance(parameters, list)
    sizes = [number.bit_length() // 8 + 1 for number in numbers]
    parameters[1:] = [
        (0x02, number.to_bytes(size, "big", signed=True))
        for number, size in zip(numbers, sizes, strict=True)
    ]
    label, body = b"ENCRYPTED PRIVATE KEY", base64.encodebytes(write(again))
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, body, label)


def test_a_key_file_cannot_demand_years_of_work(locked):
    """Its own cost parameters were obeyed, whatever they were."""
    usual = 1 << 14
    for numbers in ((usual, 8, 1 << 20), (1 << 30, 8, 1), (usual, 1 << 20, 1), (usual, 8, -1)):
        outcome = check_key_file(with_numbers(locked, *numbers))
        assert outcome == "key-passphrase-missing+key-file-costly", numbers
    outcome = check_key_file(with_numbers(locked, 1 << 14, 8, 1))
    assert outcome == "key-passphrase-missing+accepted"


def test_a_key_file_whose_parameters_openssl_cannot_use_is_a_refusal(locked):
    """``InternalError``: the exception that cryptography itself calls a bug."""
    outcome = check_key_file(with_numbers(locked, 1, 1 << 14, 8, 1))
    assert outcome == "key-passphrase-missing+key-passphrase-wrong"


def test_a_plain_key_file_costs_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_key_file(plain_pem(generate_key(KeyKind.P_256))) == "accepted"
