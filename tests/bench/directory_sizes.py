"""Import of directories of several sizes, and whether a lookup by HCID is as fast in the largest.

The organisations are made up (``organizations``), so the numbers can be had anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from directory.store import DirectoryStore
from directory.tables import create_tables
from node.storage.engine import open_engine
from tests.bench import organizations
from tests.bench.row import Row, Sizes, alternately, compared

_TARGET = 1.5
_LOOKUPS = 300


def directory_rows(sizes: Sizes) -> Iterator[Row]:
    """Import per organisation and lookup, the smallest size being the floor of the others."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        stores: list[DirectoryStore] = []
        for count in sizes.directory:
            engine = open_engine(f"sqlite:///{Path(folder) / f'{count}.db'}")
            stack.callback(engine.dispose)
            create_tables(engine)
            store = DirectoryStore(engine)
            stores.append(store)
            rows = list(organizations.rows(count))
            started = time.process_time()
            report = store.import_rows(rows, source="bench", now=datetime.now(UTC))
            taken = time.process_time() - started
            if report.organizations.total != count:
                raise RuntimeError(f"{report.organizations.total} of {count} were imported")
            yield Row(
                name=f"directory import, {count:,} organisations",
                value=taken / count * 1e6,
                unit="µs CPU/organisation",
            )
        random = Random(1)

        def look(store: DirectoryStore, count: int) -> float:
            wanted = [organizations.hcid(random.randrange(count)) for _ in range(_LOOKUPS)]
            started = time.process_time()
            found = [store.by_home_community_id(hcid) for hcid in wanted]
            taken = time.process_time() - started
            if not all(len(each) == 1 for each in found):
                raise RuntimeError("a lookup by HCID did not find its organisation")
            return taken / _LOOKUPS * 1e6

        sides = [
            lambda s=store, n=count: look(s, n)
            for store, count in zip(stores, sizes.directory, strict=True)
        ]
        alternately(sides, 1)  # fills the caches of the statements and the pages
        costs = alternately(sides, sizes.rounds)
        for count, each in zip(sizes.directory, costs, strict=True):
            yield compared(
                f"directory lookup by HCID, {count:,} organisations",
                "µs CPU/lookup",
                each,
                costs[0],
                target=_TARGET,
            )
