"""Counts what is new in the log for each peer, exactly once, in small steps.

A step takes at most ``STEP`` entries behind the cursor and works out what they say. Then, under the
lock of the cursor's row, it adds that to the tallies, marks the legs and moves the cursor, in one
transaction; where another node has moved it meanwhile nothing is written, and the step begins
again from there. Numbers of entries are given in the order in which they become durable, so no
entry appears behind the cursor later.

A leg counts for the day (UTC) on which it began. Days that are no longer kept are not counted, and
dropped at the end of a round. Connectivity tests of ours count: the rows behind a number have them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Row, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from node.errors import OurFault
from node.governance.durations import bucket_of
from node.governance.marks import ANSWERED, DUPLICATE, NOT_SENT, UNREADABLE, marks_of
from node.ledger import leaf
from node.ledger.leaf import Kind
from node.ledger.leaf_check import fields_of
from node.ledger.private import LedgerKey, unseal
from node.model import Direction, Transaction
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY, PRIVATE
from node.storage.tally_tables import DURATION, MARK, SEEN_DOCUMENT, TALLIED, TALLY

STEP: Final = 1000
"""Entries of one transaction; what is worked out before it holds up nobody."""

DAY_MS: Final = 86_400_000
UNREADABLE_ACT: Final = "document-unreadable"
"""The act of the entry that says so; it names the retrieve's entry as ``first``."""

