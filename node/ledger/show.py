"""One entry whole: its leaf, its private groups in the clear, and whether they belong together.

Nothing is taken on trust: the leaf must be canonical, hash to what was noted at writing, agree with
its own number and search columns; each group must open, and be what the leaf committed to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson
from sqlalchemy import Engine, RowMapping, delete, select, update
from sqlalchemy.engine import Connection

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.commitment import opens
from node.ledger.find import Entry, read
from node.ledger.ledger import columns
from node.ledger.private import LedgerKey, Opened, unseal
from node.ledger.trust_decisions import read_decision
from node.storage.tables import ENTRY, ERASURE, PRIVATE, TOKEN
from trust.decision import digest_of


class GroupState(StrEnum):
    """What is left of a private group."""

    OPEN = "open"
    ABSENT = "absent"
    """There never was one."""
    ERASED = "erased"
    """It is gone, and an entry of the log says so."""
    MISSING = "missing"
    """It is gone, and no entry says why."""
    SEALED = "sealed"
    """It is there, but the reader has no key."""
    UNREADABLE = "unreadable"
    """It is there, but it does not open or is not what was committed to."""


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
    query = select(
        ENTRY, *(PRIVATE.c[group].label(f"sealed_{group}") for group in leaf.GROUPS)
    ).outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
    with engine.connect() as connection:
        row = connection.execute(query.where(where)).mappings().one_or_none()
        if row is None:
            return None
        fields = leaf.decode(row["leaf"])
        named = fields.get("trust")
        body = read_decision(connection, str(named)) if named is not None else None
        erasures = {
            part: entry for (_, part), entry in erasures_of(connection, (row["seq"],)).items()
        }
    entry = Entry(seq=row["seq"], entry_id=row["entry_id"], data=row["leaf"], fields=fields)
    findings = list(_leaf_findings(row, fields))
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
        if state is GroupState.UNREADABLE:
            findings.append(f"The private group {group} is not the one the leaf commits to.")
        if state is GroupState.MISSING:
            findings.append(f"The private group {group} is gone, and no entry says why.")
        if blob is not None and group in erasures:
            findings.append(f"The private group {group} was erased, and yet it is there.")
    findings.extend(_digest_findings(fields, groups.get("wire")))
    findings.extend(_decision_findings(named, body))
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


def _leaf_findings(row: RowMapping, fields: leaf.Leaf) -> Iterator[str]:
    if leaf.leaf_hash(row["leaf"]) != row["leaf_hash"]:
        yield "The leaf is not the one whose hash was noted when it was written."
    if fields["seq"] != row["seq"]:
        yield "The leaf carries another sequence number than its row."
    for column, value in columns(fields).items():
        if row[column] != value:
            yield f"The search column {column} differs from the leaf."


def open_group(
    entry_id: str,
    group: str,
    commitment: str | int | None,
    blob: bytes | None,
    key: LedgerKey | None,
) -> tuple[GroupState, Opened | None]:
    """What is left of a group, and the group where it opens and is what was committed to."""
    if commitment is None:
        return (GroupState.ABSENT if blob is None else GroupState.UNREADABLE), None
    if blob is None:
        return GroupState.MISSING, None
    if key is None:
        return GroupState.SEALED, None
    try:
        opened = unseal(key, entry_id, group, blob)
    except OurFault:
        return GroupState.UNREADABLE, None
    if not opens(leaf.to_bytes(str(commitment)), opened.salt, group, opened.data):
        return GroupState.UNREADABLE, None
    return GroupState.OPEN, opened


def _digest_findings(fields: leaf.Leaf, wire: Opened | None) -> Iterator[str]:
    """``c_req`` and ``c_res`` against the digests that the group ``wire`` holds."""
    if wire is None:
        return
    value = wire.value
    for name, place in (("c_req", "request"), ("c_res", "response")):
        held = value.get(place) if isinstance(value, dict) else None
        if name not in fields or not isinstance(held, dict):
            continue
        salt, digest = leaf.to_bytes(held["salt"]), leaf.to_bytes(held["digest"])
        if not opens(leaf.to_bytes(str(fields[name])), salt, name, digest):
            yield f"The digest of the {place} is not the one the leaf commits to."
