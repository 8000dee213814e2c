from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlmodel import SQLModel

import directory.tables
import node.governance.access.tables
import node.governance.detector_tables
import node.governance.disclosure_tables
import node.governance.export_tables
import node.governance.sample_tables
import node.governance.tables
import node.governance.two_person_tables
import node.mail.tables
import node.records.fhir.tables
import node.records.tables
import node.storage.approval_tables
import node.storage.case_tables
import node.storage.clinic_tables
import node.storage.link_tables
import node.storage.network_tables
import node.storage.oauth_tables
import node.storage.tables
import node.storage.tally_tables
import node.users.tables
from node.errors import OurFault, SettingsError
from node.storage.engine import migrate, open_engine
from node.storage.schema import newest_revision, revision


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "not a url", ""]
)
def test_a_url_that_is_not_durable_or_unknown_is_refused_without_its_text(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_engine(url)
    assert caught.value.code == "database-url-invalid"
    assert "hunter2" not in str(caught.value)


def test_sqlite_is_set_to_survive_a_crash(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    with engine.connect() as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    engine.dispose()
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
    }


@pytest.mark.postgres
def test_postgresql_is_set_to_survive_a_crash_whatever_the_server_says(
    postgres_server: object, postgres_url: str
) -> None:
    engine = open_engine(postgres_url)
    with engine.connect() as connection:
        connection.execute(text("ALTER ROLE postgres SET synchronous_commit TO off"))
        connection.commit()
    engine.dispose()
    try:
        with engine.connect() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
            assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
            connection.execute(text("ALTER ROLE postgres RESET synchronous_commit"))
            connection.commit()
    finally:
        engine.dispose()


def test_migrations_make_exactly_the_tables_of_the_code(database_url: str) -> None:
    engine = open_engine(database_url)
    assert migrate(engine) == newest_revision() == revision(engine)
    with engine.connect() as connection:
        # who changes a table adds a revision, and this is what says so
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
        made = set(inspect(connection).get_table_names())
    for package in (
        directory.tables,
        node.governance.access.tables,
        node.governance.tables,
        node.governance.disclosure_tables,
        node.governance.export_tables,
        node.governance.two_person_tables,
        node.records.fhir.tables,
        node.records.tables,
        node.storage.network_tables,
        node.storage.approval_tables,
        node.storage.oauth_tables,
        node.storage.tables,
        node.users.tables,
    ):
        named = {
            model.__tablename__
            for model in vars(package).values()
            if isinstance(model, type) and hasattr(model, "__table__")
        }
        assert named
        assert named <= made
    engine.dispose()


def test_tables_are_made_as_the_code_says_down_to_their_sql(tmp_path: Path) -> None:
    """What a comparison of columns does not see: collations, partial indexes, row ids."""

    def statements(engine: Engine) -> list[str]:
        with engine.connect() as connection:
            rows = connection.execute(
                text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
            ).scalars()
            return sorted(" ".join(row.split()) for row in rows if "alembic" not in row)

    migrated = open_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    migrate(migrated)
    made = open_engine(f"sqlite:///{tmp_path / 'made.db'}")
    SQLModel.metadata.create_all(made)
    assert statements(migrated) == statements(made)
    migrated.dispose()
    made.dispose()


def test_migrating_twice_and_at_once_changes_nothing_more(database_url: str) -> None:
    engines = [open_engine(database_url) for _ in range(4)]
    failures: list[Exception] = []

    def run(engine: Engine) -> None:
        try:
            migrate(engine)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [Thread(target=run, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with engines[0].connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM ledger_counter")).scalar_one() == 1
    for engine in engines:
        engine.dispose()


def test_a_database_of_a_newer_version_is_left_alone(store: Engine) -> None:
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(OurFault) as caught:
        migrate(store)
    assert caught.value.code == "database-too-new"


def test_a_database_that_cannot_be_opened_is_our_fault(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'no such folder' / 'node.db'}")
    with pytest.raises(OurFault) as caught:
        migrate(engine)
    assert caught.value.code == "database-unavailable"
    assert caught.value.retryable


def test_law_6_statements_in_errors_do_not_show_their_values(store: Engine) -> None:
    with pytest.raises(Exception) as caught, store.begin() as connection:
        statement = text("INSERT INTO ledger_counter (name, next) VALUES (:name, :next)")
        connection.execute(statement, {"name": "entry", "next": 424242})
    assert "424242" not in str(caught.value)
