"""Peers that are down as our own questions of late show it: since when, and by which fault.

A peer is down when its last questions from us, ``LEAST`` at least, all failed or timed out, and the
last of them is not older than a day. It is since the first of them. A refusal or an empty answer is
an answer: the peer is there. Bounded: the newest faults of the day are read, and of each peer in
them the newest legs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final

from sqlalchemy import Engine, select

from node.governance.traffic import FAULTS, faulty
from node.ledger import leaf
from node.ledger.leaf import Kind
from node.model import Direction
from node.storage.tables import ENTRY

LEAST: Final = 2
"""Questions in a row that failed."""

WINDOW: Final = timedelta(days=1)
MOST_PEERS: Final = 10
_MOST_FAULTS: Final = 500
_MOST_LEGS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A peer that does not answer us.

    Attributes:
        since: when the first of the questions began that failed in a row.
        legs: how many those are; ``more`` where there may be older ones.
        code: of the most frequent fault.
    """

    peer: str
    since: datetime
    legs: int
    code: str
    more: bool = False


def outages(engine: Engine, *, now: datetime) -> tuple[Outage, ...]:
    """The peers that are down, those of the newest faults first; at most ``MOST_PEERS``."""
    since = leaf.milliseconds(now - WINDOW)
    query = faulty(since, _MOST_FAULTS).where(ENTRY.c.direction == Direction.INITIATING.value)
    with engine.connect() as connection:
        peers = dict.fromkeys(row.peer for row in connection.execute(query) if row.peer)
        found = []
        for peer in peers:
            newest = (
                select(ENTRY.c.t.label("began"), ENTRY.c.outcome, ENTRY.c.reason)
                .where(
                    ENTRY.c.peer == peer,
                    ENTRY.c.kind == Kind.EXCHANGE.value,
                    ENTRY.c.direction == Direction.INITIATING.value,
                )
                .order_by(ENTRY.c.t.desc(), ENTRY.c.seq.desc())
                .limit(_MOST_LEGS)
            )
            rows = connection.execute(newest).all()
            failed = list(takewhile(lambda row: row.outcome in FAULTS, rows))
            if len(failed) < LEAST:
                continue
            codes = Counter(row.reason or row.outcome for row in failed)
            found.append(
                Outage(
                    peer=peer,
                    since=datetime.fromtimestamp(failed[-1].began / 1000, UTC),
                    legs=len(failed),
                    code=codes.most_common(1)[0][0],
                    more=len(failed) == _MOST_LEGS,
                )
            )
            if len(found) == MOST_PEERS:
                break
    return tuple(found)
