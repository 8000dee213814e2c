"""What the log does not have any more because its time was over, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, select

from node.storage.tables import ENTRY, RETIREMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class AgedOut:
    """Entries that began before ``before`` were retained until ``until``, but for a few.

    ``before`` is the time of the oldest entry of the oldest log that still has all of its entries;
    ``None`` when there is none.
    """

    before: datetime | None
    until: datetime


def aged_out(engine: Engine) -> AgedOut | None:
    """The oldest metadata that is kept; ``None`` when nothing was dropped for its age yet."""
    query = select(RETIREMENT).order_by(RETIREMENT.c.first.desc()).limit(1)
    with engine.connect() as connection:
        newest = connection.execute(query).mappings().one_or_none()
        if newest is None:
            return None
        whole = select(ENTRY.c.t).where(ENTRY.c.seq >= newest["first"] + newest["size"])
        oldest = connection.execute(whole.order_by(ENTRY.c.seq).limit(1)).scalar()
    return AgedOut(
        before=None if oldest is None else _instant(oldest), until=_instant(newest["due"])
    )


def retained_until(engine: Engine, seq: int) -> datetime | None:
    """Until when an entry was kept that is gone; ``None`` where its time is not over."""
    query = select(RETIREMENT.c.due).where(
        RETIREMENT.c.first <= seq, RETIREMENT.c.first + RETIREMENT.c.size > seq
    )
    with engine.connect() as connection:
        due = connection.execute(query).scalar()
    return None if due is None else _instant(due)


def _instant(t: int) -> datetime:
    return datetime.fromtimestamp(t / 1000, UTC)
