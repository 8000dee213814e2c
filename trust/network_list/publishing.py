"""Publishing a network list: what enough holders signed, under a new snapshot and timestamp.

Snapshot and timestamp are signed here, with keys that are online (facts pki B3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Timestamp
from tuf.api.serialization.json import JSONSerializer

from trust.errors import TrustError
from trust.files import write_file
from trust.network_list import names
from trust.network_list.metadata import expiry, runs_out
from trust.network_list.staging import HASHES, Staging
from trust.network_list.workspace import Workspace, sha256_of


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
    """Publishes what is staged in one folder, and signs what is signed online."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is the network's (see ``workspace``)."""
        self.staging = Staging(folder)
        self.files = self.staging.files
        self._targets = self.workspace.public / "targets"

    @property
    def workspace(self) -> Workspace:
        """What the list shall say."""
        return self.staging.workspace

    def publish(
        self, *, snapshot: CryptoSigner, timestamp: CryptoSigner, now: datetime
    ) -> Published:
        """Writes what is signed by enough holders to ``public/``, with a new timestamp.

        Without any change it signs the timestamp anew: run it every hour or so.

        Raises:
            TrustError: ``network-threshold-not-met`` naming the role,
                ``network-key-signs-nothing`` when a key is not the root's.
        """
        self.staging.stage(now=now)
        ready = self._ready()
        held = self.files.newest(names.SNAPSHOT)
        meta = dict(cast("Snapshot", held.signed).meta) if held else {}
        root = cast("Root", (self.files.staged(names.ROOT) or self.files.root()).signed)
        for role, signer in ((names.SNAPSHOT, snapshot), (names.TIMESTAMP, timestamp)):
            if signer.public_key.keyid not in root.roles[role].keyids:
                raise TrustError(
                    "network-key-signs-nothing", f"This key does not sign the {role} role."
                )
        for role in ready:
            staged = self.files.staged(role)
            if staged is None:
                continue
            self._check_verified(role, staged)
            if role != names.ROOT:
                self._write_targets(role)
            data = staged.to_bytes(JSONSerializer(compact=True))
            write_file(
                self.files.published / f"{staged.signed.version}.{role}.json", data, replace=True
            )
            if role != names.ROOT:
                meta[f"{role}.json"] = _meta(staged.signed.version, data)
            self.files.unstage(role)
        return self._publish_online(meta, held, snapshot, timestamp, now)

    def _ready(self) -> list[str]:
        """The roles to publish where they are staged; a QHIN that has not signed must wait."""
        for each in self.staging.waiting():
            if each.role in (names.ROOT, names.TARGETS) and not each.complete:
                raise TrustError(
                    "network-threshold-not-met",
                    f"{each.role} has {each.signed} of {each.needed} signatures.",
                    where=each.role,
                )
        ready = [names.ROOT, names.TARGETS]
        for role in map(names.role_of, self.workspace.delegations()):
            held = self.files.newest(role)
            if self.files.staged(role) and self.staging.signatures(role).complete:
                ready.append(role)
            elif held and not self.files.still_signed(role, held):
                # what every member would refuse, and with it the whole list
                raise TrustError(
                    "network-threshold-not-met",
                    f"{role} must be signed by the keys it has now.",
                    where=role,
                )
        return ready

    def root_fingerprint(self) -> str:
        """SHA-256 of the newest published root."""
        version = self.files.root().signed.version
        return sha256_of((self.files.published / f"{version}.{names.ROOT}.json").read_bytes())

    def _publish_online(
        self,
        meta: Mapping[str, MetaFile],
        held: Metadata[Snapshot] | None,
        snapshot: CryptoSigner,
        timestamp: CryptoSigner,
        now: datetime,
    ) -> Published:
        root = self.files.root()
        before = held.signed if held else None
        signable = before is not None and _verifies(root, names.SNAPSHOT, held)
        if (
            before is None
            or not signable
            or before.meta != meta
            or runs_out(before.expires, names.SNAPSHOT, now)
        ):
            version = before.version + 1 if before else 1
            # a role that was listed once stays listed: clients refuse a snapshot that lost one
            new = Snapshot(version=version, expires=expiry(names.SNAPSHOT, now), meta=dict(meta))
            envelope = Metadata(new)
            envelope.sign(snapshot)
            data = envelope.to_bytes(JSONSerializer(compact=True))
            write_file(self.files.published / f"{version}.snapshot.json", data, replace=True)
        else:
            version = before.version
            data = (self.files.published / f"{version}.snapshot.json").read_bytes()
        last = self.files.timestamp()
        stamp = Timestamp(
            version=last.signed.version + 1 if last else 1,
            expires=expiry(names.TIMESTAMP, now),
            snapshot_meta=_meta(version, data),
            unrecognized_fields={names.SIGNED_AT: now.replace(microsecond=0).isoformat()},
        )
        signed = Metadata(stamp)
        signed.sign(timestamp)
        write_file(
            self.files.published / "timestamp.json",
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
                before = self.files.newest(names.ROOT)
                for root in (staged, before) if before else (staged,):
                    root.signed.verify_delegate(role, staged.signed_bytes, staged.signatures)
            else:
                self.files.delegator(role).verify_delegate(
                    role, staged.signed_bytes, staged.signatures
                )
        except RepositoryError as error:
            raise TrustError(
                "network-threshold-not-met", f"{role} lacks signatures.", where=role
            ) from error


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile.from_data(version, data, HASHES)


def _verifies(root: Metadata[Root], role: str, envelope: Metadata[Any] | None) -> bool:
    if envelope is None:
        return False
    try:
        root.signed.verify_delegate(role, envelope.signed_bytes, envelope.signatures)
    except RepositoryError:
        return False
    return True
