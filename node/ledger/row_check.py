"""Is what the database has of one entry what its leaf says? Pure; nothing is taken on trust.

The leaf is the truth: the sealed one where the entry is sealed, the row's own bytes before. Held
against it are the noted hash, the search columns, each private group (it opens, and it is what was
committed to), the search tokens (those of the groups that are there), and the erasures (a group
that is gone has an entry that says so, one that is there has none).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.commitment import opens
from node.ledger.ledger import columns
from node.ledger.private import TOKEN_LIMIT, LedgerKey, Opened, tokens, unseal


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
class Problem:
    """One thing that does not agree; ``expected`` and ``found`` never show a private value."""

    code: str
    sentence: str
    expected: str | None = None
    found: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """What the database has of one entry.

    Attributes:
        row: of ``ledger_entry``.
        groups: of ``ledger_private``; ``None`` when the entry has no row there.
        tokens: with part and time.
        erased: by group, the entry that says so and its leaf.
        says: the entry that the erasure table names for what this entry says was erased.
        decision: digest of the decision about keys that its leaf names.
    """

    row: Mapping[str, Any]
    groups: Mapping[str, bytes | None] | None
    tokens: Mapping[bytes, tuple[str, int]] = field(default_factory=dict)
    erased: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)
    says: int | None = None
    decision: str | None = None


@dataclass(slots=True, kw_only=True)
class Counts:
    """How many of each were compared."""

    entries: int = 0
    groups: int = 0
    groups_absent: int = 0
    groups_erased: int = 0
    tokens: int = 0
    erasures: int = 0


def leaf_problems(row: Mapping[str, Any], data: bytes, fields: leaf.Leaf) -> Iterator[Problem]:
    """The noted hash, the number and the search columns of a row against the leaf."""
    hashed = leaf.leaf_hash(data)
    if hashed != row["leaf_hash"]:
        yield Problem(
            code="log-row-differs",
            sentence="The leaf is not the one whose hash was noted when it was written.",
            expected=hashed.hex(),
            found=row["leaf_hash"].hex(),
        )
    if fields["seq"] != row["seq"]:
        yield Problem(
            code="log-row-differs",
            sentence="The leaf carries another sequence number than its row.",
            expected=str(fields["seq"]),
            found=str(row["seq"]),
        )
    for column, value in columns(fields).items():
        if row[column] != value:
            # what stands there may be anything, also about a person
            yield Problem(
                code="log-row-differs",
                sentence=f"The search column {column} differs from the leaf.",
                expected=None if value is None else str(value),
            )


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


def group_problem(group: str, state: GroupState, *, is_erased: bool) -> Problem | None:
    """What is wrong with a group; ``is_erased`` when an entry of the log says that it is gone."""
    sentence = None
    if state is GroupState.UNREADABLE:
        sentence = f"The private group {group} is not the one the leaf commits to."
    elif state is GroupState.MISSING and not is_erased:
        sentence = f"The private group {group} is gone, and no entry says why."
    elif is_erased and state in (GroupState.OPEN, GroupState.SEALED):
        sentence = f"The private group {group} was erased, and yet it is there."
    return Problem(code="log-private-differs", sentence=sentence) if sentence else None


def digest_problems(fields: leaf.Leaf, wire: Opened | None) -> Iterator[Problem]:
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
            yield Problem(
                code="log-private-differs",
                sentence=f"The digest of the {place} is not the one the leaf commits to.",
            )


def entry_problems(
    stored: StoredEntry, sealed: bytes | None, key: LedgerKey, counts: Counts
) -> Iterator[Problem]:
    """Everything of an entry; ``sealed`` are the bytes that the sealed log has under its number."""
    row = stored.row
    data: bytes = row["leaf"]
    counts.entries += 1
    if sealed is not None and sealed != data:
        yield Problem(
            code="log-row-differs",
            sentence="The database has another leaf than the sealed log.",
            expected=leaf.leaf_hash(sealed).hex(),
            found=leaf.leaf_hash(data).hex(),
        )
        # whichever has the noted hash is the one that was not changed
        data = data if leaf.leaf_hash(data) == row["leaf_hash"] else sealed
    try:
        fields = leaf.decode(data)
    except OurFault as fault:
        yield Problem(code="log-row-differs", sentence=fault.sentence)
        return
    yield from leaf_problems(row, data, fields)
    yield from _private_problems(stored, fields, key, counts)
    yield from _erasure_problems(stored, fields, counts)


def _private_problems(
    stored: StoredEntry, fields: leaf.Leaf, key: LedgerKey, counts: Counts
) -> Iterator[Problem]:
    if stored.groups is None:
        sentence = "The entry has no row among the private records."
        yield Problem(code="log-private-differs", sentence=sentence)
    groups = stored.groups or {}
    opened: dict[str, Opened] = {}
    for group in leaf.GROUPS:
        commitment, blob = fields.get(f"c_{group}"), groups.get(group)
        state, found = open_group(str(fields["id"]), group, commitment, blob, key)
        is_erased = group in stored.erased
        counts.groups += blob is not None
        counts.groups_erased += is_erased
        counts.groups_absent += state is GroupState.ABSENT
        if found is not None:
            opened[group] = found
        problem = group_problem(group, state, is_erased=is_erased)
        if problem is not None and (stored.groups is not None or state is not GroupState.MISSING):
            yield problem
    yield from digest_problems(fields, opened.get("wire"))
    counts.tokens += len(stored.tokens)
    if len(opened) == sum(blob is not None for blob in groups.values()):
        yield from _token_problems(stored, fields, opened, key)


def _token_problems(
    stored: StoredEntry, fields: leaf.Leaf, opened: Mapping[str, Opened], key: LedgerKey
) -> Iterator[Problem]:
    """The tokens of an entry whose groups all open."""
    t = leaf.to_milliseconds(str(fields["t"]))
    wanted = {
        token: (part, t)
        for token, part in tokens(
            key, {name: group.value for name, group in opened.items()}
        ).items()
    }
    found = dict(stored.tokens)
    if found == wanted:
        return
    # an entry keeps its first tokens up to a limit; which ones an erased group took is not known
    whole = not stored.erased or len(wanted) < TOKEN_LIMIT // 2
    first = dict(list(wanted.items())[: len(found)])
    if found == first and not whole:
        return
    stray = sum(wanted.get(token) != place for token, place in found.items())
    lost = sum(found.get(token) != place for token, place in wanted.items())
    yield Problem(
        code="log-token-differs",
        sentence="The search tokens are not those of the private groups: "
        f"{stray} are not theirs, {lost} are missing.",
        expected=str(len(wanted)),
        found=str(len(found)),
    )


def _erasure_problems(stored: StoredEntry, fields: leaf.Leaf, counts: Counts) -> Iterator[Problem]:
    """Both ways between an erased group and the entry that says so."""
    seq = fields["seq"]
    for group, (number, data) in stored.erased.items():
        counts.erasures += 1
        try:
            told = leaf.decode(data)
        except OurFault:
            told = {}
        if (told.get("target"), told.get("part"), told.get("seq")) != (seq, group, number):
            yield Problem(
                code="log-erasure-differs",
                sentence=f"Entry {number} does not say that the group {group} was erased.",
            )
    if fields["kind"] == leaf.Kind.ERASURE and stored.says != seq:
        yield Problem(
            code="log-erasure-differs",
            sentence="The table of erasures does not name this entry for what it says was erased.",
            expected=str(seq),
            found=None if stored.says is None else str(stored.says),
        )
