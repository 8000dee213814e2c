"""Settings of a node home: ``node.toml``, read once, checked, handed on as frozen values.

Every limit of the node stands here with its default (DESIGN law 7). A key that is not known is an
error, so that a typing mistake never silently leaves a default in force.

Paths are relative to the node home unless absolute. ``${NAME}`` in a string is replaced by the
environment variable of that name, for secrets that must not stand in a file.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from node.errors import SettingsError
from node.log_settings import CaptureSection, LogSection
from node.settings_audit import AuditSection
from node.settings_detectors import DetectorsSection
from node.settings_disclosures import DisclosuresSection
from node.settings_exports import ExportsSection
from node.settings_fhir import FhirSection
from node.settings_ias import IasSection
from node.settings_mail import MailSection
from node.settings_relationships import EncountersSection, RelationshipsSection
from node.settings_section import Section
from node.settings_sign_on import SignOnSection
from node.settings_upstream import UpstreamSection
from node.settings_words import words_for

FILE_NAME = "node.toml"

_OID = r"[0-2](\.(0|[1-9][0-9]*))+"
Oid = Annotated[str, Field(pattern=f"^{_OID}$", max_length=56)]
Urn = Annotated[str, Field(pattern=f"^urn:oid:{_OID}$", max_length=64)]
Port = Annotated[int, Field(ge=0, le=65535)]
_PUBLIC_URL = r"^https://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?$"
Seconds = Annotated[float, Field(gt=0, le=3600)]
Count = Annotated[int, Field(gt=0)]


class NodeSection(Section):
    """``[node]``: who we are. ``organization_id`` is the id of our own directory entry.

    ``organization_type`` is our level in the directory; ``npi`` has ten digits.
    """

    name: Annotated[str, Field(min_length=1, max_length=256)]
    home_community_id: Urn
    organization_id: Annotated[str, Field(min_length=1)]
    organization_type: str = "Participant"
    npi: Annotated[str, Field(pattern="^([0-9]{10})?$")] = ""
    assigning_authority: Oid
    repository_unique_id: Oid


class ListenSection(Section):
    """``[listen]``: the responding gateway; ``public_url`` is how peers reach it.

    ``answer_delay_seconds`` is for test networks alone: wait so long before every answer, to try
    the patience of others.
    """

    host: str = "127.0.0.1"
    port: Port = 8443
    public_url: Annotated[str, Field(pattern=_PUBLIC_URL, max_length=256)] = (
        "https://localhost:8443"
    )
    discovery_path: str = "/xcpd"
    query_path: str = "/xca/query"
    retrieve_path: str = "/xca/retrieve"
    provide_path: str = "/xcdr"
    answer_delay_seconds: Annotated[float, Field(ge=0, le=600)] = 0


class GrpcSection(Section):
    """``[grpc]``: where local clients ask. Port 0 picks a free one, ``enabled = false`` none."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 8444
    host_name: str = "localhost"


class OpsSection(Section):
    """``[ops]``: metrics and health over plain HTTP, for the machine's own monitoring alone."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 8445


class ConsoleSection(Section):
    """``[console]``: the governance console, for people who sign in with a browser.

    On a loopback address it speaks plain HTTP; on any other one TLS, with our server identity.
    ``environment`` stands on every page; ``time_zone`` is an IANA name. With ``one_time_codes``
    everybody with a local account needs an authenticator app. ``searches`` of clinicians run at a
    time, and ``searches_of_one`` of one person. Who proved themselves within ``proof_minutes`` has
    patients' names shown without doing so again. A document that was opened stays here for
    ``document_minutes``, sealed on disk under a key in memory; one may have ``document_bytes``, all
    of them ``documents_bytes``. That a person opened a document is remembered for ``seen_days``.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 8447
    environment: Annotated[str, Field(min_length=1, max_length=24)] = "TEST"
    time_zone: str = "UTC"
    one_time_codes: bool = True
    searches: Count = 20
    searches_of_one: Count = 3
    proof_minutes: Annotated[float, Field(gt=0, le=60)] = 5
    document_minutes: Annotated[float, Field(gt=0, le=1440)] = 30
    document_bytes: Count = 64 * 1024 * 1024
    documents_bytes: Count = 2 * 1024 * 1024 * 1024
    seen_days: Annotated[int, Field(ge=1, le=365)] = 30


class StorageSection(Section):
    """``[storage]``: an empty ``database_url`` is SQLite in the node home (``node.db``)."""

    database_url: str = ""
    queue_limit: Count = 4096


