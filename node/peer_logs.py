"""The logs of peers, as their directory entries name them."""

from __future__ import annotations

from functools import lru_cache

from directory.model import AGREEMENT_KEY, LOG_KEY, Organization
from directory.view import DirectoryView
from node.ledger.peer_log import PeerLog, peer_log

_KEPT = 4096


def log_of(view: DirectoryView, organization_id: str) -> PeerLog | None:
    """The log of an organisation by its directory id, ``None`` where its entry shows no key."""
    organization = view.by_id(organization_id)
    return published_log(organization) if organization is not None else None


def published_log(organization: Organization) -> PeerLog | None:
    """The log that an entry shows the keys of."""
    if not organization.keys:
        return None
    log_keys = organization.published(LOG_KEY)
    return _read(
        tuple(key.value for key in log_keys),
        tuple(key.value for key in organization.published(AGREEMENT_KEY)),
        next((key.address for key in log_keys if key.address), None),
    )


@lru_cache(maxsize=_KEPT)
def _read(
    log_keys: tuple[str, ...], agreement_keys: tuple[str, ...], address: str | None
) -> PeerLog | None:
    return peer_log(log_keys, agreement_keys, address)
