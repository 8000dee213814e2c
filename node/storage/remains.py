"""What is left in the database's files of rows that are gone, and doing away with it.

SQLite overwrites deleted content (``secure_delete``, see ``engine``), yet older images of the pages
stay in the write-ahead log until it is cut. PostgreSQL keeps dead rows until ``VACUUM``, their
bytes until the space is used again, and both in its WAL: that is the operator's to do.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum

from sqlalchemy import Engine


class Remains(StrEnum):
    """What may be left of erased rows in the database's files."""

    NONE = "none"
    WAL = "wal"
    """SQLite's write-ahead log is in use and could not be cut; the next attempt may."""
    DEAD_ROWS = "dead-rows"
    """PostgreSQL's dead rows and WAL."""


def clear_remains(engine: Engine) -> Remains:
    """Do away with what can be; says what is left. Waits for readers as long as for any lock."""
    if engine.dialect.name != "sqlite":
        return Remains.DEAD_ROWS
    raw = engine.raw_connection()  # a checkpoint cannot be in a transaction
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy = any(row[0] for row in cursor.fetchall())
        cursor.close()
    finally:
        raw.close()
    return Remains.WAL if busy else Remains.NONE


def give_back(engine: Engine, *, whole: bool) -> bool:
    """Make the space of dropped rows usable again; whether that could be done.

    PostgreSQL's ``VACUUM`` makes it usable. SQLite uses freed pages again by itself; with ``whole``
    its file is written anew, smaller, which needs as much room again and keeps everybody from
    writing, and cannot be while others use it.
    """
    if engine.dialect.name != "sqlite":
        statement = "VACUUM (ANALYZE) ledger_entry, ledger_private, ledger_token, ledger_erasure"
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql(statement)
        return True
    if not whole:
        return True
    raw = engine.raw_connection()  # it cannot be in a transaction
    try:
        raw.cursor().execute("VACUUM")
    except sqlite3.OperationalError:
        return False
    finally:
        raw.close()
    return True
