"""``make bench-log``: a log of ten million entries beside one of a hundred thousand.

Makes both on each engine, measures every filter on them in turns, then exports and appends; prints
a table and writes rows as ``bench.json`` has them. It takes about an hour for each engine on two
cores, and 25 GB of disk at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import orjson

from node.ledger.export import Format
from node.ledger.private import LedgerKey
from tests.bench.big_log import Shape, log
from tests.bench.big_log_store import fill, sink_of
from tests.bench.console_export import console_export_rows
from tests.bench.console_pages import page_rows
from tests.bench.log_filters import Log, filter_rows, opened_log
from tests.bench.report import report
from tests.bench.row import Row, alternately
from tests.bench.sweeps import sweep_rows
from tests.ledger.ledger_rate import append_rate
from tests.postgres import PostgresServer

_KEK: Final = hashlib.sha256(b"a made log's key is nobody's").digest()
KEY: Final = LedgerKey(_KEK)
ENGINES: Final = ("sqlite", "postgresql")
_FORMATS: Final = (Format.NDJSON, Format.CSV, Format.PARQUET)
_EXPORTED: Final = 200_000
_SWEPT: Final = 1_000_000
_APPENDERS: Final = 32
_APPENDED: Final = 1000
_SERVER: Final = {"shared_buffers": "512MB", "max_wal_size": "3GB", "maintenance_work_mem": "512MB"}


def log_rows(engine: str, folder: Path, *, small: int, large: int, values: int) -> Iterator[Row]:
    """All rows of one engine; both logs are made and deleted."""
    with _databases(engine, folder) as urls:
        for url, entries in zip(urls, (small, large), strict=True):
            started = time.perf_counter()
            fill([sink_of(url)], log(Shape(entries=entries), KEY))
            yield Row(
                name=f"log of {entries:,} made ({engine})",
                value=time.perf_counter() - started,
                unit="s",
            )
        yield from measured(urls, (small, large), values=values)


def measured(
    urls: Sequence[str], entries: Sequence[int], *, values: int, appended: int = _APPENDED
) -> Iterator[Row]:
    """The rows of two logs that were made before, the small one first.

    Each turn of the measurement of appends adds ``appended`` entries.
    """
    logs = [
        opened_log(url, Shape(entries=number), KEY)
        for url, number in zip(urls, entries, strict=True)
    ]
    yield from filter_rows(*logs, values=values)
    yield from page_rows(urls[1], logs[1], _KEK, values=values)
    yield from _export_rows(urls[1], logs[1])
    yield from console_export_rows(urls[1], _KEK, logs[1].engine.dialect.name)
    yield from _append_rows(logs, appended)
    for made in logs:
        made.engine.dispose()


def _export_rows(url: str, made: Log) -> Iterator[Row]:
    name = made.engine.dialect.name
    bound = min(_EXPORTED, made.shape.entries) - 1
    for how in _FORMATS:
        # a process of its own: its memory is the export's alone
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.log_export", url, how, str(bound)],
            check=True, capture_output=True,
        )  # fmt: skip
        found = orjson.loads(done.stdout)
        yield Row(
            name=f"log export, {how} ({name})",
            value=(bound + 1) / found["seconds"],
            unit="entries/s",
        )
        yield Row(name=f"log export, {how}, peak memory ({name})", value=found["mb"], unit="MB")


def _append_rows(logs: Sequence[Log], entries: int) -> Iterator[Row]:
    """What the log's size costs an append; both sides in turns."""
    name = logs[0].engine.dialect.name

    def append(made: Log) -> float:
        rate = asyncio.run(append_rate(made.engine, entries=entries, appenders=_APPENDERS))
        return rate.seconds / rate.entries * 1e6

    small, large = alternately([lambda: append(logs[0]), lambda: append(logs[1])], 4)
    end = f"{logs[1].shape.entries:,}"
    yield Row(
        name=f"log append, {_APPENDERS} at a time, at the end of {end} ({name})",
        value=1e6 / median(large),
        unit="entries/s",
        floor=1e6 / median(small),
    )


@contextmanager
def _databases(engine: str, folder: Path) -> Iterator[tuple[str, str]]:
    if engine == "sqlite":
        with TemporaryDirectory(prefix="log-", dir=folder) as inner:
            yield f"sqlite:///{inner}/small.db", f"sqlite:///{inner}/large.db"
        return
    server = PostgresServer(settings=_SERVER)
    try:
        yield server.url(server.create()), server.url(server.create())
    finally:
        server.stop()


def main() -> int:
    """Run the measurements that were asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make bench-log", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="else both")
    parser.add_argument("--entries", type=int, default=10_000_000, help="of the large log")
    parser.add_argument("--small", type=int, default=100_000, help="entries of the small log")
    parser.add_argument("--values", type=int, default=40, help="filters of each kind")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="for SQLite's files")
    parser.add_argument(
        "--made", nargs=2, action="append", metavar=("SMALL", "LARGE"),
        help="measure logs that were made before, by their database URLs",
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--out", type=Path, default=Path("bench-log.json"), help="the JSON file")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)

    def rows() -> Iterator[Row]:
        sizes = (arguments.small, arguments.entries)
        for urls in arguments.made or ():
            yield from measured(urls, sizes, values=arguments.values)
        if not arguments.made:
            # their own two logs: the large one has as many entries a day as the small one
            yield from sweep_rows(
                arguments.folder, small=arguments.small,
                large=min(arguments.entries, _SWEPT), new=1000, rounds=3,
            )  # fmt: skip
            for engine in arguments.engine or ENGINES:
                yield from log_rows(
                    engine, arguments.folder, small=arguments.small, large=arguments.entries,
                    values=arguments.values,
                )  # fmt: skip

    return report(rows(), arguments.out, check=arguments.check)


if __name__ == "__main__":
    sys.exit(main())
