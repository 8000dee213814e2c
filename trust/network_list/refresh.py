"""One refresh by python-tuf: what it fetched and checked, as bytes, or one coded error.

The order of the roles, rollback, freeze and mix-and-match are python-tuf's (TUF specification 5.3);
the reference time is the caller's.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from trust.errors import TrustError
from trust.network_list import names
from trust.network_list.cache import ListCache
from trust.network_list.fetch import NetworkTooLargeError
from trust.network_list.verify import (
    MetadataBytes,
    anchor_targets,
    check,
    delegations,
    index_target,
)


class _Updater(Updater):
    """python-tuf's client with the caller's time as its reference time."""

    def __init__(
        self, cache: ListCache, url: str, pinned: bytes, fetcher: FetcherInterface, now: datetime
    ) -> None:
        config = UpdaterConfig(
            max_root_rotations=names.limit("root_rotations"),
            root_max_length=names.limit("root_bytes"),
            timestamp_max_length=names.limit("timestamp_bytes"),
            snapshot_max_length=names.limit("snapshot_bytes"),
            targets_max_length=names.limit("targets_bytes"),
        )
        super().__init__(
            metadata_dir=str(cache.metadata),
            metadata_base_url=f"{url}metadata/",
            target_dir=str(cache.targets),
            target_base_url=f"{url}targets/",
            fetcher=fetcher,
            config=config,
            bootstrap=pinned,
        )
        self._trusted_set.reference_time = now

    @property
    def root_version(self) -> int:
        return self._trusted_set.root.version


def refresh(
    cache: ListCache, url: str, pinned: bytes, fetcher: FetcherInterface, *, now: datetime
) -> MetadataBytes:
    """Fetches metadata and the targets that a list is made of into the cache.

    A QHIN whose role has expired does not stop the others: its metadata is taken as it was signed,
    and its age is judged by ``staleness``.

    Raises:
        TrustError: one code per way in which a mirror can be wrong.
    """
    try:
        updater = _Updater(cache, url, pinned, fetcher, now)
        updater.refresh()
        top = {role: _held(cache, role) for role in (*names.TOP_LEVEL[1:],)}
        _refuse_equivocation(top[names.TIMESTAMP], top[names.SNAPSHOT])
        targets = Metadata[Targets].from_bytes(top[names.TARGETS]).signed
        snapshot = Metadata[Snapshot].from_bytes(top[names.SNAPSHOT]).signed
        delegated: dict[str, bytes] = {}
        for role in delegations(targets):
            if f"{role}.json" in snapshot.meta:
                delegated[role] = _delegated(updater, cache, (url, fetcher), role, snapshot)
        given = MetadataBytes(
            roots=_roots(cache, pinned, updater.root_version),
            timestamp=top[names.TIMESTAMP],
            snapshot=top[names.SNAPSHOT],
            targets=top[names.TARGETS],
            delegated=delegated,
        )
        checked = check(pinned, given)
        for path in (names.POLICY, names.DENY):
            target = updater.get_targetinfo(path)
            if target is None:
                raise TrustError(
                    "network-list-invalid", "The network list lacks a file.", where=path
                )
            _fetch(updater, cache, target, names.limit("content_bytes"))
        for target in anchor_targets(checked.targets):
            _fetch(updater, cache, target, names.limit("content_bytes"))
        for role, signed in checked.delegated.items():
            index = index_target(role, signed)
            if index is not None:
                _fetch(updater, cache, index, names.limit("index_bytes"))
    except (RepositoryError, DownloadError, ValueError) as error:
        raise translated(error) from error
    except OSError as error:
        raise TrustError(
            "file-not-written", "The network list cannot be kept.", detail=error.strerror
        ) from error
    return given


def _refuse_equivocation(timestamp: bytes, snapshot: bytes) -> None:
    """Two lists as one version: who has the online keys shows members different ones.

    python-tuf keeps the snapshot it knows where a timestamp names the same version again.
    """
    named = Metadata[Timestamp].from_bytes(timestamp).signed.snapshot_meta
    try:
        named.verify_length_and_hashes(snapshot)
    except LengthOrHashMismatchError as error:
        raise TrustError(
            "network-list-equivocation",
            "The network signed two different lists as the same version.",
        ) from error


def _delegated(
    updater: _Updater,
    cache: ListCache,
    mirror: tuple[str, FetcherInterface],
    role: str,
    snapshot: Snapshot,
) -> bytes:
    try:
        updater.get_targetinfo(names.index_of(role.removeprefix("q-")))
    except ExpiredMetadataError:
        url, fetcher = mirror
        meta = snapshot.meta[f"{role}.json"]
        name = f"{url}metadata/{meta.version}.{role}.json"
        # its hash, version and signatures are checked with everything else
        return fetcher.download_bytes(name, meta.length or names.limit("targets_bytes"))
    return _held(cache, role)


def _fetch(updater: _Updater, cache: ListCache, target: TargetFile, most: int) -> None:
    if target.length > most:
        raise TrustError(
            "network-list-too-large", "A file of the network list is too large.", where=target.path
        )
    path = str(cache.target_path(target))
    if updater.find_cached_target(target, path) is None:
        updater.download_target(target, path)


def _held(cache: ListCache, role: str) -> bytes:
    return (cache.metadata / f"{role}.json").read_bytes()


def _roots(cache: ListCache, pinned: bytes, newest: int) -> tuple[bytes, ...]:
    first = Metadata.from_bytes(pinned).signed.version
    history = cache.metadata / "root_history"
    return tuple(
        Path(history / f"{version}.root.json").read_bytes()
        for version in range(first + 1, newest + 1)
    )


def translated(error: Exception) -> TrustError:
    """python-tuf's errors in our words; the order is from special to general."""
    table: tuple[tuple[type[Exception], str, str], ...] = (
        (
            ExpiredMetadataError,
            "network-list-expired",
            "The mirror serves a network list that has expired.",
        ),
        (
            BadVersionNumberError,
            "network-list-rollback",
            "The mirror serves an older version than one already seen, or skips one.",
        ),
        (
            UnsignedMetadataError,
            "network-list-signature",
            "A part of the network list lacks the signatures that its role needs.",
        ),
        (
            DownloadLengthMismatchError,
            "network-list-too-large",
            "The mirror sends more than a file of the network list may have.",
        ),
        (NetworkTooLargeError, "network-list-too-large", "The mirror sends too much."),
        (
            LengthOrHashMismatchError,
            "network-list-mixed",
            "A file of the network list is not the one that was signed.",
        ),
        (
            DownloadError,
            "network-list-unreachable",
            "A file of the network list cannot be fetched in time.",
        ),
    )
    for kind, code, sentence in table:
        if isinstance(error, kind):
            return TrustError(code, sentence, detail=str(error))
    return TrustError("network-list-invalid", "The network list is not valid.", detail=str(error))
