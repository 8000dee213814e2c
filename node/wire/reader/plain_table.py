"""A plain table of ours: headings, and rows of texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.wire.reader.document import BEGIN, END, Content, Kind


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> tuple[Content, ...]:
    """The table; a cell's text keeps its lines."""
    into: list[Content] = [BEGIN[Kind.TABLE], BEGIN[Kind.HEAD]]
    _row(columns, Kind.COLUMN_HEADER, into)
    into += [END[Kind.HEAD], BEGIN[Kind.BODY]]
    for row in rows:
        _row(row, Kind.CELL, into)
    into += [END[Kind.BODY], END[Kind.TABLE]]
    return tuple(into)


def _row(cells: Sequence[str], kind: Kind, into: list[Content]) -> None:
    into.append(BEGIN[Kind.ROW])
    for cell in cells:
        into.append(BEGIN[kind])
        for number, line in enumerate(cell.splitlines()):
            into += [BEGIN[Kind.BREAK], line] if number else [line]
        into.append(END[kind])
    into.append(END[Kind.ROW])
