"""How many entries a second become durable, for ``make bench`` and by hand.

``python -m tests.ledger.ledger_rate [URL]`` prints the table; without a URL it uses SQLite in a
temporary folder.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from node.exchange.ports import Receipt
from node.ledger.ledger import ExchangeLedger, SealedEntry, seal_entry, write_entries
from node.ledger.private import LedgerKey
from node.model import LegId
from node.storage.engine import migrate, open_engine
from node.storage.writer import GroupWriter
from tests.ledger.records import record

_ENTROPY = 444


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A measured rate: entries, wall-clock seconds, CPU seconds of the whole process."""

    entries: int
    seconds: float
    cpu: float

    @property
    def per_second(self) -> float:
        return self.entries / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        return self.cpu / self.entries * 1e6


async def append_rate(engine: Engine, *, entries: int, appenders: int) -> Rate:
    """Whole appends: leaf, commitments, sealing of five groups, tokens, durable commit."""
    ledger = ExchangeLedger(engine, LedgerKey(os.urandom(32)))
    # ids of their own: the log may have entries of an earlier run
    records = iter([record(leg_id=LegId(str(uuid.uuid4()))) for _ in range(entries)])

    async def work() -> None:
        for made in records:
            await ledger.append(made)

    return await _measured(work, entries, appenders, ledger.close)


def seal_rate(*, entries: int) -> Rate:
    """The callers' share alone: leaf, commitments, five sealed groups, tokens."""
    key, purposes = LedgerKey(os.urandom(32)), frozenset({"T-TREAT"})
    records = [record() for _ in range(entries)]
    clock, cpu = time.perf_counter(), time.process_time()
    for made in records:
        seal_entry(made, key=key, purposes=purposes, entropy=os.urandom(_ENTROPY))
    return Rate(entries=entries, seconds=time.perf_counter() - clock, cpu=time.process_time() - cpu)


async def write_rate(engine: Engine, *, entries: int, appenders: int) -> Rate:
    """The writer alone: entries sealed before, numbered and durable one by one per appender."""
    key = LedgerKey(os.urandom(32))
    purposes = frozenset({"T-TREAT"})
    sealed = iter(
        [
            seal_entry(record(), key=key, purposes=purposes, entropy=os.urandom(_ENTROPY))
            for _ in range(entries)
        ]
    )
    writer = GroupWriter[SealedEntry, Receipt](engine, write_entries)

    async def work() -> None:
        for entry in sealed:
            await writer.submit(entry)

    return await _measured(work, entries, appenders, writer.close)


async def _measured(work, entries, appenders, close) -> Rate:  # type: ignore[no-untyped-def]
    clock, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(appenders)))
    taken = Rate(
        entries=entries, seconds=time.perf_counter() - clock, cpu=time.process_time() - cpu
    )
    close()
    return taken


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'node.db'}"
        engine = open_engine(url)
        migrate(engine)
        print(f"seal {seal_rate(entries=10_000).cpu_microseconds:39.0f} µs CPU each")  # noqa: T201
        for name, measure in (("append", append_rate), ("write", write_rate)):
            for appenders in (1, 32, 512):
                entries = 500 if appenders == 1 else 10_000
                rate = asyncio.run(measure(engine, entries=entries, appenders=appenders))
                print(  # noqa: T201  a table for people
                    f"{name:8}{appenders:5} appenders {rate.per_second:9.0f} entries/s "
                    f"{rate.cpu_microseconds:7.0f} µs CPU each"
                )
        engine.dispose()


if __name__ == "__main__":
    main()
