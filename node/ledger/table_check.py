"""What belongs to no single entry: the counter, rows out of range, decisions, legal holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, func, or_, select, type_coerce
from sqlalchemy.types import NullType

from node.ledger.hold_check import hold_problems
from node.ledger.private import LedgerKey
from node.ledger.row_check import Problem
from node.ledger.stored_rows import snapshot
from node.storage.tables import BODY, COUNTER, DECISION, ENTRY, ERASURE, PRIVATE, TOKEN
from trust.decision import digest_of

_AT_ONCE: Final = 500
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TablesChecked:
    """How many of each, and what is wrong, with an entry's number where there is one."""

    decisions: int
    holds: int
    problems: tuple[tuple[int | None, Problem], ...]


def numbers(connection: Connection) -> tuple[int | None, int]:
    """The number that comes next, and the last one that is there (-1 for none)."""
    counter = select(COUNTER.c.next).where(COUNTER.c.name == "entry")
    newest = connection.execute(select(func.max(ENTRY.c.seq))).scalar()
    return connection.execute(counter).scalar(), -1 if newest is None else newest


def table_problems(engine: Engine, key: LedgerKey) -> TablesChecked:
    """Check all of them."""
    problems = list(_out_of_range(engine))
    count = 0
    for digest, body in _decisions(engine):
        count += 1
        if digest_of(body) != digest and len(problems) < _MOST:
            sentence = f"The decision {digest} is another one than its name says."
            problems.append((None, Problem(code="log-decision-differs", sentence=sentence)))
    held = hold_problems(engine, key)
    problems += [(None, each) for each in held.problems[:_MOST]]
    return TablesChecked(decisions=count, holds=held.holds, problems=tuple(problems))


def _out_of_range(engine: Engine) -> Iterator[tuple[int | None, Problem]]:
    with snapshot(engine) as connection:
        following, newest = numbers(connection)
        end = newest + 1 if following is None else following
        for column in (PRIVATE.c.seq, TOKEN.c.seq, ERASURE.c.target, BODY.c.seq, ENTRY.c.seq):
            query = select(column).where(or_(column < 0, column >= end)).limit(1)
            stray = connection.execute(query).scalar()
            if stray is not None:
                sentence = f"The table {column.table.name} has a row of an entry {stray}."
                yield stray, Problem(code="log-row-differs", sentence=sentence)
    if following != newest + 1:
        problem = Problem(
            code="log-row-differs",
            sentence="The counter does not name the number after the last entry.",
            expected=str(newest + 1),
            found=None if following is None else str(following),
        )
        yield None, problem


def _decisions(engine: Engine) -> Iterator[tuple[str, bytes]]:
    last = ""
    while True:
        # as the driver gives it: what was changed may not be what its column takes
        body = type_coerce(DECISION.c.body, NullType()).label("body")
        query = select(DECISION.c.digest, body).where(DECISION.c.digest > last)
        with engine.connect() as connection:
            rows = connection.execute(query.order_by(DECISION.c.digest).limit(_AT_ONCE)).all()
        if not rows:
            return
        for row in rows:
            yield row.digest, row.body if isinstance(row.body, bytes) else b""
        last = rows[-1].digest
