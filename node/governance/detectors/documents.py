"""Detectors about what a peer gives: D13."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from node.governance.detectors.model import About, Finding, Limits, Seen, fresh, rests_on
from node.model import Direction, Transaction


def empty_ones(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D13: the same bytes for different patients, or documents too small to say anything.

    The exchange says about whom a retrieve is: its own legs name no patient.
    """
    people_of: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        people_of[row.exchange] |= row.people
    retrieved = [
        row
        for row in fresh(rows, about)
        if row.direction == Direction.INITIATING and row.txn == Transaction.ITI_39
    ]
    exchanges: dict[str, list[Seen]] = defaultdict(list)
    for row in retrieved:
        for digest in {file.digest for file in row.files}:
            exchanges[digest].append(row)
    same = [legs for legs in exchanges.values() if _apart(legs, people_of) >= limits["patients"]]
    found = []
    if same:
        most = max(same, key=len)
        values = {"n": _apart(most, people_of), "documents": len(same)}
        behind = {row.seq: row for legs in same for row in legs}
        entries = rests_on([behind[seq] for seq in sorted(behind)])
        found.append(Finding(sentence="same", values=values, entries=entries))
    small = [
        (row, file)
        for row in retrieved
        for file in row.files
        if file.size is not None and file.size < limits["bytes"]
    ]
    if len(small) >= limits["small"]:
        values = {"n": len(small), "bytes": int(limits["bytes"])}
        behind = {row.seq: row for row, _ in small}
        found.append(Finding(values=values, entries=rests_on(list(behind.values()))))
    return found


def _apart(legs: Sequence[Seen], people_of: dict[str, set[str]]) -> int:
    """How many exchanges about different people some legs belong to: no token in common."""
    seen: set[str] = set()
    number = 0
    for exchange in dict.fromkeys(row.exchange for row in legs):
        people = people_of[exchange]
        if people and not people & seen:
            number += 1
        seen |= people
    return number
