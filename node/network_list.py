"""The signed network list in a node home: its membership, and what it does to the directory.

What a list changes in our trust has its entries in the log (``node.ledger.trust_change``): the
first before the list is used, so that a list is not used while the log cannot be written.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from directory.store import DirectoryStore
from directory.taking import Taken
from node.errors import CodedError
from node.ledger.trust_change import Made, Recorder, TrustChange
from node.settings import NodeHome, Settings
from trust.anchors import Anchor
from trust.errors import TrustError
from trust.network_list.anchors import listed_anchors
from trust.network_list.change import ListChange
from trust.network_list.listing import NetworkList
from trust.network_list.member import Joined, Membership, SyncReport
from trust.network_list.staleness import Level, standing

_log = structlog.get_logger(__name__)
_JITTER = 0.2
"""The share by which a wait may be longer, so that members do not all come at once."""

_MAX_SENTENCES = 200
"""Sentences about a list's changes that an entry keeps."""


def membership_of(home: NodeHome, settings: Settings) -> Membership:
    """The membership of a node home, joined or not."""
    return Membership(
        home.network, own_id=settings.node.organization_id, trusted_time=home.trusted_time
    )


def sync_network(
    membership: Membership, directory: DirectoryStore, trust: Recorder, *, now: datetime
) -> tuple[SyncReport, Taken]:
    """Fetches the newest list and makes the directory say what the list in use says.

    The directory follows the list in use also when nothing can be fetched: entries whose list or
    QHIN has become too old are inactive from then on.

    Raises:
        TrustError: as ``Membership.sync``; the directory has been brought up to date then too.
        DirectoryError: when the directory cannot be written.
        OurFault: ``trust-change-unrecorded``.
    """
    applying: Made | None = None
    with ExitStack() as stack:

        def deciding(listed: NetworkList, change: ListChange) -> None:
            nonlocal applying
            if change.approval:
                trust.fact(_of_list("list-wait", listed, change))
            else:
                applying = stack.enter_context(trust.change(_of_list("list-apply", listed, change)))

        try:
            report = membership.sync(now=now, deciding=deciding)
        except TrustError:
            follow(membership, directory, trust, now=now)
            raise
        if applying is None:
            return report, follow(membership, directory, trust, now=now)
        taken = _take(membership, directory, now=now)
        applying.add(TrustChange(act="list-apply", counts=_counts(taken)))
    return report, taken


def follow(
    membership: Membership, directory: DirectoryStore, trust: Recorder, *, now: datetime
) -> Taken:
    """Makes the directory say what the list in use says at a moment, as parts of it age.

    Raises:
        TrustError: when the kept list cannot be read.
        DirectoryError: when the directory cannot be written.
        OurFault: ``trust-change-unrecorded``; the directory has followed then.
    """
    taken = _take(membership, directory, now=now)
    if taken != Taken():
        trust.fact(TrustChange(act="list-follow", counts=_counts(taken)))
    return taken


