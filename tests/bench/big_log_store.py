"""Puts a made log into empty databases, in bulk: rows first, the indexes after them.

The trees are as packed as after a ``REINDEX``; a log that grew has the same trees, looser.
Memory stays flat: rows go in pieces, and both engines sort for their indexes on disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, Table, text
from sqlalchemy.schema import CreateIndex

from node.ledger import leaf
from node.storage.bulk import insert_rows
from node.storage.engine import migrate, open_engine
from node.storage.tables import ENTRY, PRIVATE, TOKEN
from tests.bench.big_log import ENTRY_COLUMNS, Made

PIECE = 10_000
"""Entries that are written at once."""

_PRIVATE_COLUMNS = ("seq", *leaf.GROUPS)
_TOKEN_COLUMNS = ("token", "t", "seq", "part")


class Sink(Protocol):
    """A database that is being filled."""

    def write(self, piece: Sequence[Made]) -> None:
        """Take some entries."""
        ...

    def finish(self, entries: int) -> None:
        """Make the indexes; the log goes on after so many entries."""
        ...


def fill(sinks: Sequence[Sink], made: Iterable[Made]) -> int:
    """Write a log into all sinks at once; returns the number of its entries."""
    entries = 0
    source = iter(made)
    while piece := list(islice(source, PIECE)):
        for sink in sinks:
            sink.write(piece)
        entries += len(piece)
    for sink in sinks:
        sink.finish(entries)
    return entries


def sink_of(url: str) -> Sink:
    """A sink for an empty database, whose tables it makes."""
    engine = open_engine(url)
    migrate(engine)
    return SqliteSink(engine) if engine.dialect.name == "sqlite" else PostgresSink(engine)


class SqliteSink:
    """Fills a SQLite file; without its journal, so that a stop in between leaves rubbish."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        _drop_indexes(engine)
        engine.dispose()
        path = str(engine.url.database)
        self._staged = f"{path}.staged"
        self._connection = sqlite3.connect(path, isolation_level=None)
        for setting in (
            "journal_mode=OFF", "synchronous=OFF", "cache_size=-262144",
        ):  # fmt: skip
            self._connection.execute(f"PRAGMA {setting}")
        # tokens are in no order: sorted first, their table is written once from end to end
        self._connection.execute("ATTACH ? AS staged", (self._staged,))
        self._connection.execute("PRAGMA staged.journal_mode=OFF")
        self._connection.execute("CREATE TABLE staged.token (token, t, seq, part)")

    def write(self, piece: Sequence[Made]) -> None:
        """Take some entries."""
        run = self._connection
        run.execute("BEGIN")
        run.executemany(_insert(ENTRY, ENTRY_COLUMNS), (one.entry for one in piece))
        run.executemany(
            _insert(PRIVATE, _PRIVATE_COLUMNS), (one.private for one in piece if one.private)
        )
        run.executemany(
            "INSERT INTO staged.token VALUES (?, ?, ?, ?)",
            (token for one in piece for token in one.tokens),
        )
        run.execute("COMMIT")

    def finish(self, entries: int) -> None:
        """Make the indexes; the log goes on after so many entries."""
        run = self._connection
        run.execute(
            "INSERT INTO main.ledger_token (token, t, seq, part)"
            " SELECT token, t, seq, part FROM staged.token ORDER BY token, t, seq"
        )
        run.execute("DROP TABLE staged.token")
        run.execute("DETACH staged")
        run.execute("UPDATE ledger_counter SET next = ? WHERE name = 'entry'", (entries,))
        for statement in _create_indexes(self._engine):
            run.execute(statement)
        run.close()
        Path(self._staged).unlink()


class PostgresSink:
    """Fills a PostgreSQL database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        _drop_indexes(engine)
        with engine.begin() as connection:
            for statement in _POSTGRES_WITHOUT:
                connection.execute(text(statement))

    def write(self, piece: Sequence[Made]) -> None:
        """Take some entries."""
        with self._engine.begin() as connection:
            insert_rows(connection, ENTRY, ENTRY_COLUMNS, [one.entry for one in piece])
            sealed = [one.private for one in piece if one.private]
            insert_rows(connection, PRIVATE, _PRIVATE_COLUMNS, sealed)
            tokens = [token for one in piece for token in one.tokens]
            insert_rows(connection, TOKEN, _TOKEN_COLUMNS, tokens)

    def finish(self, entries: int) -> None:
        """Make the indexes; the log goes on after so many entries."""
        with self._engine.begin() as connection:
            for statement in _POSTGRES_WITH:
                connection.execute(text(statement))
            for statement in _create_indexes(self._engine):
                connection.execute(text(statement))
            connection.execute(
                text("UPDATE ledger_counter SET next = :next WHERE name = 'entry'"),
                {"next": entries},
            )
        # as autovacuum does in a while
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        self._engine.dispose()


_POSTGRES_WITHOUT = (
    "ALTER TABLE ledger_token DROP CONSTRAINT ledger_token_pkey",
    "ALTER TABLE ledger_token DROP CONSTRAINT ledger_token_seq_fkey",
)
_POSTGRES_WITH = (
    "ALTER TABLE ledger_token ADD PRIMARY KEY (token, t, seq)",
    "ALTER TABLE ledger_token ADD FOREIGN KEY (seq) REFERENCES ledger_entry (seq)",
)


def _drop_indexes(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in (ENTRY, TOKEN):
            for index in table.indexes:
                index.drop(connection)


def _create_indexes(engine: Engine) -> Iterator[str]:
    for table in (ENTRY, TOKEN):
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield str(CreateIndex(index).compile(engine))


def _insert(table: Table, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"
