"""No test sees in the database that it is lent what another one did there."""

from __future__ import annotations

import psycopg
import pytest

from tests.kept_database import KeptDatabase

pytestmark = pytest.mark.postgres

EMPTIED = {
    "nothing": "SELECT 1",
    "rows": "INSERT INTO directory_state VALUES (DEFAULT, 1, 1)",
    "rows-deleted": "INSERT INTO directory_state VALUES (7, 1, 1); DELETE FROM directory_state",
    "rows-undone": "BEGIN; INSERT INTO directory_state VALUES (7, 1, 1); ROLLBACK",
    "first-rows-changed": "UPDATE ledger_counter SET next = 7",
    "first-rows-deleted": "DELETE FROM ledger_counter",
    "a-number-taken": "SELECT nextval('directory_state_id_seq')",
}
MADE_ANEW = {
    "table": "CREATE TABLE mine (a int)",
    "table-gone": "DROP TABLE ledger_private CASCADE",
    "column": "ALTER TABLE ledger_hold ADD COLUMN mine int",
    "renamed-and-back": "ALTER TABLE ledger_hold RENAME TO x; ALTER TABLE x RENAME TO ledger_hold",
    "index-gone": "DROP INDEX ix_ledger_entry_time",
    "function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "statistics": "ANALYZE ledger_counter",
    "vacuum": "VACUUM ledger_hold",
}


def seen(url: str) -> list[object]:
    """What a test could see of another one: relations, columns, functions, rows, numbers."""
    with psycopg.connect(url) as connection:

        def rows(query: str) -> list[tuple[object, ...]]:
            return connection.execute(query.encode()).fetchall()

        tables = rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace ="
                      " 'public'::regnamespace ORDER BY 1")  # fmt: skip
        return [
            rows("SELECT relname, pg_relation_size(oid) FROM pg_class"
                 " WHERE relnamespace = 'public'::regnamespace ORDER BY 1"),
            rows("SELECT relname, relpages, reltuples FROM pg_class WHERE relkind = 'r'"
                 " AND relnamespace = 'public'::regnamespace ORDER BY 1"),
            rows("SELECT table_name, column_name, data_type FROM information_schema.columns"
                 " WHERE table_schema = 'public' ORDER BY 1, 2"),
            rows("SELECT proname FROM pg_proc WHERE oid >= 16384"),
            rows("SELECT count(*) FROM pg_stats WHERE schemaname = 'public'"),
            rows("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"),
            *((name, rows(f'SELECT * FROM "{name}"')) for (name,) in tables),
        ]  # fmt: skip


def number(url: str) -> int:
    """What tells one database from another, whatever its name."""
    with psycopg.connect(url) as connection:
        query = "SELECT oid FROM pg_database WHERE datname = current_database()"
        return int(connection.execute(query).fetchone()[0])


@pytest.fixture(scope="module")
def new(postgres_server, postgres_template) -> list[object]:
    """What is seen in a copy of the template."""
    name = postgres_server.create(postgres_template)
    found = seen(postgres_server.url(name))
    postgres_server.execute(f"DROP DATABASE {name}")
    return found


@pytest.mark.parametrize("done", [*EMPTIED, *MADE_ANEW])
def test_the_next_test_finds_a_copy_of_the_template(
    kept_database: KeptDatabase, new: list[object], done: str
) -> None:
    first = kept_database.lend()
    before = number(first)
    with psycopg.connect(first, autocommit=True) as connection:
        for statement in (EMPTIED | MADE_ANEW)[done].split("; "):
            connection.execute(statement.encode())
    kept_database.take_back()
    second = kept_database.lend()
    assert seen(second) == new
    assert (number(second) == before) is (done in EMPTIED)
    kept_database.take_back()


def test_sessions_of_an_earlier_test_are_ended_and_find_no_database_again(
    kept_database: KeptDatabase, new: list[object]
) -> None:
    first = kept_database.lend()
    left = psycopg.connect(first)
    left.execute("INSERT INTO ledger_counter VALUES ('mine', 1)")
    left.execute("LOCK TABLE ledger_counter")
    kept_database.take_back()
    second = kept_database.lend()
    with pytest.raises(psycopg.OperationalError):
        left.execute("COMMIT")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)
    assert seen(second) == new
    kept_database.take_back()
