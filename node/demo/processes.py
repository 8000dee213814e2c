"""The nodes of a sample network as processes: started, waited for, and never left behind.

Each node runs in a process group of its own, so that Ctrl-C in the terminal reaches this program
alone, which then stops them in good order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from node.demo.network import BuiltNode
from node.errors import OurFault

START_SECONDS = 120.0
STOP_SECONDS = 4.0
PROGRAM: Sequence[str] = (sys.executable, "-m", "node")
_LOG = "serve.log"


@dataclass(slots=True)
class Processes:
    """All processes that were started; ``addresses`` by organisation key, as the nodes told."""

    addresses: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _running: dict[str, Process] = field(default_factory=dict)

    async def start(self, nodes: Sequence[BuiltNode], *, seconds: float = START_SECONDS) -> None:
        """Start nodes and wait until every one answers.

        Raises:
            OurFault: ``demo-node-not-started`` when one ends early or takes too long; the others
                run until ``stop``.
        """
        # started one by one before any is waited for: an interrupt then finds them all here
        for node in nodes:
            self._running[node.organisation.key] = await _spawn(node)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(self._ready(node) for node in nodes))
        except TimeoutError:
            late = [n.organisation.name for n in nodes if n.organisation.key not in self.addresses]
            raise OurFault(
                "demo-node-not-started",
                f"{', '.join(late)} did not start within {seconds:.0f} seconds.",
            ) from None

    async def stop(self, *, seconds: float = STOP_SECONDS) -> None:
        """Ask all processes to end, and end those that do not."""
        self._signal(signal.SIGTERM)
        waiting = [asyncio.ensure_future(p.wait()) for p in self._running.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        self.kill()
        await asyncio.gather(*waiting)
        self._running.clear()

    def kill(self) -> None:
        """End whatever still runs, at once; harmless when repeated."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    async def _ready(self, node: BuiltNode) -> None:
        process = self._running[node.organisation.key]
        line = await process.stdout.readline() if process.stdout else b""
        if not line:
            raise OurFault(
                "demo-node-not-started",
                f"{node.organisation.name} ended before it was ready.",
                where=str(node.home.log / _LOG),
            )
        self.addresses[node.organisation.key] = orjson.loads(line)


async def _spawn(node: BuiltNode) -> Process:
    node.home.log.mkdir(exist_ok=True)
    with (node.home.log / _LOG).open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *PROGRAM,
            *("--home", str(node.home.path), "serve", "--json"),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=log,
            start_new_session=True,
        )
