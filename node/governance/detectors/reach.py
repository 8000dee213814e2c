"""Detectors about a peer's size, reach and purposes: D09, D10, D11, and tefca 11.2 drift."""

from __future__ import annotations

from collections.abc import Sequence

from node.governance.detectors.asking import asked_of_us
from node.governance.detectors.model import (
    DAY,
    About,
    Finding,
    Limits,
    Seen,
    Value,
    fresh,
    rests_on,
)
from node.model import Direction, Interaction, Outcome, Transaction

_HELD = frozenset({Outcome.OK.value, Outcome.PARTIAL.value})
_MOVES = frozenset({Transaction.ITI_39.value, Interaction.READ.value})


def takes_more(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D09: takes far more documents for treatment than it gives.

    Payers and public health take by nature: other purposes do not count.
    """
    moved = [
        row
        for row in fresh(rows, about)
        if row.txn in _MOVES and row.outcome in _HELD and row.purpose in about.treatment
    ]
    taken = [row for row in moved if row.direction == Direction.RESPONDING]
    given = sum(row.docs for row in moved if row.direction == Direction.INITIATING)
    documents = sum(row.docs for row in taken)
    if documents < limits["documents"] or documents < limits["ratio"] * max(given, 1):
        return []
    return [Finding(values={"n": documents, "given": given}, entries=rests_on(taken))]


def ramps(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D10: a peer that is new asks far more than its part of the directory would make likely."""
    if about.first is None or about.now - about.first > limits["days"] * DAY:
        return []
    new = asked_of_us(fresh(rows, about))
    likely = limits["each"] * about.entries
    if len(new) < max(limits["asked"], likely):
        return []
    values = {
        "n": len(new),
        "days": max(1, -(-(about.now - about.first) // DAY)),
        "entries": about.entries,
    }
    return [Finding(values=values, entries=rests_on(new))]


def far_and_wide(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D11: asks about people of many states in which its entry has no address."""
    new = [row for row in asked_of_us(fresh(rows, about)) if row.question and row.question.state]
    first_of: dict[str, Seen] = {}
    for row in new:
        if row.question and row.question.state and row.question.state not in about.states:
            first_of.setdefault(row.question.state, row)
    if len(new) < limits["asked"] or len(first_of) < limits["states"]:
        return []
    values = {"n": len(first_of), "declared": len(about.states), "asked": len(new)}
    behind = sorted(first_of.values(), key=lambda row: row.seq)
    return [Finding(values=values, entries=rests_on(behind))]


def not_declared(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """T09: asks for purposes that its directory entry does not list."""
    if about.declared is None:
        return []
    new = [
        row
        for row in asked_of_us(fresh(rows, about))
        if row.purpose is not None and row.purpose not in about.declared
    ]
    if len(new) < limits["times"]:
        return []
    values: dict[str, Value] = {
        "n": len(new),
        "which": ", ".join(sorted({str(row.purpose) for row in new})),
    }
    return [Finding(values=values, entries=rests_on(new))]


def by_lot(_rows: Sequence[Seen], _about: About, _limits: Limits) -> list[Finding]:
    """T12: no leg is a reason to be drawn, and being drawn is no finding."""
    return []
