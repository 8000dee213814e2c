"""Our own keys and certificates in a node home: which files they are, and how they are opened.

One identity per role, so that each can be replaced by itself (facts: pki A1)::

    keys/server/   the responding gateway and the gRPC service (TLS server)
    keys/client/   the initiating gateway (TLS client)
    keys/saml/     signs assertions and is their holder of key
    keys/fhir-T-TRTMNT/  the FHIR client for one purpose of exchange (UDAP); made on demand
    keys/fhir-server/    signs the metadata of our FHIR server (UDAP); made on demand
    keys/log/      signs the log's checkpoints (Ed25519, without a certificate); made on demand
    keys/agreement/  makes a secret with each peer, for statements about the log (X25519, alike)
    keys/witness/  signs others' checkpoints as their witness (Ed25519, never the log's key)

Each folder holds the role's versions, of which the small file ``live`` names the one in use::

    keys/server/v0001/server.key  server.pem  server.csr
    keys/server/v0002/...
    keys/server/live              v0001
    keys/server/history.json      what happened to each version (node/identity_store.py)

The files of a version are not changed once it is live, and a switch replaces ``live`` at one
stroke, so that nobody ever reads one version's key with the other's certificate. ``live`` is a file
and no link because copies of a node home may follow links. ``keys/server.key``, ``.pem`` and
``.csr`` are links to the version in use, for people. Where a role has no folder, plain files of
these names are the identity: so something else (a secret of Kubernetes, certbot) can bring it.

One local CA, ``keys/clients-ca.*``, admits this health system's own gRPC clients and nobody else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from cryptography import x509

from node.settings import NodeHome, Settings, TrustSection
from node.token import open_key
from trust.anchors import Anchor, load_anchors
from trust.binder import Binder
from trust.bound_chain import Revocations
from trust.certificates import arrange, load_certificates
from trust.chain import Strength
from trust.errors import TrustError
from trust.keys import KeyKind
from trust.network_list.anchors import joined, listed_anchors
from trust.signer import KeySigner, Signer
from trust.tls import TlsIdentity
from trust.usages import Usage

_VERSION = re.compile(r"v([0-9]{4})")
_MAX_LIVE_BYTES = 64
_FHIR = "fhir-"
_PURPOSE = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,30}[A-Z0-9])?")


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


class FhirClient(str):
    """The FHIR client of one purpose of exchange; as a string its name, as ``fhir-T-TRTMNT``.

    UDAP knows a client by a URI in its certificate, and TEFCA wants a certificate of its own for
    each purpose (facts: tefca 4.3, fhir-and-udap 1.2).
    """

    __slots__ = ()

    def __new__(cls, purpose: str) -> Self:
        """Raises ``ValueError`` when the purpose is no code of one to 32 capitals and digits."""
        if not _PURPOSE.fullmatch(purpose):
            raise ValueError(purpose)
        return super().__new__(cls, f"{_FHIR}{purpose}")

    @property
    def value(self) -> str:
        """The name, as that of a ``Role``."""
        return str(self)

    @property
    def purpose(self) -> str:
        """The purpose's code."""
        return self.removeprefix(_FHIR)

    @property
    def usages(self) -> tuple[Usage, ...]:
        """It signs UDAP's tokens."""
        return (Usage.UDAP_SIGNER,)

    @property
    def key_kind(self) -> KeyKind:
        """RSA: every UDAP server must take RS256."""
        return KeyKind.RSA_3072


class FhirServer(StrEnum):
    """What signs the metadata of our FHIR server (UDAP), known by its base address in a URI."""

    SERVER = "fhir-server"

    @property
    def usages(self) -> tuple[Usage, ...]:
        """It signs UDAP's tokens."""
        return (Usage.UDAP_SIGNER,)

    @property
    def key_kind(self) -> KeyKind:
        """RSA: the metadata must be signed with RS256."""
        return KeyKind.RSA_3072


class LogKey(StrEnum):
    """The identities that are keys alone: others know the key itself, from our entry."""

    LOG = "log"
    AGREEMENT = "agreement"
    WITNESS = "witness"


Certified = Role | FhirClient | FhirServer
"""An identity with a certificate."""

Identity = Certified | LogKey
"""Every identity; as a string its name."""


def parse_identity(name: str) -> Identity:
    """The identity of a name. Raises ``ValueError`` when there can be none of it."""
    if name in tuple(LogKey):
        return LogKey(name)
    if name == FhirServer.SERVER:
        return FhirServer.SERVER
    if name.startswith(_FHIR):
        return FhirClient(name.removeprefix(_FHIR))
    return Role(name)


def certified(home: NodeHome) -> tuple[Certified, ...]:
    """Those that every node has, and those for FHIR that were made."""
    server = tuple(each for each in FhirServer if (home.keys / each).is_dir())
    found = sorted(path.name for path in home.keys.glob(f"{_FHIR}*") if path.is_dir())
    purposes = (name.removeprefix(_FHIR) for name in found)
    return (
        *Role,
        *server,
        *(FhirClient(purpose) for purpose in purposes if _PURPOSE.fullmatch(purpose)),
    )


def all_identities(home: NodeHome) -> tuple[Identity, ...]:
    """Those that every node has, and those that were made on demand."""
    return (*certified(home), *(key for key in LogKey if (home.keys / key).is_dir()))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFiles:
    """Where an identity's parts are."""

    key: Path
    certificate: Path
    request: Path


