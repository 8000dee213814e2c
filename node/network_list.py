"""The signed network list in a node home: its membership, and what it does to the directory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime

import structlog

from directory.store import DirectoryStore
from directory.taking import Taken
from node.errors import CodedError
from node.settings import NodeHome, Settings
from trust.errors import TrustError
from trust.network_list.member import Membership, SyncReport

_log = structlog.get_logger(__name__)
_JITTER = 0.2
"""The share by which a wait may be longer, so that members do not all come at once."""


def membership_of(home: NodeHome, settings: Settings) -> Membership:
    """The membership of a node home, joined or not."""
    return Membership(home.network, own_id=settings.node.organization_id)


def sync_network(
    membership: Membership, directory: DirectoryStore, *, now: datetime
) -> tuple[SyncReport, Taken]:
    """Fetches the newest list and makes the directory say what the list in use says.

    The directory follows the list in use also when nothing can be fetched: entries whose list or
    QHIN has become too old are inactive from then on.

    Raises:
        TrustError: as ``Membership.sync``; the directory has been brought up to date then too.
        DirectoryError: when the directory cannot be written.
    """
    try:
        report = membership.sync(now=now)
    except TrustError:
        take_applied(membership, directory, now=now)
        raise
    return report, take_applied(membership, directory, now=now)


def take_applied(membership: Membership, directory: DirectoryStore, *, now: datetime) -> Taken:
    """Makes the directory say what the list in use says.

    Raises:
        TrustError: when the kept list cannot be read.
        DirectoryError: when the directory cannot be written.
    """
    listed = membership.applied() if membership.joined() else None
    return directory.take_list(listed, now=now) if listed else Taken()


async def keep_synced(
    membership: Membership,
    directory: DirectoryStore,
    *,
    minutes: float,
    now: Callable[[], datetime],
) -> None:
    """Syncs at once and then every so many minutes and a little, until it is cancelled.

    A sync that fails is logged and tried again: the list in use stays and ages (``staleness``).
    """
    while True:
        try:
            if membership.joined() is not None:
                await asyncio.to_thread(_sync, membership, directory, now())
        except CodedError as error:
            _log.warning("network-list", code=error.code, sentence=error.sentence)
        jitter = 1 + _JITTER * secrets.SystemRandom().random()
        await asyncio.sleep(minutes * 60 * jitter)


def _sync(membership: Membership, directory: DirectoryStore, now: datetime) -> None:
    report, taken = sync_network(membership, directory, now=now)
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
