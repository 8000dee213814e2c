"""What a fuzz target is, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

FOLDER = Path(__file__).parent
ORIGINALS = FOLDER / "originals"
CORPUS = FOLDER / "corpus"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""When the originals were made and when every target judges."""

MutateBytes = Callable[[bytes, int], bytes]
Check = Callable[[bytes], str]
Seeds = Callable[[], Iterable[bytes]]
Mutate = Callable[[bytes, Random, MutateBytes], bytes]


class Violation(AssertionError):
    """An invariant of a target does not hold: a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to fuzz.

    Attributes:
        name: as the command line and the folder of the corpus name it.
        check: takes one input; returns a word for the outcome (``accepted`` or an error's code)
            and raises anything else than the declared error, or a ``Violation``, for a finding.
        seeds: inputs to begin with, besides the kept corpus.
        mutate: changes an input in ways that bytes alone would seldom find.
        max_bytes: the longest input.
        weight: share of the time.
    """

    name: str
    check: Check
    seeds: Seeds
    mutate: Mutate
    max_bytes: int
    weight: int = 1


def hold(condition: bool, what: str) -> None:
    """Raise a ``Violation`` unless the condition holds; works under ``python -O`` as well."""
    if not condition:
        raise Violation(what)


def original(name: str) -> bytes:
    """One of the originals."""
    return (ORIGINALS / name).read_bytes()


def originals(pattern: str) -> list[bytes]:
    """The originals whose names match, in the order of their names."""
    return [path.read_bytes() for path in sorted(ORIGINALS.glob(pattern))]


def random_bytes(data: bytes, random: Random, size: int) -> bytes:
    """A plain change of bytes, for where libFuzzer's is not there."""
    changed = bytearray(data or b"\0")
    for _ in range(random.choice((1, 1, 2, 8))):
        place = random.randrange(len(changed))
        match random.randrange(4):
            case 0:
                changed[place] ^= 1 << random.randrange(8)
            case 1:
                changed[place] = random.randrange(256)
            case 2:
                changed[place:place] = random.randbytes(random.randrange(1, 5))
            case _:
                del changed[place : place + random.randrange(1, 9)]
                changed = changed or bytearray(b"\0")
    return bytes(changed[:size])
