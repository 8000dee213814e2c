"""What a detector reads and what it says. Pure; nothing here names a person.

A detector is a pure function: the legs of one subject in a window, oldest first, what is known of
the subject beside them, and the detector's limits; out come findings. A finding has the numbers of
its sentence and the entries that it rests on. Times are milliseconds since 1970, people are keyed
tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


class Subject(StrEnum):
    """Whom a detector is about: one of our people who ask, or a peer."""

    ACTOR = "actor"
    PEER = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """A subject: its kind, and its HCID or token (hex)."""

    subject: Subject
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A document that was named or moved: the digest of its bytes, and their number if known."""

    digest: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a question was asked with, as far as a detector reads it.

    Attributes:
        strong: facts beside name, birth date and sex: addresses, telephones, identifiers.
        named: whether it named the patient by an identifier.
        state: the state of the first address.
        number: the digits that the first identifier ends with.
        dated: whether a document query named a range of dates; ``None`` for another question.
    """

    strong: int = 0
    named: bool = False
    state: str | None = None
    number: int | None = None
    dated: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One leg.

    Attributes:
        people: tokens (hex) of the patient identifiers in it, asked with or answered.
        user: token of the person who asked.
        npi: provider identifier that was asserted.
        cared: of a leg of ours, days from the nearest care by us that our records show; ``None``
            where they show none, and where nobody looked: only the detector of care has it.
        test: one of our own connectivity tests, which are about nobody: no detector sees it.
    """

    seq: int
    t: int
    exchange: str
    direction: str
    txn: str
    outcome: str
    reason: str | None = None
    purpose: str | None = None
    docs: int = 0
    people: frozenset[str] = frozenset()
    user: str | None = None
    npi: str | None = None
    question: Question | None = None
    files: tuple[File, ...] = ()
    cared: int | None = None
    test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flagged:
    """An earlier flag, as the detector of repeated small ones reads it."""

    detector: str
    t: int
    seq: int
    exchange: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known of the subject beside its legs.

    Attributes:
        now: the current time.
        flagged: the highest entry number behind an earlier flag of this detector about the same
            subject: such entries are not counted again; -1 without one.
        first: when the first leg with a peer was.
        declared: the purposes that a peer's directory entry says it asks for; ``None`` without one.
        states: the states of the addresses in it.
        entries: directory entries that stand below it, with its own.
        npis: provider identifiers in its entry.
        kin: what it shares with peers that are suspended, in words.
        records: whether our own records are there to compare with.
        treatment: the purposes that are treatment.
        flags: earlier flags about the subject by other detectors, oldest first.
    """

    now: int
    flagged: int = -1
    first: int | None = None
    declared: frozenset[str] | None = None
    states: frozenset[str] = frozenset()
    entries: int = 1
    npis: frozenset[str] = frozenset()
    kin: tuple[str, ...] = ()
    records: bool = False
    treatment: frozenset[str] = frozenset()
    flags: tuple[Flagged, ...] = ()


Value = int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a detector found: which of its sentences, its values, and the entries behind it.

    ``entries`` are (entry number, exchange id), oldest first.
    """

    entries: tuple[tuple[int, str], ...]
    values: Mapping[str, Value] = field(default_factory=dict)
    sentence: str = "default"


Limits = Mapping[str, float]
Rule = Callable[[Sequence[Seen], About, Limits], list[Finding]]


def rests_on(rows: Sequence[Seen]) -> tuple[tuple[int, str], ...]:
    """The entries of some legs."""
    return tuple((row.seq, row.exchange) for row in rows)


def fresh(rows: Sequence[Seen], about: About) -> list[Seen]:
    """The legs that no earlier flag of the detector rests on."""
    return [row for row in rows if row.seq > about.flagged]


def percent(part: int, whole: int) -> int:
    """A share in whole percent, rounded down."""
    return 100 * part // whole if whole else 0


def p95(numbers: Sequence[int]) -> int:
    """The 95th percentile (nearest rank) of some numbers, 0 of none."""
    if not numbers:
        return 0
    return sorted(numbers)[(95 * len(numbers) + 99) // 100 - 1]


class Persons:
    """Tells people apart by the tokens that come together: one person may have several.

    Union by token; near linear in the number of tokens.
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def add(self, tokens: frozenset[str]) -> None:
        """Tokens of one person."""
        first: str | None = None
        for token in tokens:
            root = self._root(token)
            if first is None:
                first = root
            elif root != first:
                self._parent[root] = first

    def of(self, tokens: frozenset[str]) -> str | None:
        """The person that some tokens stand for; ``None`` without a token."""
        return self._root(min(tokens)) if tokens else None

    def _root(self, token: str) -> str:
        parent = self._parent.setdefault(token, token)
        while parent != token:
            above = self._parent[parent]
            self._parent[token] = above
            token, parent = parent, above
        return token


def persons(rows: Sequence[Seen]) -> Persons:
    """The people that some legs are about."""
    found = Persons()
    for row in rows:
        found.add(row.people)
    return found
