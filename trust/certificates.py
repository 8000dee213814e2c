"""Certificates as files and as values: bundles in any order, descriptions, checks before import.

A bundle is what a CA sends back: PEM certificates in any order, with or without the root. Each
import check is one pure question with a code and a sentence (facts pki A2), so that a person sees
all that is wrong at once, not the first thing only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trust.der import INTEGER, SEQUENCE, elements, only
from trust.errors import TrustError
from trust.host_names import ascii_host_name, certificate_host_name, ip_address
from trust.keys import key_kind, public_key_of, spki_sha256
from trust.undecodable import UNDECODABLE

MAX_BUNDLE_BYTES = 256 * 1024
MAX_BUNDLE_CERTIFICATES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A leaf and the certificates above it.

    Attributes:
        leaf: the end-entity certificate.
        intermediates: the chain above the leaf, its issuer first, self-signed roots left out.
        roots: self-signed certificates that the bundle carried; never to be served.
        strangers: certificates that are not part of the leaf's chain.
    """

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...] = ()
    roots: tuple[x509.Certificate, ...] = ()
    strangers: tuple[x509.Certificate, ...] = ()

    def pem(self) -> bytes:
        """The chain as it is served: the leaf, then each issuer, without the root."""
        chain = (self.leaf, *self.intermediates)
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateDescription:
    """What people and directories want to know about a certificate; times are UTC."""

    subject: str
    issuer: str
    common_name: str | None
    serial: str
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    extended_key_usage: tuple[str, ...]
    is_ca: bool
    key: str
    spki_sha256: str
    fingerprint: str

    def as_json(self) -> dict[str, object]:
        """The description with JSON types only; times in ISO 8601."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "common_name": self.common_name,
            "serial": self.serial,
            "dns_names": list(self.dns_names),
            "uris": list(self.uris),
            "ip_addresses": list(self.ip_addresses),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "extended_key_usage": list(self.extended_key_usage),
            "is_ca": self.is_ca,
            "key": self.key,
            "spki_sha256": self.spki_sha256,
            "fingerprint": self.fingerprint,
        }


def parse_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Reads all certificates of a PEM text, in its order.

    Raises:
        TrustError: ``certificate-invalid``, ``bundle-too-large``, ``bundle-holds-key``,
            ``bundle-is-pkcs12``: our keys are made here and come from nobody else, so its MAC and
            its content are not even looked at.
    """
    if len(pem) > MAX_BUNDLE_BYTES or pem.count(b"-----BEGIN") > MAX_BUNDLE_CERTIFICATES:
        raise TrustError(
            "bundle-too-large",
            f"A certificate file has over {MAX_BUNDLE_CERTIFICATES} certificates or 256 KiB.",
        )
    if b"PRIVATE KEY-----" in pem:
        raise TrustError("bundle-holds-key", "A certificate file holds a private key.")
    if _is_pkcs12(pem):
        raise TrustError(
            "bundle-is-pkcs12", "A certificate file is PKCS#12, a form that carries private keys."
        )
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except UNDECODABLE as error:
        raise TrustError(
            "certificate-invalid",
            "A file does not hold certificates in PEM form.",
            detail=str(error),
        ) from error


def parse_der(der: bytes) -> x509.Certificate:
    """Reads one certificate in DER form, as a TLS stack or a BinarySecurityToken hands it over.

    Raises:
        TrustError: ``certificate-invalid``, ``bundle-too-large``.
    """
    if len(der) > MAX_BUNDLE_BYTES:
        raise TrustError("bundle-too-large", "A certificate is larger than 256 KiB.")
    try:
        return x509.load_der_x509_certificate(der)
    except UNDECODABLE as error:
        raise TrustError(
            "certificate-invalid", "Bytes are not a certificate.", detail=str(error)
        ) from error


