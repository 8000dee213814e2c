"""One entry whole: its leaf, its private groups in the clear, and whether they belong together.

Nothing is taken on trust: the leaf must be canonical, hash to what was noted at writing, agree with
its own number and search columns; each group must open, and be what the leaf committed to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import ColumnElement, Engine, RowMapping, delete, select, update
from sqlalchemy.engine import Connection

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.find import Entry, read
from node.ledger.leaf_check import fields_of
from node.ledger.private import LedgerKey, Opened
from node.ledger.row_check import (
    GroupState,
    digest_problems,
    group_problem,
    leaf_problems,
    open_group,
)
from node.ledger.trust_decisions import read_decision
from node.storage.tables import BODY, ENTRY, ERASURE, PRIVATE, TOKEN
from node.storage.tally_tables import SEEN_DOCUMENT
from trust.decision import digest_of

MOST: Final = 500
"""Entries that are shown at once; SQLite takes a limited number of values in a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An entry, its groups, and the findings: sentences, none when everything agrees.

    ``decision`` is the decision about the peer's keys that the leaf names, ``erasures`` are the
    entries that say which groups were erased, by the groups.
    """

    entry: Entry
    states: Mapping[str, GroupState]
    groups: Mapping[str, Opened]
    decision: object
    erasures: Mapping[str, Entry]
    findings: tuple[str, ...]


def show(engine: Engine, reference: str | int, key: LedgerKey | None) -> Shown | None:
    """The entry with a number, or an entry id (of an exchange entry: the leg id), or ``None``.

    Without ``key`` the private groups stay sealed and only the leaf is checked.

    Raises:
        OurFault: ``ledger-leaf-invalid`` when the stored bytes are not a canonical leaf.
    """
    where = (
        ENTRY.c.seq == int(reference)
        if isinstance(reference, int) or reference.isdecimal()
        else ENTRY.c.entry_id == reference.lower()
    )
    return next(iter(_shown(engine, where, key)), None)


def show_all(engine: Engine, seqs: Sequence[int], key: LedgerKey | None) -> list[Shown]:
    """The entries with these numbers, the lowest first; at most ``MOST`` at once.

    Raises:
        OurFault: as ``show``.
    """
    if len(seqs) > MOST:
        raise ValueError(f"at most {MOST} entries at once")
    return _shown(engine, ENTRY.c.seq.in_(seqs), key) if seqs else []


def _shown(engine: Engine, where: ColumnElement[bool], key: LedgerKey | None) -> list[Shown]:
    query = (
        select(ENTRY, *(PRIVATE.c[group].label(f"sealed_{group}") for group in leaf.GROUPS))
        .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
        .where(where)
        .order_by(ENTRY.c.seq)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
        named = {row["seq"]: fields_of(row["leaf"]).get("trust") for row in rows}
        bodies = {
            each: read_decision(connection, str(each)) for each in set(named.values()) - {None}
        }
        erasures = erasures_of(connection, list(named)) if rows else {}
    return [
        _checked(
            row,
            key,
            body=bodies.get(named[row["seq"]]),
            erasures={part: entry for (seq, part), entry in erasures.items() if seq == row["seq"]},
        )
        for row in rows
    ]


def _checked(
    row: RowMapping, key: LedgerKey | None, *, body: bytes | None, erasures: Mapping[str, Entry]
) -> Shown:
    fields = fields_of(row["leaf"])
    entry = Entry(seq=row["seq"], entry_id=row["entry_id"], data=row["leaf"], fields=fields)
    findings = [each.sentence for each in leaf_problems(dict(row), row["leaf"], fields)]
    states, groups = {}, {}
    for group in leaf.GROUPS:
        commitment = fields.get(f"c_{group}")
        blob = row[f"sealed_{group}"]
        state, opened = open_group(str(fields["id"]), group, commitment, blob, key)
        if state is GroupState.MISSING and group in erasures:
            state = GroupState.ERASED
        states[group] = state
        if opened is not None:
            groups[group] = opened
        problem = group_problem(group, state, is_erased=group in erasures)
        if problem is not None:
            findings.append(problem.sentence)
    findings.extend(each.sentence for each in digest_problems(fields, groups.get("wire")))
    findings.extend(_decision_findings(fields.get("trust"), body))
    return Shown(
        entry=entry,
        states=states,
        groups=groups,
        decision=_decision(body),
        erasures=erasures,
        findings=tuple(findings),
    )


def erase(connection: Connection, seq: int, group: str) -> bool:
    """Destroy one private group of an entry with its search tokens; whether there was one.

    Salt, wrapped key and ciphertext go in one statement; the leaf and its proofs stay. The caller
    appends the erasure entry in the same transaction.

    Raises:
        OurFault: ``ledger-group-unknown``.
    """
    if group not in leaf.GROUPS:
        raise OurFault("ledger-group-unknown", "The log has no private group of this name.")
    column = PRIVATE.c[group]
    gone = connection.execute(
        update(PRIVATE).where(PRIVATE.c.seq == seq, column.is_not(None)).values({column: None})
    )
    connection.execute(delete(TOKEN).where(TOKEN.c.seq == seq, TOKEN.c.part == group))
    if group == "docs":
        connection.execute(delete(SEEN_DOCUMENT).where(SEEN_DOCUMENT.c.seq == seq))
    # a message has all of it: user, person, question, answer
    connection.execute(delete(BODY).where(BODY.c.seq == seq))
    return bool(gone.rowcount)


def erasures_of(connection: Connection, seqs: Collection[int]) -> dict[tuple[int, str], Entry]:
    """The erasure entries of entries, by number and group; what they say counts, not the index.

    Read the groups first: one that is gone then has its erasure entry already.
    """
    query = (
        select(ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.leaf)
        .join(ERASURE, ERASURE.c.seq == ENTRY.c.seq)
        .where(ERASURE.c.target.in_(seqs))
        .order_by(ENTRY.c.seq)
    )
    entries = [read(row) for row in connection.execute(query)]
    return {
        (int(entry.fields["target"]), str(entry.fields["part"])): entry
        for entry in entries
        if entry.fields["kind"] == leaf.Kind.ERASURE
    }


def _decision(body: bytes | None) -> object:
    try:
        return None if body is None else orjson.loads(body)
    except orjson.JSONDecodeError:
        return None  # its digest does not fit either, which is a finding


def _decision_findings(named: str | int | None, body: bytes | None) -> Iterator[str]:
    if named is None:
        return
    if body is None:
        yield "The decision about the peer's keys that the leaf names is not there."
    elif digest_of(body) != named:
        yield "The decision about the peer's keys is not the one that the leaf names."
