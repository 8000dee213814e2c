"""The queue of cases: which ones a filter finds, how many, and by whom they stand together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Engine, and_, func, or_, select, true

from node.governance.case_model import OPEN_STATES, State
from node.governance.case_reading import CaseView, opening_texts, shown_to, view_of
from node.governance.tables import SUBJECT
from node.ledger import leaf
from node.ledger.private import LedgerKey
from node.storage.case_tables import CASE, EVIDENCE
from node.storage.tables import ENTRY, TOKEN

NOBODY: Final = "nobody"
"""The value of the filter by who has a case that finds those which nobody has."""

SOON: Final = timedelta(days=7)
MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which cases: of a state (all open ones where it is ``None``), of a kind, of somebody, due.

    Attributes:
        assignee: a login, or ``NOBODY``.
        due: ``late``, ``soon`` (within seven days, late ones too), or ``None``.
        snoozed: whether those that are snoozed, which are in no other list of open cases.
        numbers: if not ``None``, those alone, whatever their state.
    """

    state: State | None = None
    kind: str | None = None
    assignee: str | None = None
    due: str | None = None
    snoozed: bool = False
    numbers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """Cases, those that are due first standing first, and where the next page begins."""

    cases: tuple[CaseView, ...]
    following: tuple[int, int] | None


def queue(
    engine: Engine,
    key: LedgerKey,
    chosen: QueueFilter,
    *,
    now: datetime,
    limit: int,
    after: tuple[int, int] | None = None,
    reader: str = "",
) -> QueuePage:
    """A page of the queue.

    Args:
        engine: the node's database.
        key: opens private groups.
        chosen: which cases.
        now: the current time.
        limit: how many at most.
        after: the due time (ms) and the id of the last case seen.
        reader: token (hex) of who reads: cases that detectors opened about them are left out.
    """
    query = (
        select(CASE).where(_chosen(chosen, now), shown_to(reader)).order_by(CASE.c.due, CASE.c.id)
    )
    if after is not None:
        due, number = after
        query = query.where(or_(CASE.c.due > due, and_(CASE.c.due == due, CASE.c.id > number)))
    with engine.connect() as connection:
        rows = connection.execute(query.limit(limit + 1)).mappings().all()
        shown = rows[:limit]
        texts = opening_texts(connection, key, [row["id"] for row in shown])
    last = shown[-1] if len(rows) > limit else None
    return QueuePage(
        cases=tuple(view_of(row, texts.get(row["id"])) for row in shown),
        following=(last["due"], last["id"]) if last is not None else None,
    )


def numbers_of(
    engine: Engine, chosen: QueueFilter, *, now: datetime, limit: int, reader: str = ""
) -> tuple[str, ...]:
    """The numbers of the cases that stand first in the queue; ``reader`` as for ``queue``."""
    query = select(CASE.c.number).where(_chosen(chosen, now), shown_to(reader))
    with engine.connect() as connection:
        found = connection.execute(query.order_by(CASE.c.due, CASE.c.id).limit(limit)).scalars()
        return tuple(found)


def counted(engine: Engine, chosen: QueueFilter, *, now: datetime, reader: str = "") -> int:
    """How many cases a filter finds, up to ``MOST_COUNTED``; ``reader`` as for ``queue``."""
    query = select(CASE.c.id).where(_chosen(chosen, now), shown_to(reader))
    found = query.limit(MOST_COUNTED).subquery()
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(found)).scalar() or 0


GROUPS: Final = ("peer", "actor", "patient")
"""By what the queue may be grouped."""


def grouped(engine: Engine, cases: Iterable[CaseView], how: str) -> dict[int, str]:
    """Of each case the peer, or the token (hex) of a person of ours or of a patient it is about.

    A case about several stands with the lowest; one about nobody of the kind is left out.
    """
    listed = list(cases)
    ids = [case.id for case in listed]
    if how == "peer":
        return {case.id: case.peer for case in listed if case.peer}
    if how == "actor":
        query = select(SUBJECT.c.case_id, func.min(SUBJECT.c.mark)).where(
            SUBJECT.c.case_id.in_(ids)
        )
        query = query.group_by(SUBJECT.c.case_id)
    else:
        query = (
            select(EVIDENCE.c.case_id, func.min(TOKEN.c.token))
            .join(ENTRY, ENTRY.c.exchange_id == EVIDENCE.c.exchange_id)
            .join(TOKEN, TOKEN.c.seq == ENTRY.c.seq)
            .where(EVIDENCE.c.case_id.in_(ids), TOKEN.c.part == "patient")
            .group_by(EVIDENCE.c.case_id)
        )
    with engine.connect() as connection:
        return {number: token.hex() for number, token in connection.execute(query)}


def any_case(engine: Engine) -> bool:
    """Whether there ever was a case."""
    with engine.connect() as connection:
        return connection.execute(select(CASE.c.id).limit(1)).first() is not None


def kinds(engine: Engine) -> tuple[str, ...]:
    """The kinds of case that there are."""
    with engine.connect() as connection:
        query = select(CASE.c.kind).distinct().order_by(CASE.c.kind).limit(100)
        return tuple(connection.execute(query).scalars())


def _chosen(chosen: QueueFilter, now: datetime) -> ColumnElement[bool]:
    if chosen.numbers is not None:
        return CASE.c.number.in_(chosen.numbers)
    states = [chosen.state] if chosen.state else OPEN_STATES
    asleep = CASE.c.snoozed > leaf.milliseconds(now)
    found: list[ColumnElement[bool]] = [CASE.c.state.in_([state.value for state in states])]
    if chosen.kind is not None:
        found.append(CASE.c.kind == chosen.kind)
    if chosen.assignee == NOBODY:
        found.append(CASE.c.assignee.is_(None))
    elif chosen.assignee is not None:
        found.append(CASE.c.assignee == chosen.assignee)
    limits = {"late": now, "soon": now + SOON}
    if chosen.due is not None:
        found.append(CASE.c.due < leaf.milliseconds(limits[chosen.due]))
    found.append(asleep if chosen.snoozed else or_(CASE.c.snoozed.is_(None), ~asleep))
    return and_(true(), *found)
