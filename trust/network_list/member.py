"""A member of a network: joins by a fingerprint, fetches, checks, and uses the signed list.

Every judgement takes ``now`` from the caller, once per call: nothing here reads a clock, so a clock
that moves during a sync changes nothing (go-tuf #386). Methods block; an async caller runs them in
a thread.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
)
from tuf.ngclient import FetcherInterface

from trust.errors import TrustError
from trust.files import write_file
from trust.network_list import names
from trust.network_list.anchors import Authority
from trust.network_list.cache import ListCache, Slot, damaged
from trust.network_list.change import ListChange, compare
from trust.network_list.claims import holders_of
from trust.network_list.deny import DeniedKeys
from trust.network_list.fetch import MirrorFetcher, mirror_url
from trust.network_list.listing import NetworkList
from trust.network_list.refresh import refresh, translated
from trust.network_list.staleness import Standing, standing
from trust.network_list.verify import authority_of, check, listing_of, pinned_root_of
from trust.pins import parse_pin
from trust.trusted_time import keep_trusted_time, require_clock, trusted_time

_RECORD = "membership.json"
_ROOT = "root.json"
_MAX_RECORD = 10_000

Fetching = Callable[[str], FetcherInterface]
Deciding = Callable[[NetworkList, ListChange], None]
"""Told of a list and what it changes, before it is used or put to wait; may stop that by raising.

