"""Keys, a development CA and certificates that every trust test may use.

``make_key(kind, name)`` gives the same key for the same name all session long, since RSA keys are
slow to make. ``issue`` goes through the product's own CSR and CA.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509

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
