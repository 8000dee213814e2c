"""From bytes to a network list: every signature, version, length and hash, offline. Pure.

The last fetched list is checked by this on every load, never read raw (facts pki B3.3 rule 3; D15:
an offline mode that served cached bytes unchecked). Expiry is not judged here but by ``staleness``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar, cast

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Metadata,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from trust.errors import TrustError
from trust.network_list import names
from trust.network_list.anchors import Authority
from trust.network_list.claims import settle
from trust.network_list.entry import Index, read_index
from trust.network_list.listing import (
    ListedAnchor,
    NetworkList,
    QhinPart,
    read_deny,
    read_policy,
)

T = TypeVar("T", Timestamp, Snapshot, Targets)
_KEY_TYPES = ("ed25519", "ecdsa")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataBytes:
    """The signed metadata of one state of the network.

    ``roots`` are the roots after the pinned one, in order; ``delegated`` is by role.
    """

    roots: tuple[bytes, ...]
    timestamp: bytes
    snapshot: bytes
    targets: bytes
    delegated: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Metadata whose signatures hold, and what its targets must be."""

    root: Root
    timestamp: Timestamp
    snapshot: Snapshot
    targets: Targets
    delegated: Mapping[str, Targets]
    digest: str

    def wanted(self) -> Iterator[TargetFile]:
        """The targets that a list is made of."""
        for path in (names.POLICY, names.DENY):
            yield _target(self.targets, path)
        yield from anchor_targets(self.targets)
        for role, signed in self.delegated.items():
            index = index_target(role, signed)
            if index is not None:
                yield index


def check(pinned_root: bytes, given: MetadataBytes) -> Checked:
    """Checks metadata from the pinned root down.

    Raises:
        TrustError: ``network-list-signature``, ``network-list-mixed``, ``network-list-invalid``.
    """
    try:
        root = _root_after(pinned_root, given.roots)
        timestamp = _signed(root, names.TIMESTAMP, Timestamp, given.timestamp)
        timestamp.snapshot_meta.verify_length_and_hashes(given.snapshot)
        snapshot = _signed(root, names.SNAPSHOT, Snapshot, given.snapshot)
        _same(snapshot.version, timestamp.snapshot_meta.version)
        targets = _listed(snapshot, root, names.TARGETS, given.targets)
        # a delegation whose QHIN has published nothing yet is no gap: the snapshot says so, signed
        roles = [role for role in delegations(targets) if f"{role}.json" in snapshot.meta]
        delegated = {
            role: _listed(snapshot, targets, role, given.delegated[role])
            for role in roles
            if role in given.delegated
        }
    except DeserializationError as error:
        raise TrustError("network-list-invalid", "The network list cannot be read.") from error
    except RepositoryError as error:
        raise TrustError(
            "network-list-signature",
            "A part of the network list is not what its signatures say.",
            detail=str(error),
        ) from error
    if missing := set(roles) - delegated.keys():
        raise TrustError(
            "network-list-mixed",
            "A part of the network list is missing.",
            detail=", ".join(sorted(missing)),
        )
    return Checked(
        root=root,
        timestamp=timestamp,
        snapshot=snapshot,
        targets=targets,
        delegated=delegated,
        digest=hashlib.sha256(given.snapshot).hexdigest(),
    )


def listing_of(
    checked: Checked, content: Callable[[TargetFile], bytes], holders: Mapping[str, str]
) -> NetworkList:
    """The list that checked metadata and its targets make.

    Args:
        checked: from :func:`check`.
        content: the bytes of a target; their length and hash are checked here.
        holders: by claim, the QHIN that had it before: it keeps what another claims too.

    Raises:
        TrustError: ``network-list-mixed``, ``network-list-invalid``, what ``content`` raises.
    """
    read = _checked(content)
    parts = [_part(role, signed, read) for role, signed in sorted(checked.delegated.items())]
    if sum(len(part.entries) for part in parts) > names.limit("entries"):
        raise TrustError("network-list-too-large", "The network list has too many entries.")
    settled = settle(parts, holders)
    authority = authority_of(checked, content)
    top = {
        names.ROOT: checked.root,
        names.TARGETS: checked.targets,
        names.SNAPSHOT: checked.snapshot,
        names.TIMESTAMP: checked.timestamp,
    }
    return NetworkList(
        digest=checked.digest,
        version=checked.snapshot.version,
        root_version=checked.root.version,
        timestamp_version=checked.timestamp.version,
        signed_at=authority.signed_at,
        expires={role: signed.expires for role, signed in top.items()},
        policy=authority.policy,
        deny=authority.deny,
        anchors=authority.anchors,
        qhins=settled.parts,
        contested=settled.contests,
        held=settled.held,
    )


def authority_of(checked: Checked, content: Callable[[TargetFile], bytes]) -> Authority:
    """What the registrar alone says: policy, denied keys and anchors, without the entries.

    Raises:
        TrustError: as :func:`listing_of`.
    """
    read = _checked(content)
    return Authority(
        digest=checked.digest,
        version=checked.snapshot.version,
        signed_at=_signed_at(checked.timestamp),
        policy=read_policy(read(_target(checked.targets, names.POLICY))),
        deny=read_deny(read(_target(checked.targets, names.DENY))),
        anchors=tuple(
            ListedAnchor(file=target.path, pem=read(target))
            for target in anchor_targets(checked.targets)
        ),
    )


