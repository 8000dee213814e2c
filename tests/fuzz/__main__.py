"""``make fuzz``: coverage-guided fuzzing of what reads strangers' bytes.

Ends with 1 when an input broke an invariant; it is then kept in ``.fuzz/findings`` beside a text
that says what happened. ``--try FILE`` tries one again, ``--keep`` renews the corpus in git.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fuzz.corpus import keep
from tests.fuzz.driver import WORK, Row, fuzz, write_report
from tests.fuzz.targets import TARGETS

console = Console(highlight=False, width=120)


def main() -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0, help="in all (default 9)")
    parser.add_argument("--only", metavar="TARGET", action="append", choices=sorted(TARGETS))
    parser.add_argument("--try", dest="file", type=Path, help="try one input of --only")
    parser.add_argument("--keep", action="store_true", help="renew the corpus from .fuzz")
    arguments = parser.parse_args()
    targets = [TARGETS[name] for name in arguments.only or TARGETS]
    if arguments.file is not None:
        warnings.simplefilter("ignore")
        console.print(targets[0].check(arguments.file.read_bytes()))
        return 0
    if arguments.keep:
        for target in targets:
            console.print(f"{target.name}: {keep(target, WORK / 'corpus' / target.name)} inputs")
        return 0
    rows: list[Row] = []
    for row in fuzz(targets, arguments.minutes):
        rows.append(row)
        console.print(f"{row.target}: {row.executions:,} inputs, {row.edges:,} edges", markup=False)
        for finding in row.findings:
            console.print(f"  FINDING {finding}", markup=False)
    console.print(_table(rows))
    console.print(f"written to {write_report(rows)}")
    return 1 if any(row.findings for row in rows) else 0


def _table(rows: list[Row]) -> Table:
    table = Table(box=None)
    for head in ("target", "minutes", "inputs tried", "edges", "features", "corpus", "findings"):
        table.add_column(head, justify="left" if head == "target" else "right")
    for row in rows:
        table.add_row(
            row.target,
            f"{row.minutes:.1f}",
            f"{row.executions:,}",
            f"{row.edges:,}",
            f"{row.features:,}",
            f"{row.inputs:,}",
            str(len(row.findings)),
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
