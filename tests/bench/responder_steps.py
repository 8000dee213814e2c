"""Where the CPU of an ITI-55 request goes, step by step, beside the floor's in the same run.

``ratio`` is a step's share of the floor: what the steps and the rest add up to is the responder's
ratio, and a step that is left out of the sum shows what it would be if that step cost nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from statistics import median

from tests.bench.homes import Pair, pin_asker
from tests.bench.load import Load, Server
from tests.bench.process import working
from tests.bench.questions import Prepared, Questions
from tests.bench.row import Row, Sizes

_UNKNOWN = b'queryResponseCode code="NF"'
_CHECKED = b"checked"
_WARM_UP = 64
_MICRO = 1e6


def step_rows(pair: Pair, sizes: Sizes) -> Iterator[Row]:
    """A row for each step of a discovery that finds nobody, and one for all of them."""
    questions, strangers = Questions(pair), count(20_000_000)
    pin_asker(pair, pinned=True)
    folder = pair.answering.home.path
    steps: dict[str, list[float]] = defaultdict(list)
    floors: list[float] = []

    def made(number: int) -> list[Prepared]:
        return [questions.discovery(next(strangers)) for _ in range(number)]

    with (
        asyncio.Runner() as runner,
        working("steps", folder) as node,
        working("floor", folder) as floor,
    ):
        context = pair.asking.client_context
        loads = [Load(Server(port=worker.port, context=context)) for worker in (node, floor)]

        def send(load: Load, requests: list[Prepared], expected: bytes) -> None:
            runner.run(load.send(requests, expected=expected))

        for load, expected in zip(loads, (_UNKNOWN, _CHECKED), strict=True):
            send(load, made(_WARM_UP), expected)
        for _ in range(sizes.rounds):
            requests = made(sizes.requests)
            before = floor.usage().cpu
            send(loads[1], requests, _CHECKED)
            floors.append((floor.usage().cpu - before) / len(requests))
            earlier = node.steps()
            send(loads[0], requests, _UNKNOWN)
            for name, spent in node.steps().items():
                steps[name].append((spent - earlier[name]) / len(requests))
        for load in loads:
            runner.run(load.close())
    steps["all of it"] = [sum(round_) for round_ in zip(*steps.values(), strict=True)]
    for name, costs in steps.items():
        yield Row(
            name=f"ITI-55 responder, {name}",
            value=median(costs) * _MICRO,
            unit="µs CPU/request",
            floor=median(floors) * _MICRO,
            ratio=median(cost / least for cost, least in zip(costs, floors, strict=True)),
        )