def _checked(content: Callable[[TargetFile], bytes]) -> Callable[[TargetFile], bytes]:
    def read(target: TargetFile) -> bytes:
        data = content(target)
        try:
            target.verify_length_and_hashes(data)
        except RepositoryError as error:
            raise TrustError(
                "network-list-mixed",
                "A file of the network list is not the one that was signed.",
                where=target.path,
            ) from error
        return data

    return read


def delegations(targets: Targets) -> dict[str, DelegatedRole]:
    """The delegations by role: each terminating, with exactly the path of its QHIN.

    Raises:
        TrustError: ``network-list-invalid`` for any other delegation: it could shadow a QHIN.
    """
    given = targets.delegations
    if given is None:
        return {}
    roles = given.roles
    if roles is None or len(roles) > names.limit("delegations"):
        raise TrustError(
            "network-list-invalid", "The network list has delegations of no known form."
        )
    for name, role in roles.items():
        qhin = name.removeprefix("q-")
        if not (
            name == names.role_of(qhin)
            and names.QHIN_ID.fullmatch(qhin)
            and role.terminating
            and role.paths == [names.path_of(qhin, "*")]
        ):
            raise TrustError(
                "network-list-invalid",
                "A delegation of the network list is not one QHIN's own path.",
                where=name[:80],
            )
    _check_keys(given.keys.values())
    return dict(roles)


def anchor_targets(targets: Targets) -> list[TargetFile]:
    """The targets ``anchors/*.pem``, by path; other files of the role are left alone."""
    found = [t for path, t in sorted(targets.targets.items()) if names.ANCHOR.fullmatch(path)]
    if len(found) > names.limit("anchors"):
        raise TrustError("network-list-too-large", "The network list has too many anchors.")
    return found


def pinned_root_of(data: bytes) -> Root:
    """A pinned root, which must be signed by its own keys.

    Raises:
        TrustError: ``network-list-signature``, ``network-list-invalid``.
    """
    try:
        return _root_after(data, ())
    except DeserializationError as error:
        raise TrustError("network-list-invalid", "The network's root cannot be read.") from error
    except RepositoryError as error:
        raise TrustError(
            "network-list-signature", "The network's root is not signed by its own keys."
        ) from error


def _root_after(pinned: bytes, later: tuple[bytes, ...]) -> Root:
    root: Root | None = None
    if len(later) > names.limit("root_rotations"):
        raise TrustError("network-list-too-large", "The network list has too many roots.")
    for data in (pinned, *later):
        envelope = Metadata[Root].from_bytes(data)
        new = envelope.signed
        if new.type != names.ROOT:
            raise RepositoryError("not a root")
        if root is not None:
            _same(new.version, root.version + 1)
            root.verify_delegate(names.ROOT, envelope.signed_bytes, envelope.signatures)
        new.verify_delegate(names.ROOT, envelope.signed_bytes, envelope.signatures)
        _check_keys(new.keys.values())
        root = new
    return cast("Root", root)


def _check_keys(keys: object) -> None:
    for key in cast("list[object]", keys):
        if getattr(key, "keytype", None) not in _KEY_TYPES:
            raise TrustError(
                "network-list-invalid", "A key of the network list is neither Ed25519 nor ECDSA."
            )


def _listed(snapshot: Snapshot, delegator: Root | Targets, role: str, data: bytes) -> Targets:
    meta = snapshot.meta.get(f"{role}.json")
    if meta is None:
        raise RepositoryError(f"the snapshot does not list {role}")
    meta.verify_length_and_hashes(data)
    signed = _signed(delegator, role, Targets, data)
    _same(signed.version, meta.version)
    return signed


def _signed(delegator: Root | Targets, role: str, kind: type[T], data: bytes) -> T:
    envelope = Metadata[T].from_bytes(data)
    delegator.verify_delegate(role, envelope.signed_bytes, envelope.signatures)
    if envelope.signed.type != kind.type:
        raise RepositoryError(f"{role} is of another type")
    return envelope.signed


def _same(found: int, wanted: int) -> None:
    if found != wanted:
        raise RepositoryError(f"version {found} where {wanted} was stated")


def _target(signed: Targets, path: str) -> TargetFile:
    found = signed.targets.get(path)
    if found is None:
        raise TrustError("network-list-invalid", "The network list lacks a file.", where=path)
    return found


def index_target(role: str, signed: Targets) -> TargetFile | None:
    """A QHIN's index where it has one of a usable size."""
    found = signed.targets.get(names.index_of(role.removeprefix("q-")))
    return found if found and found.length <= names.limit("index_bytes") else None


def _part(role: str, signed: Targets, read: Callable[[TargetFile], bytes]) -> QhinPart:
    """What a QHIN says; a QHIN that signs nonsense loses its own entries, not everybody's."""
    qhin = role.removeprefix("q-")
    index, fault = Index(qhin=qhin), None
    target = index_target(role, signed)
    if target is None:
        fault = "It has no index of a usable size."
    else:
        data = read(target)
        try:
            index = read_index(data, qhin)
        except TrustError as error:
            fault = error.sentence
    return QhinPart(
        qhin=qhin,
        organization_id=index.organization_id,
        version=signed.version,
        expires=signed.expires,
        entries=index.entries,
        fault=fault,
    )


def _signed_at(timestamp: Timestamp) -> datetime | None:
    value = timestamp.unrecognized_fields.get(names.SIGNED_AT)
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC) if value else None
    except ValueError:
        return None