class TrustSection(Section):
    """``[trust]``: keys and what we accept from peers.

    ``passphrase_env`` names the environment variable that opens the key files.
    ``minimum_strength`` is ``warn`` or ``deny`` for keys below 128 bits of strength (QTF-201).
    """

    passphrase_env: str = "TEFCA_NODE_PASSPHRASE"  # noqa: S105  the name of a variable
    allow_unpinned_peers: bool = True
    minimum_strength: Annotated[str, Field(pattern="^(warn|deny)$")] = "warn"
    assertion_lifetime_seconds: Seconds = 300
    clock_skew_seconds: Annotated[float, Field(ge=0, le=300)] = 300
    refuse_second_purpose: bool = True
    replay_cache_entries: Count = 1_000_000


class TokenSection(Section):
    """``[token]``: a PKCS#11 token for the keys that sign, when ``cert request --in-token`` asks.

    ``module`` is the path of its maker's library, ``label`` the token's own. The PIN comes from the
    variable ``pin_env`` or, before that, from the file ``pin_file`` (as systemd's credentials).
    """

    module: str = ""
    label: str = ""
    key_label: Annotated[str, Field(min_length=1, max_length=32)] = "tefca-node"
    pin_env: str = "TEFCA_NODE_TOKEN_PIN"
    pin_file: str = ""


class RevocationSection(Section):
    """``[revocation]``: how a running node keeps CRLs and OCSP answers current.

    Asked are the addresses in certificates of accepted chains, and ``crl_urls``. ``hosts`` limits
    them to certain hosts; addresses that are not public are refused unless
    ``allow_private_addresses``. A CRL is asked for every ``fetch_minutes`` at the latest.
    """

    fetch: bool = True
    crl_urls: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    allow_private_addresses: bool = False
    fetch_minutes: Annotated[float, Field(ge=1, le=1440)] = 60
    fetch_seconds: Annotated[float, Field(gt=0, le=600)] = 30


class AcmeSection(Section):
    """``[acme]``: a CA that issues by ACME (RFC 8555), for ``cert enrol`` and ``cert renew``.

    ``eab_key_env`` names the variable with the external account's key (base64url).
    """

    directory_url: Annotated[str, Field(pattern="^(https://.*)?$")] = ""
    contact: str = ""
    eab_key_id: str = ""
    eab_key_env: str = "TEFCA_NODE_ACME_EAB_KEY"
    challenge: Annotated[str, Field(pattern="^(http-01|dns-01)$")] = "http-01"
    http_host: str = ""
    http_port: Port = 80
    dns_hook: str = ""
    ca_file: str = ""
    renews: tuple[str, ...] = ("server",)


class PolicySection(Section):
    """``[policy]``: what we ask and answer for.

    ``initiates`` and ``responds`` are purpose codes for the entry that ``directory export --self``
    writes; what counts when asking and answering is our entry in the directory. ``responds`` empty
    means every purpose that may be queried for.
    """

    initiates: tuple[str, ...] = ()
    responds: tuple[str, ...] = ()
    opt_out_file: str = ""
    quiet_opt_out: bool = True
    five_year_default: bool = True


class PrincipalSection(Section):
    """``[principal]``: the system user for automated queries (QTF-502); a caller may name another.

    ``role`` is a SNOMED CT code.
    """

    subject_id: str = "TEFCA node"
    user_id: str = "system"
    role: str = "224608005"
    role_system: Oid = "2.16.840.1.113883.6.96"
    role_display: str = "Administrative healthcare staff"
    npi: str = ""
    purpose: str = ""


class AskingSection(Section):
    """``[asking]``: how widely and how long we ask (seconds; facts: tefca 4.13)."""

    concurrency: Count = 200
    discovery_seconds: Seconds = 60
    query_seconds: Seconds = 60
    retrieve_seconds: Seconds = 300
    per_peer_discovery_seconds: Seconds = 30
    per_peer_query_seconds: Seconds = 30
    per_peer_retrieve_seconds: Seconds = 60
    per_peer_deliver_seconds: Seconds = 120
    documents_per_retrieve: Count = 5


class ProbeSection(Section):
    """``[probe]``: limits of ``peer ping`` and ``peer test``, seconds and bytes.

    ``concurrency`` is how many peers ``peer test --all`` tests at a time.
    """

    name_seconds: Seconds = 5
    connect_seconds: Seconds = 5
    handshake_seconds: Seconds = 10
    answer_seconds: Seconds = 30
    answer_bytes: Count = 1024 * 1024
    concurrency: Annotated[int, Field(gt=0, le=200)] = 20


class LimitsSection(Section):
    """``[limits]``: sizes in bytes and counts; exceeding one is a clear error to the sender."""

    request_bytes: Count = 4 * 1024 * 1024
    answer_bytes: Count = 64 * 1024 * 1024
    document_bytes: Count = 1024 * 1024 * 1024
    delivery_bytes: Count = 256 * 1024 * 1024
    documents_per_request: Count = 100
    documents_per_answer: Count = 5000
    connections: Count = 1000
    peer_connections: Count = 500
    header_seconds: Seconds = 10
    idle_seconds: Seconds = 60
    connection_seconds: Seconds = 3600


