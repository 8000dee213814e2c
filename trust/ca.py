"""A development CA: enough to run nodes on one's own machine, never a network's trust.

It issues end-entity certificates directly from its root (pathLen 0), with the extensions that both
OpenSSL's strict mode and ``cryptography`` want, names only from the request's SAN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from trust.csr import alternative_names, check_csr, digital_signature_only
from trust.errors import TrustError
from trust.keys import KeyKind, PrivateKey, generate_key, key_matches
from trust.usages import Usage, usage_rule

ROOT_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
BACKDATE = timedelta(minutes=5)
"""Certificates start a little earlier: the clocks of two machines differ."""

MIN_SERIAL_BITS = 64
MAX_NAMES = 100


class Profile(StrEnum):
    """What a certificate is issued for."""

    TLS = "tls"
    TLS_SERVER = "tls-server"
    TLS_CLIENT = "tls-client"
    SAML_SIGNING = "saml-signing"
    UDAP_SIGNING = "udap-signing"

    @property
    def usages(self) -> tuple[Usage, ...]:
        """The usages that a certificate of this profile serves."""
        match self:
            case Profile.TLS:
                return (Usage.TLS_SERVER, Usage.TLS_CLIENT)
            case Profile.TLS_SERVER:
                return (Usage.TLS_SERVER,)
            case Profile.TLS_CLIENT:
                return (Usage.TLS_CLIENT,)
            case Profile.SAML_SIGNING:
                return (Usage.SAML_SIGNER,)
            case Profile.UDAP_SIGNING:
                return (Usage.UDAP_SIGNER,)
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAuthority:
    """A CA's certificate and key.

    Raises:
        TrustError: ``key-mismatch``.
    """

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        if not key_matches(self.key, self.certificate):
            raise TrustError("key-mismatch", "A CA's certificate was issued for another key.")


def create_ca(
    common_name: str,
    *,
    now: datetime,
    key: PrivateKey | None = None,
    lifetime: timedelta = ROOT_LIFETIME,
    serial: int | None = None,
) -> CertificateAuthority:
    """Makes a self-signed root; without a key of its own, a new P-256 one.

    Raises:
        TrustError: ``ca-request-refused`` when the name is empty or over 64 characters.
    """
    key = key or generate_key(KeyKind.P_256)
    try:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError as error:
        raise TrustError(
            "ca-request-refused", "A CA's name must have 1 to 64 characters."
        ) from error
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(_serial(serial))
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_certificate_signing(), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return CertificateAuthority(certificate=certificate, key=key)


def issue(
    authority: CertificateAuthority,
    request: x509.CertificateSigningRequest,
    *,
    profile: Profile,
    now: datetime,
    lifetime: timedelta = LEAF_LIFETIME,
    age: timedelta = timedelta(0),
    serial: int | None = None,
    crl_urls: Sequence[str] = (),
    ocsp_url: str | None = None,
) -> x509.Certificate:
    """Issues a certificate for a request whose signature verifies.

    Subject and SAN come from the request, key usages from the profile; every other extension of
    the request is ignored. The certificate never outlives the CA's.

    Args:
        authority: the CA.
        request: the request; SAN of DNS names, URIs and IP addresses only.
        profile: decides extendedKeyUsage.
        now: start of validity (less ``BACKDATE``).
        lifetime: length of validity.
        age: how much of it is over already, to try what an old certificate does.
        serial: of at least 64 bits; random when absent.
        crl_urls: where the CA's CRL is served: the certificate's distribution point.
        ocsp_url: where the CA's OCSP responder is.

    Raises:
        TrustError: ``csr-invalid``, ``csr-names-missing``, ``ca-request-refused``, ``ca-expired``.
    """
    check_csr(request)
    names = _issuable_names(request)
    root = authority.certificate
    if not root.not_valid_before_utc <= now < root.not_valid_after_utc:
        raise TrustError("ca-expired", "The development CA's own certificate is not valid now.")
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(root.subject)
        .public_key(request.public_key())
        .serial_number(_serial(serial))
        .not_valid_before(max(now - BACKDATE, root.not_valid_before_utc) - age)
        .not_valid_after(min(now + lifetime - age, root.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(digital_signature_only(), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    purposes = [oid for usage in profile.usages for oid in usage_rule(usage).requests]
    if purposes:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in purposes]), critical=False
        )
    for extension in _pointers(crl_urls, ocsp_url):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _pointers(crl_urls: Sequence[str], ocsp_url: str | None) -> Iterator[x509.ExtensionType]:
    """Where those who check a certificate find what the CA says of it."""
    if crl_urls:
        names = [_address(url) for url in crl_urls]
        point = x509.DistributionPoint(
            full_name=names, relative_name=None, reasons=None, crl_issuer=None
        )
        yield x509.CRLDistributionPoints([point])
    if ocsp_url is not None:
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, _address(ocsp_url))
        yield x509.AuthorityInformationAccess([access])


def _address(url: str) -> x509.UniformResourceIdentifier:
    try:
        return x509.UniformResourceIdentifier(url)
    except ValueError as error:
        raise TrustError("ca-request-refused", "An address must be plain ASCII.") from error


def _issuable_names(request: x509.CertificateSigningRequest) -> tuple[x509.GeneralName, ...]:
    names = alternative_names(request)
    allowed = x509.DNSName | x509.UniformResourceIdentifier | x509.IPAddress
    if len(names) > MAX_NAMES or not all(isinstance(name, allowed) for name in names):
        raise TrustError(
            "ca-request-refused",
            f"Only up to {MAX_NAMES} DNS names, URIs and IP addresses are issued.",
        )
    return names


def _serial(serial: int | None) -> int:
    if serial is None:
        return x509.random_serial_number()
    if serial.bit_length() < MIN_SERIAL_BITS:
        raise TrustError("ca-request-refused", "A serial number needs at least 64 bits.")
    return serial


def _certificate_signing() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
