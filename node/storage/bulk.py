"""Runs the writer's statements straight on the driver, many rows in few statements.

**Few statements.** SQLite's driver gives up Python's interpreter lock for each row that it steps
over and must wait for it again while the event loop works: hundreds of rows one by one take the
writer's thread far longer than their own work. One statement for many rows gives it up once, so
both threads run side by side. The numbers of rows are powers of two, so that few statements are
ever prepared. PostgreSQL takes rows by COPY, which spares the driver a parameter for each value.

**Straight on the driver.** SQLAlchemy's own way around a statement costs more than SQLite's work
for one entry. Errors come out as SQLAlchemy's all the same, without parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, StatementError

Value = int | str | bytes | None
"""What a column of ours holds; both drivers take these as they are."""

Row = Sequence[Value]
"""The values of one row, in the order of the columns."""

_PARAMETERS: Final = 16_384
"""Values of one statement, under the limit of SQLite (32,766)."""


def run_statement(connection: Connection, sql: str, values: Row = ()) -> list[tuple[Any, ...]]:
    """Run one statement, its values marked by ``placeholder``; returns the rows that it gives.

    Raises:
        DBAPIError: as SQLAlchemy would, of the subclass that fits.
    """
    try:
        cursor = connection.connection.cursor()
        cursor.execute(sql, values)
        rows = list(cursor.fetchall()) if cursor.description else []
        cursor.close()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, sql, error) from error
    return rows


def placeholder(dialect: Dialect) -> str:
    """What stands for a value in a statement."""
    return "?" if dialect.paramstyle == "qmark" else "%s"


def insert_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Insert rows into a table.

    Raises:
        DBAPIError: as ``run_statement``.
    """
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, rows)
        return
    most = _PARAMETERS // len(columns)
    start = 0
    while start < len(rows):
        count = 1 << (min(len(rows) - start, most).bit_length() - 1)
        values = tuple(chain.from_iterable(rows[start : start + count]))
        run_statement(connection, _insert(connection.dialect, table, columns, count), values)
        start += count


def _copy(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]
) -> None:
    sql = f"COPY {_target(connection.dialect, table, columns)} FROM STDIN"
    try:
        cursor: Any = connection.connection.cursor()
        with cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, sql, error) from error


def _wrapped(connection: Connection, sql: str, error: Exception) -> StatementError:
    dialect = connection.dialect
    return DBAPIError.instance(
        sql, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
    )


@lru_cache(maxsize=64)
def _target(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> str:
    quote = dialect.identifier_preparer.quote
    return f"{quote(table.name)} ({', '.join(quote(table.c[column].name) for column in columns)})"


@lru_cache(maxsize=256)
def _insert(dialect: Dialect, table: Table, columns: tuple[str, ...], count: int) -> str:
    marks = f"({', '.join([placeholder(dialect)] * len(columns))})"
    values = ", ".join([marks] * count)
    return f"INSERT INTO {_target(dialect, table, columns)} VALUES {values}"  # noqa: S608  our names
