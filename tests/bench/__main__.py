"""``make bench``: measures, prints a table, writes ``bench.json``.

Everything is a ratio of two things measured in turns in one run, or CPU time of the process that
does the work; wall-clock time counts only where the disk is the point (ledger entries a second).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.table import Table

from tests.bench import matching
from tests.bench.chains import chain_rows
from tests.bench.clinic import clinic_rows
from tests.bench.clinic_page import clinic_page_rows
from tests.bench.directory_sizes import directory_rows
from tests.bench.fan_out import real_rows, simulated_rows
from tests.bench.fhir import fhir_rows
from tests.bench.fhir_merge import merge_rows
from tests.bench.homes import Pair, make_pair
from tests.bench.large_document import large_document_rows
from tests.bench.ledger_entries import ledger_rows
from tests.bench.log_size import log_rows
from tests.bench.patient_match import patient_match_rows
from tests.bench.reading import reading_rows
from tests.bench.report import console, report
from tests.bench.responder import CHARTS, SMALL, responder_rows
from tests.bench.responder_steps import step_rows
from tests.bench.revocations import revocation_rows
from tests.bench.row import FULL, QUICK, Row, Sizes
from tests.bench.sealed_log import sealed_log_rows, sealing_under_load_rows
from tests.bench.signatures import signature_rows
from tests.bench.sweeps import sweep_rows

ROOT = Path(__file__).resolve().parents[2]
_SHARED = ROOT.parent / "shared" / "data"

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
        rows = _timed({name: measures[name] for name in chosen})
        return report(rows, arguments.out, check=arguments.check, quick=arguments.quick)


def _timed(measures: dict[str, Measure]) -> Iterator[Row]:
    for name, measure in measures.items():
        started = time.monotonic()
        yield from measure()
        console.print(f"({name}: {time.monotonic() - started:.0f} s)", style="dim")


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
        "responder-steps": lambda: step_rows(pair(), sizes),
        "large-document": lambda: large_document_rows(pair(), sizes),
        "fan-out-simulated": lambda: simulated_rows(sizes),
        "fan-out-real": lambda: real_rows(pair(), sizes),
        "ledger": lambda: ledger_rows(sizes),
        "log-filters": lambda: log_rows(
            "sqlite", folder, small=sizes.log[0], large=sizes.log[1], values=10
        ),
        "detector-sweep": lambda: sweep_rows(
            folder,
            small=sizes.log[0],
            large=sizes.log[1],
            new=sizes.log[0] // 20,
            rounds=sizes.rounds,
        ),
        "sealed-log": lambda: sealed_log_rows(sizes),
        "sealing-under-load": lambda: sealing_under_load_rows(pair(), sizes),
        "directory": lambda: directory_rows(sizes),
        "fhir": lambda: fhir_rows(sizes),
        "fhir-merge": lambda: merge_rows(sizes),
        "clinic": lambda: clinic_rows(sizes),
        "clinic-page": lambda: clinic_page_rows(sizes),
        "patient-match": lambda: patient_match_rows(sizes),
        "matching": _matching_rows,
        "chains": lambda: chain_rows(sizes),
        "reading": lambda: reading_rows(sizes),
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


if __name__ == "__main__":
    sys.exit(main())