def approve_list(
    membership: Membership,
    directory: DirectoryStore,
    trust: Recorder,
    digest: str,
    *,
    now: datetime,
) -> tuple[NetworkList, Taken]:
    """Uses the list that waits; ``digest`` is the beginning of its digest.

    Raises:
        TrustError: as ``Membership.approve``.
        DirectoryError: when the directory cannot be written.
        OurFault: ``trust-change-unrecorded``.
    """
    waiting = membership.waiting()
    if waiting is None:
        raise TrustError("network-nothing-waits", "No network list waits for approval.")
    with trust.change(_of_list("list-approve", waiting, membership.diff())) as made:
        listed = membership.approve(digest, now=now)
        taken = _take(membership, directory, now=now)
        made.add(TrustChange(act="list-approve", counts=_counts(taken)))
    return listed, taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What ends when a node leaves its network.

    Attributes:
        joined: what it belongs to; ``None`` when that cannot be read, or when leaving was begun.
        organizations: ids of the entries that leave the directory.
        anchors: CAs that are trusted because they are listed.
        denied: keys and certificates that are denied because they are listed.
        unreadable: the code of why the list in use cannot be read, and so is not counted here.
    """

    joined: Joined | None
    organizations: frozenset[str]
    anchors: tuple[Anchor, ...] = ()
    denied: int = 0
    unreadable: str | None = None


def leaving(membership: Membership, directory: DirectoryStore) -> Leaving:
    """What would end. Changes nothing.

    Raises:
        TrustError: ``network-not-joined``.
        DirectoryError: when the directory cannot be read.
    """
    organizations = directory.listed_ids()
    joined, authority, unreadable = None, None, None
    try:
        joined = membership.joined()
        authority = membership.authority() if joined else None
    except TrustError as error:
        unreadable = error.code
    if joined is None and unreadable is None and not organizations:
        raise TrustError("network-not-joined", "This node has not joined a network.")
    if authority is None:
        return Leaving(joined=joined, organizations=organizations, unreadable=unreadable)
    return Leaving(
        joined=joined,
        organizations=organizations,
        anchors=listed_anchors(authority),
        denied=len(authority.deny.keys) + len(authority.deny.certificates),
    )


def leave_network(
    membership: Membership, directory: DirectoryStore, trust: Recorder
) -> tuple[Leaving, Taken]:
    """Undoes a join: the list's entries, keys, anchors and denials count no more.

    What was interrupted is finished by calling it again.

    Raises:
        TrustError: as ``leaving`` and ``Membership.leave``.
        DirectoryError: when the directory cannot be written.
        OurFault: ``trust-change-unrecorded``.
    """
    ends = leaving(membership, directory)
    change = TrustChange(
        act="network-leave",
        thing=ends.joined.root_fingerprint if ends.joined else None,
        reason=ends.unreadable,
        private={
            "url": ends.joined.url if ends.joined else None,
            "anchors": [anchor.fingerprint for anchor in ends.anchors],
        },
    )
    with trust.change(change) as made:
        membership.leave()
        taken = directory.drop_list()
        made.add(TrustChange(act="network-leave", counts=_counts(taken)))
    return ends, taken


def _take(membership: Membership, directory: DirectoryStore, *, now: datetime) -> Taken:
    listed = membership.applied() if membership.joined() else None
    taken = directory.take_list(listed, now=now) if listed else Taken()
    if listed and membership.joined() is None:  # another process left the network meanwhile
        directory.drop_list()
        return Taken()
    return taken


def _of_list(act: str, listed: NetworkList, change: ListChange | None = None) -> TrustChange:
    sentences = change.sentences[:_MAX_SENTENCES] if change else ()
    private = {"network": listed.policy.network, "changes": list(sentences)}
    return TrustChange(act=act, thing=listed.digest, version=listed.version, private=private)


def _counts(taken: Taken) -> dict[str, int]:
    return {"added": taken.added, "changed": taken.changed, "removed": taken.removed}


class KeptSynced:
    """What the running node has met of the list, so that it writes down only what is new."""

    def __init__(self, membership: Membership, directory: DirectoryStore, trust: Recorder) -> None:
        self._membership = membership
        self._directory = directory
        self._trust = trust
        self._refused: str | None = None
        self._level = Level.FRESH

    def sync(self, now: datetime) -> None:
        """Sync once; a sync that fails is written down when it fails in another way than before.

        Raises:
            CodedError: as ``sync_network``.
        """
        try:
            report, taken = sync_network(self._membership, self._directory, self._trust, now=now)
        except TrustError as error:
            if error.code != self._refused:
                self._trust.fact(TrustChange(act="list-refuse", reason=error.code))
                self._refused = error.code
            raise
        finally:
            self._age(now)
        self._refused = None
        _tell(report, taken)

    def _age(self, now: datetime) -> None:
        listed = self._membership.applied()
        judged = standing(listed, now) if listed else None
        if listed is None or judged is None or judged.level is self._level:
            return
        aged = _of_list("list-age", listed)
        self._trust.fact(replace(aged, reason=judged.reason_code or "network-list-fresh"))
        self._level = judged.level


async def keep_synced(
    membership: Membership,
    directory: DirectoryStore,
    trust: Recorder,
    *,
    minutes: float,
    now: Callable[[], datetime],
) -> None:
    """Syncs at once and then every so many minutes and a little, until it is cancelled.

    A sync that fails is logged and tried again: the list in use stays and ages (``staleness``).
    """
    kept = KeptSynced(membership, directory, trust)
    while True:
        try:
            if membership.joined() is not None:
                await asyncio.to_thread(kept.sync, now())
        except CodedError as error:
            _log.warning("network-list", code=error.code, sentence=error.sentence)
        jitter = 1 + _JITTER * secrets.SystemRandom().random()
        await asyncio.sleep(minutes * 60 * jitter)


def _tell(report: SyncReport, taken: Taken) -> None:
    _log.info(
        "network-list",
        digest=report.change.after,
        applied=report.applied,
        standing=report.standing.level.value,
        changes=len(report.change.sentences),
        organizations=taken.added + taken.changed + taken.removed,
        pins=taken.pins_added + taken.pins_removed,
    )
    for sentence in () if report.applied else report.change.approval:
        _log.warning("network-list waits for approval", sentence=sentence)
