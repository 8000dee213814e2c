"""The node's schema made once for each test process and copied into each new SQLite database.

Applying every revision to an empty file takes some 200 ms of CPU, and over a thousand tests need
one. The template is what the revisions themselves make, as with ``postgres_template``; the tests of
the revisions and of their failures (``tests/storage``) and all started programs apply them.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect

from node.storage import schema
from node.storage.engine import open_engine

_upgrade = schema.upgrade


class ReadySchema:
    """A stand-in for ``node.storage.schema.upgrade`` that copies where there is nothing yet."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "schema.db"

    def prepare(self) -> None:
        """Make the template, unless it is there."""
        if not self._file.exists():
            first = open_engine(f"sqlite:///{self._file}")
            _upgrade(first)
            first.dispose()

    def upgrade(self, engine: Engine) -> str:
        """Bring the schema up to date; returns the revision it is at."""
        if engine.dialect.name != "sqlite" or inspect(engine).get_table_names():
            return _upgrade(engine)
        self.prepare()
        raw = engine.raw_connection()
        try:
            with sqlite3.connect(self._file) as template:
                template.backup(raw.driver_connection)
            template.close()
        finally:
            raw.close()
        return schema.revision(engine) or ""


@pytest.fixture(scope="session")
def ready_schema() -> Iterator[ReadySchema]:
    """The template of this test process."""
    with tempfile.TemporaryDirectory(prefix="schema-") as folder:
        yield ReadySchema(Path(folder))


@pytest.fixture(autouse=True, scope="module")
def _schema_is_copied(request: pytest.FixtureRequest, ready_schema: ReadySchema) -> Iterator[None]:
    if "storage" in request.node.nodeid.split("/"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "upgrade", ready_schema.upgrade)
        yield
