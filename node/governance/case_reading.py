"""One case as people read it, with its messages, evidence and review items; the queue is apart.

What people wrote is read from the private groups of the entries; a group that was erased, or whose
entry is not kept any more, reads as ``None``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, or_, select, true

from node.errors import OurFault
from node.governance.case_model import OPEN_STATES, Standing, State
from node.governance.case_rows import DETECTOR, instant
from node.governance.tables import ITEM, SUBJECT
from node.ledger import review
from node.ledger.private import LedgerKey, unseal
from node.storage.case_tables import CASE, EVIDENCE, MESSAGE
from node.storage.tables import ENTRY, PRIVATE, REVIEW

MOST_MESSAGES: Final = 1000
"""Messages of one case that are read, the newest ones."""


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
    snoozed: datetime | None = None


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


def read_file(engine: Engine, key: LedgerKey, number: str) -> CaseFile | None:
    """A case by its number."""
    with engine.connect() as connection:
        row = connection.execute(select(CASE).where(CASE.c.number == number)).mappings().first()
        if row is None:
            return None
        messages = _messages(connection, key, row["id"])
        texts = opening_texts(connection, key, [row["id"]])
        of = select(EVIDENCE.c.exchange_id).where(EVIDENCE.c.case_id == row["id"])
        exchanges = tuple(connection.execute(of.order_by(EVIDENCE.c.message)).scalars())
        held = select(ITEM.c.item).where(ITEM.c.case_id == row["id"])
        items = review.items_among(connection, REVIEW.c.id.in_(held))
        into = select(CASE.c.number).where(CASE.c.target == number).order_by(CASE.c.id).limit(100)
        merged = tuple(connection.execute(into).scalars())
    return CaseFile(
        view=view_of(row, texts.get(row["id"])),
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
        .where(CASE.c.id.in_(holding), shown_to(reader))
        .order_by(CASE.c.id.desc())
        .limit(20)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
        texts = opening_texts(connection, key, [row["id"] for row in rows])
    return tuple(view_of(row, texts.get(row["id"])) for row in rows)


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
    query = select(CASE.c.number).where(CASE.c.number.in_(list(numbers)), shown_to(reader))
    with engine.connect() as connection:
        return frozenset(connection.execute(query).scalars())


def shown_to(reader: str) -> ColumnElement[bool]:
    """The rows of cases that somebody may read (``is_shown``); all of them for nobody."""
    if not reader:
        return true()
    about = select(SUBJECT.c.case_id).where(SUBJECT.c.mark == bytes.fromhex(reader))
    return or_(~CASE.c.kind.startswith(DETECTOR, autoescape=True), CASE.c.id.not_in(about))


def view_of(row: RowMapping, text: str | None) -> CaseView:
    """A case from its row, with why it was opened."""
    values: dict[str, Any] = {name: row[name] for name in CaseView.__slots__ if name in row}
    times = {name: instant(row[name]) for name in ("opened", "due", "last", "snoozed")}
    return CaseView(**{**values, **times, "state": State(row["state"]), "text": text})


def opening_texts(
    connection: Connection, key: LedgerKey, ids: Iterable[int]
) -> dict[int, str | None]:
    """Why each case was opened, as far as it can still be read."""
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
