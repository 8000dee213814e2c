"""Making and signing the metadata of a network list (facts pki B3.1).

Root and targets are signed by several holders, each on a machine of their own: the metadata is
staged once, every holder adds a signature, and ``publishing`` takes it when the threshold is met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Role,
    Root,
    TargetFile,
    Targets,
)

from trust.errors import TrustError
from trust.network_list import names
from trust.network_list.listing import NetworkPolicy
from trust.network_list.metadata import MetadataFiles, expiry, runs_out
from trust.network_list.workspace import Delegation, Workspace

HASHES = ["sha256"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """The public keys of a network and how many of them must sign."""

    root: Sequence[SSlibKey]
    root_threshold: int
    targets: Sequence[SSlibKey]
    targets_threshold: int
    snapshot: Sequence[SSlibKey]
    timestamp: Sequence[SSlibKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """How far a staged role is."""

    role: str
    version: int
    signed: int
    needed: int
    added: bool = False

    @property
    def complete(self) -> bool:
        """Whether it can be published."""
        return self.signed >= self.needed


class Staging:
    """What a network's list shall say, on its way through the signatures of its holders."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is the network's (see ``workspace``)."""
        self.workspace = Workspace(folder)
        self.files = MetadataFiles(self.workspace)

    def create(self, policy: NetworkPolicy, holders: Holders, *, now: datetime) -> None:
        """Makes a network's folder and stages its first root and targets.

        Raises:
            TrustError: ``file-exists``, ``network-threshold-invalid``.
        """
        root = _root(holders, version=1, now=now)
        self.workspace.create(policy)
        self.files.published.mkdir(parents=True, exist_ok=True)
        (self.workspace.public / "targets").mkdir(parents=True, exist_ok=True)
        self.files.stage(names.ROOT, Metadata(root))
        self.stage(now=now)

    def renew_root(self, holders: Holders, *, now: datetime) -> None:
        """Stages the next root; enough holders of both the old and the new keys must sign it.

        Raises:
            TrustError: ``network-threshold-invalid``, ``network-not-here``.
        """
        version = self.files.root().signed.version + 1
        self.files.stage(names.ROOT, Metadata(_root(holders, version=version, now=now)))

    def holders(self) -> Holders:
        """The keys that the newest published or staged root names."""
        root = (self.files.staged(names.ROOT) or self.files.root()).signed

        def keys(role: str) -> list[SSlibKey]:
            return [cast("SSlibKey", root.keys[keyid]) for keyid in root.roles[role].keyids]

        return Holders(
            root=keys(names.ROOT),
            root_threshold=root.roles[names.ROOT].threshold,
            targets=keys(names.TARGETS),
            targets_threshold=root.roles[names.TARGETS].threshold,
            snapshot=keys(names.SNAPSHOT),
            timestamp=keys(names.TIMESTAMP),
        )

    def stage(self, *, now: datetime) -> tuple[str, ...]:
        """Makes metadata anew for every role whose content changed or whose time runs out.

        What is staged already with the same content stays, with its signatures.

        Returns:
            The roles that wait for signatures or publication.
        """
        delegations = self.workspace.delegations()
        wanted = {names.TARGETS: self.workspace.content_of_targets()}
        wanted |= {names.role_of(q): self.workspace.content_of_qhin(q) for q in delegations}
        for role, content in wanted.items():
            self._stage_targets(role, content, delegations, now)
        return tuple(role for role in (names.ROOT, *wanted) if self.files.staged(role) is not None)

    def sign(
        self, signer: CryptoSigner, *, roles: Sequence[str] | None = None, now: datetime
    ) -> tuple[Signatures, ...]:
        """Adds a holder's signature to every staged role that its key may sign.

        Args:
            signer: the holder's key.
            roles: only these roles.
            now: the moment, for what must be staged first.

        Raises:
            TrustError: ``network-key-signs-nothing``.
        """
        signed: list[Signatures] = []
        for role in self.stage(now=now):
            staged = self.files.staged(role)
            if staged is None or (roles is not None and role not in roles):
                continue
            if signer.public_key.keyid not in self._keyids(role):
                continue
            staged.sign(signer, append=True)
            self.files.stage(role, staged)
            signed.append(self.signatures(role, added=True))
        if not signed:
            raise TrustError(
                "network-key-signs-nothing", "No staged role waits for a signature of this key."
            )
        return tuple(signed)

    def waiting(self) -> tuple[Signatures, ...]:
        """How far each staged role is."""
        roles = (names.ROOT, names.TARGETS, *map(names.role_of, self.workspace.delegations()))
        return tuple(self.signatures(role) for role in roles if self.files.staged(role) is not None)

    def _keyids(self, role: str) -> set[str]:
        """The keys whose signature counts for a staged role; a root counts old and new holders."""
        if role == names.ROOT:
            found: set[str] = set()
            for root in (self.files.staged(names.ROOT), self.files.newest(names.ROOT)):
                if root is not None:
                    found |= set(cast("Root", root.signed).roles[names.ROOT].keyids)
            return found
        if role == names.TARGETS:
            root = self.files.staged(names.ROOT) or self.files.root()
            return set(cast("Root", root.signed).roles[names.TARGETS].keyids)
        return set(self.workspace.delegations()[role.removeprefix("q-")].keys)

    def signatures(self, role: str, *, added: bool = False) -> Signatures:
        """How far a staged role is. Raises ``network-not-here`` where it is not staged."""
        staged = self.files.staged(role)
        if staged is None:
            raise TrustError("network-not-here", "This role is not staged.")
        payload, signatures = staged.signed_bytes, staged.signatures
        if role == names.ROOT:
            root = cast("Root", staged.signed)
            before = self.files.newest(names.ROOT)
            result = root.get_root_verification_result(
                cast("Root", before.signed) if before else None, payload, signatures
            )
            signed, needed = len(result.signed), len(result.signed)
            needed += max(result.first.missing, result.second.missing)
        else:
            one = self.files.delegator(role).get_verification_result(role, payload, signatures)
            signed, needed = len(one.signed), one.threshold
        return Signatures(
            role=role, version=staged.signed.version, signed=signed, needed=needed, added=added
        )

    def _stage_targets(
        self,
        role: str,
        content: Mapping[str, bytes],
        delegations: Mapping[str, Delegation],
        now: datetime,
    ) -> None:
        targets = {path: TargetFile.from_data(path, data, HASHES) for path, data in content.items()}
        given = _delegations(delegations) if role == names.TARGETS and delegations else None
        published = self.files.newest(role)
        staged = self.files.staged(role)
        lifetime = role if role == names.TARGETS else "delegated"
        for held in (staged, published):
            if held is None:
                continue
            signed = cast("Targets", held.signed)
            same = signed.targets == targets and signed.delegations == given
            if same and not runs_out(signed.expires, lifetime, now):
                if held is published and staged is not None:
                    self.files.unstage(role)
                if held is staged or self.files.still_signed(role, held):
                    return
        version = published.signed.version + 1 if published else 1
        new = Targets(
            version=version, expires=expiry(lifetime, now), targets=targets, delegations=given
        )
        self.files.stage(role, Metadata(new))


def _root(holders: Holders, *, version: int, now: datetime) -> Root:
    given = {
        names.ROOT: (holders.root, holders.root_threshold),
        names.TARGETS: (holders.targets, holders.targets_threshold),
        names.SNAPSHOT: (holders.snapshot, 1),
        names.TIMESTAMP: (holders.timestamp, 1),
    }
    for keys, threshold in given.values():
        if not 1 <= threshold <= len({key.keyid for key in keys}):
            raise TrustError(
                "network-threshold-invalid", "A role needs as many keys as its threshold."
            )
    return Root(
        version=version,
        expires=expiry(names.ROOT, now),
        keys={key.keyid: key for keys, _ in given.values() for key in keys},
        roles={
            role: Role([key.keyid for key in keys], threshold)
            for role, (keys, threshold) in given.items()
        },
        consistent_snapshot=True,
    )


def _delegations(given: Mapping[str, Delegation]) -> Delegations:
    keys = {key.keyid: key for d in given.values() for key in d.public_keys()}
    roles = {
        names.role_of(qhin): DelegatedRole(
            name=names.role_of(qhin),
            keyids=list(delegation.keys),
            threshold=delegation.threshold,
            terminating=True,
            paths=[names.path_of(qhin, "*")],
        )
        for qhin, delegation in sorted(given.items())
    }
    return Delegations(keys=dict(keys), roles=roles)
