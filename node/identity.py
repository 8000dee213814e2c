"""Our own keys and certificates in a node home: which files they are, and how they are opened.

One identity per role, so that each can be replaced by itself (facts: pki A1)::

    keys/server.key  server.pem   the responding gateway and the gRPC service (TLS server)
    keys/client.key  client.pem   the initiating gateway (TLS client)
    keys/saml.key    saml.pem     signs assertions and is their holder of key

and one local CA, ``keys/clients-ca.*``, which admits this health system's own gRPC clients and
nobody else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509

from node.settings import NodeHome, Settings
from trust.anchors import Anchor, authorised, load_anchors
from trust.binder import Binder
from trust.certificates import arrange, load_certificates
from trust.chain import Strength
from trust.keys import KeyKind, load_key
from trust.network_list.live import LiveDenied
from trust.signer import KeySigner
from trust.tls import TlsIdentity
from trust.usages import Usage


class Role(StrEnum):
    """What an identity is for."""

    SERVER = "server"
    CLIENT = "client"
    SAML = "saml"

    @property
    def usages(self) -> tuple[Usage, ...]:
        """The usages its certificate must serve."""
        return (_USAGES[self],)

    @property
    def key_kind(self) -> KeyKind:
        """The kind of key we make: assertions are signed with RSA (QTF-501), TLS uses P-256."""
        return KeyKind.RSA_3072 if self is Role.SAML else KeyKind.P_256


_USAGES = {
    Role.SERVER: Usage.TLS_SERVER,
    Role.CLIENT: Usage.TLS_CLIENT,
    Role.SAML: Usage.SAML_SIGNER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFiles:
    """Where an identity's parts are."""

    key: Path
    certificate: Path
    request: Path


def identity_files(home: NodeHome, name: str) -> IdentityFiles:
    """The files of an identity, by role or name."""
    return IdentityFiles(
        key=home.keys / f"{name}.key",
        certificate=home.keys / f"{name}.pem",
        request=home.keys / f"{name}.csr",
    )


def passphrase(settings: Settings) -> bytes | None:
    """What opens the key files, from the environment; ``None`` when the variable is not set."""
    value = os.environ.get(settings.trust.passphrase_env)
    return value.encode() if value else None


def tls_identity(home: NodeHome, settings: Settings, role: Role) -> TlsIdentity:
    """The TLS identity of a role."""
    files = identity_files(home, role)
    return TlsIdentity(
        certificate_file=files.certificate,
        key_file=files.key,
        passphrase=passphrase(settings),
    )


def saml_signer(home: NodeHome, settings: Settings) -> KeySigner:
    """The key that signs assertions. Raises ``TrustError``."""
    files = identity_files(home, Role.SAML)
    bundle = arrange(load_certificates(files.certificate))
    return KeySigner(
        key=load_key(files.key, passphrase=passphrase(settings)),
        certificate=bundle.leaf,
        chain=bundle.intermediates,
    )


def network_anchors(home: NodeHome) -> tuple[Anchor, ...]:
    """The anchors of the networks we belong to. Raises ``TrustError``."""
    return load_anchors(home.anchors) if home.anchors.is_dir() else ()


def client_anchors(home: NodeHome) -> tuple[x509.Certificate, ...]:
    """The anchors of our own gRPC clients. Raises ``TrustError``."""
    if not home.client_anchors.is_dir():
        return ()
    return tuple(anchor.certificate for anchor in load_anchors(home.client_anchors))


def binder_of(home: NodeHome, settings: Settings) -> Binder:
    """Binds peers' keys to their organisations by our anchors and settings of this moment.

    Raises:
        TrustError: when an anchor, or the network list with its denied keys, cannot be read.
    """
    return Binder(
        authorised(network_anchors(home)),
        allow_unpinned=settings.trust.allow_unpinned_peers,
        floor=Strength(settings.trust.minimum_strength),
        denied=LiveDenied(home.network),
    )
