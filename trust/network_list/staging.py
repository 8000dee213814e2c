"""Making, signing and publishing the metadata of a network list (facts pki B3.1).

Root and targets are signed by several holders, each on a machine of their own: the metadata is
staged once, every holder adds a signature, and ``publish`` takes it when the threshold is met.
Snapshot and timestamp are signed by ``publish`` itself, with keys that are online.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from trust.errors import TrustError
from trust.files import write_file
from trust.network_list import names
from trust.network_list.listing import NetworkPolicy
from trust.network_list.workspace import Delegation, Workspace, sha256_of

_HASHES = ["sha256"]
_RENEW_SHARE = 3
"""A role is made anew when less than a third of its lifetime is left."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was published.

    ``root_fingerprint`` is of the newest root: hand it to members by another way.
    """

    snapshot_version: int
    timestamp_version: int
    root_version: int
    root_fingerprint: str
    expires: datetime


class Publisher:
    """Runs a network's list in one folder."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is the network's (see ``workspace``)."""
        self.workspace = Workspace(folder)
        self._metadata = self.workspace.public / "metadata"
        self._targets = self.workspace.public / "targets"

    # --- making -----------------------------------------------------------------------------------

    def create(self, policy: NetworkPolicy, holders: Holders, *, now: datetime) -> None:
        """Makes a network's folder and stages its first root and targets.

        Raises:
            TrustError: ``file-exists``, ``network-threshold-invalid``.
        """
        root = _root(holders, version=1, now=now)
        self.workspace.create(policy)
        self._metadata.mkdir(parents=True, exist_ok=True)
        self._targets.mkdir(parents=True, exist_ok=True)
        self._stage(names.ROOT, Metadata(root))
        self.stage(now=now)

    def renew_root(self, holders: Holders, *, now: datetime) -> None:
        """Stages the next root; enough holders of both the old and the new keys must sign it.

        Raises:
            TrustError: ``network-threshold-invalid``, ``network-not-here``.
        """
        version = self._root().signed.version + 1
        self._stage(names.ROOT, Metadata(_root(holders, version=version, now=now)))

    def holders(self) -> Holders:
        """The keys that the newest published or staged root names."""
        root = (self._staged(names.ROOT) or self._root()).signed

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
        return tuple(role for role in (names.ROOT, *wanted) if self._staged(role) is not None)

    # --- signing ----------------------------------------------------------------------------------

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
            staged = self._staged(role)
            if staged is None or (roles is not None and role not in roles):
                continue
            if signer.public_key.keyid not in self._keyids(role):
                continue
            staged.sign(signer, append=True)
            self._stage(role, staged)
            signed.append(self._signatures(role, added=True))
        if not signed:
            raise TrustError(
                "network-key-signs-nothing", "No staged role waits for a signature of this key."
            )
        return tuple(signed)

    def waiting(self) -> tuple[Signatures, ...]:
        """How far each staged role is."""
        roles = (names.ROOT, names.TARGETS, *map(names.role_of, self.workspace.delegations()))
        return tuple(self._signatures(role) for role in roles if self._staged(role) is not None)

    def _keyids(self, role: str) -> set[str]:
        """The keys whose signature counts for a staged role; a root counts old and new holders."""
        if role == names.ROOT:
            found: set[str] = set()
            for root in (self._staged(names.ROOT), self._newest(names.ROOT)):
                if root is not None:
                    found |= set(cast("Root", root.signed).roles[names.ROOT].keyids)
            return found
        if role == names.TARGETS:
            root = self._staged(names.ROOT) or self._root()
            return set(cast("Root", root.signed).roles[names.TARGETS].keyids)
        return set(self.workspace.delegations()[role.removeprefix("q-")].keys)

    def _signatures(self, role: str, *, added: bool = False) -> Signatures:
        staged = self._staged(role)
        if staged is None:
            raise TrustError("network-not-here", "This role is not staged.")
        payload, signatures = staged.signed_bytes, staged.signatures
        if role == names.ROOT:
            root = cast("Root", staged.signed)
            before = self._newest(names.ROOT)
            result = root.get_root_verification_result(
                cast("Root", before.signed) if before else None, payload, signatures
            )
            signed, needed = len(result.signed), len(result.signed)
            needed += max(result.first.missing, result.second.missing)
        else:
            one = self._delegator(role).get_verification_result(role, payload, signatures)
            signed, needed = len(one.signed), one.threshold
        return Signatures(
            role=role, version=staged.signed.version, signed=signed, needed=needed, added=added
        )

    # --- publishing -------------------------------------------------------------------------------

    def publish(
        self, *, snapshot: CryptoSigner, timestamp: CryptoSigner, now: datetime
    ) -> Published:
        """Writes what is signed by enough holders to ``public/``, with a new timestamp.

        Without any change it signs the timestamp anew: run it every hour or so.

        Raises:
            TrustError: ``network-threshold-not-met`` naming the role,
                ``network-key-signs-nothing`` when a key is not the root's.
        """
        self.stage(now=now)
        ready = self._ready()
        held = self._newest(names.SNAPSHOT)
        meta = dict(cast("Snapshot", held.signed).meta) if held else {}
        root = cast("Root", (self._staged(names.ROOT) or self._root()).signed)
        for role, signer in ((names.SNAPSHOT, snapshot), (names.TIMESTAMP, timestamp)):
            if signer.public_key.keyid not in root.roles[role].keyids:
                raise TrustError(
                    "network-key-signs-nothing", f"This key does not sign the {role} role."
                )
        for role in ready:
            staged = self._staged(role)
            if staged is None:
                continue
            self._check_verified(role, staged)
            if role != names.ROOT:
                self._write_targets(role)
            data = staged.to_bytes(JSONSerializer(compact=True))
            write_file(self._metadata / f"{staged.signed.version}.{role}.json", data, replace=True)
            if role != names.ROOT:
                meta[f"{role}.json"] = _meta(staged.signed.version, data)
            (self.workspace.staged / f"{role}.json").unlink()
        return self._publish_online(meta, held, snapshot, timestamp, now)

    def _ready(self) -> list[str]:
        """The roles to publish where they are staged; a QHIN that has not signed must wait."""
        for each in self.waiting():
            if each.role in (names.ROOT, names.TARGETS) and not each.complete:
                raise TrustError(
                    "network-threshold-not-met",
                    f"{each.role} has {each.signed} of {each.needed} signatures.",
                    where=each.role,
                )
        ready = [names.ROOT, names.TARGETS]
        for role in map(names.role_of, self.workspace.delegations()):
            held = self._newest(role)
            if self._staged(role) and self._signatures(role).complete:
                ready.append(role)
            elif held and not self._still_signed(role, held):
                # what every member would refuse, and with it the whole list
                raise TrustError(
                    "network-threshold-not-met",
                    f"{role} must be signed by the keys it has now.",
                    where=role,
                )
        return ready

    def root_fingerprint(self) -> str:
        """SHA-256 of the newest published root."""
        version = self._root().signed.version
        return sha256_of((self._metadata / f"{version}.{names.ROOT}.json").read_bytes())

    def _publish_online(
        self,
        meta: Mapping[str, MetaFile],
        held: Metadata[Snapshot] | None,
        snapshot: CryptoSigner,
        timestamp: CryptoSigner,
        now: datetime,
    ) -> Published:
        root = self._root()
        before = held.signed if held else None
        signable = before is not None and _verifies(root, names.SNAPSHOT, held)
        if (
            before is None
            or not signable
            or before.meta != meta
            or _runs_out(before.expires, names.SNAPSHOT, now)
        ):
            version = before.version + 1 if before else 1
            # a role that was listed once stays listed: clients refuse a snapshot that lost one
            new = Snapshot(version=version, expires=_expiry(names.SNAPSHOT, now), meta=dict(meta))
            envelope = Metadata(new)
            envelope.sign(snapshot)
            data = envelope.to_bytes(JSONSerializer(compact=True))
            write_file(self._metadata / f"{version}.snapshot.json", data, replace=True)
        else:
            version = before.version
            data = (self._metadata / f"{version}.snapshot.json").read_bytes()
        last = self._timestamp()
        stamp = Timestamp(
            version=last.signed.version + 1 if last else 1,
            expires=_expiry(names.TIMESTAMP, now),
            snapshot_meta=_meta(version, data),
            unrecognized_fields={names.SIGNED_AT: now.replace(microsecond=0).isoformat()},
        )
        signed = Metadata(stamp)
        signed.sign(timestamp)
        write_file(
            self._metadata / "timestamp.json",
            signed.to_bytes(JSONSerializer(compact=True)),
            replace=True,
        )
        return Published(
            snapshot_version=version,
            timestamp_version=stamp.version,
            root_version=root.signed.version,
            root_fingerprint=self.root_fingerprint(),
            expires=stamp.expires,
        )

    def _write_targets(self, role: str) -> None:
        content = (
            self.workspace.content_of_targets()
            if role == names.TARGETS
            else self.workspace.content_of_qhin(role.removeprefix("q-"))
        )
        for path, data in content.items():
            folder, _, name = path.rpartition("/")
            where = self._targets / folder
            where.mkdir(parents=True, exist_ok=True)
            write_file(where / f"{sha256_of(data)}.{name}", data, replace=True)

    def _check_verified(self, role: str, staged: Metadata[Any]) -> None:
        try:
            if role == names.ROOT:
                before = self._newest(names.ROOT)
                for root in (staged, before) if before else (staged,):
                    root.signed.verify_delegate(role, staged.signed_bytes, staged.signatures)
            else:
                self._delegator(role).verify_delegate(role, staged.signed_bytes, staged.signatures)
        except RepositoryError as error:
            raise TrustError(
                "network-threshold-not-met", f"{role} lacks signatures.", where=role
            ) from error

    # --- files ------------------------------------------------------------------------------------

    def _stage_targets(
        self,
        role: str,
        content: Mapping[str, bytes],
        delegations: Mapping[str, Delegation],
        now: datetime,
    ) -> None:
        targets = {
            path: TargetFile.from_data(path, data, _HASHES) for path, data in content.items()
        }
        given = _delegations(delegations) if role == names.TARGETS and delegations else None
        published = self._newest(role)
        staged = self._staged(role)
        lifetime = role if role == names.TARGETS else "delegated"
        for held in (staged, published):
            if held is None:
                continue
            signed = cast("Targets", held.signed)
            same = signed.targets == targets and signed.delegations == given
            if same and not _runs_out(signed.expires, lifetime, now):
                if held is published and staged is not None:
                    (self.workspace.staged / f"{role}.json").unlink()
                if held is staged or self._still_signed(role, held):
                    return
        version = published.signed.version + 1 if published else 1
        new = Targets(
            version=version, expires=_expiry(lifetime, now), targets=targets, delegations=given
        )
        self._stage(role, Metadata(new))

    def _still_signed(self, role: str, published: Metadata[Any]) -> bool:
        """Whether published metadata holds under the keys of today: they may have been replaced."""
        try:
            self._delegator(role).verify_delegate(
                role, published.signed_bytes, published.signatures
            )
        except (RepositoryError, ValueError):
            return False
        return True

    def _delegator(self, role: str) -> Root | Targets:
        if role == names.TARGETS:
            return cast("Root", (self._staged(names.ROOT) or self._root()).signed)
        targets = self._staged(names.TARGETS) or self._newest(names.TARGETS)
        if targets is None:
            raise TrustError("network-not-here", "This folder is no network's folder.")
        return cast("Targets", targets.signed)

    def _stage(self, role: str, envelope: Metadata[Any]) -> None:
        data = envelope.to_bytes(JSONSerializer(compact=False))
        write_file(self.workspace.staged / f"{role}.json", data, replace=True)

    def _staged(self, role: str) -> Metadata[Any] | None:
        return _read(self.workspace.staged / f"{role}.json")

    def _newest(self, role: str) -> Metadata[Any] | None:
        versions = [
            int(path.name.split(".", 1)[0])
            for path in self._metadata.glob(f"*.{role}.json")
            if path.name.split(".", 1)[0].isdigit()
        ]
        return _read(self._metadata / f"{max(versions)}.{role}.json") if versions else None

    def _root(self) -> Metadata[Root]:
        found = self._newest(names.ROOT)
        if found is None:
            raise TrustError("network-not-here", "This network has not published a root yet.")
        return cast("Metadata[Root]", found)

    def _timestamp(self) -> Metadata[Timestamp] | None:
        return cast("Metadata[Timestamp] | None", _read(self._metadata / "timestamp.json"))


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
        expires=_expiry(names.ROOT, now),
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


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile.from_data(version, data, _HASHES)


def _verifies(root: Metadata[Root], role: str, envelope: Metadata[Any] | None) -> bool:
    if envelope is None:
        return False
    try:
        root.signed.verify_delegate(role, envelope.signed_bytes, envelope.signatures)
    except RepositoryError:
        return False
    return True


def _lifetime(role: str) -> timedelta:
    return timedelta(days=names.numbers()["lifetime_days"][role])


def _expiry(role: str, now: datetime) -> datetime:
    return now.replace(microsecond=0) + _lifetime(role)


def _runs_out(expires: datetime, role: str, now: datetime) -> bool:
    return expires - now < _lifetime(role) / _RENEW_SHARE


def _read(path: Path) -> Metadata[Any] | None:
    try:
        return Metadata.from_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, DeserializationError) as error:
        raise TrustError(
            "network-not-here", "A metadata file of the network cannot be read.", where=str(path)
        ) from error
