"""The schema's revisions: applied by Alembic, never by hand; loaded where one is to be applied."""

from __future__ import annotations

import sqlite3
from importlib import resources
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from node.errors import OurFault
from node.storage.engine import IMMEDIATE

_MIGRATION_LOCK: Final = 0x7EFCA


def upgrade(engine: Engine) -> str:
    """Bring the schema up to date in one transaction; returns the revision it is at.

    Several processes may call it at once: one does the work, the others wait for it.

    Raises:
        OurFault: ``database-unavailable`` when the database cannot be reached or changed,
            ``database-too-new`` when a newer version of the node has been here.
    """
    config = _config()
    try:
        with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
            if connection.dialect.name == "postgresql":
                lock = text("SELECT pg_advisory_xact_lock(:key)")
                connection.execute(lock, {"key": _MIGRATION_LOCK})
            _refuse_newer(connection, config)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return revision(engine) or ""
    except DBAPIError as error:
        raise OurFault(
            "database-unavailable",
            f"The database cannot be reached or its tables cannot be made{_why(error)}.",
            detail=type(error.orig).__name__,
        ) from error


def _why(error: DBAPIError) -> str:
    """What SQLite says of its file, which no value is in; PostgreSQL's words may name accounts."""
    return f": {error.orig}" if isinstance(error.orig, sqlite3.Error) else ""


def revision(engine: Engine) -> str | None:
    """The revision that the schema is at, or ``None`` before the first migration."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """The revision that this version of the node needs."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    # a % in the installation's path would be read as interpolation
    path = str(resources.files("node.storage").joinpath("migrations")).replace("%", "%%")
    config.set_main_option("script_location", path)
    config.set_main_option("path_separator", "os")
    return config


def _refuse_newer(connection: Connection, config: Config) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise OurFault("database-too-new", "The database was made by a newer version of this node.")
