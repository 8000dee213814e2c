"""Making a node home, its keys and its certificates: what ``init``, ``cert`` and the demo share."""

from __future__ import annotations

import ipaddress
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from node.clock import SystemClock
from node.errors import SettingsError
from node.identity import (
    Certified,
    FhirClient,
    FhirServer,
    IdentityFiles,
    LogKey,
    Role,
    identity_files,
    newest_version,
    passphrase,
    plain_files,
    version_files,
)
from node.identity_store import begin, changing, make_live, note
from node.ledger.private import create_key
from node.log_keys import make_log_key
from node.renewal import keep
from node.settings import NodeHome, Settings, parse_settings
from node.token import make_token_key, open_key
from trust.anchors import add_anchor
from trust.ca import CertificateAuthority, Profile, create_ca, issue
from trust.certificates import Bundle, load_certificates
from trust.csr import RequestedNames, build_csr, csr_pem, load_csr
from trust.files import write_file
from trust.keys import KeyKind, generate_key, load_key, save_key
from trust.lifecycle import Records, Verb, active, next_version, waiting

CLIENTS_CA = "clients-ca"
OPERATOR = "operator"

_PROFILES = {
    Role.SERVER: Profile.TLS_SERVER,
    Role.CLIENT: Profile.TLS_CLIENT,
    Role.SAML: Profile.SAML_SIGNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """What a new node is called and where it is reached."""

    name: str
    home_community_id: str
    organization_id: str
    public_url: str = "https://localhost:8443"
    host: str = "127.0.0.1"
    port: int = 8443
    grpc_port: int = 8444
    ops_port: int = 8445
    console_port: int = 8447
    initiates: tuple[str, ...] = ()


def make_home(home: NodeHome, node: NewNode, *, now: datetime, extra: str = "") -> list[Path]:
    """Make a node home: settings, folders, the ledger's key, the log's, the local clients' CA.

    Args:
        home: where; it must not have a ``node.toml`` yet.
        node: the facts for ``node.toml``.
        now: the moment from which the local CA is valid.
        extra: more TOML for ``node.toml``.

    Returns:
        The files made.

    Raises:
        SettingsError: ``home-exists``.
        TrustError: when a key cannot be written.

    The keys are encrypted when the passphrase of the settings is set.
    """
    if home.settings_file.exists():
        raise SettingsError("home-exists", f"{home.path} is a node home already.")
    text = settings_text(node, extra)
    secret = passphrase(parse_settings(text))
    begun = home.keys.exists() or home.client_anchors.exists()
    try:
        return _make_home(home, text, secret, now=now)
    except BaseException:
        if not begun:  # what is half made would be in the way of the next try
            for folder in (home.keys, home.client_anchors):
                shutil.rmtree(folder, ignore_errors=True)
            home.settings_file.unlink(missing_ok=True)
        raise


def _make_home(home: NodeHome, text: str, secret: bytes | None, *, now: datetime) -> list[Path]:
    if not home.path.exists():
        # node.db has names and birth dates of patients, and makes files that all may read
        home.path.mkdir(mode=0o700, parents=True)
    for folder in (home.keys, home.records, home.inbox, home.log, home.directory):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (home.keys, home.inbox, home.records):
        folder.chmod(0o700)
    home.anchors.mkdir(parents=True, exist_ok=True)
    kek = create_key(home.path, secrets.token_bytes(32))
    admit_clients(home, passphrase=secret, now=now)
    operator = issue_client(
        home, OPERATOR, home.keys, ca_passphrase=secret, passphrase=secret, now=now
    )
    write_file(home.settings_file, text.encode())
    for name in LogKey:
        make_log_key(home, parse_settings(text), now=now, name=name)
    keys = [identity_files(home, name).key for name in LogKey]
    return [home.settings_file, kek, operator.certificate, *keys]


def settings_text(node: NewNode, extra: str = "") -> str:
    """The ``node.toml`` of a new node; what it leaves out has its default."""
    root = node.home_community_id.removeprefix("urn:oid:")
    return f"""\
# Settings of this node; docs/manual/settings.md lists every section with its defaults.

[node]
name = {_quoted(node.name)}
home_community_id = {_quoted(node.home_community_id)}
organization_id = {_quoted(node.organization_id)}
assigning_authority = "{root}.1"
repository_unique_id = "{root}.2"

[listen]
host = "{node.host}"
port = {node.port}
public_url = {_quoted(node.public_url)}

[grpc]
port = {node.grpc_port}

[ops]
port = {node.ops_port}

[console]
port = {node.console_port}

[policy]
initiates = [{", ".join(_quoted(code) for code in node.initiates)}]
{extra}"""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- identities ---------------------------------------------------------------------------------


def request_certificate(
    home: NodeHome,
    settings: Settings,
    role: Certified,
    *,
    hosts: tuple[str, ...] = (),
    uri: str | None = None,
    kind: KeyKind | None = None,
    same_key: bool = False,
    in_token: str | None = None,
    now: datetime | None = None,
) -> IdentityFiles:
    """Make a new key, unless one waits for its certificate, and a signing request for it.

    Args:
        home: the node home.
        settings: its settings.
        role: what the certificate is for.
        hosts: the names it shall cover; without any, the host of ``public_url``.
        uri: the client URI of a FHIR client; its own one when ``None``.
        kind: of a new key; the role's own when ``None``.
        same_key: renew the key in use instead of beginning a version with a new one.
        in_token: take or make a new key in the token, by this label; by one of its own when empty.
        now: the current time; the clock's when ``None``.

    Raises:
        SettingsError: ``identity-busy``, ``token-not-set``.
        TrustError: when the key cannot be made, read or written.
    """
    now, secret = now or SystemClock().now(), passphrase(settings)
    with changing(home, role, now=now) as records:
        record = waiting(records) or (active(records) if same_key else None)
        if record is None:
            plain = plain_files(home, role).key
            brought = not records and plain.is_file()
            if brought:
                key = load_key(plain, passphrase=secret)
            elif in_token is None:
                key = generate_key(kind or role.key_kind)
            else:
                label = in_token or _label(home, settings, role, records)
                key = make_token_key(home, settings, label, kind or role.key_kind)
            record = begin(home, role, key, passphrase=secret, now=now)
        files = version_files(home, role, record.version)
        key = open_key(home, settings, files.key, passphrase=secret)
        record = record.after(Verb.REQUEST, now=now)
        names = _names(settings.node.name, *_wanted(settings, role, hosts, uri))
        request = build_csr(key, names, usages=role.usages)
        write_file(files.request, csr_pem(request), replace=True)
        note(home, role, record, now=now)
    return files


def _label(home: NodeHome, settings: Settings, role: Certified, records: Records) -> str:
    number = max(next_version(records), (newest_version(home, role) or 0) + 1)
    return f"{settings.token.key_label}-{role}-v{number:04}"


def own_host(settings: Settings) -> str:
    """The host name under which peers reach us."""
    return urlsplit(settings.listen.public_url).hostname or "localhost"


def acme_request(
    home: NodeHome,
    settings: Settings,
    files: IdentityFiles,
    role: Certified,
    *,
    hosts: tuple[str, ...] = (),
) -> bytes:
    """A signing request as CAs on the open web want it: named by its first host alone.

    Raises:
        TrustError: when the key cannot be opened.
    """
    key = open_key(home, settings, files.key, passphrase=passphrase(settings))
    wanted = hosts or (own_host(settings),)
    return csr_pem(build_csr(key, _names(wanted[0], wanted, ()), usages=role.usages))


def client_uri(settings: Settings, identity: FhirClient) -> str:
    """The URI by which FHIR servers know our client of a purpose, unless another was asked for."""
    return f"{settings.listen.public_url.rstrip('/')}/fhir-client/{identity.purpose}"


def fhir_uri(settings: Settings, identity: FhirClient | FhirServer) -> str:
    """The URI by which peers know an identity of the FHIR side."""
    if isinstance(identity, FhirServer):
        return settings.fhir.public_url
    return client_uri(settings, identity)


def _wanted(
    settings: Settings, role: Certified, hosts: tuple[str, ...], uri: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The hosts and URIs to ask for: those for FHIR are known by their URI alone."""
    if isinstance(role, FhirClient | FhirServer):
        return hosts, (uri or fhir_uri(settings, role),)
    return hosts or (own_host(settings),), ()


def _names(common_name: str, hosts: tuple[str, ...], uris: tuple[str, ...]) -> RequestedNames:
    addresses = tuple(host for host in hosts if _is_address(host))
    return RequestedNames(
        # X.520 has room for 64; counted in bytes, as those who encode it do
        common_name=common_name.encode()[:64].decode(errors="ignore"),
        dns_names=tuple(host for host in hosts if host not in addresses),
        ip_addresses=addresses,
        uris=uris,
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def issue_all(
    home: NodeHome,
    settings: Settings,
    authority: CertificateAuthority,
    *,
    now: datetime,
    kind: KeyKind | None = None,
) -> None:
    """Give every role a certificate of a development CA, and trust that CA.

    ``kind`` is the kind of the SAML key, for those in a hurry. Raises ``TrustError``.
    """
    for role in Role:
        chosen = kind if role is Role.SAML else None
        issue_identity(home, settings, authority, role, now=now, kind=chosen)
    add_anchor(
        home.anchors, authority.certificate, label="development CA", network="development", now=now
    )


def issue_identity(
    home: NodeHome,
    settings: Settings,
    authority: CertificateAuthority,
    role: Certified,
    *,
    now: datetime,
    kind: KeyKind | None = None,
) -> None:
    """Give one role a new key and a certificate of a development CA, in use at once.

    Raises ``TrustError``.
    """
    files = request_certificate(home, settings, role, kind=kind, now=now)
    request = load_csr(files.request)
    certificate = issue(authority, request, profile=profile_of(role), now=now)
    key = load_key(files.key, passphrase=passphrase(settings))
    with changing(home, role, now=now):
        # our own CA's, a moment ago: there is nothing to ask about it
        record = keep(home, settings, role, Bundle(leaf=certificate), key, now=now)
        note(home, role, record.after(Verb.VERIFY, now=now), now=now)
        make_live(home, role, record.version, now=now)


def profile_of(role: Certified) -> Profile:
    """The CA profile that fits a role."""
    if isinstance(role, FhirClient | FhirServer):
        return Profile.UDAP_SIGNING
    return _PROFILES[role]


# --- certificate authorities in a folder --------------------------------------------------------


def make_ca(
    folder: Path, name: str, common_name: str, *, passphrase: bytes | None = None, now: datetime
) -> CertificateAuthority:
    """Make a development CA and keep it as ``NAME.key`` and ``NAME.pem``. Raises ``TrustError``."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = create_ca(common_name, now=now)
    save_key(folder / f"{name}.key", authority.key, passphrase=passphrase)
    write_file(folder / f"{name}.pem", Bundle(leaf=authority.certificate).pem())
    return authority


def load_ca(folder: Path, name: str, *, passphrase: bytes | None = None) -> CertificateAuthority:
    """Open a CA made by ``make_ca``. Raises ``TrustError``."""
    certificate = load_certificates(folder / f"{name}.pem")[0]
    key = load_key(folder / f"{name}.key", passphrase=passphrase)
    return CertificateAuthority(certificate=certificate, key=key)


# --- our own gRPC clients -----------------------------------------------------------------------


def admit_clients(home: NodeHome, *, passphrase: bytes | None = None, now: datetime) -> None:
    """Make the local CA whose certificates open the gRPC service. Raises ``TrustError``."""
    authority = make_ca(home.keys, CLIENTS_CA, "local clients", passphrase=passphrase, now=now)
    add_anchor(
        home.client_anchors, authority.certificate, label="local clients", network="local", now=now
    )


def issue_client(
    home: NodeHome,
    name: str,
    folder: Path,
    *,
    ca_passphrase: bytes | None = None,
    passphrase: bytes | None = None,
    now: datetime,
) -> IdentityFiles:
    """Give a client of our gRPC service a key and a certificate.

    Args:
        home: the node home, whose CA for clients issues.
        name: what the client is called.
        folder: where its files go.
        ca_passphrase: opens the CA's key.
        passphrase: encrypts the client's key; ``None`` for a client that must read it without.
        now: the current time.

    Raises:
        TrustError: when a key cannot be opened or written.
    """
    authority = load_ca(home.keys, CLIENTS_CA, passphrase=ca_passphrase)
    files = IdentityFiles(
        key=folder / f"{name}.key",
        certificate=folder / f"{name}.pem",
        request=folder / f"{name}.csr",
    )
    key = generate_key(KeyKind.P_256)
    names = RequestedNames(common_name=name, uris=(f"urn:tefca-node:client:{name}",))
    request = build_csr(key, names, usages=Role.CLIENT.usages)
    certificate = issue(authority, request, profile=Profile.TLS_CLIENT, now=now)
    folder.mkdir(parents=True, exist_ok=True)
    save_key(files.key, key, passphrase=passphrase)
    write_file(files.certificate, Bundle(leaf=certificate).pem())
    return files
