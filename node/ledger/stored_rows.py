"""Reads what the database has of a range of entries, as of one moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, select, tuple_

from node.ledger import leaf
from node.ledger.row_check import StoredEntry
from node.storage.tables import DECISION, ENTRY, ERASURE, PRIVATE, RETIREMENT, TOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Entries by their numbers, and rows of other tables whose entry is not there.

    ``decisions`` are those that the entries name and that are there.
    """

    entries: Mapping[int, StoredEntry]
    orphans: tuple[tuple[str, int], ...]
    decisions: frozenset[str]


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A transaction in which every statement sees the same moment."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        yield connection


def retired_ranges(engine: Engine) -> tuple[range, ...]:
    """Numbers whose entries were dropped because their time was over, or kept back."""
    query = select(RETIREMENT.c.first, RETIREMENT.c.size, RETIREMENT.c.reached, RETIREMENT.c.ended)
    with engine.connect() as connection:
        return tuple(
            range(first, first + size if ended is not None else min(reached, first + size))
            for first, size, reached, ended in connection.execute(query)
        )


def read_chunk(engine: Engine, first: int, stop: int, gone: Collection[range] = ()) -> Chunk:
    """Everything about the entries from ``first`` up to but without ``stop``.

    Args:
        engine: of the database.
        first: the first number.
        stop: the one after the last.
        gone: numbers of entries that need not be there.

    Raises:
        TypeError, ValueError: a value is of another kind than its column takes.
    """
    with snapshot(engine) as connection:
        rows = {
            row["seq"]: {**row, "leaf": bytes(row["leaf"]), "leaf_hash": bytes(row["leaf_hash"])}
            for row in connection.execute(
                select(ENTRY).where(ENTRY.c.seq >= first, ENTRY.c.seq < stop)
            ).mappings()
        }
        groups = {
            row["seq"]: {group: _optional(row[group]) for group in leaf.GROUPS}
            for row in connection.execute(
                select(PRIVATE).where(PRIVATE.c.seq >= first, PRIVATE.c.seq < stop)
            ).mappings()
        }
        tokens: dict[int, dict[bytes, tuple[str, int]]] = defaultdict(dict)
        query = select(TOKEN.c.seq, TOKEN.c.token, TOKEN.c.part, TOKEN.c.t)
        for seq, token, part, t in connection.execute(
            query.where(TOKEN.c.seq >= first, TOKEN.c.seq < stop)
        ):
            tokens[seq][bytes(token)] = (part, t)
        erased: dict[int, dict[str, tuple[int, bytes]]] = defaultdict(dict)
        for row in connection.execute(
            select(ERASURE.c.target, ERASURE.c.part, ERASURE.c.seq, ENTRY.c.leaf)
            .outerjoin(ENTRY, ENTRY.c.seq == ERASURE.c.seq)
            .where(ERASURE.c.target >= first, ERASURE.c.target < stop)
        ):
            erased[row.target][row.part] = (row.seq, row.leaf or b"")
        told = {seq: fields for seq, row in rows.items() if (fields := _fields(row["leaf"]))}
        says = _says(connection, told, gone)
        decisions = _decisions(connection, told.values())
    entries = {
        seq: StoredEntry(
            row=row,
            groups=groups.get(seq),
            tokens=tokens.get(seq, {}),
            erased=erased.get(seq, {}),
            says=says.get(seq),
            decision=told.get(seq, {}).get("trust"),
        )
        for seq, row in rows.items()
    }
    orphans = tuple(
        (table.name, seq)
        for table, found in ((PRIVATE, groups), (TOKEN, tokens), (ERASURE, erased))
        for seq in sorted(found)
        if seq not in rows
    )
    return Chunk(entries=entries, orphans=orphans, decisions=decisions)


def _optional(value: bytes | None) -> bytes | None:
    return None if value is None else bytes(value)


def _fields(data: bytes) -> dict[str, Any] | None:
    """A leaf's fields, unchecked: who compares them finds what is wrong."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _says(
    connection: Connection, told: Mapping[int, Mapping[str, Any]], gone: Collection[range]
) -> dict[int, int]:
    """By the number of an entry of kind erasure, the one that the table has for the same.

    Where the entry that was erased is gone since, the table has nothing of it either.
    """
    wanted = {
        (fields.get("target"), fields.get("part")): seq
        for seq, fields in told.items()
        if fields.get("kind") == leaf.Kind.ERASURE
    }
    usable = [key for key in wanted if isinstance(key[0], int) and isinstance(key[1], str)]
    if not usable:
        return {}
    query = select(ERASURE).where(tuple_(ERASURE.c.target, ERASURE.c.part).in_(usable))
    said = {wanted[row.target, row.part]: row.seq for row in connection.execute(query)}
    left = {seq: key[0] for key, seq in wanted.items() if seq not in said}
    dropped = {
        seq: n for seq, n in left.items() if isinstance(n, int) and any(n in each for each in gone)
    }
    if dropped:
        there = select(ENTRY.c.seq).where(ENTRY.c.seq.in_(sorted(set(dropped.values()))))
        kept = set(connection.execute(there).scalars())
        said |= {seq: seq for seq, target in dropped.items() if target not in kept}
    return said


def _decisions(connection: Connection, leaves: Collection[Mapping[str, Any]]) -> frozenset[str]:
    named = {str(fields["trust"]) for fields in leaves if "trust" in fields}
    if not named:
        return frozenset()
    query = select(DECISION.c.digest).where(DECISION.c.digest.in_(sorted(named)))
    return frozenset(connection.execute(query).scalars())
