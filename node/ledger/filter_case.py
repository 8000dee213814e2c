"""The entries of a case: its messages, and the exchanges in its basket, as they stand when asked.

A basket and the messages of a case have limits, so the entries of a case are a bounded number in a
log of any size: they are looked up by the exchange and by their number, and a page sorts them. A
table of its own that has them in the order of time would miss what an exchange gets later on.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, CompoundSelect, FromClause, or_, select, union

from node.storage.case_tables import CASE, EVIDENCE, MESSAGE
from node.storage.tables import ENTRY


def sources(number: str) -> list[tuple[FromClause, ColumnElement[bool]]]:
    """Where the entries of one case are read: a source that has them, and its condition."""
    chosen = select(CASE.c.id).where(CASE.c.number == number).scalar_subquery()
    return [
        (
            EVIDENCE.join(ENTRY, ENTRY.c.exchange_id == EVIDENCE.c.exchange_id),
            EVIDENCE.c.case_id == chosen,
        ),
        (MESSAGE.join(ENTRY, ENTRY.c.seq == MESSAGE.c.seq), MESSAGE.c.case_id == chosen),
    ]


def tried(numbers: tuple[str, ...]) -> ColumnElement[bool]:
    """Whether an entry found by another condition is of one of some cases."""
    chosen = select(CASE.c.id).where(CASE.c.number.in_(numbers))
    held = select(EVIDENCE.c.exchange_id).where(EVIDENCE.c.case_id.in_(chosen))
    said = select(MESSAGE.c.seq).where(MESSAGE.c.case_id.in_(chosen))
    return or_(ENTRY.c.exchange_id.in_(held), ENTRY.c.seq.in_(said))


def in_log_order(numbers: tuple[str, ...], after: int, bound: int) -> CompoundSelect[tuple[int]]:
    """The numbers of the entries of some cases that are above ``after`` and up to ``bound``."""
    chosen = select(CASE.c.id).where(CASE.c.number.in_(numbers))
    held = (
        select(ENTRY.c.seq)
        .join_from(EVIDENCE, ENTRY, ENTRY.c.exchange_id == EVIDENCE.c.exchange_id)
        .where(EVIDENCE.c.case_id.in_(chosen), ENTRY.c.seq > after, ENTRY.c.seq <= bound)
    )
    said = select(MESSAGE.c.seq).where(
        MESSAGE.c.case_id.in_(chosen), MESSAGE.c.seq > after, MESSAGE.c.seq <= bound
    )
    return union(held, said)
