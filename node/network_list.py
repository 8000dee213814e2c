"""The signed network list in a node home: its membership, and what it does to the directory."""

from __future__ import annotations

from datetime import datetime

from directory.store import DirectoryStore
from directory.taking import Taken
from node.settings import NodeHome, Settings
from trust.errors import TrustError
from trust.network_list.member import Membership, SyncReport


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
