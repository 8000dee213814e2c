"""Certificate signing requests: what we ask a CA for, checked before it is sent (facts pki A2).

Names stand in the subject alternative name; nothing relies on the common name. keyUsage is
digitalSignature only: key encipherment would serve RSA key transport, which is not offered.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trust.errors import TrustError
from trust.host_names import ascii_host_name
from trust.keys import PrivateKey, key_kind, spki_sha256
from trust.undecodable import UNDECODABLE
from trust.usages import Usage, usage_rule

MAX_CSR_BYTES = 64 * 1024
MAX_NAMES = 100
MAX_SUBJECT_TEXT = 64
"""RFC 5280 A.1: ub-common-name and ub-organization-name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedNames:
    """The names a certificate shall carry, each in the form that the certificate will hold."""

    common_name: str
    organization: str | None = None
    dns_names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()


def build_csr(
    key: PrivateKey, names: RequestedNames, *, usages: Iterable[Usage]
) -> x509.CertificateSigningRequest:
    """Builds and signs a request, and checks it as its receiver would.

    Args:
        key: the private key the certificate is for.
        names: the subject and the alternative names; at least one alternative name.
        usages: what the certificate shall be good for; their EKUs are asked for together.

    Raises:
        TrustError: ``csr-names-missing``, ``csr-names-invalid``, ``csr-invalid``.
    """
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_subject(names))
        .add_extension(_alternative_names(names), critical=False)
        .add_extension(digital_signature_only(), critical=True)
    )
    purposes = sorted({oid for usage in usages for oid in usage_rule(usage).requests})
    if purposes:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in purposes]), critical=False
        )
    request = builder.sign(key, hashes.SHA256())
    check_csr(request)
    if spki_sha256(_public(request)) != spki_sha256(key):
        raise TrustError("csr-invalid", "A signing request does not carry its own key.")
    return request


def parse_csr(pem: bytes) -> x509.CertificateSigningRequest:
    """Reads a request in PEM form and checks it.

    Raises:
        TrustError: ``csr-invalid``, ``csr-names-missing``.
    """
    if len(pem) > MAX_CSR_BYTES:
        raise TrustError("csr-invalid", "A signing request is larger than 64 KiB.")
    try:
        request = x509.load_pem_x509_csr(pem)
    except UNDECODABLE as error:
        raise TrustError(
            "csr-invalid", "Bytes are not a certificate signing request.", detail=str(error)
        ) from error
    check_csr(request)
    return request


def load_csr(path: Path) -> x509.CertificateSigningRequest:
    """Reads a request from a file.

    Raises:
        TrustError: ``file-unreadable`` and those of ``parse_csr``.
    """
    try:
        with path.open("rb") as file:
            pem = file.read(MAX_CSR_BYTES + 1)
    except OSError as error:
        raise TrustError(
            "file-unreadable", "A signing request cannot be read.", where=str(path)
        ) from error
    return parse_csr(pem)


def check_csr(request: x509.CertificateSigningRequest) -> None:
    """Checks that a request is signed by its own key, of a kind we use, and names something.

    Raises:
        TrustError: ``csr-invalid`` or ``csr-names-missing``.
    """
    try:
        signed = request.is_signature_valid
        _public(request)
        names = alternative_names(request)
    except UNDECODABLE as error:
        raise TrustError(
            "csr-invalid", "A signing request is malformed.", detail=str(error)
        ) from error
    if not signed:
        raise TrustError("csr-invalid", "A signing request is not signed by its own key.")
    if not names:
        raise TrustError("csr-names-missing", "A signing request has no subject alternative name.")


def alternative_names(request: x509.CertificateSigningRequest) -> tuple[x509.GeneralName, ...]:
    """The alternative names of a request; empty when it has none."""
    try:
        return tuple(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()


def describe_csr(request: x509.CertificateSigningRequest) -> dict[str, object]:
    """What a request asks for, JSON-ready."""
    names = alternative_names(request)
    try:
        eku = request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        purposes = [oid.dotted_string for oid in eku]
    except x509.ExtensionNotFound:
        purposes = []
    return {
        "subject": request.subject.rfc4514_string(),
        "dns_names": [n.value for n in names if isinstance(n, x509.DNSName)],
        "uris": [n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)],
        "ip_addresses": [str(n.value) for n in names if isinstance(n, x509.IPAddress)],
        "extended_key_usage": purposes,
        "key": key_kind(_public(request)),
        "spki_sha256": spki_sha256(_public(request)),
    }


def csr_pem(request: x509.CertificateSigningRequest) -> bytes:
    """A request in the PEM form that CAs take."""
    return request.public_bytes(Encoding.PEM)


def digital_signature_only() -> x509.KeyUsage:
    """The keyUsage of every end-entity certificate that we ask for or issue."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _public(
    request: x509.CertificateSigningRequest,
) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    key = request.public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise TrustError("csr-invalid", "A signing request is for a key neither RSA nor ECDSA.")
    return key


def _subject(names: RequestedNames) -> x509.Name:
    attributes = [(NameOID.COMMON_NAME, names.common_name)]
    if names.organization is not None:
        attributes.insert(0, (NameOID.ORGANIZATION_NAME, names.organization))
    if not all(0 < len(text) <= MAX_SUBJECT_TEXT for _, text in attributes):
        raise TrustError(
            "csr-names-invalid",
            f"Common name and organisation must have 1 to {MAX_SUBJECT_TEXT} characters.",
        )
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in attributes])


def _alternative_names(names: RequestedNames) -> x509.SubjectAlternativeName:
    count = len(names.dns_names) + len(names.uris) + len(names.ip_addresses)
    if count == 0:
        raise TrustError(
            "csr-names-missing", "A signing request needs at least one host name, URI or address."
        )
    if count > MAX_NAMES:
        raise TrustError("csr-names-invalid", f"A signing request has over {MAX_NAMES} names.")
    hosts = [ascii_host_name(name) for name in names.dns_names]
    if None in hosts:
        raise TrustError("csr-names-invalid", "A signing request has a name that is no host name.")
    try:
        return x509.SubjectAlternativeName(
            [
                *(x509.DNSName(host) for host in hosts if host is not None),
                *(x509.UniformResourceIdentifier(uri) for uri in names.uris),
                *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in names.ip_addresses),
            ]
        )
    except ValueError as error:
        raise TrustError(
            "csr-names-invalid",
            "A signing request has a URI or address that is not one.",
            detail=str(error),
        ) from error
