"""What every start of the program does anew, done once before processes are forked from it.

Only what is the same in each of them: the modules are loaded, our tables of data are read,
SQLAlchemy knows its classes, Jinja its templates. The schema's revisions are applied to one SQLite
file, of which a command whose database is empty gets a copy. Passwords are hashed as quickly as can
be: the quarter of a second that it should take comes with each node's start and each signing in.
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout, suppress
from functools import _lru_cache_wrapper, partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from pkgutil import walk_packages

from sqlalchemy.orm import configure_mappers

_PACKAGES = ("trust", "directory", "node")
_NOT = ("node.__main__", "node.storage.migrations.")
"""Not modules to import: the program itself, and what Alembic loads."""


def warm_up(folder: Path) -> None:
    """Do it; ``folder`` is where the schema is kept."""
    for package in _PACKAGES:
        for found in walk_packages(import_module(package).__path__, f"{package}."):
            if not found.name.startswith(_NOT):
                import_module(found.name)
    for late in ("fpdf", "uvicorn.lifespan.on"):  # loaded with the first paper and listener
        import_module(late)
    configure_mappers()
    _read_tables()
    _run("explain", "key-file-missing")
    templates = import_module("node.console.rendering")._environment()
    for name in templates.list_templates(extensions=["html"]):
        templates.get_template(name)
    users = import_module("node.users.store")
    users.PasswordHasher = partial(users.PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    schema, ready = import_module("node.storage.schema"), import_module("tests.ready_schema")
    made = ready.ReadySchema(folder)
    made.prepare()
    schema.upgrade = made.upgrade


def _read_tables() -> None:
    """Call each cached function of ours that has no arguments: it reads data that we ship."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in _PACKAGES:
            continue
        for value in list(vars(module).values()):
            if isinstance(value, _lru_cache_wrapper) and not signature(value).parameters:
                value()


def _run(*words: str) -> None:
    """A command that prints: it loads what typer and rich load with the first one."""
    before = sys.argv
    sys.argv = ["tefca-node", *words]
    with redirect_stdout(io.StringIO()), suppress(SystemExit):
        import_module("node.__main__").main()
    sys.argv = before
