"""A process to be measured: ``python -m tests.bench.worker ROLE FOLDER``.

The roles: ``node``, ``steps`` (a node that counts its steps), ``floor``, ``fetch``, ``append``.

It says one JSON line when it is ready and then one for every command that it reads:

* ``usage``: CPU time of the process in ns, its memory and the highest it has been, in bytes;
* ``settle``: let the high-water mark begin anew;
* ``steps``: (steps) CPU time of each step of the responder in ns;
* ``fetch SIZE``: (fetch) retrieve the document of that size into an inbox;
* ``append ENTRIES RATE``: (append) write entries into the home's log, so many a second.

The end of its input ends it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

import orjson
import psutil
import uvloop

from node.app import Composition
from node.clock import SystemClock
from node.exchange.ports import Call, Trace
from node.gateway.server import serving
from node.identity import Role, network_anchors, tls_identity
from node.model import DocumentRef, ResponseStatus, Transaction
from node.peers.assertion import AssertionIssuer
from node.peers.inbox import FileInbox
from node.peers.pool import open_pool
from node.peers.soap_client import Caller, SoapPeers
from node.storage.engine import open_engine
from tests.bench.appending import Appender
from tests.bench.floor import floor_app
from tests.bench.homes import BenchNode
from tests.bench.steps import StepClock
from trust.anchors import authorised
from trust.tls import server_context
from trust.usages import Usage


def _say(**facts: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(facts) + b"\n")
    sys.stdout.buffer.flush()


def _usage() -> None:
    status = Path("/proc/self/status")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if status.exists():  # the mark that "settle" resets is not the one that getrusage gives
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        peak = int(lines["VmHWM"].split()[0]) * 1024
    _say(cpu=time.process_time_ns(), rss=psutil.Process().memory_info().rss, peak=peak)


def _settle() -> None:
    gc.collect()
    marks = Path("/proc/self/clear_refs")
    if marks.exists():
        marks.write_text("5", encoding="ascii")
    _say(settled=marks.exists())


def _listen(clock: StepClock | None = None) -> None:
    for line in sys.stdin:
        if clock is not None and line.strip() == "steps":
            _say(**clock.spent())
        else:
            {"usage": _usage, "settle": _settle}[line.strip()]()
    os.kill(os.getpid(), signal.SIGTERM)


def node(folder: Path, clock: StepClock | None = None) -> None:
    """The whole node, as ``tefca-node serve`` runs it."""
    bench = BenchNode.at(folder)

    def ready(bound: dict[str, str]) -> None:
        _say(port=int(bound["soap"].rpartition(":")[2]))
        threading.Thread(target=_listen, args=(clock,), daemon=True).start()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Composition().serve(bench.home, bench.settings, ready))


def steps(folder: Path) -> None:
    """The whole node, its steps counted."""
    node(folder, StepClock())


def floor(folder: Path) -> None:
    """The same server with the same TLS, that parses and checks two signatures, no more."""
    bench = BenchNode.at(folder)
    anchors = authorised(network_anchors(bench.home))[Usage.TLS_CLIENT]
    context = server_context(tls_identity(bench.home, bench.settings, Role.SERVER), anchors)

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with serving(floor_app(bench.settings), "127.0.0.1", 0, context) as (_, port):
            _say(port=port)
            threading.Thread(target=_listen, daemon=True).start()
            await stop.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def fetch(folder: Path) -> None:
    """The asking side: retrieves documents with the real client into a real inbox."""
    asking, answering = BenchNode.at(folder / "asking"), BenchNode.at(folder / "answering")
    with (
        tempfile.TemporaryDirectory(dir=folder) as inbox_folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        inbox = FileInbox(Path(inbox_folder) / "spool", Path(inbox_folder) / "shown")
        session = runner.run(_pool(asking))
        peers = SoapPeers(
            session=session,
            issuer=AssertionIssuer(signer=asking.signer),
            own=Caller(home_community_id=asking.home_community_id),
            clock=SystemClock(),
        )
        _say(port=0)
        for line in sys.stdin:
            command, *rest = line.split()
            if command == "fetch":
                size = runner.run(_retrieve(peers, inbox, asking, answering, rest[0]))
                _say(size=size)
            else:
                {"usage": _usage, "settle": _settle}[command]()
        runner.run(session.close())


def append(folder: Path) -> None:
    """Another process that writes into the same log."""
    bench = BenchNode.at(folder)
    engine = open_engine(bench.home.database_url(bench.settings))
    appender = Appender(engine)
    _say(port=0)
    for line in sys.stdin:
        _, entries, rate = line.split()
        _say(**asdict(appender.run(int(entries), int(rate))))
    engine.dispose()


async def _pool(asking: BenchNode):  # type: ignore[no-untyped-def]
    return open_pool(asking.client_context)


async def _retrieve(peers, inbox, asking, answering, unique_id) -> int:  # type: ignore[no-untyped-def]
    ref = DocumentRef(
        home_community_id=answering.home_community_id,
        repository_unique_id=answering.settings.node.repository_unique_id,
        document_unique_id=unique_id,
    )
    call = Call(
        message_id=f"urn:uuid:{SystemClock().new_id()}", principal=asking.principal, timeout=120
    )
    peer = answering.peer(Transaction.ITI_39)
    answer = await peers.retrieve(peer, [ref], call, Trace(), inbox)
    if answer.status is not ResponseStatus.SUCCESS:
        raise RuntimeError(answer.errors)
    (document,) = answer.documents
    await inbox.discard(document.token)
    return document.size


if __name__ == "__main__":
    roles = {"node": node, "steps": steps, "floor": floor, "fetch": fetch, "append": append}
    roles[sys.argv[1]](Path(sys.argv[2]))
