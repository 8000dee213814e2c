"""A process that writes half of an export, says so, and waits to be killed."""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from node.governance import export_writer
from node.governance.export_store import ExportStore, Rules
from node.governance.export_writer import ExportWriter
from node.governance.two_person import TwoPerson
from node.ledger import export
from node.ledger.private import LedgerKey
from node.storage.engine import open_engine
from tests.ledger.records import OWN


def main() -> None:
    """Arguments: the database, the folder of the files, the number of the export."""
    url, folder, number = sys.argv[1:]
    engine, key = open_engine(url), LedgerKey(os.urandom(32))
    store = ExportStore(engine, key, TwoPerson(engine, key, own=OWN), Rules(), own=OWN)
    export.PIECE = export_writer._EVERY = 1  # type: ignore[misc]
    reached = store.reached

    def half(job: int, written: int, *, now: datetime) -> bool:
        wanted = reached(job, written, now=now)
        sys.stdout.write("half\n")
        sys.stdout.flush()
        threading.Event().wait()
        return wanted

    store.reached = half  # type: ignore[method-assign]
    ExportWriter(engine, key, store, Path(folder), lambda: datetime.now(UTC)).submit(int(number))
    for thread in threading.enumerate():  # a fork ends with its main thread
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()


if __name__ == "__main__":
    main()
