"""Finding entries: one filter object that knows its SQL, pages newest first, and ``tail``.

Each field of the filter has an index behind it (a test reads the query plans on both engines), and
a page continues from a key, never from an offset, so the last page costs what the first does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Row, Select, and_, select, tuple_

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.private import LedgerKey
from node.model import Direction, Outcome, PatientId
from node.storage.tables import ENTRY, NO_EXCHANGE, TOKEN

PAGE_LIMIT: Final = 1000
"""Entries of the largest page."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which entries; all fields that are set must hold.

    Attributes:
        peer: HCID of the other side.
        kind: of the entries, such as ``exchange`` or ``cert``.
        act: of a change of trust, such as ``anchor-add``.
        transaction: as in the leaf, such as ``ITI-55``.
        since: entries that began at or after this instant.
        until: entries that began before this instant.
        message_id: of the leg's own message, whatever its form.
        relates_to: of the message answered (UUID form).
        patient: an identifier of the person; needs the ledger key.
        user: the user id of the person who asked; needs the ledger key.
        document: unique id of a document; needs the ledger key.
    """

    peer: str | None = None
    kind: leaf.Kind | None = None
    act: str | None = None
    transaction: str | None = None
    outcome: Outcome | None = None
    direction: Direction | None = None
    purpose: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    exchange_id: str | None = None
    message_id: str | None = None
    relates_to: str | None = None
    patient: PatientId | None = None
    user: str | None = None
    document: str | None = None

    @property
    def needs_key(self) -> bool:
        """Whether only the ledger key finds what it chooses."""
        return bool(_subjects(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where the next page begins: after the entry with this time and number."""

    t: int
    seq: int


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


def statement(
    chosen: LedgerFilter, key: LedgerKey | None, *, limit: int, after: Cursor | None = None
) -> Select[Any]:
    """The SQL of one page, newest first.

    Raises:
        OurFault: ``ledger-filter-invalid``: a limit out of bounds, an instant without time zone, or
            a person's filter without the ledger key.
    """
    if not 1 <= limit <= PAGE_LIMIT + 1:
        raise OurFault("ledger-filter-invalid", f"A page has 1 to {PAGE_LIMIT} entries.")
    query, t, seq = _chosen(chosen, key)
    if after is not None:
        query = query.where(tuple_(t, seq) < tuple_(after.t, after.seq))
    return query.order_by(t.desc(), seq.desc()).limit(limit)


def statement_in_log_order(
    chosen: LedgerFilter, key: LedgerKey | None, *, after: int, bound: int, limit: int
) -> Select[Any]:
    """The SQL of the entries with numbers above ``after`` and up to ``bound``, by their numbers.

    Whoever reads all pages reads the table once, along its primary key (or, for a person's filter,
    the rows of a token): the indexes of ``statement`` are ordered by time, and each page would sort
    anew all that the filter chooses.

    Raises:
        OurFault: ``ledger-filter-invalid``, as ``statement``.
    """
    query, _, _ = _chosen(chosen, key, in_log_order=True)
    seq = ENTRY.c.seq
    return query.where(seq > after, seq <= bound).order_by(seq).limit(limit)


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
        rows = connection.execute(statement(chosen, key, limit=limit + 1, after=after)).all()
    entries = tuple(read(row) for row in rows[:limit])
    following = None
    if len(rows) > limit:
        last = entries[-1]
        following = Cursor(t=leaf.to_milliseconds(str(last.fields["t"])), seq=last.seq)
    return Page(entries=entries, following=following)


def tail(engine: Engine, *, after: int = -1, limit: int = 100) -> tuple[Entry, ...]:
    """The entries whose number is greater than ``after``, oldest first.

    Numbers are given at commit and have no gap: who asks again with the last number misses none.
    """
    if not 1 <= limit <= PAGE_LIMIT:
        raise OurFault("ledger-filter-invalid", f"A page has 1 to {PAGE_LIMIT} entries.")
    query = (
        select(ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.leaf)
        .where(ENTRY.c.seq > after)
        .order_by(ENTRY.c.seq)
        .limit(limit)
    )
    with engine.connect() as connection:
        return tuple(read(row) for row in connection.execute(query))


def read(row: Row[Any, Any, Any]) -> Entry:
    """An entry of a row (seq, entry_id, leaf)."""
    seq, entry_id, data = row
    return Entry(seq=seq, entry_id=entry_id, data=data, fields=leaf.decode(data))


def _chosen(
    chosen: LedgerFilter, key: LedgerKey | None, *, in_log_order: bool = False
) -> tuple[Select[Any], ColumnElement[int], ColumnElement[int]]:
    """The entries of a filter, with the time and number columns that they are paged by.

    ``in_log_order`` writes the conditions as expressions, which no index serves.
    """
    query = select(ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.leaf)
    tokens = _tokens(chosen, key)
    t: ColumnElement[int] = ENTRY.c.t + 0 if in_log_order else ENTRY.c.t
    seq: ColumnElement[int] = ENTRY.c.seq
    for number, token in enumerate(tokens):
        table = TOKEN.alias(f"token{number}")
        query = query.join(table, and_(table.c.seq == ENTRY.c.seq, table.c.token == token))
        if number == 0:
            # the order of the token's own index, so that a page is read from it
            t, seq = table.c.t, table.c.seq
    if chosen.kind not in (None, leaf.Kind.EXCHANGE):
        query = query.where(NO_EXCHANGE)  # what the index by kind holds
    for column, value in (
        (ENTRY.c.kind, chosen.kind),
        (ENTRY.c.peer, chosen.peer),
        (ENTRY.c.txn, chosen.act),
        (ENTRY.c.txn, chosen.transaction),
        (ENTRY.c.outcome, chosen.outcome),
        (ENTRY.c.direction, chosen.direction),
        (ENTRY.c.purpose, chosen.purpose),
        (ENTRY.c.reason, chosen.reason),
        (ENTRY.c.exchange_id, chosen.exchange_id),
        (ENTRY.c.msg, chosen.message_id if leaf.fits("msg", chosen.message_id) else None),
        (ENTRY.c.rel, chosen.relates_to),
    ):
        if value is not None:
            query = query.where((column.concat("") if in_log_order else column) == str(value))
    if chosen.since is not None:
        query = query.where(t >= _instant(chosen.since))
    if chosen.until is not None:
        query = query.where(t < _instant(chosen.until))
    return query, t, seq


def _tokens(chosen: LedgerFilter, key: LedgerKey | None) -> list[bytes]:
    wanted = _subjects(chosen)
    if wanted and key is None:
        raise OurFault("ledger-filter-invalid", "This filter needs the ledger key of the node.")
    return [key.token(subject, value) for subject, value in wanted] if key else []


def _subjects(chosen: LedgerFilter) -> list[tuple[str, str]]:
    """What is found by its token, as (subject, value)."""
    wanted: list[tuple[str, str]] = []
    if chosen.patient is not None:
        wanted.append(("patient", chosen.patient.cx))
    if chosen.user is not None:
        wanted.append(("user", chosen.user))
    if chosen.document is not None:
        wanted.append(("document", chosen.document))
    if chosen.message_id is not None and not leaf.fits("msg", chosen.message_id):
        wanted.append(("message", chosen.message_id))
    return wanted


def _instant(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise OurFault("ledger-filter-invalid", "An instant in a filter has no time zone.")
    return leaf.milliseconds(instant)
