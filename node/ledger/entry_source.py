"""Durable entries for the sealer, straight from the database; and the log's own heartbeats."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, select

from node.errors import OurFault
from node.exchange.ports import Receipt
from node.ledger import leaf
from node.ledger.ledger import seal_draft, write_entries
from node.ledger.private import LedgerKey
from node.ledger.record import Draft
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY


class StoredEntries:
    """Implements ``sealer.EntrySource``.

    Numbers are given inside the transaction that writes and become visible in their order, so what
    can be read has no gap unless somebody took a row out.
    """

    def __init__(self, engine: Engine) -> None:
        """``engine`` is only read."""
        self._engine = engine

    def read(self, first: int, limit: int) -> Sequence[bytes]:
        """Entries from a number on.

        Raises:
            OurFault: ``log-entry-lost``.
        """
        query = (
            select(ENTRY.c.seq, ENTRY.c.leaf)
            .where(ENTRY.c.seq >= first)
            .order_by(ENTRY.c.seq)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        for number, row in enumerate(rows, start=first):
            if row.seq != number:
                raise OurFault(
                    "log-entry-lost", f"Entry {number} is not in the database, but later ones are."
                )
        return [row.leaf for row in rows]


def write_heartbeat(engine: Engine, key: LedgerKey, *, own: str, now: datetime) -> Receipt:
    """Write an entry that says nothing but that the node runs (facts: tamper-evident-log C6).

    Raises:
        OurFault: as ``ledger.write_entries``.
    """
    fields: dict[str, str | int] = {
        "v": leaf.VERSION,
        "kind": leaf.Kind.HEARTBEAT.value,
        "id": str(uuid.uuid4()),
        "t": leaf.from_time(now),
        "seq": 0,
        "own": own,
    }
    entry = seal_draft(Draft(fields=fields, groups={}, checked=set()), key=key, entropy=b"")
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        return write_entries(connection, [entry], again=False)[0]
