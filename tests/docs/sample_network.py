"""The sample network that the manual's walks at the console start, by the commands they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.manual import blocks, section
from tests.docs.test_readme import kill_group

SECONDS = 240
GOVERNANCE = "### From a flag to a closed case"
CLINICIANS = "## A patient's medicines elsewhere, and a wrong document"


class Shell:
    """One shell that runs the commands as they stand, block by block."""

    def __init__(self, home: Path, warm_start: Path) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("TEFCA_NODE", "PYTEST"))}
        env |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
        self._output = home / "output"
        with self._output.open("wb") as stream:
            self.process = subprocess.Popen(
                ["bash", "-euo", "pipefail"], cwd=home, env=env, stdin=subprocess.PIPE,
                stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        self._send(f"shopt -s expand_aliases\nalias tefca-node={warm_start}/tefca-node\n")

    def run(self, block: str, mark: str) -> str:
        """What the commands print."""
        before = len(self.shown())
        self._send(f"{block}\necho {mark}\n")
        end = time.monotonic() + SECONDS
        while mark not in self.shown()[before:]:
            assert self.process.poll() is None, self.shown()
            assert time.monotonic() < end, self.shown()
            time.sleep(0.2)
        return self.shown()[before:]

    def end(self) -> None:
        """End it and all that it started."""
        kill_group(self.process.pid)
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()

    def shown(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def _send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The running network: its shell, the console's printed address, first passwords by login."""

    shell: Shell
    base: str
    passwords: dict[str, str]
    shown: str


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, warm_start: Path) -> Iterator[Sample]:
    """Both chapters start the same network: it runs once, with the people of both."""
    started, people, _ = blocks(section(CLINICIANS), "sh")
    same, watching, last = blocks(section(GOVERNANCE), "sh")
    assert same == started
    assert blocks(section(CLINICIANS), "sh")[-1] == "kill %1\nwait\n"
    assert last.endswith("\nkill %1\nwait\n")
    home = tmp_path_factory.mktemp("sample")
    shell = Shell(home, warm_start)
    try:
        shell.run(started, "network-started")
        shown = shell.run(people, "clinicians-done") + shell.run(watching, "watching-done")
        (base,) = set(re.findall(r"^its console: (\S+)", shown, re.MULTILINE))
        found = re.findall(r"^(\S+) \([^)]*\) may sign in as.*\n +first password +(\S+)", shown,
                           re.MULTILINE)  # fmt: skip
        yield Sample(shell=shell, base=base, passwords=dict(found), shown=shown)
    finally:
        shell.end()


def step(part: str, number: int) -> str:
    """The words of a numbered step of a chapter, on one line."""
    found = re.search(
        rf"^{number}\. (.*?)(?=^\d+\. |\n\n)", section(part), re.MULTILINE | re.DOTALL
    )
    assert found, number
    return " ".join(found[1].split())
