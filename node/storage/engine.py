"""Opens the node's database: SQLite by default, PostgreSQL by URL; brings its schema up to date.

Both engines are set so that a commit that returned survives a crash: SQLite with a write-ahead log
and ``synchronous=FULL``, PostgreSQL with ``synchronous_commit=on``. Statements in errors never show
their parameters (DESIGN, law 6).
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from node.errors import SettingsError
from node.storage.bulk import run_statement

BUSY_MS: Final = 10_000
"""How long SQLite waits for another process's lock before it gives up."""

IMMEDIATE: Final = "tefca_node_immediate"
"""Execution option of a connection that is going to write: SQLite takes its write lock at once."""

_VERSIONS: Final = resources.files("node.storage").joinpath("migrations", "versions")
_REVISION_FILE: Final = re.compile(r"r[0-9]{4}_\w+\.py")
_CONNECT_SECONDS: Final = 10
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA foreign_keys=ON",
    # erased private records must be gone from the file, not only from the table
    "PRAGMA secure_delete=ON",
)


def open_engine(url: str) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://user@host/database``.

    Nothing is connected yet and no table is made: see ``migrate``.

    Raises:
        SettingsError: ``database-url-invalid`` for anything else; the sentence never shows the URL,
            which may hold a password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("database-url-invalid", "The database URL cannot be read.") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(parsed)
    if backend in ("postgresql", "postgres"):
        return _open_postgres(parsed.set(drivername="postgresql+psycopg"))
    raise SettingsError(
        "database-url-invalid", "The database URL names neither SQLite nor PostgreSQL."
    )


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:" or url.drivername != "sqlite":
        raise SettingsError(
            "database-url-invalid", "SQLite needs a file: a log in memory is not durable."
        )
    engine = create_engine(url, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own idea of transactions skips DDL and plain reads: transactions are ours.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(IMMEDIATE, False)
    run_statement(connection, "BEGIN IMMEDIATE" if immediate else "BEGIN")


def _open_postgres(url: URL) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "tefca-node"},
    )
    event.listen(engine, "connect", _prepare_postgres)
    return engine


def _prepare_postgres(connection: Any, _record: object) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.autocommit = False


def migrate(engine: Engine) -> str:
    """Bring the schema up to date in one transaction; returns the revision it is at.

    Several processes may call it at once: one does the work, the others wait for it. Where nothing
    is to be done, which is nearly always, that is told from the revision alone: loading the
    migrations would double the time that a command takes.

    Raises:
        OurFault: ``database-unavailable`` when the database cannot be reached or changed,
            ``database-too-new`` when a newer version of the node has been here.
    """
    newest = max(
        entry.name[1:5] for entry in _VERSIONS.iterdir() if _REVISION_FILE.fullmatch(entry.name)
    )
    if recorded(engine) == newest:
        return newest
    from node.storage import schema  # noqa: PLC0415 - it loads Alembic

    return schema.upgrade(engine)


def recorded(engine: Engine) -> str | None:
    """The revision that the database names, or ``None`` when it names none or cannot be asked."""
    try:
        with engine.connect() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except DBAPIError:
        return None  # why, the migration finds out and says