def identity_files(home: NodeHome, name: str) -> IdentityFiles:
    """The files of an identity, by role or name: those in use, or those on their way to it."""
    version = live_version(home, name) or newest_version(home, name)
    return plain_files(home, name) if version is None else version_files(home, name, version)


def plain_files(home: NodeHome, name: str) -> IdentityFiles:
    """The files right under ``keys/``: links to the version in use, or the identity itself."""
    return _files(home.keys, name)


def version_files(home: NodeHome, name: str, version: int) -> IdentityFiles:
    """The files of one version of a role."""
    return _files(home.keys / name / _folder_name(version), name)


def live_file(home: NodeHome, name: str) -> Path:
    """The file that names the version in use."""
    return home.keys / name / "live"


def history_file(home: NodeHome, name: str) -> Path:
    """The file that says what happened to each version."""
    return home.keys / name / "history.json"


def live_version(home: NodeHome, name: str) -> int | None:
    """The number of the version in use; ``None`` when none is, or the role has no versions.

    Raises:
        TrustError: ``identity-history-invalid`` when the file names none.
    """
    file = live_file(home, name)
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_LIVE_BYTES).decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = _VERSION.fullmatch(text)
    if found is None:
        raise TrustError(
            "identity-history-invalid", "It is not said which identity is in use.", where=str(file)
        )
    return int(found.group(1))


def live_text(version: int) -> bytes:
    """What stands in the file that names the version in use."""
    return f"{_folder_name(version)}\n".encode()


def newest_version(home: NodeHome, name: str) -> int | None:
    """The highest number of a version that has a folder."""
    found = (_VERSION.fullmatch(path.name) for path in (home.keys / name).glob("v*"))
    return max((int(each.group(1)) for each in found if each), default=None)


def _folder_name(version: int) -> str:
    return f"v{version:04}"


def _files(folder: Path, name: str) -> IdentityFiles:
    return IdentityFiles(
        key=folder / f"{name}.key",
        certificate=folder / f"{name}.pem",
        request=folder / f"{name}.csr",
    )


def passphrase(settings: Settings) -> bytes | None:
    """What opens the key files, from the environment; ``None`` when the variable is not set."""
    value = os.environ.get(settings.trust.passphrase_env)
    return value.encode() if value else None


def default_passphrase() -> bytes | None:
    """What opens key files of no node home, as those of a development CA."""
    value = os.environ.get(TrustSection().passphrase_env)
    return value.encode() if value else None


def tls_identity(
    home: NodeHome, settings: Settings, role: Role, files: IdentityFiles | None = None
) -> TlsIdentity:
    """The TLS identity of a role, from certain files or from those in use."""
    files = files or identity_files(home, role)
    return TlsIdentity(
        certificate_file=files.certificate,
        key_file=files.key,
        passphrase=passphrase(settings),
    )


def saml_signer(home: NodeHome, settings: Settings) -> Signer:
    """The key in use that signs assertions. Raises ``TrustError``."""
    return signer(home, settings, Role.SAML)


def signer(
    home: NodeHome, settings: Settings, identity: Certified, files: IdentityFiles | None = None
) -> KeySigner:
    """What signs as an identity, from certain files or from those in use.

    Raises:
        TrustError: when key or certificate cannot be used.
    """
    files = files or identity_files(home, identity)
    bundle = arrange(load_certificates(files.certificate))
    return KeySigner(
        key=open_key(home, settings, files.key, passphrase=passphrase(settings)),
        certificate=bundle.leaf,
        chain=bundle.intermediates,
    )


def network_anchors(home: NodeHome) -> tuple[Anchor, ...]:
    """The anchors of the networks we belong to: our own, and those of the signed network list.

    Raises:
        TrustError: when an anchor, or the network list, cannot be read.
    """
    local = load_anchors(home.anchors) if home.anchors.is_dir() else ()
    if not home.network.exists():
        return local
    # brings all of TUF along, which most homes and commands have no use for
    from trust.network_list.member import Membership  # noqa: PLC0415

    membership = Membership(home.network)
    if membership.joined() is None:
        return local
    authority = membership.authority()
    listed = listed_anchors(authority) if authority else ()
    return joined(local, listed, membership.denied())


def client_anchors(home: NodeHome) -> tuple[x509.Certificate, ...]:
    """The anchors of our own gRPC clients. Raises ``TrustError``."""
    if not home.client_anchors.is_dir():
        return ()
    return tuple(anchor.certificate for anchor in load_anchors(home.client_anchors))


def binder_of(
    home: NodeHome,
    settings: Settings,
    anchors: Iterable[Anchor],
    revocations: Revocations,
    trusted: Callable[[], datetime | None],
) -> Binder:
    """Binds peers' keys to their organisations by some anchors and our settings of this moment.

    ``trusted`` is the highest time that was vouched for.

    Raises:
        TrustError: when the network list with its denied keys cannot be read.
    """
    # as in network_anchors
    from trust.network_list.live import LiveDenied  # noqa: PLC0415

    return Binder(
        anchors,
        allow_unpinned=settings.trust.allow_unpinned_peers,
        floor=Strength(settings.trust.minimum_strength),
        denied=LiveDenied(home.network),
        revocations=revocations,
        trusted=trusted,
    )
