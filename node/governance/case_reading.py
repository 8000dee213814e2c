"""Cases as people read them: the queue, and one case with its messages, evidence and review items.

What people wrote is read from the private groups of the entries; a group that was erased, or whose
entry is not kept any more, reads as ``None``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, func, or_, select, true

from node.errors import OurFault
from node.governance.case_model import OPEN_STATES, Standing, State
from node.governance.case_rows import DETECTOR, instant
from node.governance.tables import ITEM, SUBJECT
from node.ledger import leaf, review
from node.ledger.private import LedgerKey, unseal
from node.storage.case_tables import CASE, EVIDENCE, MESSAGE
from node.storage.tables import ENTRY, PRIVATE, REVIEW, TOKEN

NOBODY: Final = "nobody"
"""The value of the filter by who has a case that finds those which nobody has."""

SOON: Final = timedelta(days=7)
MOST_MESSAGES: Final = 1000
"""Messages of one case that are read, the newest ones."""

MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """A case as a row of the queue; ``text`` is why it was opened."""

    id: int
    number: str
    kind: str
    peer: str | None
    state: State
    opened: datetime
    due: datetime
    last: datetime
    incidents: int
    assignee: str | None
    outcome: str | None
    target: str | None
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message: what was done by whom, and what they wrote with it."""

    number: int
    t: datetime
    verb: str
    who: str
    state: State
    seq: int
    refusal: str | None
    about: str | None
    outcome: str | None
    due: datetime | None
    name: str | None
    private: Mapping[str, object] | None

    def words(self, name: str) -> str:
        """A text of the private part; empty where there is none or it is gone."""
        value = (self.private or {}).get(name)
        return value if isinstance(value, str) else ""

    def list(self, name: str) -> tuple[str, ...]:
        """A list of the private part."""
        value = (self.private or {}).get(name)
        return tuple(str(each) for each in value) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """One case whole; ``left_out`` older messages were not read."""

    view: CaseView
    messages: tuple[Said, ...]
    exchanges: tuple[str, ...]
    items: tuple[review.Item, ...]
    merged: tuple[str, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which cases: of a state (all open ones where it is ``None``), of a kind, of somebody, due.

    Attributes:
        assignee: a login, or ``NOBODY``.
        due: ``late``, ``soon`` (within seven days, late ones too), or ``None``.
    """

    state: State | None = None
    kind: str | None = None
    assignee: str | None = None
    due: str | None = None


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
        select(CASE).where(_chosen(chosen, now), _shown_to(reader)).order_by(CASE.c.due, CASE.c.id)
    )
    if after is not None:
        due, number = after
        query = query.where(or_(CASE.c.due > due, and_(CASE.c.due == due, CASE.c.id > number)))
    with engine.connect() as connection:
        rows = connection.execute(query.limit(limit + 1)).mappings().all()
        shown = rows[:limit]
        texts = _opening_texts(connection, key, [row["id"] for row in shown])
    last = shown[-1] if len(rows) > limit else None
    return QueuePage(
        cases=tuple(_view(row, texts.get(row["id"])) for row in shown),
        following=(last["due"], last["id"]) if last is not None else None,
    )


def counted(engine: Engine, chosen: QueueFilter, *, now: datetime, reader: str = "") -> int:
    """How many cases a filter finds, up to ``MOST_COUNTED``; ``reader`` as for ``queue``."""
    query = select(CASE.c.id).where(_chosen(chosen, now), _shown_to(reader))
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


def read_file(engine: Engine, key: LedgerKey, number: str) -> CaseFile | None:
    """A case by its number."""
    with engine.connect() as connection:
        row = connection.execute(select(CASE).where(CASE.c.number == number)).mappings().first()
        if row is None:
            return None
        messages = _messages(connection, key, row["id"])
        texts = _opening_texts(connection, key, [row["id"]])
        of = select(EVIDENCE.c.exchange_id).where(EVIDENCE.c.case_id == row["id"])
        exchanges = tuple(connection.execute(of.order_by(EVIDENCE.c.message)).scalars())
        held = select(ITEM.c.item).where(ITEM.c.case_id == row["id"])
        items = review.items_among(connection, REVIEW.c.id.in_(held))
        into = select(CASE.c.number).where(CASE.c.target == number).order_by(CASE.c.id).limit(100)
        merged = tuple(connection.execute(into).scalars())
    return CaseFile(
        view=_view(row, texts.get(row["id"])),
        messages=messages,
        exchanges=exchanges,
        items=tuple(items),
        merged=merged,
        left_out=max(row["messages"] - len(messages), 0),
    )


def cases_about(
    engine: Engine, key: LedgerKey, exchange_id: str, *, reader: str = ""
) -> tuple[CaseView, ...]:
    """The cases that have an exchange in their basket, newest first; ``reader`` as ``queue``."""
    holding = select(EVIDENCE.c.case_id).where(EVIDENCE.c.exchange_id == exchange_id)
    query = (
        select(CASE)
        .where(CASE.c.id.in_(holding), _shown_to(reader))
        .order_by(CASE.c.id.desc())
        .limit(20)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
        texts = _opening_texts(connection, key, [row["id"] for row in rows])
    return tuple(_view(row, texts.get(row["id"])) for row in rows)


def case_with(engine: Engine, item: int) -> str | None:
    """The number of the open case that has taken up a review item."""
    states = [state.value for state in OPEN_STATES]
    query = select(CASE.c.number).join(ITEM, ITEM.c.case_id == CASE.c.id)
    with engine.connect() as connection:
        return connection.execute(
            query.where(ITEM.c.item == item, CASE.c.state.in_(states))
        ).scalar()


def waiting_items(engine: Engine, limit: int = 25) -> tuple[list[review.Item], int]:
    """Open review items that no case has taken up, due first, and how many there are in all."""
    free = REVIEW.c.id.not_in(select(ITEM.c.item))
    with engine.connect() as connection:
        found = review.open_among(connection, free, limit=limit)
        if len(found) < limit:
            return found, len(found)
        return found, len(review.open_among(connection, free, limit=review.PAGE_LIMIT))


def is_shown(standing: Standing, kind: str, reader: str) -> bool:
    """Whether somebody may read a case: what a detector said is not shown to whom it is about."""
    return not (kind.startswith(DETECTOR) and reader in standing.subjects)


def readable(engine: Engine, numbers: Iterable[str], *, reader: str) -> frozenset[str]:
    """Those of some numbers under which there is a case that somebody may read (``is_shown``)."""
    query = select(CASE.c.number).where(CASE.c.number.in_(list(numbers)), _shown_to(reader))
    with engine.connect() as connection:
        return frozenset(connection.execute(query).scalars())


def _shown_to(reader: str) -> ColumnElement[bool]:
    if not reader:
        return true()
    about = select(SUBJECT.c.case_id).where(SUBJECT.c.mark == bytes.fromhex(reader))
    return or_(~CASE.c.kind.startswith(DETECTOR, autoescape=True), CASE.c.id.not_in(about))


def _chosen(chosen: QueueFilter, now: datetime) -> ColumnElement[bool]:
    states = [chosen.state] if chosen.state else OPEN_STATES
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
    return and_(true(), *found)


def _view(row: RowMapping, text: str | None) -> CaseView:
    values: dict[str, Any] = {name: row[name] for name in CaseView.__slots__ if name in row}
    times = {name: instant(row[name]) for name in ("opened", "due", "last")}
    return CaseView(**{**values, **times, "state": State(row["state"]), "text": text})


def _opening_texts(
    connection: Connection, key: LedgerKey, ids: Iterable[int]
) -> dict[int, str | None]:
    """Why each of some cases was opened."""
    query = (
        select(MESSAGE.c.case_id, ENTRY.c.entry_id, PRIVATE.c.wire)
        .join(ENTRY, ENTRY.c.seq == MESSAGE.c.seq)
        .join(PRIVATE, PRIVATE.c.seq == MESSAGE.c.seq)
        .where(MESSAGE.c.case_id.in_(list(ids)), MESSAGE.c.number == 1)
    )
    found: dict[int, str | None] = {}
    for row in connection.execute(query):
        group = _opened(key, row.entry_id, "wire", row.wire)
        text = (group or {}).get("text")
        found[row.case_id] = text if isinstance(text, str) else None
    return found


def _messages(connection: Connection, key: LedgerKey, case_id: int) -> tuple[Said, ...]:
    query = (
        select(MESSAGE, ENTRY.c.entry_id, PRIVATE.c.wire, PRIVATE.c.who.label("sealed_who"))
        .outerjoin(ENTRY, ENTRY.c.seq == MESSAGE.c.seq)
        .outerjoin(PRIVATE, PRIVATE.c.seq == MESSAGE.c.seq)
        .where(MESSAGE.c.case_id == case_id)
        .order_by(MESSAGE.c.number.desc())
        .limit(MOST_MESSAGES)
    )
    found = []
    for row in connection.execute(query).mappings():
        who = _opened(key, row["entry_id"], "who", row["sealed_who"])
        name = (who or {}).get("name")
        found.append(
            Said(
                number=row["number"],
                t=datetime.fromtimestamp(row["t"] / 1000, UTC),
                verb=row["verb"],
                who=row["who"],
                state=State(row["state"]),
                seq=row["seq"],
                refusal=row["refusal"],
                about=row["about"],
                outcome=row["outcome"],
                due=instant(row["due"]),
                name=name if isinstance(name, str) else None,
                private=_opened(key, row["entry_id"], "wire", row["wire"]),
            )
        )
    return tuple(reversed(found))


def _opened(
    key: LedgerKey, entry_id: str | None, group: str, blob: bytes | None
) -> Mapping[str, object] | None:
    if entry_id is None or blob is None:
        return None
    try:
        value = unseal(key, entry_id, group, blob).value
    except (OurFault, orjson.JSONDecodeError):
        return None  # the exchange's page and ``log fsck`` say what is wrong with it
    return value if isinstance(value, dict) else None
