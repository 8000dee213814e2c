"""How a peer stands with us: new, active, on watch, suspended, each with its reasons (6.7).

The state is derived whenever it is read. Only people suspend and resume; by itself the node moves
a peer to watch and no further: while a case that a detector opened about it is open, and for
``AFTER`` following a finding. It leaves watch when the case is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Engine, func, select

from node.governance.case_model import OPEN_STATES, outcomes
from node.governance.case_model import State as CaseState
from node.governance.case_rows import DETECTOR
from node.governance.tables import SUBJECT
from node.ledger import leaf
from node.ledger.leaf import Kind
from node.storage.case_tables import CASE
from node.storage.tables import ENTRY

NEW: Final = timedelta(days=30)
"""How long a peer is new, from its first leg with us."""

AFTER: Final = timedelta(days=90)
"""How long a peer is on watch after a finding."""

_MOST: Final = 10


class PeerState(StrEnum):
    """How a peer stands."""

    NEW = "new"
    ACTIVE = "active"
    WATCH = "watch"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutCase:
    """A case about a peer."""

    number: str
    kind: str
    state: CaseState
    outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStanding:
    """The state of a peer, the cases that put it on watch, and all newest cases about it."""

    state: PeerState
    watched_for: tuple[AboutCase, ...]
    cases: tuple[AboutCase, ...]


def peer_standing(
    engine: Engine, hcid: str, *, suspended: bool, now: datetime, reader: str = ""
) -> PeerStanding:
    """How a peer stands; ``reader`` (a token in hex) sees no case that a detector opened on them.

    Args:
        engine: the node's database.
        hcid: of the peer.
        suspended: whether we have suspended it.
        now: the current time.
        reader: who reads.
    """
    open_states = [state.value for state in OPEN_STATES]
    found = [code for code, row in outcomes().items() if row.counts == "hit"]
    since = leaf.milliseconds(now - AFTER)
    watching = (
        CASE.c.state.in_(open_states) & CASE.c.kind.startswith(DETECTOR, autoescape=True)
    ) | (
        (CASE.c.state == CaseState.CLOSED.value)
        & CASE.c.outcome.in_(found)
        & (CASE.c.resolved >= since)
    )
    with engine.connect() as connection:
        first = connection.execute(
            select(func.min(ENTRY.c.t)).where(
                ENTRY.c.peer == hcid, ENTRY.c.kind == Kind.EXCHANGE.value
            )
        ).scalar()
        base = (
            select(CASE.c.number, CASE.c.kind, CASE.c.state, CASE.c.outcome)
            .where(CASE.c.peer == hcid, _readable(reader))
            .order_by(CASE.c.id.desc())
            .limit(_MOST)
        )
        watched = [_case(*row) for row in connection.execute(base.where(watching))]
        cases = [_case(*row) for row in connection.execute(base)]
    if suspended:
        state = PeerState.SUSPENDED
    elif watched:
        state = PeerState.WATCH
    elif first is None or first > leaf.milliseconds(now - NEW):
        state = PeerState.NEW
    else:
        state = PeerState.ACTIVE
    return PeerStanding(state=state, watched_for=tuple(watched), cases=tuple(cases))


def _readable(reader: str) -> ColumnElement[bool]:
    about = select(SUBJECT.c.case_id).where(SUBJECT.c.mark == bytes.fromhex(reader))
    return ~CASE.c.kind.startswith(DETECTOR, autoescape=True) | CASE.c.id.not_in(about)


def _case(number: str, kind: str, state: str, outcome: str | None) -> AboutCase:
    return AboutCase(number=number, kind=kind, state=CaseState(state), outcome=outcome)
