"""Inserts many rows in few statements.

SQLite's driver gives up Python's interpreter lock for each row that it steps over and must wait for
it again while the event loop works: hundreds of rows one by one take the writer's thread far longer
than their own work. One statement for many rows gives it up once, so both threads run side by side.
The numbers of rows are powers of two, so that few statements are ever prepared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from sqlalchemy import Connection, Table
from sqlalchemy.engine import Dialect

Row = Sequence[int | str | bytes | None]
"""The values of one row, in the order of the columns; both drivers take these as they are."""

_PARAMETERS: Final = 16_384
"""Values of one statement: under the limits of SQLite (32,766) and PostgreSQL (65,535)."""


def insert_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Insert rows into a table, in as many statements as their number has binary digits or so."""
    most = _PARAMETERS // len(columns)
    start = 0
    while start < len(rows):
        count = 1 << (min(len(rows) - start, most).bit_length() - 1)
        values = tuple(chain.from_iterable(rows[start : start + count]))
        connection.exec_driver_sql(_statement(connection.dialect, table, columns, count), values)
        start += count


@lru_cache(maxsize=256)
def _statement(dialect: Dialect, table: Table, columns: tuple[str, ...], count: int) -> str:
    quote = dialect.identifier_preparer.quote
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    names = ", ".join(quote(table.c[column].name) for column in columns)
    marks = f"({', '.join([mark] * len(columns))})"
    values = ", ".join([marks] * count)
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES {values}"  # noqa: S608  our names
