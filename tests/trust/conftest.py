"""Keys, a development CA and certificates that every trust test may use.

``make_key(kind, name)`` gives the same key for the same name all session long, since RSA keys are
slow to make. ``issue`` goes through the product's own CSR and CA.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trust.ca import CertificateAuthority, Profile, create_ca
from trust.ca import issue as issue_certificate
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, PrivateKey, generate_key
from trust.signer import KeySigner


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A key and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def signer(self) -> KeySigner:
        return KeySigner(key=self.key, certificate=self.certificate)


MakeKey = Callable[..., PrivateKey]
Issue = Callable[..., Identity]


@pytest.fixture(scope="session")
def now() -> datetime:
    """The moment the session began: OpenSSL's handshake reads the real clock."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="session")
def make_key() -> MakeKey:
    """``make_key(kind="p-256", name="a")``: one key per kind and name."""

    @cache
    def make(kind: str = "p-256", name: str = "a") -> PrivateKey:
        return generate_key(KeyKind(kind))

    return make


@pytest.fixture(scope="session")
def dev_ca(make_key: MakeKey, now: datetime) -> CertificateAuthority:
    """The development CA that issues in tests."""
    return create_ca("Test Root", now=now - timedelta(days=30), key=make_key("p-256", "dev-ca"))


@pytest.fixture(scope="session")
def issue(make_key: MakeKey, dev_ca: CertificateAuthority, now: datetime) -> Issue:
    """``issue("node.example", kind="p-256", profile="tls", ...)`` gives a new identity."""

    def make(
        host: str = "node.example",
        *,
        kind: str = "p-256",
        name: str | None = None,
        profile: str = "tls",
        ca: CertificateAuthority | None = None,
        dns_names: tuple[str, ...] | None = None,
        ip_addresses: tuple[str, ...] = (),
        uris: tuple[str, ...] = (),
        starts: datetime | None = None,
        lifetime: timedelta = timedelta(days=30),
    ) -> Identity:
        key = make_key(kind, name or host)
        names = RequestedNames(
            common_name=host,
            organization="Test Clinic",
            dns_names=(host,) if dns_names is None else dns_names,
            ip_addresses=ip_addresses,
            uris=uris,
        )
        wanted = Profile(profile)
        certificate = issue_certificate(
            ca or dev_ca,
            build_csr(key, names, usages=wanted.usages),
            profile=wanted,
            now=starts or now,
            lifetime=lifetime,
        )
        return Identity(key=key, certificate=certificate)

    return make


@pytest.fixture(scope="session")
def forge(make_key: MakeKey, now: datetime) -> Callable[..., Identity]:
    """``forge(...)`` signs a certificate with any defect that the product's own CA would not make.

    ``issuer`` is an Identity (or ``None``: self-signed); ``extensions`` are (value, critical)
    pairs added to, or by type replacing, the usual ones; ``without`` drops usual ones by type.
    """

    def make(
        subject: str = "node.example",
        *,
        issuer: Identity | None = None,
        kind: str = "p-256",
        key: Any = None,
        ca: bool = False,
        path_length: int | None = None,
        starts: datetime | None = None,
        ends: datetime | None = None,
        purposes: tuple[str, ...] = ("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"),
        names: tuple[x509.GeneralName, ...] | None = None,
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
        without: tuple[type, ...] = (),
        digest: hashes.HashAlgorithm | None = None,
    ) -> Identity:
        key = key or make_key(kind, subject)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        signing_key = issuer.key if issuer else key
        issuer_name = issuer.certificate.subject if issuer else name
        usual: dict[type, tuple[x509.ExtensionType, bool]] = {
            x509.BasicConstraints: (x509.BasicConstraints(ca, path_length), True),
            x509.KeyUsage: (
                x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False),
                True,
            ),
            x509.SubjectKeyIdentifier: (
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
                False,
            ),
            x509.AuthorityKeyIdentifier: (
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
                False,
            ),
        }
        if not ca:
            san = (x509.DNSName(subject),) if names is None else names
            if san:
                usual[x509.SubjectAlternativeName] = (x509.SubjectAlternativeName(san), False)
            if purposes:
                oids = [x509.ObjectIdentifier(oid) for oid in purposes]
                usual[x509.ExtendedKeyUsage] = (x509.ExtendedKeyUsage(oids), False)
        for value, critical in extensions:
            usual[type(value)] = (value, critical)
        for dropped in without:
            del usual[dropped]
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(starts or now - timedelta(days=1))
            .not_valid_after(ends or now + timedelta(days=30))
        )
        for value, critical in usual.values():
            builder = builder.add_extension(value, critical=critical)
        return Identity(key=key, certificate=builder.sign(signing_key, digest or hashes.SHA256()))

    return make


@pytest.fixture(scope="session")
def root(forge: Callable[..., Identity]) -> Identity:
    """A root that allows intermediates below it."""
    return forge("Forged Root", ca=True)


@pytest.fixture(scope="session")
def intermediate(forge: Callable[..., Identity], root: Identity) -> Identity:
    """An intermediate of ``root``."""
    return forge("Forged Intermediate", ca=True, issuer=root, path_length=0)


@pytest.fixture(scope="session")
def sequence() -> Callable[..., bytes]:
    """``sequence(*parts)`` puts DER elements into a SEQUENCE, to rebuild what a library refuses."""

    def build(*parts: bytes, tag: int = 0x30) -> bytes:
        content = b"".join(parts)
        size = len(content).to_bytes(3, "big").lstrip(b"\0") or b"\0"
        long = b"" if len(content) < 0x80 else bytes([0x80 | len(size)])
        return bytes([tag]) + long + size + content

    return build


@pytest.fixture(scope="session")
def sign_crl(now: datetime) -> Callable[..., bytes]:
    """``sign_crl(issuer, revoked=[...], number=1, ...)`` gives a CRL in DER form, flawed at will.

    ``revoked`` holds serial numbers or (serial number, extensions of the entry).
    """

    def make(
        issuer: Identity,
        *,
        revoked: Any = (),
        number: int | None = 1,
        base: int | None = None,
        starts: datetime | None = None,
        ends: datetime | None = None,
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
        key_id: bool = True,
        name: x509.Name | None = None,
        digest: hashes.HashAlgorithm | None = None,
    ) -> bytes:
        begins = starts or now - timedelta(hours=1)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name or issuer.certificate.subject)
            .last_update(begins)
            .next_update(ends or begins + timedelta(days=1))
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        if base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
        if key_id:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
                critical=False,
            )
        for value, critical in extensions:
            builder = builder.add_extension(value, critical=critical)
        for each in revoked:
            serial, own = each if isinstance(each, tuple) else (each, ())
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begins)
            for value, critical in own:
                entry = entry.add_extension(value, critical=critical)
            builder = builder.add_revoked_certificate(entry.build())
        signed = builder.sign(issuer.key, digest or hashes.SHA256())
        return signed.public_bytes(Encoding.DER)

    return make
