"""How long a discovery with a peer usually takes, from the log: the median of its last answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from sqlalchemy import Engine

from node.ledger.find import LedgerFilter, find
from node.model import Direction, HomeCommunityId, Outcome, Transaction

LAST: Final = 15
"""Answers that are looked at."""

FEW: Final = 3
"""Below so many nothing is said."""

MOST: Final = 40
"""Peers that are looked up for one search."""

_MONTH: Final = timedelta(days=30)
_ANSWERED: Final = tuple(outcome.value for outcome in Outcome if outcome.answered)


def usual(
    engine: Engine, peers: Iterable[HomeCommunityId], now: datetime
) -> dict[HomeCommunityId, int]:
    """Milliseconds by peer, for the first ``MOST`` of them of which the log knows enough."""
    found = {}
    for peer in list(peers)[:MOST]:
        chosen = LedgerFilter(
            since=_MONTH,
            peer=peer,
            direction=Direction.INITIATING.value,
            transaction=Transaction.ITI_55.value,
        )
        entries = find(engine, chosen.at(now), limit=LAST).entries
        took = [
            int(entry.fields["dur_ms"])
            for entry in entries
            if entry.fields["outcome"] in _ANSWERED and "test" not in entry.fields
        ]
        if len(took) >= FEW:
            found[peer] = round(median(took))
    return found
