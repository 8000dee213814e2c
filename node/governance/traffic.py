"""What the newest legs say of how the exchange goes: faults in groups, and peers hour by hour.

Both read a bounded number of entries, by the index of outcomes and that of times: what they say is
of the newest so many, and ``capped`` says when there are more (facts: governance-ux 5.14).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, Select, select

from node.ledger import leaf
from node.ledger.leaf import Kind
from node.ledger.leaf_check import fields_of
from node.model import Outcome
from node.storage.tables import ENTRY

MOST: Final = 10_000
MOST_LEGS: Final = 5_000
"""Of the hours: how long a leg took is read from its leaf."""

FAULTS: Final = (Outcome.FAILED.value, Outcome.TIMED_OUT.value)
MOST_GROUPS: Final = 50
MOST_PEERS: Final = 12
HOURS: Final = 24
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultGroup:
    """Legs that ended badly with one code at one peer; ``example`` is the newest's exchange."""

    code: str
    outcome: str
    peer: str | None
    number: int
    first: datetime
    last: datetime
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Groups of faults, the newest first; ``capped``: older legs were not counted."""

    groups: tuple[FaultGroup, ...]
    more: int
    capped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """The legs with a peer that began in one hour; ``middle`` is the median of what they took."""

    number: int = 0
    bad: int = 0
    middle: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerHours:
    """A peer's last hours, oldest first; the last one is not over."""

    peer: str
    hours: tuple[Hour, ...]

    @property
    def number(self) -> int:
        """Legs in all."""
        return sum(each.number for each in self.hours)

    @property
    def bad(self) -> int:
        """Those that failed or timed out."""
        return sum(each.bad for each in self.hours)

    @property
    def slowest(self) -> int | None:
        """The highest of the medians, in milliseconds."""
        return max((each.middle for each in self.hours if each.middle is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The busiest peers; ``from_`` is the beginning of the first hour."""

    from_: datetime
    peers: tuple[PeerHours, ...]
    more: int
    capped: bool


def faults(engine: Engine, *, window: timedelta, now: datetime) -> Faults:
    """What failed or timed out in the window that ends now."""
    query = faulty(leaf.milliseconds(now - window), MOST)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    found: dict[tuple[str, str | None], list[tuple[int, str, str]]] = {}
    for t, _, outcome, reason, peer, exchange_id in rows[:MOST]:
        found.setdefault((reason or outcome, peer), []).append((t, outcome, exchange_id))
    groups = [
        FaultGroup(
            code=code,
            outcome=alike[0][1],
            peer=peer,
            number=len(alike),
            first=_time(alike[-1][0]),
            last=_time(alike[0][0]),
            example=alike[0][2],
        )
        for (code, peer), alike in found.items()
    ]
    groups.sort(key=lambda group: group.last, reverse=True)
    return Faults(
        groups=tuple(groups[:MOST_GROUPS]),
        more=max(len(groups) - MOST_GROUPS, 0),
        capped=len(rows) > MOST,
    )


def faulty(since: int, limit: int) -> Select[*tuple[Any, ...]]:
    """The newest legs that ended badly, each outcome by its index."""
    columns = (
        ENTRY.c.t, ENTRY.c.seq, ENTRY.c.outcome, ENTRY.c.reason, ENTRY.c.peer, ENTRY.c.exchange_id,
    )  # fmt: skip
    return (
        select(*columns)
        .where(ENTRY.c.outcome.in_(FAULTS), ENTRY.c.t >= since, ENTRY.c.kind == Kind.EXCHANGE.value)
        .order_by(ENTRY.c.t.desc(), ENTRY.c.seq.desc())
        .limit(limit + 1)
    )


def traffic(engine: Engine, *, now: datetime) -> Traffic:
    """The busiest peers of the last 24 hours, the hour that runs among them."""
    hour = leaf.milliseconds(now) // _HOUR_MS
    first = (hour - HOURS + 1) * _HOUR_MS
    with engine.connect() as connection:
        rows = connection.execute(recent(first, MOST_LEGS)).all()
    of_peers: dict[str, list[list[tuple[str, int]]]] = {}
    for t, _, outcome, peer, data in rows[:MOST_LEGS]:
        place = (t - first) // _HOUR_MS
        if peer is None or not 0 <= place < HOURS:
            continue
        hours = of_peers.setdefault(peer, [[] for _ in range(HOURS)])
        hours[place].append((outcome, int(fields_of(data)["dur_ms"])))
    busiest = sorted(of_peers, key=lambda peer: (-sum(map(len, of_peers[peer])), peer))
    return Traffic(
        from_=_time(first),
        peers=tuple(
            PeerHours(peer=peer, hours=tuple(_hour(legs) for legs in of_peers[peer]))
            for peer in busiest[:MOST_PEERS]
        ),
        more=max(len(busiest) - MOST_PEERS, 0),
        capped=len(rows) > MOST_LEGS,
    )


def recent(since: int, limit: int) -> Select[*tuple[Any, ...]]:
    """The newest legs, by the index of times."""
    return (
        select(ENTRY.c.t, ENTRY.c.seq, ENTRY.c.outcome, ENTRY.c.peer, ENTRY.c.leaf)
        .where(ENTRY.c.t >= since, ENTRY.c.kind == Kind.EXCHANGE.value)
        .order_by(ENTRY.c.t.desc(), ENTRY.c.seq.desc())
        .limit(limit + 1)
    )


def _hour(legs: Sequence[tuple[str, int]]) -> Hour:
    took = sorted(ms for _, ms in legs)
    return Hour(
        number=len(legs),
        bad=sum(outcome in FAULTS for outcome, _ in legs),
        middle=took[len(took) // 2] if took else None,
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
