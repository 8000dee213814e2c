"""How many ledger entries become durable in a second, and what one costs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from node.storage.engine import migrate, open_engine
from tests.bench.row import Row, Sizes, alternately, compared
from tests.ledger.ledger_rate import Rate, append_rate, write_rate

_APPENDERS = (1, 32, 512)
_ALONE = 10


def ledger_rows(sizes: Sizes) -> Iterator[Row]:
    """Entries a second on SQLite by number of appenders; CPU per entry against the writer alone.

    The floor is the writer with entries that were sealed before.
    """
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'node.db'}")
        migrate(engine)
        for appenders in _APPENDERS:
            entries = sizes.entries if appenders > 1 else sizes.entries // _ALONE
            appended: list[Rate] = []
            written: list[Rate] = []

            def append(kept=appended, n=entries, by=appenders) -> float:  # type: ignore[no-untyped-def]
                kept.append(asyncio.run(append_rate(engine, entries=n, appenders=by)))
                return kept[-1].cpu_microseconds

            def write(kept=written, n=entries, by=appenders) -> float:  # type: ignore[no-untyped-def]
                kept.append(asyncio.run(write_rate(engine, entries=n, appenders=by)))
                return kept[-1].cpu_microseconds

            costs, floors = alternately([append, write], sizes.rounds // 2)
            at_once = f"{appenders} at a time"
            yield Row(
                name=f"durable ledger entries, {at_once}",
                value=median(rate.per_second for rate in appended),
                unit="entries/s",
            )
            yield compared(f"ledger append, {at_once}", "µs CPU/entry", costs, floors)
        engine.dispose()
