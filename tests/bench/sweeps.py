"""What a sweep of the detectors costs in a small log and in a large one, at the same traffic.

Both logs have as many entries a day, so that the large one is a log that went on for longer. The
sweep is the node's own, with every detector: that of a node that has swept before, which has most
windows in memory, and the first one of a node that was started just now, which has none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import Engine, delete, func, insert, select

from directory.store import DirectoryStore
from node.governance.detector_tables import FLAG, FLAG_ENTRY, SWEEP
from node.governance.detectors.sweep import Sweeper
from node.governance.watching import watching
from node.ledger.leaf import Kind
from node.ledger.private import LedgerKey
from node.model import HomeCommunityId
from node.records.entries import Community
from node.records.index import RecordIndex
from node.storage.engine import open_engine
from node.storage.tables import ENTRY
from tests.bench.big_log import OWN, Shape, log
from tests.bench.big_log_store import fill, sink_of
from tests.bench.row import Row, alternately

TIMES: Final = 2.0
"""The target: times what the small log takes, as for filters (issue 4, point 5)."""

DAYS: Final = 100
"""Days of the small log: longer than any window, so that both logs have full ones."""


BEFORE: Final = 10_000
"""Entries that a node has looked at since it was started, at most half of the log."""


def sweep_rows(folder: Path, *, small: int, large: int, new: int, rounds: int) -> Iterator[Row]:
    """CPU of a sweep over ``new`` entries, for 1,000 of them; both logs are made and deleted."""
    key = LedgerKey(b"\x07" * 32)
    with TemporaryDirectory(prefix="sweep-", dir=folder) as inner:
        engines = [
            _made(Path(inner) / f"{size}.db", Shape(entries=size, days=DAYS * size // small), key)
            for size in (small, large)
        ]
        _first(engines[0], key, new)  # what is read once in a process is read here
        first = alternately([lambda e=each: _first(e, key, new) for each in engines], rounds)
        lasting = [_begun(each, key, min(BEFORE, small // 2) + rounds * new) for each in engines]
        for each in lasting:
            _swept(each, min(BEFORE, small // 2))
        next_ = alternately([lambda s=each: _swept(s, new) for each in lasting], rounds)
        for each in engines:
            each.dispose()
    yield _row("detector sweep", large, small, next_)
    yield _row("detector sweep after a start", large, small, first)


def _row(name: str, large: int, small: int, costs: Sequence[Sequence[float]]) -> Row:
    floor, value = (median(each) for each in costs)
    return Row(
        name=f"{name}, a log of {large:,} against {small:,}",
        value=value,
        unit="ms CPU/1,000 new",
        floor=floor,
        ratio=value / floor,
        target=TIMES,
    )


def _made(path: Path, shape: Shape, key: LedgerKey) -> Engine:
    url = f"sqlite:///{path}"
    fill([sink_of(url)], log(shape, key))
    return open_engine(url)


def _begun(engine: Engine, key: LedgerKey, new: int) -> Sweeper:
    """The sweeper of a node in whose log so many entries are new."""
    with engine.begin() as connection:
        for table in (FLAG_ENTRY, FLAG, SWEEP):
            connection.execute(delete(table))
        exchange = ENTRY.c.kind == Kind.EXCHANGE.value  # sweeps write entries of their own
        query = select(func.max(ENTRY.c.seq)).where(exchange)
        newest = connection.execute(query).scalar_one()
        done = {"t": 0, "exchanges": 0, "subjects": 0, "flags": 0, "shadow": 0, "took_ms": 0}
        connection.execute(insert(SWEEP).values(id=1, reached=newest - new, failed="", **done))
    community = Community(
        home_community_id=HomeCommunityId(OWN), assigning_authority="2.999.1.7",
        repository_unique_id="2.999.1.5",
    )  # fmt: skip
    index = RecordIndex(engine, community)
    return watching(engine, key, DirectoryStore(engine), index, own=OWN).sweeper


def _first(engine: Engine, key: LedgerKey, new: int) -> float:
    return _swept(_begun(engine, key, new), new)


def _swept(sweeper: Sweeper, new: int) -> float:
    """Milliseconds of the processor for 1,000 new entries."""
    started = time.process_time()
    swept = sweeper.run(now=Shape(entries=1).end + timedelta(minutes=1), most=new)
    taken = (time.process_time() - started) * 1000
    if swept.failed or not swept.exchanges:
        raise RuntimeError(f"the sweep saw {swept.exchanges} exchanges; failed: {swept.failed}")
    return taken * 1000 / new
