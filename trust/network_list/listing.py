"""What a checked network list says: values, and how its own files are read. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, TypeAdapter

from trust.certificates import fingerprint, parse_certificates
from trust.errors import TrustError
from trust.key_floor import Strength
from trust.network_list.entry import Code, Entry, Sha256, Text, as_json, parsed
from trust.revocation_policy import RevocationRule, read_rule
from trust.usages import PARTNER_USES, Usage

_MAX_DENIED = 100_000
_PerAnchor = Field(max_length=1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy:
    """``policy.json``: what the network's authority decided.

    Attributes:
        network: the network's name.
        purposes: purposes in use; empty means no restriction by the list.
        minimum_strength: whether keys below 128-bit strength are refused under the anchors.
        uses: what an anchor may vouch for, by its file; everything where nothing is said.
        revocation: how revocation is checked below an anchor, by its file: a table like that of
            an anchor's note; ``ANCHOR_DEFAULT`` where nothing is said.
        witnesses: quorum of log witnesses, by the authority's keys; carried, not acted upon yet.
    """

    network: Text
    purposes: Annotated[tuple[Code, ...], Field(max_length=200)] = ()
    minimum_strength: Strength = Strength.WARN
    uses: Annotated[Mapping[str, tuple[Usage, ...]], _PerAnchor] = field(default_factory=dict)
    revocation: Annotated[Mapping[str, Mapping[str, str | int | float]], _PerAnchor] = field(
        default_factory=dict
    )
    witnesses: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorTerms:
    """What the policy says of one anchor."""

    uses: tuple[Usage, ...]
    revocation: RevocationRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One denied key or certificate, by SHA-256, with the reason and since when."""

    sha256: Sha256
    reason: Text
    since: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyList:
    """``deny.json``: highest priority, nothing else in the list can lift it.

    Attributes:
        keys: SHA-256 of SubjectPublicKeyInfo.
        certificates: SHA-256 of whole certificates.
    """

    keys: Annotated[tuple[Denial, ...], Field(max_length=_MAX_DENIED)] = ()
    certificates: Annotated[tuple[Denial, ...], Field(max_length=_MAX_DENIED)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAnchor:
    """One of ``anchors/*.pem``."""

    file: str
    pem: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hex; of the file where it holds no certificate."""
        try:
            return fingerprint(parse_certificates(self.pem)[0])
        except TrustError:
            return hashlib.sha256(self.pem).hexdigest()

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""
        return self.file.rpartition("/")[2].removesuffix(".pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class QhinPart:
    """What one QHIN says, under its own signature.

    Attributes:
        qhin: the id of the delegation.
        organization_id: the QHIN's own entry, or ``None``.
        version: of its role.
        expires: of its role; the part may be past it (see ``staleness``).
        entries: its entries that count; contested ones are left out.
        fault: why its index could not be used, or ``None``.
    """

    qhin: str
    organization_id: str | None
    version: int
    expires: datetime
    entries: tuple[Entry, ...]
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Two QHINs claim one thing; the entry named here was left out for it."""

    qhin: str
    entry_id: str
    claim: str
    held_by: str | None

    @property
    def sentence(self) -> str:
        """What a person reads."""
        holder = f"which {self.held_by} holds" if self.held_by else "which another QHIN claims too"
        return f"{self.qhin} claims {self.claim} for {self.entry_id}, {holder}; it was left out."


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkList:
    """A list whose every byte was checked.

    Attributes:
        digest: SHA-256 of the snapshot: names the content.
        version: of the snapshot.
        timestamp_version: of the timestamp; grows with every re-signing.
        signed_at: when the timestamp was made, or ``None`` where the publisher does not say.
        expires: of each top-level role.
        qhins: by id.
        contested: entries that were left out.
        held: what two QHINs claim, with the one that held it before.
    """

    digest: str
    version: int
    root_version: int
    timestamp_version: int
    signed_at: datetime | None
    expires: Mapping[str, datetime]
    policy: NetworkPolicy
    deny: DenyList
    anchors: tuple[ListedAnchor, ...]
    qhins: tuple[QhinPart, ...]
    contested: tuple[Contest, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)

    def entries(self) -> Iterator[tuple[QhinPart, Entry]]:
        """All entries that count, with their QHINs."""
        for part in self.qhins:
            for entry in part.entries:
                yield part, entry


_POLICY: TypeAdapter[NetworkPolicy] = TypeAdapter(NetworkPolicy)
_DENY: TypeAdapter[DenyList] = TypeAdapter(DenyList)


def read_policy(data: bytes) -> NetworkPolicy:
    """``policy.json``. Raises ``TrustError`` ``network-list-invalid``."""
    policy = parsed(_POLICY, data, "network-list-invalid", "The policy of the network list")
    for file in policy.revocation:
        terms_of(policy, file)
    return policy


def terms_of(policy: NetworkPolicy, file: str) -> AnchorTerms:
    """What the policy says of an anchor file.

    Raises:
        TrustError: ``network-list-invalid`` for a rule that nobody can follow.
    """
    try:
        rule = read_rule(policy.revocation.get(file))
    except ValueError as error:
        raise TrustError(
            "network-list-invalid",
            "The policy of the network list has a rule for revocation that is not known.",
            where=file,
        ) from error
    return AnchorTerms(uses=policy.uses.get(file, PARTNER_USES), revocation=rule)


def read_deny(data: bytes) -> DenyList:
    """``deny.json``. Raises ``TrustError`` ``network-list-invalid``."""
    return parsed(_DENY, data, "network-list-invalid", "The deny list of the network list")


def policy_json(policy: NetworkPolicy) -> dict[str, Any]:
    """The policy as JSON values."""
    return as_json(_POLICY, policy)


def deny_json(deny: DenyList) -> dict[str, Any]:
    """The deny list as JSON values."""
    return as_json(_DENY, deny, whole=True)
