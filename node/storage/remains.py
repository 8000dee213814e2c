"""What is left in the database's files of rows that are gone, and doing away with it.

SQLite overwrites deleted content (``secure_delete``, see ``engine``), yet older images of the pages
stay in the write-ahead log until it is cut. PostgreSQL keeps dead rows until ``VACUUM``, their
bytes until the space is used again, and both in its WAL: that is the operator's to do.
"""

from __future__ import annotations

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
