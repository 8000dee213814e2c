"""The two reads behind every match: who stands under some keys, and what is known of people.

``EngineLookup`` reads on a connection of the caller's transaction, on any database. ``FileLookup``
reads SQLite through the driver on a connection of its own, which costs a fifth of it and never
waits, so that an event loop may do it itself: most discoveries of a network find nobody, and a
thread for each would cost more than the search.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Protocol, cast

from sqlalchemy import Connection, Engine, event

_CROWD = 4
"""Up to so many times the people of one key are read in one go, for all keys together."""

_CACHE_KIB = 32 * 1024
"""Pages of the file kept in memory: the upper levels of a large index, and much of the lower ones.

Without them a question to an index of 100,000 people costs a third more in SQLite.
"""

Holder = tuple[str, str]
"""A key and the local id of a person who has it."""


Person = tuple[str, bytes, bytes | None]
"""A local id, stored demographics, and stored traits where there are any."""


class Lookup(Protocol):
    """Reads of one state of the index."""

    def holders(self, keys: Sequence[str], most: int) -> Sequence[Holder]:
        """People under each of some different keys, the first ``most`` of each."""
        ...

    def people(self, ids: Sequence[str]) -> Sequence[Person]:
        """What is stored of people; unknown ids are left out."""
        ...


class EngineLookup:
    """Reads on a connection of the engine."""

    def __init__(self, connection: Connection) -> None:
        """Reads in the connection's transaction, which the caller ends."""
        self._connection = connection
        # psycopg takes its own mark, whatever SQLAlchemy would use
        self._mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"

    def holders(self, keys: Sequence[str], most: int) -> Sequence[Holder]:
        """See ``Lookup``; a second statement where many people share a key."""
        if not keys:
            return []
        found = self._run(together(len(keys), self._mark), (*keys, _CROWD * most + 1))
        if not crowded(found, most):
            return found
        return self._run(
            one_by_one(len(keys), self._mark), tuple(v for key in keys for v in (key, most))
        )

    def _run(self, statement: str, values: tuple[str | int, ...]) -> Sequence[Holder]:
        rows = self._connection.exec_driver_sql(statement, values).all()
        return cast("Sequence[Holder]", rows)

    def people(self, ids: Sequence[str]) -> Sequence[Person]:
        """See ``Lookup``."""
        if not ids:
            return []
        rows = self._connection.exec_driver_sql(known(len(ids), self._mark), tuple(ids)).all()
        return cast("Sequence[Person]", rows)


class BusyError(Exception):
    """The reading cannot be done without waiting, or at all; ask through the engine."""


class FileLookup:
    """Reads of an SQLite file that never wait for a lock, a thread or a connection pool.

    Readers of a write-ahead log do not wait for writers; in the rare moments in which SQLite would
    wait all the same (a recovery), ``BusyError`` is raised at once. Only ``open`` may wait.
    """

    def __init__(self, engine: Engine) -> None:
        """``engine`` is SQLite's; its settings hold here as well. Closed when it is disposed of."""
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        event.listen(engine, "engine_disposed", lambda _engine: self.close())

    def open(self) -> None:
        """Open the file, if it is not open; afterwards ``reading`` works. May wait for a lock.

        Raises:
            sqlalchemy.exc.DBAPIError: when it cannot be opened.
        """
        with self._lock:
            if self._connection is None:
                pooled = self._engine.raw_connection()
                pooled.detach()  # ours from now on: no pool may run dry because of us
                opened = cast("sqlite3.Connection", pooled.dbapi_connection)
                opened.execute("PRAGMA busy_timeout=0")
                opened.execute("PRAGMA query_only=ON")
                opened.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
                self._connection = opened

    @contextmanager
    def reading(self, *, wait: bool = False) -> Iterator[Lookup]:
        """One state of the index for the block.

        Raises:
            BusyError: when the file is not open, when another thread is reading (unless the caller
                may ``wait`` for it), and whenever a reading in the block fails.
        """
        if not self._lock.acquire(blocking=wait):
            raise BusyError
        try:
            connection = self._begun()
            yield _FileReading(connection)
            connection.execute("COMMIT")
        except sqlite3.Error:
            self._drop()
            raise BusyError from None
        except BaseException:
            self._drop()  # ends the transaction
            raise
        finally:
            self._lock.release()

    def _begun(self) -> sqlite3.Connection:
        if self._connection is None:
            raise BusyError
        self._connection.execute("BEGIN")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def close(self) -> None:
        """Close the file until it is opened again."""
        with self._lock:
            self._drop()


class _FileReading:
    """Reads on the driver's connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def holders(self, keys: Sequence[str], most: int) -> Sequence[Holder]:
        if not keys:
            return []
        run = self._connection.execute
        found: list[Holder] = run(together(len(keys)), (*keys, _CROWD * most + 1)).fetchall()
        if not crowded(found, most):
            return found
        statement = one_by_one(1)
        return [row for key in keys for row in run(statement, (key, most)).fetchall()]

    def people(self, ids: Sequence[str]) -> Sequence[Person]:
        if not ids:
            return []
        rows: list[Person] = self._connection.execute(known(len(ids)), ids).fetchall()
        return rows


def crowded(found: Sequence[Holder], most: int) -> bool:
    """Whether rows of ``together`` may be too many for a key, or may lack some."""
    if len(found) <= most:
        return False
    return len(found) > _CROWD * most or max(Counter(key for key, _ in found).values()) > most


@lru_cache(maxsize=128)
def together(count: int, mark: str = "?") -> str:
    """Holders of any of so many keys, up to a number in all: the cheap question."""
    marks = ", ".join([mark] * count)
    return (
        f"SELECT key, patient_id FROM records_patient_key "  # noqa: S608 - marks only
        f"WHERE key IN ({marks}) LIMIT {mark}"
    )


@lru_cache(maxsize=128)
def one_by_one(count: int, mark: str = "?") -> str:
    """Holders of each of so many keys, up to a number for each: for keys that many share.

    Written out, because composing thirty subqueries costs more than running them.
    """
    one = f"SELECT key, patient_id FROM records_patient_key WHERE key = {mark} LIMIT {mark}"  # noqa: S608 - marks only
    return " UNION ALL ".join(f"SELECT key, patient_id FROM ({one}) AS p{n}" for n in range(count))  # noqa: S608 - numbers only


@lru_cache(maxsize=128)
def known(count: int, mark: str = "?") -> str:
    """What is stored of so many people."""
    marks = ", ".join([mark] * count)
    return f"SELECT id, demographics, traits FROM records_patient WHERE id IN ({marks})"  # noqa: S608 - marks only
