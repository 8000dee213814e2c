"""When what is known of peers' certificates and keys ends, for a few peers at once.

From the same three sources as the calendar: certificates pinned by file, certificates shown in
handshakes, and keys of the signed network list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

import structlog

from node.network_ends import listed_ends
from node.peer_certificates import certificates_of
from node.settings import NodeHome
from node.shown_certificates import shown_by
from trust.certificates import fingerprint
from trust.errors import TrustError
from trust.expiry import Due, Expiring, Kind, Owner, calendar

_log = structlog.get_logger(__name__)
_SHOWN_DIGITS = 8


def peer_ends(
    home: NodeHome, organization_ids: Collection[str], *, now: datetime
) -> Mapping[str, tuple[Due, ...]]:
    """What ends of each organisation, the first to end first; no row for one of whom none is known.

    A network list that cannot be read leaves its keys out: the Trust page and ``doctor`` say so.
    """
    asked = frozenset(organization_ids)
    found: dict[str, list[Expiring]] = defaultdict(list)
    for organization_id in sorted(asked):
        for leaf in certificates_of(home, organization_id):
            found[organization_id].append(
                Expiring(
                    kind=Kind.PEER,
                    name=f"pinned by file {fingerprint(leaf)[:_SHOWN_DIGITS]}",
                    not_after=leaf.not_valid_after_utc,
                    lifetime=leaf.not_valid_after_utc - leaf.not_valid_before_utc,
                    owner=Owner.PEER,
                )
            )
    for organization_id, item in shown_by(home, asked):
        found[organization_id].append(item)
    try:
        for organization_id, item in listed_ends(home, asked, now=now):
            found[organization_id].append(item)
    except TrustError as error:
        _log.warning("peer-ends.list-unreadable", code=error.code)
    return {each: calendar(items, now=now) for each, items in found.items()}
