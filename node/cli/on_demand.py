"""Loads a command's module when the command is run, not when another one is.

Importing all commands costs several times what most of them do. The list of commands, as ``--help``
prints it, needs their names and one line each; a test compares the lines with the commands' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

Command = Any
"""Typer's own class of commands, which it does not publish."""


class OnDemand(MutableMapping[str, Command]):
    """The commands by name; looking one up imports its module in ``node.cli``.

    A module has an ``app`` (a group of commands, which is meant itself unless a command in it has
    the name) or a function of its own name (a command).
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        """The modules by name of the command; nothing is loaded yet."""
        self._modules = modules
        self._commands: dict[str, Command | None] = dict.fromkeys(modules)

    def __getitem__(self, name: str) -> Command:
        found = self._commands[name]
        if found is None:
            found = self._commands[name] = _loaded(name, self._modules[name])
        return found

    def __setitem__(self, name: str, command: Command) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


@cache
def _loaded(name: str, module_name: str) -> Command:
    module = import_module(f"node.cli.{module_name}")
    group = getattr(module, "app", None)
    if group is None:
        group = typer.Typer(add_completion=False)
        group.command(name)(getattr(module, name))
        return typer.main.get_command(group)
    found = typer.main.get_group(group)
    if name in found.commands:
        return found.commands[name]
    found.name = name
    return found


def group_of(lines: Mapping[str, str], modules: Mapping[str, str]) -> type[TyperGroup]:
    """A class of groups whose commands are loaded on demand.

    Args:
        lines: one line of help by name, in the order of the list.
        modules: which module completes a command, where it has another name than the command.
    """
    places = {name: modules.get(name, name) for name in lines}

    class Group(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self._listing = False
            self.commands = OnDemand(places)

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's own form
            return list(self.commands)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if self._listing and cmd_name in lines:
                return TyperCommand(cmd_name, help=lines[cmd_name])
            return super().get_command(ctx, cmd_name)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            self._listing = True
            try:
                super().format_help(ctx, formatter)
            finally:
                self._listing = False

    return Group
