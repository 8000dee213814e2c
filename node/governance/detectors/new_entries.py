"""What is new in the log since the last sweep: up to which entry, and whom it is about.

What is left over of more than a sweep takes, the next one takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, distinct, func, select

from node.governance.detector_tables import SWEEP
from node.governance.detectors.model import Subject, Whom
from node.ledger import leaf
from node.ledger.leaf import Kind
from node.model import Direction
from node.storage.tables import ENTRY, TOKEN

MOST_SUBJECTS: Final = 10_000
FIRST_DAYS: Final = 30
"""The first sweep of a node begins so many days back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """What a sweep looks at: the exchange entries after one number, up to and with another.

    Attributes:
        exchanges: how many exchanges they belong to.
        subjects: the peers, and those of ours who asked.
        more: whether there are further ones.
    """

    after: int
    upto: int
    exchanges: int
    subjects: tuple[Whom, ...]
    more: bool


def new_entries(engine: Engine, *, now: datetime, most: int) -> New | None:
    """The new entries, of at most so many that are looked through; ``None`` without any."""
    with engine.connect() as connection:
        after = reached(connection, now)
        upto = _bound(connection, after, most)
        if upto <= after:
            return None
        return New(
            after=after,
            upto=upto,
            exchanges=_exchanges(connection, after, upto),
            subjects=tuple(_subjects(connection, after, upto)),
            more=_bound(connection, upto, most) > upto,
        )


def reached(connection: Connection, now: datetime) -> int:
    """The highest entry number that was looked at; where none was, that before the first days."""
    query = select(SWEEP.c.reached).order_by(SWEEP.c.id.desc()).limit(1)
    found = connection.execute(query).scalar()
    if found is not None:
        return int(found)
    since = leaf.milliseconds(now - timedelta(days=FIRST_DAYS))
    oldest = select(ENTRY.c.seq).where(ENTRY.c.t >= since).order_by(ENTRY.c.t, ENTRY.c.seq)
    first = connection.execute(oldest.limit(1)).scalar()
    if first is not None:
        return int(first) - 1
    newest = connection.execute(select(func.max(ENTRY.c.seq))).scalar()
    return -1 if newest is None else int(newest)


def _bound(connection: Connection, after: int, most: int) -> int:
    """The highest exchange entry that this sweep takes, or ``after`` when nothing is new.

    Entries of other kinds alone, such as those about sweeps, are no reason for a sweep.
    """
    new = (
        select(ENTRY.c.seq, ENTRY.c.kind)
        .where(ENTRY.c.seq > after)
        .order_by(ENTRY.c.seq)
        .limit(most)
        .subquery()
    )
    query = select(func.max(new.c.seq)).where(new.c.kind == Kind.EXCHANGE.value)
    found = connection.execute(query).scalar()
    return after if found is None else int(found)


def _subjects(connection: Connection, after: int, bound: int) -> list[Whom]:
    """The peers, and those of ours who asked, with a new entry."""
    new = (ENTRY.c.seq > after) & (ENTRY.c.seq <= bound) & (ENTRY.c.kind == Kind.EXCHANGE.value)
    peers = select(ENTRY.c.peer).distinct().where(new, ENTRY.c.peer.is_not(None))
    ours = (
        select(TOKEN.c.token)
        .distinct()
        .select_from(ENTRY)
        .join(TOKEN, TOKEN.c.seq == ENTRY.c.seq)
        .where(new, ENTRY.c.direction == Direction.INITIATING.value, TOKEN.c.part == "who")
    )
    found = [
        Whom(subject=Subject.PEER, about=hcid)
        for hcid in sorted(connection.execute(peers.limit(MOST_SUBJECTS)).scalars())
    ]
    found += [
        Whom(subject=Subject.ACTOR, about=token.hex())
        for token in sorted(connection.execute(ours.limit(MOST_SUBJECTS)).scalars())
    ]
    return found


def _exchanges(connection: Connection, after: int, bound: int) -> int:
    """How many exchanges have a new entry."""
    query = select(func.count(distinct(ENTRY.c.exchange_id))).where(
        ENTRY.c.seq > after, ENTRY.c.seq <= bound, ENTRY.c.kind == Kind.EXCHANGE.value
    )
    return int(connection.execute(query).scalar() or 0)
