"""How every command speaks: results to standard output, everything else to standard error.

With ``--json`` standard output holds one JSON value and nothing else. Without it, tables and
sentences; colour only where a terminal reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from node.cli.terminal import PlainConsole
from node.errors import CodedError, Party

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value, for scripts.")]

# without a terminal there is no width to obey, and wrapped tables are hard to read in a log
_WIDE = 200
out = PlainConsole(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
err = PlainConsole(stderr=True, highlight=False, soft_wrap=True)

_SIDES = {
    Party.OURS: "on our side",
    Party.THEIRS: "on the other side",
    Party.NETWORK: "between the two sides",
}


def print_json(value: Any) -> None:
    """Write one JSON value, dataclasses and times included, with a final newline."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    sys.stdout.buffer.write(orjson.dumps(value, default=_plain, option=options) + b"\n")
    sys.stdout.buffer.flush()


def print_json_line(value: Any) -> None:
    """Write one JSON value on one line, for output that goes on."""
    sys.stdout.buffer.write(orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z) + b"\n")
    sys.stdout.buffer.flush()


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str, title: str = ""
) -> None:
    """Write a table, or the sentence ``empty`` where there is no row."""
    table = Table(*columns, title=title or None, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    if table.row_count:
        out.print(table)
    else:
        out.print(empty)


def say(sentence: str) -> None:
    """A sentence of the result."""
    out.print(escape(sentence))


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it has to be."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def note(sentence: str) -> None:
    """A remark beside the result: progress, hints, warnings."""
    err.print(escape(sentence))


def print_error(error: CodedError) -> None:
    """What happened, whose side it is on, and the next step."""
    err.print(f"[bold red]error:[/] {escape(error.sentence)}")
    if error.where:
        err.print(f"  where: {escape(error.where)}")
    err.print(f"  this is {_SIDES[error.party]} ({escape(error.code)})")
    err.print(f"  next: {escape(error.advice)}")


def _plain(value: Any) -> Any:
    """What orjson does not know by itself; dataclasses, enums and times it does."""
    match value:
        case Path():
            return str(value)
        case bytes():
            return value.hex()
        case set() | frozenset():
            return sorted(value, key=str)
        case _:
            raise TypeError(type(value).__name__)
