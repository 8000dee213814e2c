"""Entries for others to read: pages in log order, lines of CSV and NDJSON.

**NDJSON.** A line is the leaf exactly as it was sealed, so that it can be hashed and proved against
the log. With private groups, two keys stand behind the leaf's own: ``private`` (the groups that
opened) and ``states`` (of every group that there is or was: ``open``, ``erased``, ``unreadable``).
A file that was cut ends with a line ``{"cut":true,…}``.

**CSV** (RFC 4180, UTF-8, CRLF). One column for each field of the leaf table, in its order, empty
where the leaf has none (no field can be empty). With private groups, one column ``private_…`` for
each, holding JSON, and ``states``. A spreadsheet runs cells that begin with ``=``, ``+``, ``-`` or
``@`` as formulas: every cell that begins with one of these, their full-width forms, a tab, a line
break or an apostrophe has an apostrophe put in front. Who reads the file with a program takes one
apostrophe off each cell that begins with one, and has the value again. A file that was cut has
nothing but whole rows; that it was cut says its manifest.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson
from sqlalchemy import Connection, Engine, select

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.filter import LedgerFilter
from node.ledger.filter_sql import statement_in_log_order
from node.ledger.leaf_check import number_of
from node.ledger.private import LedgerKey, Opened
from node.ledger.row_check import GroupState, open_group
from node.ledger.show import erasures_of
from node.storage.tables import PRIVATE

PAGE: Final = 5000
"""Entries that are read at once."""

PIECE: Final = 500
"""Entries that are written at once."""

PRIVATE_PIECE: Final = 16
"""The same with private groups, of which each may have 4 MiB."""

# the full-width forms of = + - @ are formulas too where people write them
_RISKY: Final = tuple("=+-@\uff1d\uff0b\uff0d\uff20\t\r\n'")
_APOSTROPHE: Final = "'"
_STATES: Final = "states"


class Format(StrEnum):
    """What a file is written as."""

    CSV = "csv"
    NDJSON = "ndjson"
    ATNA = "atna"
    AUDITEVENT = "auditevent"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The private groups of an entry: what opened, and the states of all that it has or had."""

    opened: Mapping[str, Opened]
    states: Mapping[str, GroupState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One entry on its way: its exact bytes, and its groups where they were asked for."""

    seq: int
    data: bytes
    groups: Groups | None = None


def pieces(
    engine: Engine,
    chosen: LedgerFilter,
    key: LedgerKey | None,
    *,
    bound: int,
    private: bool = False,
    page: int = PAGE,
    after: int = -1,
) -> Iterator[tuple[Exported, ...]]:
    """The entries that a filter chooses up to a number, in log order, a few at a time.

    No transaction is open between the pages: entries never change, and later ones are above the
    bound. A private group that is erased meanwhile is ``erased``.

    Args:
        engine: of the log.
        chosen: the filter.
        key: opens private groups, and finds by person.
        bound: the highest number, from ``newest``.
        private: open the private groups.
        page: entries that are read at once.
        after: the number to begin behind.

    Raises:
        OurFault: ``ledger-filter-invalid``; ``ledger-leaf-invalid`` when a stored entry is not a
            canonical leaf with its row's number.
    """
    while True:
        query = statement_in_log_order(chosen, key, after=after, bound=bound, limit=page)
        with engine.connect() as connection:
            rows = [(row.seq, row.leaf) for row in connection.execute(query)]
        size = PRIVATE_PIECE if private else PIECE
        for start in range(0, len(rows), size):
            yield _exported(engine, rows[start : start + size], key if private else None)
        if len(rows) < page:
            return
        after = rows[-1][0]


def _exported(
    engine: Engine, rows: Sequence[tuple[int, bytes]], key: LedgerKey | None
) -> tuple[Exported, ...]:
    for seq, data in rows:
        if number_of(data) != seq:
            raise OurFault(
                "ledger-leaf-invalid", "A stored entry is not a leaf with the number of its row."
            )
    if key is None:
        return tuple(Exported(seq=seq, data=data) for seq, data in rows)
    with engine.connect() as connection:
        groups = opened_groups(connection, rows, key)
    return tuple(Exported(seq=seq, data=data, groups=groups[seq]) for seq, data in rows)


def opened_groups(
    connection: Connection, rows: Sequence[tuple[int, bytes]], key: LedgerKey
) -> dict[int, Groups]:
    """The private groups of entries, given as (seq, leaf), by their numbers."""
    query = select(PRIVATE).where(PRIVATE.c.seq.in_([seq for seq, _ in rows]))
    sealed = {row["seq"]: row for row in connection.execute(query).mappings()}
    erased = erasures_of(connection, [seq for seq, _ in rows])
    found = {}
    for seq, data in rows:
        held = orjson.loads(data)
        opened, states = {}, {}
        for name in leaf.GROUPS:
            blob = sealed[seq][name] if seq in sealed else None
            state, group = open_group(held["id"], name, held.get(f"c_{name}"), blob, key)
            if state is GroupState.MISSING and (seq, name) in erased:
                state = GroupState.ERASED
            if state is not GroupState.ABSENT:
                states[name] = state
            if group is not None:
                opened[name] = group
        found[seq] = Groups(opened=opened, states=states)
    return found


def ndjson(entries: Sequence[Exported]) -> bytes:
    """The lines of entries."""
    return b"".join(_line(entry) for entry in entries)


def _line(entry: Exported) -> bytes:
    if entry.groups is None:
        return entry.data + b"\n"
    # the bytes of a group are JSON already, as they were committed to
    held = b",".join(b'"%b":%b' % (n.encode(), g.data) for n, g in entry.groups.opened.items())
    states = orjson.dumps(entry.groups.states)
    return b'%b,"private":{%b},"states":%b}\n' % (entry.data[:-1], held, states)


def cut_line(*, reason: str, entries: int, last: int | None) -> bytes:
    """The last line of an NDJSON file that does not have all entries it was to have."""
    return orjson.dumps({"cut": True, "reason": reason, "entries": entries, "last_seq": last}) + (
        b"\n"
    )


def columns(how: Format, *, private: bool) -> tuple[str, ...]:
    """The columns of a table; of NDJSON, the keys that a line may have; none of audit records."""
    if how in (Format.ATNA, Format.AUDITEVENT):
        return ()
    if how is Format.PARQUET:
        return (*columns(Format.CSV, private=private), "leaf")
    if not private:
        return tuple(leaf.FIELDS)
    if how is Format.NDJSON:
        return (*leaf.FIELDS, "private", _STATES)
    return (*leaf.FIELDS, *(f"private_{name}" for name in leaf.GROUPS), _STATES)


def csv_header(*, private: bool) -> bytes:
    """The first row of a CSV file."""
    return _rows([columns(Format.CSV, private=private)])


def csv_rows(entries: Sequence[Exported]) -> bytes:
    """The rows of entries."""
    return _rows([[_defused(cell) for cell in _cells(entry)] for entry in entries])


def _cells(entry: Exported) -> Iterator[str]:
    held = orjson.loads(entry.data)
    for name in leaf.FIELDS:
        yield str(held.get(name, ""))
    if entry.groups is not None:
        for name in leaf.GROUPS:
            group = entry.groups.opened.get(name)
            yield group.data.decode() if group else ""
        yield orjson.dumps(entry.groups.states).decode()


def _defused(cell: str) -> str:
    return _APOSTROPHE + cell if cell.startswith(_RISKY) else cell


def _rows(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
