"""Finding entries: pages newest first, capped counts, and ``tail``.

A page continues from a key, never from an offset, so the last page costs what the first does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, func, select

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.filter import LedgerFilter
from node.ledger.filter_sql import (
    PAGE_LIMIT,
    Cursor,
    count_statement,
    leaders,
    statement,
    statement_in_log_order,
)
from node.ledger.leaf_check import fields_of
from node.ledger.private import LedgerKey
from node.storage.tables import ENTRY

__all__ = [
    "COUNT_LIMIT",
    "PAGE_LIMIT",
    "Count",
    "Cursor",
    "Entry",
    "LedgerFilter",
    "Page",
    "count",
    "find",
    "newest",
    "oldest",
    "rarest",
    "read",
    "tail",
]

COUNT_LIMIT: Final = 10_000
"""Where counting stops unless it is told otherwise."""

_SAMPLES: Final = (1000, 8000)
"""How far the indexes are counted to see which condition is rarest: an index row is cheap, an entry
that is found and thrown away is not."""

_LAST: Final = 2**62
"""A number above any entry's."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry as read: its number, its exact bytes, and their fields."""

    seq: int
    entry_id: str
    data: bytes
    fields: Mapping[str, str | int]

    @property
    def time(self) -> datetime:
        """When it began."""
        return _EPOCH + timedelta(milliseconds=leaf.to_milliseconds(str(self.fields["t"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Entries newest first, and where the next page begins, if there is one."""

    entries: tuple[Entry, ...]
    following: Cursor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many entries there are; ``capped``: there are more."""

    number: int
    capped: bool = False

    def __str__(self) -> str:
        """Such as ``57`` or ``10,000+``."""
        return f"{self.number:,}{'+' if self.capped else ''}"


def find(
    engine: Engine,
    chosen: LedgerFilter,
    *,
    key: LedgerKey | None = None,
    limit: int = 50,
    after: Cursor | None = None,
) -> Page:
    """One page of the entries that a filter chooses.

    Raises:
        OurFault: ``ledger-filter-invalid`` as ``statement`` says; ``ledger-leaf-invalid`` when a
            stored entry is not a canonical leaf.
    """
    if not 1 <= limit <= PAGE_LIMIT:
        raise OurFault("ledger-filter-invalid", f"A page has 1 to {PAGE_LIMIT} entries.")
    with engine.connect() as connection:
        leading = rarest(connection, chosen, key)
        query = statement(chosen, key, limit=limit + 1, after=after, leading=leading)
        rows = connection.execute(query).all()
    entries = tuple(read(row) for row in rows[:limit])
    following = None
    if len(rows) > limit:
        last = entries[-1]
        following = Cursor(t=leaf.to_milliseconds(str(last.fields["t"])), seq=last.seq)
    return Page(entries=entries, following=following)


def count(
    engine: Engine, chosen: LedgerFilter, *, key: LedgerKey | None = None, limit: int = COUNT_LIMIT
) -> Count:
    """How many entries a filter chooses; it stops at the limit.

    Raises:
        OurFault: ``ledger-filter-invalid``, as ``filter_sql.statement`` says.
    """
    with engine.connect() as connection:
        leading = rarest(connection, chosen, key)
        query = count_statement(chosen, key, limit=limit + 1, leading=leading)
        found = int(connection.execute(query).scalar_one())
    return Count(number=min(found, limit), capped=found > limit)


def rarest(connection: Connection, chosen: LedgerFilter, key: LedgerKey | None) -> str | None:
    """The condition that fits fewest entries, as far as its index was counted."""
    names = leaders(chosen, key)
    if len(names) < 2:  # noqa: PLR2004 - nothing to choose from
        return None
    for sample in _SAMPLES:
        found = {}
        for name in names:
            query = count_statement(chosen, key, limit=sample, leading=name, alone=True)
            found[name] = int(connection.execute(query).scalar_one())
        least = min(names, key=lambda name: found[name])
        if found[least] < sample:
            return least
    return names[0]


def tail(
    engine: Engine,
    chosen: LedgerFilter | None = None,
    *,
    key: LedgerKey | None = None,
    after: int = -1,
    bound: int = _LAST,
    limit: int = 100,
) -> tuple[Entry, ...]:
    """The entries whose number is greater than ``after``, up to ``bound``, oldest first.

    Numbers are given at commit and have no gap: who asks again with the last number misses none.

    Raises:
        OurFault: as ``find``.
    """
    if not 1 <= limit <= PAGE_LIMIT:
        raise OurFault("ledger-filter-invalid", f"A page has 1 to {PAGE_LIMIT} entries.")
    query = statement_in_log_order(
        chosen or LedgerFilter(), key, after=after, bound=bound, limit=limit
    )
    with engine.connect() as connection:
        return tuple(read(row) for row in connection.execute(query))


def newest(engine: Engine) -> int:
    """The highest number there is, -1 in an empty log. Numbers become visible in their order."""
    with engine.connect() as connection:
        found = connection.execute(select(func.max(ENTRY.c.seq))).scalar()
    return -1 if found is None else int(found)


def oldest(engine: Engine) -> datetime | None:
    """When the oldest entry of an exchange that is here began."""
    query = select(ENTRY.c.t).where(ENTRY.c.exchange_id.is_not(None)).order_by(ENTRY.c.t).limit(1)
    with engine.connect() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else _EPOCH + timedelta(milliseconds=int(found))


def read(row: Row[Any, Any, Any]) -> Entry:
    """An entry of a row (seq, entry_id, leaf)."""
    seq, entry_id, data = row
    return Entry(seq=seq, entry_id=entry_id, data=data, fields=fields_of(data))
