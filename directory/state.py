"""Transactions on the directory, and its version: how many imports and local changes there were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, Update, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import col

from directory.errors import DirectoryError
from directory.tables import StateRow

_ONLY = 1


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reading. Raises ``DirectoryError`` ``directory-unavailable``."""
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise _unavailable(error, "read") from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction. Raises ``DirectoryError`` ``directory-unavailable``: nothing changed."""
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise _unavailable(error, "written") from error


def _unavailable(error: DBAPIError, what: str) -> DirectoryError:
    return DirectoryError(
        "directory-unavailable",
        f"The directory's database cannot be {what}.",
        detail=type(error.orig).__name__,
    )


def read_version(connection: Connection) -> str:
    """``imports.changes``, e.g. ``12.3``; ``0.0`` before the first import."""
    row = connection.execute(select(col(StateRow.imports), col(StateRow.changes))).first()
    return f"{row[0]}.{row[1]}" if row else "0.0"


def bump_imports(connection: Connection) -> tuple[str, int]:
    """Start an import: the new version and its number.

    This is the first write of the transaction: it locks the row, so that imports queue up.
    """
    changed = update(StateRow).where(col(StateRow.id) == _ONLY)
    _bump(connection, changed.values(imports=col(StateRow.imports) + 1), imports=1, changes=0)
    version = read_version(connection)
    return version, int(version.partition(".")[0])


def bump_changes(connection: Connection) -> str:
    """Note a local change: the new version."""
    changed = update(StateRow).where(col(StateRow.id) == _ONLY)
    _bump(connection, changed.values(changes=col(StateRow.changes) + 1), imports=0, changes=1)
    return read_version(connection)


def _bump(connection: Connection, statement: Update, *, imports: int, changes: int) -> None:
    if connection.execute(statement).rowcount:
        return
    row = {"id": _ONLY, "imports": imports, "changes": changes}
    try:
        with connection.begin_nested():
            connection.execute(insert(StateRow), [row])
    except IntegrityError:  # somebody else was the first at the same moment
        connection.execute(statement)
