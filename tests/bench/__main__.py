"""``make bench``: measures, prints a table, writes ``bench.json``.

Everything is a ratio of two things measured in turns in one run, or CPU time of the process that
does the work; wall-clock time counts only where the disk is the point (ledger entries a second).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from tests.bench import matching
from tests.bench.chains import chain_rows
from tests.bench.directory_sizes import directory_rows
from tests.bench.fan_out import real_rows, simulated_rows
from tests.bench.homes import Pair, make_pair
from tests.bench.large_document import large_document_rows
from tests.bench.ledger_entries import ledger_rows
from tests.bench.patient_match import patient_match_rows
from tests.bench.responder import CHARTS, SMALL, responder_rows
from tests.bench.revocations import revocation_rows
from tests.bench.row import FULL, QUICK, Row, Sizes
from tests.bench.sealed_log import sealed_log_rows, sealing_under_load_rows
from tests.bench.signatures import signature_rows

ROOT = Path(__file__).resolve().parents[2]
_SHARED = ROOT.parent / "shared" / "data"
_WIDTH = 150

console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
Measure = Callable[[], Iterator[Row]]


def main() -> int:
    """Run the measurements that were asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="a measurement; may stand several times"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--out", type=Path, default=ROOT / "bench.json", help="the JSON file")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        measures = _measures(Path(folder), sizes)
        chosen = arguments.only or list(measures)
        if unknown := set(chosen) - set(measures):
            parser.error(f"no such measurement: {', '.join(unknown)}; {', '.join(measures)}")
        rows: list[Row] = []
        for name in chosen:
            started = time.monotonic()
            for row in measures[name]():
                console.print(_line(row), markup=False)
                rows.append(row)
            console.print(f"({name}: {time.monotonic() - started:.0f} s)", style="dim")
    _write(arguments.out, rows)
    console.print(_table(rows, quick=arguments.quick))
    console.print(f"written to {arguments.out}")
    missed = [row.name for row in rows if row.missed]
    for name in missed:
        console.print(f"target missed: {name}", markup=False)
    return 1 if missed and arguments.check else 0


def _measures(folder: Path, sizes: Sizes) -> dict[str, Measure]:
    made: list[Pair] = []

    def pair() -> Pair:
        if not made:
            made.append(
                make_pair(
                    folder,
                    patients=sizes.patients,
                    organizations_known=sizes.organizations,
                    sizes=(SMALL, sizes.large_bytes),
                    charts=CHARTS,
                )
            )
        return made[0]

    return {
        "responder": lambda: responder_rows(pair(), sizes),
        "large-document": lambda: large_document_rows(pair(), sizes),
        "fan-out-simulated": lambda: simulated_rows(sizes),
        "fan-out-real": lambda: real_rows(pair(), sizes),
        "ledger": lambda: ledger_rows(sizes),
        "sealed-log": lambda: sealed_log_rows(sizes),
        "sealing-under-load": lambda: sealing_under_load_rows(pair(), sizes),
        "directory": lambda: directory_rows(sizes),
        "patient-match": lambda: patient_match_rows(sizes),
        "matching": _matching_rows,
        "chains": lambda: chain_rows(sizes),
        "signatures": lambda: signature_rows(sizes),
        "revocation": lambda: revocation_rows(sizes),
    }


def _matching_rows() -> Iterator[Row]:
    """Precision and recall, and links that must not be, per data set; prints the whole table."""
    if not _SHARED.is_dir():
        console.print(
            "NOT MEASURED: precision and recall of matching need ../shared/data", style="bold red"
        )
        return
    found = matching.table(_SHARED)
    console.print(_matching_table(found))
    for row in found:
        if row.precision is None:
            continue
        yield Row(name=f"matching {row.name}, precision", value=row.precision * 100, unit="%")
        yield Row(name=f"matching {row.name}, recall", value=row.recall * 100, unit="%")
        if row.hard:
            yield Row(
                name=f"matching {row.name}, labelled non-matches linked of {row.hard}",
                value=float(row.hard_linked or 0),
                unit="links",
                target=0,
            )


def _matching_table(rows: list[matching.Row]) -> Table:
    table = Table(title="matching: data sets with known truth, and kinds of mistakes in the first")
    table.add_column("set or kind")
    for heading in ("pairs", "compared", "linked", "recall %", "precision %", "non-matches linked"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.pairs:,}",
            f"{row.compared:,}",
            f"{row.linked:,}",
            f"{row.recall * 100:.2f}",
            "" if row.precision is None else f"{row.precision * 100:.3f}",
            "" if not row.hard else f"{row.hard_linked} of {row.hard:,}",
        )
    return table


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


if __name__ == "__main__":
    sys.exit(main())