A list that was told already is not told again, however often it is fetched.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Where a member's list comes from, and what it was told out of band."""

    url: str
    root_fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did.

    Attributes:
        change: what differs from the list in use before.
        applied: whether the fetched list is in use now; else it waits for approval.
        standing: the age of the list in use.
    """

    change: ListChange
    applied: bool
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipStatus:
    """What ``network status`` shows."""

    joined: Joined
    applied: NetworkList | None
    standing: Standing | None
    waiting: ListChange | None


def http_fetching(url: str) -> FetcherInterface:
    """The fetcher for a mirror, with real time for its limits."""
    return MirrorFetcher(url, monotonic=time.monotonic)


class Membership:
    """One network that this node belongs to, kept in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        own_id: str | None = None,
        trusted_time: Path | None = None,
        fetching: Fetching = http_fetching,
    ) -> None:
        """Reads nothing yet.

        Args:
            folder: where the list is kept.
            own_id: the id of our own entry: its change always waits for approval.
            trusted_time: the file that keeps the highest time that was signed.
            fetching: makes the fetcher for a mirror.
        """
        self._trusted_time = trusted_time
        self._cache = ListCache(folder)
        self._own_id = own_id
        self._fetching = fetching

    def join(self, url: str, root_fingerprint: str) -> Joined:
        """Pins the network's root by a fingerprint that came by another way; fetches no list yet.

        Args:
            url: the mirror: https, a folder, or http on this machine.
            root_fingerprint: SHA-256 of one version of the root's file.

        Raises:
            TrustError: ``network-joined-already``, ``network-url-refused``,
                ``network-fingerprint-invalid``, ``network-root-mismatch``,
                ``network-list-unreachable``, ``network-list-signature``.
        """
        joined = Joined(url=mirror_url(url), root_fingerprint=_fingerprint(root_fingerprint))
        with self._cache.locked():
            if (self._cache.folder / _RECORD).exists():
                raise TrustError(
                    "network-joined-already", "This node has joined a network already."
                )
            root = self._find_root(joined)
            pinned_root_of(root)
            write_file(self._cache.folder / _ROOT, root, replace=True)
            record = {"url": joined.url, "root_fingerprint": joined.root_fingerprint}
            data = orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            write_file(self._cache.folder / _RECORD, data, replace=True)
        return joined

    def leave(self) -> None:
        """Forgets the network: its root, its lists, and what is remembered against rollback.

        It works for a membership that is damaged, too. The highest time that was signed stays, so
        a network that is joined again cannot turn back the clock.

        Raises:
            TrustError: ``network-busy``, ``file-not-removed``.
        """
        with self._cache.locked():
            try:
                # the record first: without it nothing else here is used
                for name in (_RECORD, _ROOT):
                    (self._cache.folder / name).unlink(missing_ok=True)
                self._cache.forget_all()
            except OSError as error:
                raise TrustError(
                    "file-not-removed",
                    "A file cannot be removed.",
                    detail=error.strerror,
                    where=str(self._cache.folder),
                ) from error

    def joined(self) -> Joined | None:
        """Where the list comes from, or ``None``. Raises ``network-cache-damaged``."""
        try:
            with (self._cache.folder / _RECORD).open("rb") as file:
                found = orjson.loads(file.read(_MAX_RECORD))
            return Joined(
                url=mirror_url(str(found["url"])),
                root_fingerprint=_fingerprint(str(found["root_fingerprint"])),
            )
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, TrustError) as error:
            raise damaged() from error

    def sync(self, *, now: datetime, deciding: Deciding | None = None) -> SyncReport:
        """Fetches the newest list; uses it, or keeps it waiting when much changed.

        Args:
            now: the moment.
            deciding: told before a list that differs is used or put to wait; what it raises leaves
                everything as it was.

        Raises:
            TrustError: ``network-not-joined``, ``network-busy``, ``network-clock-behind``,
                ``clock-behind``, ``trusted-time-damaged``, and one ``network-list-…`` code per way
                in which a mirror can be wrong. The list in use is then the same as before.
        """
        self._pinned()
        if self._trusted_time is not None:
            require_clock(now, trusted_time(self._trusted_time))
        with self._cache.locked():
            joined, pinned = self._pinned()  # by now the network may have been left
            before = self._load_or_none(Slot.APPLIED)
            self._restore(before is not None)
            given = refresh(self._cache, joined.url, pinned, self._fetching(joined.url), now=now)
            checked = check(pinned, given)
            holders = holders_of(before) if before else {}
            after = listing_of(checked, self._cache.target, holders)
            judged = standing(after, now)
            if judged.reason_code == "network-clock-behind":
                raise TrustError("network-clock-behind", judged.sentence)
            if self._trusted_time is not None and after.signed_at is not None:
                keep_trusted_time(self._trusted_time, after.signed_at)
            change = compare(before, after, own_id=self._own_id)
            waits = bool(change.approval)
            if deciding is not None and self._is_news(before, after, change):
                deciding(after, change)
            name = self._cache.keep(given, after.held)
            self._cache.point(Slot.PENDING, name if waits else None)
            if not waits:
                self._cache.point(Slot.APPLIED, name)
            self._forget_others(pinned)
        in_use = before if waits and before is not None else after
        return SyncReport(change=change, applied=not waits, standing=standing(in_use, now))

    def approve(self, digest: str, *, now: datetime) -> NetworkList:
        """Uses the list that waits.

        Args:
            digest: the beginning (at least 8 characters) of its digest, as ``diff`` shows it, so
                that nobody approves a list that arrived after the one looked at.
            now: the moment; a list that has become too old is not taken into use.

        Raises:
            TrustError: ``network-nothing-waits``, ``network-approval-mismatch``,
                ``network-list-stale``, ``network-cache-damaged``.
        """
        _, pinned = self._pinned()
        with self._cache.locked():
            name = self._cache.name_in(Slot.PENDING)
            if name is None:
                raise TrustError("network-nothing-waits", "No network list waits for approval.")
            waiting = self._load(name, pinned)
            if len(digest) < 8 or not waiting.digest.startswith(digest.lower()):  # noqa: PLR2004
                raise TrustError(
                    "network-approval-mismatch", "The waiting network list is not the one named."
                )
            judged = standing(waiting, now)
            if not judged.allows_changes:
                raise TrustError("network-list-stale", judged.sentence)
            self._cache.point(Slot.APPLIED, name)
            self._cache.point(Slot.PENDING, None)
            self._forget_others(pinned)
        return waiting

    def applied(self) -> NetworkList | None:
        """The list in use, checked again from the pinned root; ``None`` before the first sync.

        Raises:
            TrustError: ``network-not-joined``, ``network-cache-damaged``, ``network-list-…``.
        """
        return self._in(Slot.APPLIED)

    def waiting(self) -> NetworkList | None:
        """The list that waits for approval, checked again. Raises as :meth:`applied`."""
        return self._in(Slot.PENDING)

    def diff(self) -> ListChange | None:
        """What differs between the list in use and the one that waits, or ``None``."""
        after = self.waiting()
        return compare(self.applied(), after, own_id=self._own_id) if after else None

    def authority(self) -> Authority | None:
        """What the registrar says in the list in use; quicker than the whole list.

        Raises as :meth:`applied`.
        """
        return self._authority_in(Slot.APPLIED)

    def denied(self) -> DeniedKeys:
        """What the list in use denies and what the waiting one does: a denial never waits."""
        found = (self._authority_in(slot) for slot in Slot)
        return DeniedKeys.of(*(authority.deny for authority in found if authority))

    def status(self, *, now: datetime) -> MembershipStatus:
        """Everything about this membership. Raises as :meth:`applied`."""
        joined, _ = self._pinned()
        applied = self.applied()
        return MembershipStatus(
            joined=joined,
            applied=applied,
            standing=standing(applied, now) if applied else None,
            waiting=self.diff(),
        )

    def _pinned(self) -> tuple[Joined, bytes]:
        joined = self.joined()
        if joined is None:
            raise TrustError("network-not-joined", "This node has not joined a network.")
        try:
            with (self._cache.folder / _ROOT).open("rb") as file:
                root = file.read(names.limit("root_bytes") + 1)
        except OSError as error:
            raise damaged() from error
        if not _is(root, joined.root_fingerprint):
            raise damaged()
        return joined, root

    def _find_root(self, joined: Joined) -> bytes:
        """The version of the root that has the fingerprint: networks renew theirs every year."""
        fetcher = self._fetching(joined.url)
        for version in range(1, names.limit("root_rotations") + 1):
            url = f"{joined.url}metadata/{version}.root.json"
            try:
                root = fetcher.download_bytes(url, names.limit("root_bytes"))
            except DownloadLengthMismatchError as error:
                raise translated(error) from error
            except DownloadHTTPError as error:
                if version == 1:
                    raise translated(error) from error
                break
            except DownloadError as error:
                raise translated(error) from error
            if _is(root, joined.root_fingerprint):
                return root
        raise TrustError(
            "network-root-mismatch", "The network has no root with the fingerprint given."
        )

    def _restore(self, usable: bool) -> None:
        """Gives python-tuf its memory back where somebody removed it: no rollback by deletion."""
        if not usable:
            return
        name = self._cache.name_in(Slot.PENDING) or self._cache.name_in(Slot.APPLIED)
        if name is None:
            return
        try:
            kept, _ = self._cache.kept(name)
        except TrustError:
            return
        for role, data in (
            (names.TIMESTAMP, kept.timestamp),
            (names.SNAPSHOT, kept.snapshot),
            (names.TARGETS, kept.targets),
        ):
            path = self._cache.metadata / f"{role}.json"
            if _version(path) < _version_of(data):
                write_file(path, data, replace=True)

    def _in(self, slot: Slot) -> NetworkList | None:
        _, pinned = self._pinned()
        name = self._cache.name_in(slot)
        return self._load(name, pinned) if name else None

    def _authority_in(self, slot: Slot) -> Authority | None:
        _, pinned = self._pinned()
        name = self._cache.name_in(slot)
        if name is None:
            return None
        return authority_of(check(pinned, self._cache.kept(name)[0]), self._cache.target)

    def _load(self, name: str, pinned: bytes) -> NetworkList:
        metadata, held = self._cache.kept(name)
        return listing_of(check(pinned, metadata), self._cache.target, held)

    def _load_or_none(self, slot: Slot) -> NetworkList | None:
        """The list a pointer names; one that is damaged is fetched anew instead."""
        try:
            return self._in(slot)
        except TrustError:
            return None

    def _is_news(self, before: NetworkList | None, after: NetworkList, change: ListChange) -> bool:
        """Whether a list says something else than the one before; a new signature does not."""
        if before is None or not change.sentences:
            return before is None
        known = self._load_or_none(Slot.PENDING) if change.approval else before
        return known is None or known.digest != after.digest

    def _forget_others(self, pinned: bytes) -> None:
        lists = {name for slot in Slot if (name := self._cache.name_in(slot))}
        targets = {
            self._cache.target_path(target)
            for name in lists
            for target in check(pinned, self._cache.kept(name)[0]).wanted()
        }
        self._cache.forget_others(lists, targets)


def _fingerprint(text: str) -> str:
    try:
        return parse_pin(text)
    except TrustError as error:
        raise TrustError(
            "network-fingerprint-invalid", "A root fingerprint is not a SHA-256."
        ) from error


def _is(root: bytes, fingerprint: str) -> bool:
    return hmac.compare_digest(hashlib.sha256(root).hexdigest(), fingerprint)


def _version(path: Path) -> int:
    try:
        return _version_of(path.read_bytes())
    except OSError:
        return 0


def _version_of(data: bytes) -> int:
    try:
        return int(orjson.loads(data)["signed"]["version"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0
