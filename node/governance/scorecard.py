"""What the log says of one peer, counted: each number with the filter that opens its rows.

Nothing here is a score: shares have their n, and nobody adds them up (facts: governance-ux 6.7).
The newest ``MOST`` legs of a window are counted; ``capped`` says that there are more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, Select, func, select

from node.ledger import leaf
from node.ledger.find import LedgerFilter, find
from node.ledger.leaf import Kind
from node.model import Direction, Outcome, Transaction
from node.storage.tables import ENTRY

WINDOWS: Final = (timedelta(days=7), timedelta(days=30), timedelta(days=90))
MOST: Final = 10_000
"""Legs of a window that are counted on a peer's own page."""

FEW: Final = 50
"""Below so many a share says little and is shown in grey."""

Conditions = Mapping[str, tuple[str, ...]]
"""The values that fields of a leg may have, by the filter's names."""

_OUT: Final[Conditions] = {"direction": (Direction.INITIATING.value,)}
_IN: Final[Conditions] = {"direction": (Direction.RESPONDING.value,)}
_HELD: Final = (Outcome.OK.value, Outcome.PARTIAL.value)


def _outcomes(base: Conditions, *outcomes: str) -> Conditions:
    return {**base, "outcome": outcomes}


def _transactions(base: Conditions, transaction: Transaction) -> Conditions:
    return {**base, "transaction": (transaction.value,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One row of the scorecard: a part, and the whole it is a share of; a count has no whole."""

    group: str
    words: str
    part: Conditions
    whole: Conditions | None = None


CONDUCT: Final = "Conduct"
RECIPROCITY: Final = "Reciprocity"
_FOUND: Final = _transactions(_OUT, Transaction.ITI_55)
_RETRIEVED: Final = _transactions(_OUT, Transaction.ITI_39)
_TAKEN: Final = _transactions(_IN, Transaction.ITI_39)

MEASURES: Final = (
    Measure(group="Reach", words="Asked by us", part=_OUT),
    Measure(
        group="Reach",
        words="Answered, refusals included",
        part=_outcomes(_OUT, *_HELD, Outcome.OK_EMPTY.value, Outcome.DECLINED.value),
        whole=_OUT,
    ),
    Measure(
        group="Reach",
        words="Failed",
        part=_outcomes(_OUT, Outcome.FAILED.value),
        whole=_OUT,
    ),
    Measure(
        group="Reach",
        words="Timed out",
        part=_outcomes(_OUT, Outcome.TIMED_OUT.value),
        whole=_OUT,
    ),
    Measure(
        group="Match and documents",
        words="Patient found, of discoveries answered",
        part=_outcomes(_FOUND, *_HELD),
        whole=_outcomes(_FOUND, *_HELD, Outcome.OK_EMPTY.value),
    ),
    Measure(
        group="Match and documents",
        words="Retrieves that brought all",
        part=_outcomes(_RETRIEVED, Outcome.OK.value),
        whole=_RETRIEVED,
    ),
    Measure(
        group="Match and documents",
        words="Declined by them",
        part=_outcomes(_OUT, Outcome.DECLINED.value),
        whole=_OUT,
    ),
    Measure(
        group="Match and documents",
        words="Declined by them, of document queries",
        part=_outcomes(_transactions(_OUT, Transaction.ITI_38), Outcome.DECLINED.value),
        whole=_transactions(_OUT, Transaction.ITI_38),
    ),
    Measure(
        group=RECIPROCITY,
        words="Retrieves by them that we served",
        part=_outcomes(_TAKEN, *_HELD),
    ),
    Measure(
        group=RECIPROCITY,
        words="Retrieves by us that they served",
        part=_outcomes(_RETRIEVED, *_HELD),
    ),
    Measure(group=CONDUCT, words="Asked of us", part=_IN),
    Measure(group=CONDUCT, words="Given to them", part=_outcomes(_IN, *_HELD), whole=_IN),
    Measure(
        group=CONDUCT,
        words="Declined by us",
        part=_outcomes(_IN, Outcome.DECLINED.value),
        whole=_IN,
    ),
    Measure(
        group=CONDUCT,
        words="Failed or timed out at our side",
        part=_outcomes(_IN, Outcome.FAILED.value, Outcome.TIMED_OUT.value),
        whole=_IN,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Legs of a window that are alike."""

    direction: str
    transaction: str
    outcome: str
    purpose: str | None
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """The legs of a window with one peer, counted; ``capped``: there are more, older ones."""

    window: timedelta
    rows: Sequence[Tally]
    capped: bool = False

    def number(self, conditions: Conditions) -> int:
        """How many legs fit."""
        return sum(
            row.number
            for row in self.rows
            if all(getattr(row, name) in values for name, values in conditions.items())
        )

    def filter_of(self, hcid: str, conditions: Conditions) -> LedgerFilter:
        """The filter that opens the legs that fit."""
        values: dict[str, Any] = dict(conditions)
        return LedgerFilter(since=self.window, peer=hcid, **values)

    def asked_for(self, purpose: str) -> Measure:
        """How often the peer asked us for a purpose, as a row of the scorecard."""
        return Measure(group=CONDUCT, words=purpose, part={**_IN, "purpose": (purpose,)})

    @property
    def purposes_asked(self) -> tuple[str, ...]:
        """The purposes for which the peer asked us."""
        asked = {row.purpose for row in self.rows if row.direction in _IN["direction"]}
        return tuple(sorted(purpose for purpose in asked if purpose))

    @property
    def by_outcome(self) -> dict[str, int]:
        """How many legs ended how, in the order of the outcomes."""
        found = {each.value: self.number({"outcome": (each.value,)}) for each in Outcome}
        return {outcome: number for outcome, number in found.items() if number}


def tallies(
    engine: Engine, hcid: str, window: timedelta, *, now: datetime, limit: int = MOST
) -> Tallies:
    """Count the legs with a peer in the window that ends now; the newest ``limit`` of them."""
    query = counting(hcid, leaf.milliseconds(now - window), limit)
    with engine.connect() as connection:
        found = connection.execute(query).all()
    rows = tuple(
        Tally(direction=way, transaction=txn, outcome=outcome, purpose=purpose, number=number)
        for way, txn, outcome, purpose, number in found
    )
    return Tallies(window=window, rows=rows, capped=sum(r.number for r in rows) > limit)


def counting(hcid: str, since: int, limit: int) -> Select[*tuple[Any, ...]]:
    """How often legs are alike among the newest of a peer; the index of the peer serves it."""
    legs = (
        select(ENTRY.c.direction, ENTRY.c.txn, ENTRY.c.outcome, ENTRY.c.purpose)
        .where(ENTRY.c.peer == hcid, ENTRY.c.t >= since, ENTRY.c.kind == Kind.EXCHANGE.value)
        .order_by(ENTRY.c.t.desc(), ENTRY.c.seq.desc())
        .limit(limit + 1)
        .subquery()
    )
    alike = (legs.c.direction, legs.c.txn, legs.c.outcome, legs.c.purpose)
    return select(*alike, func.count()).group_by(*alike)


def last_exchange(engine: Engine, hcid: str) -> datetime | None:
    """When the newest leg with a peer began."""
    chosen = LedgerFilter(peer=hcid, kind=Kind.EXCHANGE.value)
    found = find(engine, chosen, limit=1).entries
    return found[0].time if found else None
