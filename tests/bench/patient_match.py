"""What it costs to match one person's demographics against a small and a large patient index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from node.model import HomeCommunityId
from node.records.entries import Community
from node.records.index import RecordIndex
from node.storage.engine import migrate, open_engine
from tests.bench import people
from tests.bench.row import Row, Sizes, alternately, compared

_TARGET = 1.5
_QUESTIONS = 150
_STRANGER = 30_000_000
_FOUND_AT_LEAST = 0.9
_COMMUNITY = Community(
    home_community_id=HomeCommunityId("urn:oid:2.999.41"),
    repository_unique_id="2.999.41.2",
    assigning_authority="2.999.41.1",
)


def patient_match_rows(sizes: Sizes) -> Iterator[Row]:
    """Hit and miss, the smallest index being the floor of the others."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        indexes: list[RecordIndex] = []
        for count in sizes.people:
            engine = open_engine(f"sqlite:///{Path(folder) / f'{count}.db'}")
            stack.callback(engine.dispose)
            migrate(engine)
            index = RecordIndex(engine, _COMMUNITY)
            started = time.process_time()
            index.add_patients(people.people(count), datetime.now(UTC))
            taken = time.process_time() - started
            yield Row(
                name=f"patient index, {count:,} people added",
                value=taken / count * 1e6,
                unit="µs CPU/person",
            )
            indexes.append(index)
        random = Random(2)

        def ask(index: RecordIndex, first: int, last: int, *, known: bool) -> float:
            questions = [people.asked(random.randrange(first, last)) for _ in range(_QUESTIONS)]
            started = time.process_time()
            hits = sum(bool(index.match(question)) for question in questions)
            taken = time.process_time() - started
            if (known and hits < _FOUND_AT_LEAST * _QUESTIONS) or (not known and hits):
                raise RuntimeError(f"{hits} of {_QUESTIONS} people were found")
            return taken / _QUESTIONS * 1e6

        for kind, known in (("hit", True), ("miss", False)):
            sides = [
                lambda i=index, n=count, k=known: ask(
                    i, 0 if k else _STRANGER, n if k else 2 * _STRANGER, known=k
                )
                for index, count in zip(indexes, sizes.people, strict=True)
            ]
            alternately(sides, 1)
            costs = alternately(sides, sizes.rounds)
            for count, each in zip(sizes.people, costs, strict=True):
                yield compared(
                    f"patient match among {count:,}, {kind}",
                    "µs CPU/match",
                    each,
                    costs[0],
                    target=_TARGET,
                )