def _is_pkcs12(data: bytes) -> bool:
    """Whether bytes begin as a PFX does (RFC 7292 4): version 3, then its content."""
    try:
        parts = [(tag, content) for tag, content, _ in elements(only(data, SEQUENCE))]
    except ValueError:
        return False
    return parts[:1] == [(INTEGER, b"\x03")] and [tag for tag, _ in parts[1:2]] == [SEQUENCE]


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Reads the certificates of a PEM file.

    Raises:
        TrustError: ``file-unreadable`` and those of ``parse_certificates``.
    """
    try:
        with path.open("rb") as file:
            pem = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise TrustError(
            "file-unreadable", "A certificate file cannot be read.", where=str(path)
        ) from error
    try:
        return parse_certificates(pem)
    except TrustError as error:
        raise TrustError(
            error.code, error.sentence, where=str(path), detail=error.detail
        ) from error


def arrange(certificates: Iterable[x509.Certificate]) -> Bundle:
    """Finds the leaf of a bundle and puts the rest in order.

    The leaf is the one certificate that issued none of the others and is no CA.

    Raises:
        TrustError: ``bundle-ambiguous`` when there is no leaf or more than one,
            ``certificate-invalid`` when one is malformed.
    """
    given = tuple(dict.fromkeys(certificates))
    for certificate in given:
        try:
            decode(certificate)
            certificate.public_key()
        except UNDECODABLE as error:
            raise TrustError(
                "certificate-invalid", "A certificate is malformed.", detail=str(error)
            ) from error
    leaves = [c for c in given if not is_ca(c)]
    if not leaves and len(given) == 1:
        leaves = list(given)  # a lone CA certificate: the import checks name what is wrong with it
    if len(leaves) != 1:
        raise TrustError(
            "bundle-ambiguous",
            f"A certificate file holds {len(leaves)} end-entity certificates instead of one.",
        )
    leaf = leaves[0]
    rest = [c for c in given if c != leaf]
    chain: list[x509.Certificate] = []
    current = leaf
    while (issuer := _issuer_among(current, rest)) is not None:
        rest.remove(issuer)
        chain.append(issuer)
        current = issuer
    return Bundle(
        leaf=leaf,
        intermediates=tuple(c for c in chain if not is_self_signed(c)),
        roots=tuple(c for c in (*chain, *rest) if is_self_signed(c)),
        strangers=tuple(c for c in rest if not is_self_signed(c)),
    )


def describe(certificate: x509.Certificate) -> CertificateDescription:
    """Describes a certificate.

    Raises:
        TrustError: ``certificate-invalid`` when a field cannot be decoded, ``key-kind-refused``.
    """
    key = public_key_of(certificate)
    try:
        names = _san(certificate)
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return CertificateDescription(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            common_name=str(common[0].value) if common else None,
            serial=f"{certificate.serial_number:x}",
            dns_names=tuple(n.value for n in names if isinstance(n, x509.DNSName)),
            uris=tuple(n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)),
            ip_addresses=tuple(str(n.value) for n in names if isinstance(n, x509.IPAddress)),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            extended_key_usage=extended_key_usage(certificate),
            is_ca=is_ca(certificate),
            key=key_kind(key),
            spki_sha256=spki_sha256(key),
            fingerprint=fingerprint(certificate),
        )
    except UNDECODABLE as error:
        raise TrustError(
            "certificate-invalid", "A certificate is malformed.", detail=str(error)
        ) from error


def decode(certificate: x509.Certificate) -> None:
    """Decodes what the library leaves undecoded until it is asked for: names and extensions.

    Raises:
        ValueError and the rest of ``trust.undecodable``: when a part is malformed.
    """
    _ = certificate.subject, certificate.issuer
    for extension in certificate.extensions:
        _ = extension.value


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the whole certificate in DER, 64 hex digits.

    Good for naming and allowing, not for denying: the signature's encoding is not itself signed, so
    one certificate can have several fingerprints. Deny by SPKI, or by issuer and serial.
    """
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether basicConstraints says that a certificate is a CA's."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether a certificate names itself as issuer and its own key verifies its signature."""
    return certificate.subject == certificate.issuer and issued(certificate, certificate)


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether ``issuer`` signed ``certificate``; says nothing about being allowed to."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*UNDECODABLE, InvalidSignature):
        return False
    return True


def extended_key_usage(certificate: x509.Certificate) -> tuple[str, ...]:
    """The extended key usages as dotted OIDs; empty when the extension is absent."""
    try:
        eku = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(oid.dotted_string for oid in eku)


def san_hosts(certificate: x509.Certificate) -> frozenset[str]:
    """The comparable host names and IP addresses of a certificate's SAN (RFC 9525).

    Never the common name; no wildcard, trailing dot, or address written as a dNSName.
    """
    hosts: set[str] = set()
    for name in _san(certificate):
        if isinstance(name, x509.DNSName):
            host = certificate_host_name(name.value)
            if host is not None:
                hosts.add(host)
        elif isinstance(name, x509.IPAddress):
            hosts.add(str(name.value))
    return frozenset(hosts)


def comparable_host(host: str) -> str | None:
    """A host of an endpoint's URL in the form that ``san_hosts`` uses, or ``None``."""
    return ip_address(host) or ascii_host_name(host)


def _san(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    try:
        return tuple(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        return ()


def _issuer_among(
    certificate: x509.Certificate, candidates: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    return next(
        (
            candidate
            for candidate in candidates
            if candidate.subject == certificate.issuer and issued(candidate, certificate)
        ),
        None,
    )
