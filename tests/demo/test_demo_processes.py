"""Processes of the demo are waited for, and none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from node.demo import processes as module
from node.demo.network import BuiltNode, Network
from node.demo.processes import Processes
from node.errors import OurFault
from node.settings import NodeHome

STUBBORN = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(json.dumps({"soap": "https://127.0.0.1:1"}), flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_a_node_that_cannot_start_is_named_with_its_log(
    demo_network: Network, tmp_path: Path, warm_start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRAM", (str(warm_start / "tefca-node"),))
    home = NodeHome(tmp_path / "nothing")
    home.log.mkdir(parents=True)
    node = BuiltNode(
        organisation=demo_network.asking.organisation,
        home=home,
        settings=demo_network.asking.settings,
    )
    running = Processes()
    with pytest.raises(OurFault) as caught:
        await running.start([node])
    await running.stop()
    assert caught.value.code == "demo-node-not-started"
    assert demo_network.asking.organisation.name in caught.value.sentence
    assert caught.value.where is not None
    assert Path(caught.value.where).stat().st_size  # noqa: ASYNC240  a test waits for nobody


async def test_a_process_that_ignores_the_signal_is_ended_all_the_same(
    demo_network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "stubborn.py"
    program.write_text(STUBBORN)
    started: list[asyncio.subprocess.Process] = []

    async def spawn(_: BuiltNode) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process

    monkeypatch.setattr(module, "_spawn", spawn)
    running = Processes()
    await running.start([demo_network.asking])
    assert running.addresses == {
        demo_network.asking.organisation.key: {"soap": "https://127.0.0.1:1"}
    }
    assert alive(started[0].pid)
    await running.stop(seconds=0.2)
    assert started[0].returncode == -signal.SIGKILL
    assert not alive(started[0].pid)
    running.kill()


async def test_a_node_that_never_gets_ready_is_given_up(
    demo_network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def spawn(_: BuiltNode) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import time; time.sleep(600)",
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    monkeypatch.setattr(module, "_spawn", spawn)
    running = Processes()
    with pytest.raises(OurFault) as caught:
        await running.start([demo_network.asking], seconds=0.2)
    assert caught.value.code == "demo-node-not-started"
    await running.stop()