class DirectorySection(Section):
    """``[directory]``: where entries come from.

    ``mappings`` are further mapping files, for communities that spell things their own way.
    ``allow_unsigned_entries = false`` exchanges only with entries of the signed network list, which
    a running node fetches every ``network_sync_minutes`` where it has joined a network.
    """

    mappings: tuple[str, ...] = ()
    allow_unsigned_entries: bool = True
    network_sync_minutes: Annotated[float, Field(ge=1, le=1440)] = 15


class Settings(Section):
    """Everything in ``node.toml``."""

    node: NodeSection
    listen: ListenSection = ListenSection()
    grpc: GrpcSection = GrpcSection()
    ops: OpsSection = OpsSection()
    console: ConsoleSection = ConsoleSection()
    sign_on: SignOnSection = SignOnSection()
    disclosures: DisclosuresSection = DisclosuresSection()
    exports: ExportsSection = ExportsSection()
    relationships: RelationshipsSection = RelationshipsSection()
    encounters: EncountersSection = EncountersSection()
    mail: MailSection = MailSection()
    detectors: DetectorsSection = DetectorsSection()
    fhir: FhirSection = FhirSection()
    upstream: UpstreamSection = UpstreamSection()
    ias: IasSection = IasSection()
    storage: StorageSection = StorageSection()
    log: LogSection = LogSection()
    capture: CaptureSection = CaptureSection()
    audit: AuditSection = AuditSection()
    trust: TrustSection = TrustSection()
    token: TokenSection = TokenSection()
    revocation: RevocationSection = RevocationSection()

    acme: AcmeSection = AcmeSection()
    policy: PolicySection = PolicySection()
    principal: PrincipalSection = PrincipalSection()
    asking: AskingSection = AskingSection()
    probe: ProbeSection = ProbeSection()
    limits: LimitsSection = LimitsSection()
    directory: DirectorySection = DirectorySection()


class NodeHome:
    """The folder of one node and where things are in it (DESIGN section 5)."""

    def __init__(self, path: Path) -> None:
        """``path`` need not exist yet."""
        self.path = path
        self.settings_file = path / FILE_NAME
        self.keys = path / "keys"
        self.anchors = path / "trust" / "anchors"
        self.crls = path / "trust" / "crls"
        self.peers = path / "trust" / "peers"
        self.shown = path / "trust" / "shown"
        self.network = path / "trust" / "network"
        self.trusted_time = path / "trust" / "trusted-time"
        self.client_anchors = path / "trust" / "clients"
        self.replay = path / "trust" / "replay"
        self.directory = path / "directory"
        self.records = path / "records"
        self.inbox = path / "inbox"
        self.log = path / "log"
        self.statements = path / "statements"
        self.evidence = path / "evidence"
        self.reports = path / "reports"
        self.exports = path / "exports"

    def resolve(self, name: str) -> Path:
        """A path from a setting: relative to the home unless absolute."""
        return self.path / name

    @property
    def directory_url(self) -> str:
        """The directory's own database, where the home's is SQLite."""
        return f"sqlite:///{self.directory / 'directory.db'}"

    def database_url(self, settings: Settings) -> str:
        """The database of this home."""
        return settings.storage.database_url or f"sqlite:///{self.path / 'node.db'}"


def parse_settings(text: str) -> Settings:
    """Read ``node.toml``'s text.

    Raises:
        SettingsError: naming the key and what is wrong with it.
    """
    try:
        return Settings.model_validate(tomllib.loads(_with_environment(text)))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            "settings-invalid", f"{FILE_NAME} is not valid TOML: {error}."
        ) from error
    except ValidationError as error:
        key, sentence = words_for(error, Settings)
        raise SettingsError("settings-invalid", f"{FILE_NAME}: {sentence}", where=key) from error


def load_settings(home: NodeHome) -> Settings:
    """Read the settings of a node home.

    Raises:
        SettingsError: when the home has no settings file, or a wrong one.
    """
    try:
        text = home.settings_file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError("no-node-home", f"{home.path} has no {FILE_NAME}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            "settings-invalid", f"{FILE_NAME} is no text in UTF-8, from its byte {error.start} on."
        ) from error
    return parse_settings(text)


def _with_environment(text: str) -> str:
    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in os.environ:
            raise SettingsError(
                "settings-invalid", f"{FILE_NAME} names the variable {name}, which is not set."
            )
        return os.environ[name].replace("\\", "\\\\").replace('"', '\\"')

    return re.sub(r"\$\{([A-Z][A-Z0-9_]*)\}", value, text)
