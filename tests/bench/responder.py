"""CPU per request of the whole responding node against its floor: ITI-55, ITI-38, ITI-39.

Both servers are processes of their own and run at the same time; the same signed requests go to
one, then to the other, in turns. "Pinned" and "by name" are the two ways in which a peer's keys are
bound to its directory entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count

from tests.bench.homes import Pair, pin_asker
from tests.bench.load import Load, Server
from tests.bench.process import Worker, working
from tests.bench.questions import Make, Prepared, Questions
from tests.bench.row import Row, Sizes, alternately, compared

SMALL = 100_000
CHARTS = (10, 200)
_TARGET = 2.0
_STRANGER = 10_000_000
_WARM_UP = 64
_MICRO = 1e6
_CHECKED = b"checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One kind of request, what every answer to it holds, and how many make a batch."""

    name: str
    make: Make
    expected: bytes
    requests: int
    target: float | None = None


def responder_rows(pair: Pair, sizes: Sizes) -> Iterator[Row]:
    """All rows, as they are measured."""
    questions = Questions(pair)
    known, unknown = count(), count(_STRANGER)
    no_match = _Case(
        name="ITI-55 responder, no match",
        make=lambda: questions.discovery(next(unknown)),
        expected=b'queryResponseCode code="NF"',
        requests=sizes.requests,
        target=_TARGET,
    )
    match = _Case(
        name="ITI-55 responder, match",
        make=lambda: questions.discovery(next(known) % sizes.patients),
        expected=b'queryResponseCode code="OK"',
        requests=sizes.requests,
        target=_TARGET,
    )
    charts = [
        _Case(
            name=f"ITI-38 responder, {entries} entries",
            make=lambda person=pair.charts[entries]: questions.documents(person),
            expected=b"ResponseStatusType:Success",
            requests=max(sizes.requests // (1 if entries < CHARTS[-1] else 8), 8),
        )
        for entries in CHARTS
    ]
    document = _Case(
        name="ITI-39 responder, 100 KB",
        make=lambda: questions.retrieve(SMALL),
        expected=b"ResponseStatusType:Success",
        requests=sizes.requests,
    )
    pin_asker(pair, pinned=True)
    with _both(pair) as sides:
        for case in (no_match, match, *charts, document):
            yield sides.measure(case, sizes.rounds)
    pin_asker(pair, pinned=False)
    with _both(pair) as sides:
        by_name = f"{no_match.name}, bound by name"
        yield sides.measure(_renamed(no_match, by_name), sizes.rounds)


def _renamed(case: _Case, name: str) -> _Case:
    return _Case(
        name=name,
        make=case.make,
        expected=case.expected,
        requests=case.requests,
        target=case.target,
    )


class _Sides:
    """The node and its floor, with open connections to both."""

    def __init__(self, runner: asyncio.Runner, node: Worker, floor: Worker, pair: Pair) -> None:
        context = pair.asking.client_context
        self._runner = runner
        self._sides = [
            (worker, Load(Server(port=worker.port, context=context))) for worker in (node, floor)
        ]

    def measure(self, case: _Case, rounds: int) -> Row:
        """Send batches to both in turns."""
        expected = (case.expected, _CHECKED)
        for side in range(2):
            self._send(side, _made(case, _WARM_UP), expected[side])
        batches: dict[int, Iterator[list[Prepared]]] = {}
        made = [_made(case, case.requests) for _ in range(rounds)]
        for side in range(2):
            batches[side] = iter(made)  # the same requests for both: the floor forgets them

        def cost(side: int) -> float:
            return self._send(side, next(batches[side]), expected[side])

        costs, floors = alternately([lambda: cost(0), lambda: cost(1)], rounds)
        return compared(case.name, "µs CPU/request", costs, floors, target=case.target)

    def _send(self, side: int, requests: Sequence[Prepared], expected: bytes) -> float:
        worker, load = self._sides[side]
        before = worker.usage().cpu
        self._runner.run(load.send(requests, expected=expected))
        return (worker.usage().cpu - before) / len(requests) * _MICRO

    def close(self) -> None:
        """Close the connections."""
        for _, load in self._sides:
            self._runner.run(load.close())


def _made(case: _Case, number: int) -> list[Prepared]:
    return [case.make() for _ in range(number)]


@contextmanager
def _both(pair: Pair) -> Iterator[_Sides]:
    folder = pair.answering.home.path
    with (
        asyncio.Runner() as runner,
        working("node", folder) as node,
        working("floor", folder) as floor,
        closing(_Sides(runner, node, floor, pair)) as sides,
    ):
        yield sides
