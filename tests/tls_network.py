"""Certificates and TLS contexts for tests that open real sockets on loopback."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from trust.ca import CertificateAuthority, Profile, create_ca
from trust.ca import issue as issue_certificate
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, PrivateKey, generate_key, spki_sha256
from trust.signer import KeySigner
from trust.tls import TlsIdentity, client_context, server_context

HOST = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """One organisation's key, certificate and TLS contexts; ``path`` holds the first two."""

    path: Path
    key: PrivateKey
    certificate: x509.Certificate
    server: ssl.SSLContext
    client: ssl.SSLContext

    @property
    def signer(self) -> KeySigner:
        return KeySigner(key=self.key, certificate=self.certificate)

    @property
    def pin(self) -> str:
        return spki_sha256(self.certificate)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


@cache
def network_ca() -> CertificateAuthority:
    return create_ca("Loopback Root", now=datetime.now(UTC) - timedelta(days=1))


@cache
def identity(
    name: str,
    folder: Path,
    *,
    kind: str = "p-256",
    dns: str | None = None,
    stranger: bool = False,
    days: int = 1,
) -> NodeIdentity:
    """An organisation whose certificate names ``name`` (or ``dns``) and localhost."""
    now = datetime.now(UTC)
    key = generate_key(KeyKind(kind))
    ca = create_ca("Stranger Root", now=now) if stranger else network_ca()
    names = RequestedNames(
        common_name=name, dns_names=(dns or name, HOST), ip_addresses=("127.0.0.1",)
    )
    certificate = issue_certificate(
        ca,
        build_csr(key, names, usages=Profile.TLS.usages),
        profile=Profile.TLS,
        now=now,
        lifetime=timedelta(days=days),
    )
    path = folder / f"{name}.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    files = TlsIdentity(certificate_file=path, key_file=path)
    return NodeIdentity(
        path=path,
        key=key,
        certificate=certificate,
        server=server_context(files, (network_ca().certificate,)),
        client=client_context(files, (network_ca().certificate,)),
    )
