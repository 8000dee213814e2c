"""Drops the entries of a year whose time is over, bundle by bundle (facts: tamper-evident-log C7).

What goes: rows, private groups, search tokens, promises, and at the end the bundles, the hashes
right above them and the earlier checkpoints. What stays: see ``retired_log`` and ``kept_back``.

Each bundle is a transaction of its own: first the proofs of what is kept back are on disk, then the
rows go and ``log_retirement`` says how far it is. Whatever ends a pass, the next run goes on from
there. A pass is an entry when it begins and one when it is done. Running it again later drops what
was kept back and needs not be any more: holds end and people come of age.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, RowMapping, delete, select, update
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite
from sqlmodel import SQLModel

from node.errors import OurFault
from node.ledger import leaf, private
from node.ledger.compared import YearLog
from node.ledger.hold import lock_log
from node.ledger.kept_back import KeptBack, Why
from node.ledger.ledger import seal_draft, write_entries
from node.ledger.log_verify import verify_log
from node.ledger.private import LedgerKey
from node.ledger.retention_rules import Rules
from node.ledger.retired_log import (
    RETAIN,
    Kept,
    Retired,
    read_kept,
    write_kept,
    write_retired,
)
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.edge import tree_of
from node.ledger.tlog.tiles import WIDTH, Tile, tile_at
from node.ledger.trust_change import Author, Step, TrustChange, draft_change
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY, PRIVATE, RETIREMENT

Reached = Callable[[int, int], None]
"""Told after each bundle: entries looked at, and how many there are."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """How many entries go, and how many are kept back, by the reason."""

    dropped: int = 0
    kept: Counter[Why] = field(default_factory=Counter)
    unknown: int = 0
    """Exchanges without a known birth date among those that go."""


class Retainer:
    """Plans or makes one pass over one year's log. The schema must be migrated before."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        log: YearLog,
        rules: Rules,
        *,
        own: str,
        author: Author,
        now: datetime,
        reached: Reached = lambda _done, _all: None,
    ) -> None:
        """``own`` is our HCID, ``author`` who orders it, ``now`` the time of the whole pass."""
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._log = log
        self._rules = rules
        self._own = own
        self._author = author
        self._now = now
        self._reached = reached
        self._judge = KeptBack(key, rules, now)

    def plan(self) -> Tally:
        """What a pass would do now; nothing is changed."""
        tally = Tally()
        size = self._log.size
        for first in range(0, size, WIDTH):
            with self._engine.execution_options(**{IMMEDIATE: False}).connect() as connection:
                rows = self._rows(connection, first)
                kept = self._judge.judge(connection, rows)
            tally.kept.update(kept.values())
            tally.dropped += len(rows) - len(kept)
            self._reached(min(first + WIDTH, size), size)
        tally.unknown = self._judge.unknown
        return tally

    def run(self) -> Tally:
        """Make a pass, or go on with one that was ended before.

        Raises:
            OurFault: ``log-retain-refused``: it is not due, or it does not hold as it is: what may
                be evidence is not dropped.
            LogError: when the log's files cannot be read.
            OSError: when a file cannot be written; a later run goes on.
        """
        if self._now < self._rules.due(self._log.year):
            due = self._rules.due(self._log.year)
            raise OurFault(
                "log-retain-refused",
                f"The log of {self._log.year} is kept until {due:%Y-%m-%d}.",
            )
        state = self._begin()
        tally = Tally()
        size = state["size"]
        target = Checkpoint(origin=state["origin"], size=size, root=bytes(state["root"]))
        start = max(0, state["reached"] - self._log.shard.first)
        for first in range(start - start % WIDTH, size, WIDTH):
            with self._engine.begin() as connection:
                self._drop(connection, first, target, tally)
            self._reached(min(first + WIDTH, size), size)
        tally.unknown = self._judge.unknown
        self._drop_files(target)
        self._end(target)
        return tally

    # --- a pass ---------------------------------------------------------------------------------

    def _begin(self) -> RowMapping:
        """The pass that is under way, or a new one."""
        state = self._state()
        if state is not None and state["ended"] is None:
            return state
        target = self._checked()
        with self._engine.begin() as connection:
            lock_log(connection)
            counts = {"size": target.size, "first": self._log.shard.first}
            begun = self._write(connection, self._change(target, counts), Step.BEGUN)
            fresh = {
                "origin": target.origin,
                "first": self._log.shard.first,
                "size": target.size,
                "root": target.root,
                "due": leaf.milliseconds(self._rules.due(self._log.year)),
                "begun": begun,
                "reached": self._log.shard.first,
                "dropped": 0,
                "kept": 0,
                "ended": None,
            }
            sqlite = self._engine.dialect.name == "sqlite"
            query = (insert_sqlite if sqlite else insert_postgresql)(RETIREMENT)
            row = query.values(year=self._log.year, **fresh)
            connection.execute(row.on_conflict_do_update(index_elements=["year"], set_=fresh))
        state = self._state()
        if state is None:  # pragma: no cover  # it was written just now
            raise RuntimeError
        return state

    def _checked(self) -> Checkpoint:
        """The log's end, after checking that all of the log still holds."""
        memory = [("signed", self._log.memory)] if self._log.memory is not None else []
        found = verify_log(self._log.folder, self._log.policy, earlier=memory)
        if not found.ok or found.origin is None:
            first = f" {found.findings[0].sentence}" if found.findings else ""
            raise OurFault(
                "log-retain-refused",
                f"The log of {self._log.year} does not hold, and is left as it is.{first}",
            )
        if not found.ended:
            raise OurFault("log-retain-refused", f"The log of {self._log.year} has not ended yet.")
        return Checkpoint(origin=found.origin, size=found.size, root=found.root)

    def _drop(self, connection: Connection, first: int, target: Checkpoint, tally: Tally) -> None:
        lock_log(connection)  # no hold is placed and nothing is erased beside this
        rows = self._rows(connection, first)
        kept = self._judge.judge(connection, rows)
        write_kept(self._log.folder, first // WIDTH, self._proved(first, rows, kept, target))
        gone = [row["seq"] for row in rows if row["seq"] not in kept]
        for column in _referring():
            connection.execute(delete(column.table).where(column.in_(gone)))
        connection.execute(delete(ENTRY).where(ENTRY.c.seq.in_(gone)))
        connection.execute(
            update(RETIREMENT)
            .where(RETIREMENT.c.year == self._log.year)
            .values(
                reached=self._log.shard.first + first + WIDTH,
                dropped=RETIREMENT.c.dropped + len(gone),
                kept=RETIREMENT.c.kept + len(kept),
            )
        )
        tally.dropped += len(gone)
        tally.kept.update(kept.values())

    def _proved(
        self,
        first: int,
        rows: Sequence[Mapping[str, Any]],
        kept: Mapping[int, Why],
        target: Checkpoint,
    ) -> list[Kept]:
        """What is kept back of a bundle, with proofs: made from the tiles, or those made before."""
        if not kept:
            return []
        former = {each.index: each for each in read_kept(self._log.folder, first // WIDTH)}
        tree = tree_of(target.size, self._log.folder)
        found = []
        for row in rows:
            index = row["seq"] - self._log.shard.first
            if row["seq"] not in kept:
                continue
            made = former.get(index) or Kept(
                index=index, entry=bytes(row["leaf"]), proof=tree.inclusion(index)
            )
            found.append(made)
        return found

    def _rows(self, connection: Connection, first: int) -> list[dict[str, Any]]:
        """The entries that are left of a bundle."""
        start = self._log.shard.first + first
        stop = min(start + WIDTH, self._log.shard.first + self._log.size)
        columns = (ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.kind, ENTRY.c.txn, ENTRY.c.t)
        query = (
            select(*columns, ENTRY.c.leaf, PRIVATE.c.patient, PRIVATE.c.query)
            .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
            .where(ENTRY.c.seq >= start, ENTRY.c.seq < stop)
            .order_by(ENTRY.c.seq)
        )
        return [dict(row) for row in connection.execute(query).mappings()]

    def _drop_files(self, target: Checkpoint) -> None:
        """Say what the log is now, then remove what it does not have any more."""
        folder = self._log.folder
        last = -(-target.size // WIDTH)
        bundles = tuple(number for number in range(last) if self._has_kept(number))
        kept = sum(len(read_kept(folder, number)) for number in bundles)
        retired = Retired(
            origin=target.origin,
            first=self._log.shard.first,
            size=target.size,
            root=target.root,
            until=self._rules.due(self._log.year),
            kept=kept,
            bundles=bundles,
        )
        write_retired(folder, retired)
        shutil.rmtree(folder.path / "tile" / "entries", ignore_errors=True)
        shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)
        edge = tile_at(0, target.size // WIDTH, target.size)
        for number in range(target.size // WIDTH):
            (folder.path / Tile(level=0, number=number).path).unlink(missing_ok=True)
            self._reached(min((number + 1) * WIDTH, target.size), target.size)
        for path in _partial(folder.path / "tile" / "0"):
            if edge is None or path != folder.path / edge.path:
                path.unlink()

    def _has_kept(self, number: int) -> bool:
        return bool(read_kept(self._log.folder, number))

    def _end(self, target: Checkpoint) -> None:
        with self._engine.begin() as connection:
            lock_log(connection)
            state = self._state(connection)
            counts = {
                "size": target.size,
                "first": self._log.shard.first,
                "entries": state["dropped"] if state else 0,
                "kept": state["kept"] if state else 0,
            }
            begun = state["begun"] if state else None
            self._write(connection, self._change(target, counts), Step.DONE, begun)
            connection.execute(
                update(RETIREMENT)
                .where(RETIREMENT.c.year == self._log.year)
                .values(ended=leaf.milliseconds(self._now))
            )

    # --- what is written ------------------------------------------------------------------------

    def _change(self, target: Checkpoint, counts: Mapping[str, int]) -> TrustChange:
        return TrustChange(act=RETAIN, log=target.origin, root=target.root.hex(), counts=counts)

    def _write(
        self, connection: Connection, change: TrustChange, step: Step, begun: int | None = None
    ) -> int:
        made = draft_change(
            change,
            step=step,
            begun=begun,
            author=self._author,
            own=self._own,
            entry_id=str(uuid.uuid4()),
            now=self._now,
        )
        entropy = os.urandom(private.ENTROPY * len(made.groups))
        entry = seal_draft(made, key=self._key, entropy=entropy)
        (receipt,) = write_entries(connection, [entry], again=False)
        return receipt.seq

    def _state(self, connection: Connection | None = None) -> RowMapping | None:
        query = select(RETIREMENT).where(RETIREMENT.c.year == self._log.year)
        if connection is not None:
            return connection.execute(query).mappings().one_or_none()
        with self._engine.connect() as other:
            return other.execute(query).mappings().one_or_none()


def _partial(folder: Path) -> Iterator[Path]:
    """Partial tiles of level 0."""
    yield from (path for path in folder.rglob("*.p/*") if path.is_file())


def _referring() -> list[Column[int]]:
    """The columns of all tables that name an entry by its number."""
    return [
        key.parent
        for table in SQLModel.metadata.sorted_tables[::-1]
        for key in table.foreign_keys
        if key.column.table is ENTRY
    ]
