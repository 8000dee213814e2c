"""The table that people read and the file that programs read, of the same rows."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from tests.bench.row import Row

_WIDTH = 150

console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)


def report(rows: Iterable[Row], out: Path, *, check: bool, quick: bool = False) -> int:
    """Print the rows as they come, then their table, and write the file; the exit code.

    With ``check`` a missed target is 1.
    """
    kept: list[Row] = []
    for row in rows:
        console.print(_line(row), markup=False)
        kept.append(row)
    _write(out, kept)
    console.print(_table(kept, quick=quick))
    console.print(f"written to {out}")
    missed = [row.name for row in kept if row.missed]
    for name in missed:
        console.print(f"target missed: {name}", markup=False)
    return 1 if missed and check else 0


def _line(row: Row) -> str:
    ratio = "" if row.ratio is None else f", {row.ratio:.2f} times the floor"
    return f"  {row.name}: {_number(row.value)} {row.unit}{ratio}"


def _table(rows: list[Row], *, quick: bool) -> Table:
    size = "QUICK, not for publication; " if quick else ""
    title = (
        f"{size}{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
    table = Table(title=title)
    table.add_column("name")
    for heading in ("value", "unit", "floor", "ratio", "target"):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    for row in rows:
        table.add_row(
            row.name,
            _number(row.value),
            row.unit,
            _number(row.floor),
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.target is None else f"≤ {row.target:g}",
            style="red" if row.missed else None,
        )
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _write(path: Path, rows: list[Row]) -> None:
    rounded = [
        replace(
            row,
            value=round(row.value, 3),
            floor=None if row.floor is None else round(row.floor, 3),
            ratio=None if row.ratio is None else round(row.ratio, 3),
        )
        for row in rows
    ]
    path.write_bytes(orjson.dumps([asdict(r) for r in rounded], option=orjson.OPT_INDENT_2) + b"\n")
