"""One line of the table, and how two sides are compared fairly on a machine that others use too.

``target`` is an upper limit: of ``ratio`` where the row has one, else of ``value``. ``floor`` is
what the same work costs at least, or what it is compared with, measured beside it in the same run
and in the same unit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What ``bench.json`` holds, key by key."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    target: float | None = None

    @property
    def missed(self) -> bool:
        """Whether the target is not reached."""
        measured = self.value if self.ratio is None else self.ratio
        return self.target is not None and measured > self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured: ``FULL`` for numbers to publish, ``QUICK`` to see that it works."""

    rounds: int
    requests: int
    patients: int
    organizations: int
    directory: tuple[int, ...]
    people: tuple[int, ...]
    fanout: tuple[int, ...]
    fanout_rounds: int
    entries: int
    log: tuple[int, int]
    sealed: int
    sealing_seconds: int
    crl_entries: int
    large_bytes: int


FULL = Sizes(
    rounds=5,
    requests=160,
    patients=3000,
    organizations=2000,
    directory=(1_000, 10_000, 60_000),
    people=(1_000, 100_000),
    fanout=(10, 100, 500),
    fanout_rounds=2,
    entries=5_000,
    log=(10_000, 200_000),
    sealed=300_000,
    sealing_seconds=20,
    crl_entries=100_000,
    large_bytes=100 * 1000 * 1000,
)
QUICK = Sizes(
    rounds=3,
    requests=40,
    patients=200,
    organizations=600,
    directory=(200, 1_000),
    people=(200, 1_000),
    fanout=(10, 50),
    fanout_rounds=1,
    entries=500,
    log=(1_000, 3_000),
    sealed=5_000,
    sealing_seconds=2,
    crl_entries=2_000,
    large_bytes=10 * 1000 * 1000,
)

Side = Callable[[], float]
"""Does one batch of work and returns what one unit of it cost."""


def alternately(sides: Sequence[Side], rounds: int) -> list[list[float]]:
    """Run all sides in turn, the order reversed every other round; the costs, side by side.

    What else the machine does then weighs on all sides alike.
    """
    costs: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        order = list(enumerate(sides))
        for place, side in order if number % 2 == 0 else reversed(order):
            costs[place].append(side())
    return costs


def compared(
    name: str,
    unit: str,
    costs: Sequence[float],
    floors: Sequence[float],
    *,
    target: float | None = None,
) -> Row:
    """A row of a cost and its floor: medians, and the median of the rounds' ratios."""
    return Row(
        name=name,
        value=median(costs),
        unit=unit,
        floor=median(floors),
        ratio=median(c / f for c, f in zip(costs, floors, strict=True)),
        target=target,
    )