_COLUMNS: Final = (
    ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.kind, ENTRY.c.t.label("began"), ENTRY.c.txn,
    ENTRY.c.leaf, PRIVATE.c.docs,
)  # fmt: skip
_AT_ONCE: Final = 500
_KEYS: Final = {
    TALLY: ("peer", "day", "direction", "txn", "outcome", "purpose", "mark"),
    DURATION: ("peer", "day", "direction", "txn", "bucket"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a round did; ``more``: its limit came before the end of the log."""

    entries: int
    more: bool


@dataclass(slots=True)
class _Found:
    """What a step has to write."""

    alike: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    took: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    marks: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[bytes, dict[str, Any]] = field(default_factory=dict)

    def mark(self, leg: _Leg, mark: str) -> None:
        self.alike[*leg.alike, mark] += 1
        self.marks.append({"mark": mark, "t": leg.t, "seq": leg.seq})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    """An exchange entry as it counts."""

    seq: int
    t: int
    peer: str
    direction: str
    txn: str
    outcome: str
    purpose: str

    @property
    def day(self) -> int:
        return self.t // DAY_MS

    @property
    def alike(self) -> tuple[Any, ...]:
        return (self.peer, self.day, self.direction, self.txn, self.outcome, self.purpose)


class Tallier:
    """Counts a node's log. Usable from several threads and processes."""

    def __init__(self, engine: Engine, key: LedgerKey, *, days: int) -> None:
        """``days`` are kept, today among them; ``key`` opens what documents came."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._upsert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        self._key = key
        self._days = days

    def run(
        self, *, now: datetime, most: int | None = None, rest: Callable[[], None] = lambda: None
    ) -> Round:
        """Count what is new, up to about ``most`` entries; ``rest`` is called between two steps.

        Raises:
            OurFault: ``ledger-leaf-invalid`` for a stored entry that is none; its step and what
                comes behind it are not counted.
        """
        kept_from = leaf.milliseconds(now) // DAY_MS - self._days + 1
        done, more = 0, True
        while more and (most is None or done < most):
            taken, more = self._step(kept_from)
            done += taken
            rest()
        self._drop(kept_from)
        return Round(entries=done, more=more)

    def behind(self, limit: int) -> int:
        """How many entries are not counted yet; above ``limit`` one more than it."""
        with self._engine.connect() as connection:
            reached = connection.execute(select(TALLIED.c.reached)).scalar()
            new = select(ENTRY.c.seq).where(ENTRY.c.seq > (-1 if reached is None else reached))
            counted = select(func.count()).select_from(new.limit(limit + 1).subquery())
            return int(connection.execute(counted).scalar_one())

    def rebuild(self, *, now: datetime, rest: Callable[[], None] = lambda: None) -> Round:
        """Forget every number and count anew what the log has of the days that are kept.

        What was erased since is not counted again: which documents came in an erased group.
        """
        kept_from = leaf.milliseconds(now) // DAY_MS - self._days + 1
        with self._immediate.begin() as connection:
            self._locked(connection, kept_from)
            for table in (TALLY, DURATION, MARK, SEEN_DOCUMENT):
                connection.execute(delete(table))
            _move(connection, reached=_before(connection, kept_from), kept_from=kept_from)
        return self.run(now=now, rest=rest)

    def _step(self, kept_from: int) -> tuple[int, bool]:
        """Count the next entries: how many, and whether there may be more."""
        with self._engine.connect() as connection:
            reached = connection.execute(select(TALLIED.c.reached)).scalar()
            if reached is None:
                reached = _before(connection, kept_from)
            rows = connection.execute(
                select(*_COLUMNS)
                .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
                .where(ENTRY.c.seq > reached)
                .order_by(ENTRY.c.seq)
                .limit(STEP)
            ).all()
            if not rows:
                return 0, False
            found = _Found()
            retrieves: list[tuple[_Leg, list[tuple[bytes, bytes]]]] = []
            for row in rows:
                leg = self._count(connection, row, kept_from, found)
                if leg is not None:
                    retrieves.append((leg, list(_documents(self._key, leg.peer, row))))
            _repeated(connection, retrieves, found)
        with self._immediate.begin() as connection:
            if self._locked(connection, kept_from) != reached:
                return 0, True  # another node was faster
            self._write(connection, found)
            _move(connection, reached=rows[-1].seq)
        return len(rows), len(rows) == STEP

    def _count(
        self, connection: Connection, row: Row[*tuple[Any, ...]], kept_from: int, found: _Found
    ) -> _Leg | None:
        """Count an entry; the leg when it is a retrieve of ours, whose documents are looked at."""
        if row.kind == Kind.ADMIN.value and row.txn == UNREADABLE_ACT:
            unreadable = _leg_at(connection, int(fields_of(row.leaf).get("first", -1)))
            if unreadable is not None and unreadable.day >= kept_from:
                _mark_once(connection, unreadable, UNREADABLE, found)
            return None
        if row.kind != Kind.EXCHANGE.value or row.began // DAY_MS < kept_from:
            return None
        fields = fields_of(row.leaf)
        leg = _leg(row.seq, row.began, fields)
        if leg is None:
            return None
        found.alike[*leg.alike, ""] += 1
        marks = marks_of(fields)
        for mark in marks:
            found.mark(leg, mark)
        if leg.outcome in ANSWERED and NOT_SENT not in marks:
            place = (leg.peer, leg.day, leg.direction, leg.txn)
            found.took[*place, bucket_of(int(fields["dur_ms"]))] += 1
        ours = leg.txn == Transaction.ITI_39 and leg.direction == Direction.INITIATING
        return leg if ours and row.docs is not None else None

    def _write(self, connection: Connection, found: _Found) -> None:
        self._add(connection, TALLY, found.alike)
        self._add(connection, DURATION, found.took)
        for table, rows in ((MARK, found.marks), (SEEN_DOCUMENT, list(found.seen.values()))):
            if rows:
                connection.execute(self._upsert(table).on_conflict_do_nothing(), rows)

    def _add(
        self, connection: Connection, table: Table, counts: Mapping[tuple[Any, ...], int]
    ) -> None:
        names = _KEYS[table]
        rows = [
            dict(zip(names, place, strict=True)) | {"number": number}
            # in one order everywhere, so that two writers never wait for each other
            for place, number in sorted(counts.items())
        ]
        if rows:
            made = self._upsert(table)
            added = {"number": table.c.number + made.excluded.number}
            connection.execute(made.on_conflict_do_update(index_elements=names, set_=added), rows)

    def _drop(self, kept_from: int) -> None:
        """Forget the days that are over, once a day."""
        with self._engine.connect() as connection:
            former = connection.execute(select(TALLIED.c.kept_from)).scalar()
        if former is None or former >= kept_from:
            return
        with self._immediate.begin() as connection:
            self._locked(connection, kept_from)
            for table in (TALLY, DURATION, SEEN_DOCUMENT):
                connection.execute(delete(table).where(table.c.day < kept_from))
            connection.execute(delete(MARK).where(MARK.c.t < kept_from * DAY_MS))
            _move(connection, kept_from=kept_from)

    def _locked(self, connection: Connection, kept_from: int) -> int:
        """The last entry that was counted; nobody else counts until the transaction ends."""
        if connection.execute(select(TALLIED.c.id)).scalar() is None:
            begun = {"id": 1, "reached": _before(connection, kept_from), "kept_from": kept_from}
            connection.execute(self._upsert(TALLIED).values(begun).on_conflict_do_nothing())
        return int(connection.execute(select(TALLIED.c.reached).with_for_update()).scalar_one())


def _move(connection: Connection, **cursor: int) -> None:
    connection.execute(update(TALLIED).values(**cursor))


def _before(connection: Connection, day: int) -> int:
    """The number before the lowest entry that began on a day or later."""
    query = select(ENTRY.c.seq).where(ENTRY.c.t >= day * DAY_MS).order_by(ENTRY.c.t, ENTRY.c.seq)
    first = connection.execute(query.limit(1)).scalar()
    if first is not None:
        return int(first) - 1
    newest = connection.execute(select(ENTRY.c.seq).order_by(ENTRY.c.seq.desc()).limit(1)).scalar()
    return -1 if newest is None else int(newest)


def _leg(seq: int, t: int, fields: Mapping[str, str | int]) -> _Leg | None:
    """An exchange entry as it counts; ``None`` where nobody knows with whom it was."""
    if "peer" not in fields:
        return None
    return _Leg(
        seq=seq,
        t=t,
        peer=str(fields["peer"]),
        direction=str(fields["dir"]),
        txn=str(fields["txn"]),
        outcome=str(fields["outcome"]),
        purpose=str(fields.get("purpose", "")),
    )


def _leg_at(connection: Connection, seq: int) -> _Leg | None:
    query = select(ENTRY.c.t.label("began"), ENTRY.c.kind, ENTRY.c.leaf).where(ENTRY.c.seq == seq)
    row = connection.execute(query).one_or_none()
    if row is None or row.kind != Kind.EXCHANGE.value:
        return None
    return _leg(seq, row.began, fields_of(row.leaf))


def _mark_once(connection: Connection, leg: _Leg, mark: str, found: _Found) -> None:
    """Mark a leg unless it is: of one retrieve several documents may be unreadable."""
    place = {"mark": mark, "t": leg.t, "seq": leg.seq}
    known = select(MARK.c.seq).where(MARK.c.mark == mark, MARK.c.t == leg.t, MARK.c.seq == leg.seq)
    if place not in found.marks and connection.execute(known).scalar() is None:
        found.mark(leg, mark)


def _repeated(
    connection: Connection,
    retrieves: Sequence[tuple[_Leg, list[tuple[bytes, bytes]]]],
    found: _Found,
) -> None:
    """Mark the retrieves with a document that came under another id from this peer before."""
    contents = list({content for _, documents in retrieves for content, _ in documents})
    known: dict[bytes, bytes] = {}
    for first in range(0, len(contents), _AT_ONCE):
        query = select(SEEN_DOCUMENT.c.content, SEEN_DOCUMENT.c.document).where(
            SEEN_DOCUMENT.c.content.in_(contents[first : first + _AT_ONCE])
        )
        known |= {bytes(row.content): bytes(row.document) for row in connection.execute(query)}
    for leg, documents in retrieves:
        for content, document in documents:
            if content not in known:
                known[content] = document
                found.seen[content] = {
                    "content": content, "document": document, "day": leg.day, "seq": leg.seq,
                }  # fmt: skip
        if any(known[content] != document for content, document in documents):
            found.mark(leg, DUPLICATE)


def _documents(
    key: LedgerKey, peer: str, row: Row[*tuple[Any, ...]]
) -> Iterator[tuple[bytes, bytes]]:
    """Keyed tokens of the bytes and of the id of each document of a retrieve."""
    try:
        group = unseal(key, row.entry_id, "docs", row.docs).value
    except (OurFault, orjson.JSONDecodeError):
        return
    for each in _dicts(group):
        digest, name = each.get("sha256"), each.get("id")
        if isinstance(digest, str) and isinstance(name, str):
            yield key.token("content", f"{peer} {digest}"), key.token("document", name)


def _dicts(group: object) -> Iterable[dict[str, object]]:
    return [each for each in group if isinstance(each, dict)] if isinstance(group, list) else ()
