"""Legs counted for the reports of a QHIN: what is alike is one row, and days add up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MOST_ROWS: Final = 50_000
"""Rows of one tally; legs beyond them lose purpose and reason, and ``folded`` counts them."""


class Alike(NamedTuple):
    """What legs of one row have in common; a field that the leaf lacks is ``None``."""

    direction: str
    transaction: str
    peer: str | None
    purpose: str | None
    outcome: str
    reason: str | None


@dataclass(slots=True)
class Sum:
    """How many legs, how long all took in milliseconds, how many documents they moved."""

    legs: int = 0
    took: int = 0
    documents: int = 0


@dataclass(slots=True)
class Tally:
    """Legs of a time, counted.

    Attributes:
        synthetic: connectivity tests of ours, about nobody: counted here and nowhere else.
        own: legs with our own systems.
        folded: legs whose purpose and reason were left away, since the rows were too many.
    """

    rows: dict[Alike, Sum] = field(default_factory=dict)
    synthetic: int = 0
    own: int = 0
    folded: int = 0

    def add(self, alike: Alike, *, took: int, documents: int, legs: int = 1) -> None:
        """Count a leg, or several that are alike."""
        row = self.rows.get(alike)
        if row is None:
            if len(self.rows) >= MOST_ROWS:
                self.folded += legs
                alike = alike._replace(peer=None, purpose=None, reason=None)
            row = self.rows.setdefault(alike, Sum())
        row.legs += legs
        row.took += took
        row.documents += documents

    def chosen(self, direction: str) -> Iterator[tuple[Alike, Sum]]:
        """The rows of one direction."""
        return ((alike, row) for alike, row in self.rows.items() if alike.direction == direction)


def together(tallies: Iterable[Tally]) -> Tally:
    """One tally of several times."""
    whole = Tally()
    for each in tallies:
        whole.synthetic += each.synthetic
        whole.own += each.own
        whole.folded += each.folded
        for alike, row in each.rows.items():
            whole.add(alike, took=row.took, documents=row.documents, legs=row.legs)
    return whole
