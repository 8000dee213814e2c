"""``tefca-node doctor``: is everything in order, and if not, what is the next step."""

from __future__ import annotations

import asyncio

import typer
from rich.markup import escape

from node.cli.exits import Exit
from node.cli.home import context_of
from node.cli.output import JsonOption, out, print_json
from node.examination import examine_home
from node.examined import Examined
from node.ops.health import Status

_COLOURS = {
    Status.OK: "green",
    Status.WARN: "yellow",
    Status.FAIL: "red",
    Status.UNKNOWN: "magenta",
}


def doctor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check clock, files, permissions, keys, expiry, directory and ports; 1 when one fails."""
    command = context_of(context)
    found = asyncio.run(examine_home(command.home))
    if as_json:
        print_json(found)
    else:
        for each in found:
            _print(each)
    if any(each.status is Status.FAIL for each in found):
        raise typer.Exit(Exit.NOT_GOOD)


def _print(each: Examined) -> None:
    colour = _COLOURS[each.status]
    out.print(f"[{colour}]{each.status:8}[/]{each.check:22}{escape(each.sentence)}")
    if each.next_step:
        out.print(f"{'':30}next: {escape(each.next_step)}")
