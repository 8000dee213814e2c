"""A command loads what it needs and no more: what is loaded decides how long a start takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from ended import Cli
from typer.core import TyperGroup

from node.cli.main import app
from node.settings import NodeHome

_SERVERS = {"aiohttp", "grpc", "starlette", "uvicorn", "uvloop", "fhir"}
_NETWORK_LIST = {"securesystemslib", "tuf"}
_DATABASE = {"alembic", "sqlalchemy", "sqlmodel"}
_RUN = """
import sys
from node.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def loaded(*arguments: str) -> set[str]:
    """The top-level packages that a command loads."""
    ended = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return set(ended.stderr.splitlines()[-1].split())


def test_the_list_of_commands_loads_no_command() -> None:
    assert not loaded("--help") & (_SERVERS | _NETWORK_LIST | _DATABASE | {"cryptography"})


@pytest.mark.parametrize("command", ["cert show", "cert status", "anchor list"])
def test_a_command_about_files_loads_no_server_and_no_database(
    home: NodeHome, command: str
) -> None:
    found = loaded("--home", str(home.path), *command.split())
    assert not found & (_SERVERS | _NETWORK_LIST | _DATABASE)
    assert "cryptography" in found


@pytest.mark.parametrize("command", ["log find", "log tail"])
def test_a_command_about_the_log_loads_no_server_and_no_migrations(
    cli: Cli, home: NodeHome, command: str
) -> None:
    assert cli("log", "find").code == 0  # makes the database, which takes the migrations
    found = loaded("--home", str(home.path), *command.split())
    assert not found & (_SERVERS | _NETWORK_LIST | {"alembic"})
    assert "sqlalchemy" in found


def test_the_list_of_commands_says_what_the_commands_say_of_themselves() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    context = typer.Context(group)
    seen: dict[str, str] = {}
    formatted = group.get_command

    def noting(ctx: typer.Context, name: str) -> object:
        command = formatted(ctx, name)
        seen[name] = command.help
        return command

    group.get_command = noting  # type: ignore[method-assign]
    group.format_help(context, context.make_formatter())
    real = {name: each.help.split("\n\n")[0] for name, each in group.commands.items()}
    assert seen == {name: text.replace("\n", " ") for name, text in real.items()}
    assert len(seen) > 10
