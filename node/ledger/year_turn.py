"""From one year's log to the next: two entries that name each other (facts: tamper-evident-log C6).

The last entry of a log names its successor (``log-close``); the first one of the next names its
predecessor, with its size and root at its end (``log-open``). They are written next to each other
in one transaction, while nothing else is appended, so that no entry can come between them and the
root is known. Whoever seals stops after a ``log-close``: what ends a log is in the log, not in a
clock, and a process that dies anywhere between finds it there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, select

from node.ledger.hold import lock_log
from node.ledger.log_link import CLOSE, OPEN, successor
from node.ledger.private import LedgerKey
from node.ledger.tlog.audit import LogReader
from node.ledger.tlog.edge import tree_of
from node.ledger.tlog.merkle import Frontier, leaf_hash
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import NODE, write_fact
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY

_AT_ONCE: Final = 2048


def turn_year(
    engine: Engine,
    key: LedgerKey,
    reader: LogReader,
    *,
    own: str,
    origins: tuple[str, str],
    first: int,
    size: int,
    now: datetime,
) -> None:
    """End a log and begin the next one, unless that was done already.

    Args:
        engine: of the log's database.
        key: seals who did it.
        reader: the files of the log that ends.
        own: our HCID.
        origins: of the log that ends and of its successor.
        first: number of the first entry of the log that ends.
        size: how many of its entries are sealed.
        now: the current time.

    Raises:
        LogError: when the log's tiles cannot be read.
        OurFault: as ``ledger.write_entries``.
    """
    ending, following = origins
    tree = Frontier(size, tree_of(size, reader).frontier())
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        lock_log(connection)
        for data in _rest(connection, first + size):
            if successor(data) is not None:
                return
            tree.append(leaf_hash(data))
        closing = TrustChange(act=CLOSE, log=following)
        tree.append(leaf_hash(_write(connection, key, closing, own=own, now=now)))
        opening = TrustChange(
            act=OPEN, log=ending, root=tree.root().hex(), counts={"size": tree.size}
        )
        _write(connection, key, opening, own=own, now=now)


def _rest(connection: Connection, first: int) -> Iterator[bytes]:
    """The entries that are not sealed yet."""
    while True:
        query = select(ENTRY.c.leaf).where(ENTRY.c.seq >= first, ENTRY.c.seq < first + _AT_ONCE)
        rows = connection.execute(query.order_by(ENTRY.c.seq)).scalars().all()
        yield from (bytes(row) for row in rows)
        if len(rows) < _AT_ONCE:
            return
        first += len(rows)


def _write(
    connection: Connection, key: LedgerKey, change: TrustChange, *, own: str, now: datetime
) -> bytes:
    return write_fact(connection, key, change, author=NODE, own=own, now=now)[1]
