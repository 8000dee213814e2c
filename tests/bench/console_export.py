"""An export of a whole large log as the console makes it: a second person, progress, cancelled.

In a process of its own, so that its memory and its CPU are the export's. All rows are asked for
with patients' tokens, so that a second person approves; the file is sealed as it is written and
opened again to its end. A second export is cancelled half-way and leaves nothing; a log of a few
thousand entries is written before that can be, and has no such number.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import orjson

from node.governance.export_model import Ask, Job, Source, State
from node.governance.export_store import ExportStore, Rules
from node.governance.export_writer import ExportWriter
from node.governance.two_person import TwoPerson
from node.governance.two_person_model import Who
from node.ledger.filter import LedgerFilter
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author
from node.storage.engine import open_engine
from tests.bench.big_log import OWN
from tests.bench.row import Row

_WHY: Final = "All of it, to measure what that costs."
_POLL: Final = 0.05


def console_export_rows(url: str, kek: bytes, engine: str) -> Iterator[Row]:
    """What an export of all entries costs the node."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.console_export", url, base64.b64encode(kek).decode()],
        check=True,
        stdout=subprocess.PIPE,
    )
    found = orjson.loads(done.stdout)
    rows = found["rows"]
    name = f"console: export of {rows:,} rows ({engine})"
    yield Row(name=f"{name}, time", value=found["seconds"], unit="s")
    yield Row(name=f"{name}, CPU", value=found["cpu"] / rows * 1e6, unit="s per million rows")
    yield Row(name=f"{name}, memory above an idle node's", value=found["mb"], unit="MB")
    if "stop" in found:
        stopped = f"{name}, cancelled half-way: until no file is left"
        yield Row(name=stopped, value=found["stop"], unit="s")


def _who(login: str) -> Who:
    author = Author(by="user", who={"user_id": login})
    return Who(login=login, rights=frozenset({"exports"}), author=author)


def _asked(store: ExportStore, two: TwoPerson, how: str) -> Job:
    """An export that a second person has approved."""
    now = datetime.now(UTC)
    ask = Ask(source=Source.EXCHANGES, chosen=LedgerFilter(), format=how, tokens=True)
    job = store.ask(ask, _who("ida"), text=_WHY, now=now)
    assert isinstance(job, Job), job
    if job.request is None:
        return job
    request = two.read(job.request)
    assert request is not None
    ruled = store.approve(job.id, _who("ben"), digest=request.digest, now=now)
    assert isinstance(ruled, Job), ruled
    return ruled


def _until(store: ExportStore, job: Job, *states: State, written: int = 0) -> Job:
    while True:
        found = store.read(job.id)
        assert found is not None
        if found.state in states and found.written >= written:
            return found
        assert found.state in (State.QUEUED, State.RUNNING), found
        threading.Event().wait(_POLL)


def _measured(url: str, kek: bytes, folder: Path) -> dict[str, float]:
    engine, key = open_engine(url), LedgerKey(kek)
    two = TwoPerson(engine, key, own=OWN)
    store = ExportStore(engine, key, two, Rules(most_rows=50_000_000), own=OWN)
    writer = ExportWriter(engine, key, store, folder, lambda: datetime.now(UTC))
    job = _asked(store, two, "csv")
    idle, started, before = _peak(), time.perf_counter(), time.process_time()
    writer.submit(job.id)
    whole = _until(store, job, State.DONE)
    taken, worked = time.perf_counter() - started, time.process_time() - before
    digest = hashlib.sha256()
    for piece in writer.pieces_of(whole):
        digest.update(piece)
    assert digest.digest() == whole.sha256
    peak = _peak()
    found = {"rows": whole.written, "seconds": taken, "cpu": worked, "mb": peak - idle}
    stopped = _asked(store, two, "ndjson")
    writer.submit(stopped.id)
    half = _until(store, stopped, State.RUNNING, State.DONE, written=stopped.rows // 2)
    if half.state is State.RUNNING:
        cancelled = store.cancel(stopped.id, _who("ida"), now=datetime.now(UTC))
        if isinstance(cancelled, Job):  # not when it was done at that very moment
            asked = time.perf_counter()
            while any(path.name.startswith(f"export-{stopped.id}.") for path in folder.iterdir()):
                threading.Event().wait(_POLL)
            found["stop"] = time.perf_counter() - asked
    writer.close()
    engine.dispose()
    return found


def _peak() -> float:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    with TemporaryDirectory(prefix="bench-export-") as place:
        found = _measured(sys.argv[1], base64.b64decode(sys.argv[2]), Path(place) / "exports")
    sys.stdout.buffer.write(orjson.dumps(found))
