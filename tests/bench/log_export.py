"""One export of a log in a process of its own, so that its memory is the export's alone.

Run as ``python -m tests.bench.log_export URL FORMAT BOUND``; prints seconds and MB as JSON.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from node.ledger.audit import Site
from node.ledger.export import Format, pieces
from node.ledger.export_file import PartialFile
from node.ledger.export_parquet import ParquetRendering
from node.ledger.export_rendering import Rendering, line_rendering
from node.ledger.export_run import write_export
from node.ledger.filter import LedgerFilter
from node.storage.engine import open_engine
from tests.bench.big_log import OWN


def main(url: str, how: Format, bound: int) -> None:
    """Export the entries up to a bound."""
    engine = open_engine(url)
    rendering: Rendering
    if how is Format.PARQUET:
        rendering = ParquetRendering(private=False, about={})
    else:
        site = Site(name="", home_community_id=OWN, address="", addresses={})
        rendering = line_rendering(how, private=False, site=site)
    with TemporaryDirectory(prefix="bench-") as folder:
        file = PartialFile(Path(folder) / "export", own=False)
        started = time.perf_counter()
        write_export(file, pieces(engine, LedgerFilter(), None, bound=bound), rendering)
        taken = time.perf_counter() - started
    # not getrusage: its mark is the parent's, which made the log
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(lines["VmHWM"].split()[0]) / 1024
    sys.stdout.buffer.write(orjson.dumps({"seconds": taken, "mb": peak}))


if __name__ == "__main__":
    main(sys.argv[1], Format(sys.argv[2]), int(sys.argv[3]))
