"""Review items: what somebody has to look into, with a clock of five business days.

An item is written once and never changed; what is done with it are events that are only appended,
and its state is that of the newest (facts: governance-ux 6.1). Found again, it is not made again,
also when it was resolved. Business days are Monday to Friday; holidays are not known here.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    func,
    insert,
    select,
)

from node.errors import OurFault
from node.ledger import business_days
from node.ledger.hold import lock_log
from node.ledger.leaf import milliseconds
from node.storage.engine import IMMEDIATE
from node.storage.tables import REVIEW, REVIEW_EVENT

BUSINESS_DAYS: Final = 5
"""Until an item is due."""

EACH_LIMIT: Final = 1000
"""Items of one kind that one finding makes for single cases; the rest is one item more."""

NODE: Final = "node"
"""Who opens items that the node itself finds."""

PAGE_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something to be looked into.

    Attributes:
        source: what found it: ``reconciliation`` or ``promise``.
        kind: the class, of the table of that source.
        peer: HCID of the other side.
        window: the day that it was found in.
        seq: number of our entry.
        token: hex of the exchange's token.
        cases: how many it stands for.
    """

    source: str
    kind: str
    peer: str
    window: str | None = None
    seq: int | None = None
    token: str | None = None
    cases: int = 1

    @property
    def subject(self) -> str:
        """What it is about, the same whenever it is found."""
        parts = (self.source, self.kind, self.peer, self.window, self.token or self.seq)
        return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A review item as it stands."""

    id: int
    source: str
    kind: str
    peer: str
    window: str | None
    seq: int | None
    token: str | None
    cases: int
    first_seen: int
    due: int
    state: str
    outcome: str | None = None
    reason: str | None = None
    who: str | None = None

    @property
    def due_at(self) -> datetime:
        """Until when it is to be looked into."""
        return datetime.fromtimestamp(self.due / 1000, UTC)


def due_after(now: datetime, days: int = BUSINESS_DAYS) -> datetime:
    """The same time of day after so many business days (``business_days``)."""
    return business_days.after(now, days)


def limited(found: Iterable[Found]) -> list[Found]:
    """Single cases up to the limit of each kind, and one item for all further ones."""
    kept: list[Found] = []
    counts: Counter[tuple[str, str, str, str | None]] = Counter()
    for each in found:
        of = (each.source, each.kind, each.peer, each.window)
        counts[of] += 1
        if counts[of] <= EACH_LIMIT:
            kept.append(each)
    kept.extend(
        Found(source=of[0], kind=of[1], peer=of[2], window=of[3], cases=count - EACH_LIMIT)
        for of, count in counts.items()
        if count > EACH_LIMIT
    )
    return kept


def open_items(engine: Engine, found: Iterable[Found], *, now: datetime, who: str = NODE) -> int:
    """Make the items that are not there yet; how many that were."""
    t, due = milliseconds(now), milliseconds(due_after(now))
    made = 0
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        lock_log(connection)
        number = connection.execute(select(func.max(REVIEW.c.id))).scalar() or 0
        for each in limited(found):
            known = select(REVIEW.c.id).where(REVIEW.c.subject == each.subject)
            if connection.execute(known).first() is not None:
                continue
            number += 1
            connection.execute(
                insert(REVIEW).values(
                    id=number,
                    subject=each.subject,
                    source=each.source,
                    kind=each.kind,
                    peer=each.peer,
                    window=each.window,
                    seq=each.seq,
                    token=each.token,
                    cases=each.cases,
                    first_seen=t,
                    due=due,
                )
            )
            _append(connection, number, {"t": t, "verb": "open", "who": who})
            made += 1
    return made


def resolve(
    engine: Engine, number: int, *, outcome: str, reason: str, who: str, now: datetime
) -> bool:
    """Resolve an open item; ``False`` when there is none with this number that is open.

    Raises:
        OurFault: ``review-outcome-unknown``.
    """
    if outcome not in outcomes():
        raise OurFault("review-outcome-unknown", f"{outcome} is no outcome of a review.")
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        lock_log(connection)
        row = connection.execute(_items().where(REVIEW.c.id == number)).mappings().first()
        if row is None or _item(row).state != "open":
            return False
        event = {"verb": "resolve", "outcome": outcome, "reason": reason[:500], "who": who}
        _append(connection, number, {"t": milliseconds(now), **event})
    return True


def append_events(
    connection: Connection, numbers: Iterable[int], event: Mapping[str, object], *, now: datetime
) -> None:
    """Write the same event on several items, inside the caller's transaction (``lock_log``)."""
    for number in numbers:
        _append(connection, number, {"t": milliseconds(now), **event})


def items(
    engine: Engine, *, state: str | None = "open", peer: str | None = None, limit: int = 100
) -> list[Item]:
    """Items, those that are due first standing first.

    Raises:
        OurFault: ``ledger-filter-invalid`` for a limit out of bounds.
    """
    if not 1 <= limit <= PAGE_LIMIT:
        raise OurFault("ledger-filter-invalid", f"A page has 1 to {PAGE_LIMIT} items.")
    query = _items().order_by(REVIEW.c.due, REVIEW.c.id).limit(limit)
    if peer is not None:
        query = query.where(REVIEW.c.peer == peer)
    if state is not None:
        query = query.where(REVIEW_EVENT.c.verb == {"open": "open", "resolved": "resolve"}[state])
    with engine.connect() as connection:
        return [_item(row) for row in connection.execute(query).mappings()]


def open_among(
    connection: Connection, chosen: ColumnElement[bool], *, limit: int = 100
) -> list[Item]:
    """Open items that a condition on their rows chooses, those due first standing first."""
    return items_among(connection, chosen & (REVIEW_EVENT.c.verb == "open"), limit=limit)


def items_among(
    connection: Connection, chosen: ColumnElement[bool], *, limit: int = 100
) -> list[Item]:
    """Items in any state that a condition chooses, those that are due first standing first."""
    query = _items().where(chosen)
    rows = connection.execute(query.order_by(REVIEW.c.due, REVIEW.c.id).limit(limit)).mappings()
    return [_item(row) for row in rows]


@lru_cache
def outcomes() -> Mapping[str, str]:
    """What an item can end with, and what that means."""
    text = resources.files("node.ledger").joinpath("data/review.toml").read_text("utf-8")
    table: Mapping[str, str] = tomllib.loads(text)["outcomes"]
    return table


def _items() -> Select[Any]:
    """Each item with its newest event."""
    newest = (
        select(func.max(REVIEW_EVENT.c.number))
        .where(REVIEW_EVENT.c.item == REVIEW.c.id)
        .correlate(REVIEW)
        .scalar_subquery()
    )
    at = and_(REVIEW_EVENT.c.item == REVIEW.c.id, REVIEW_EVENT.c.number == newest)
    return select(
        REVIEW,
        REVIEW_EVENT.c.verb,
        REVIEW_EVENT.c.outcome,
        REVIEW_EVENT.c.reason,
        REVIEW_EVENT.c.who,
    ).join(REVIEW_EVENT, at)


def _item(row: RowMapping) -> Item:
    values = {name: row[name] for name in Item.__slots__ if name in row and name != "state"}
    return Item(**values, state="open" if row["verb"] == "open" else "resolved")


def _append(connection: Connection, number: int, event: Mapping[str, object]) -> None:
    counted = select(func.count()).where(REVIEW_EVENT.c.item == number)
    before = connection.execute(counted).scalar() or 0
    connection.execute(insert(REVIEW_EVENT).values(item=number, number=before + 1, **event))
