"""Handles of the processes that are measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_STOP_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """CPU seconds so far; memory now and at its highest, in bytes."""

    cpu: float
    rss: int
    peak: int


class Worker:
    """A running ``tests.bench.worker``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.port = int(self._read()["port"])

    def usage(self) -> Usage:
        """What it has used."""
        facts = self._ask("usage")
        return Usage(cpu=facts["cpu"] / 1e9, rss=facts["rss"], peak=facts["peak"])

    def settle(self) -> None:
        """Start the high-water mark anew."""
        self._ask("settle")

    def steps(self) -> dict[str, float]:
        """(steps) CPU seconds of each step so far."""
        return {name: spent / 1e9 for name, spent in self._ask("steps").items()}

    def fetch(self, unique_id: str) -> int:
        """(fetch) Retrieve a document; returns its size."""
        return int(self._ask(f"fetch {unique_id}")["size"])

    def append(self, entries: int, rate: int) -> dict[str, Any]:
        """(append) Write entries; how many a second, and the last one's number."""
        return self._ask(f"append {entries} {rate}")

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith(b"{"):
                return orjson.loads(line)
        raise RuntimeError(f"the measured process ended with {self._process.wait()}")


@contextmanager
def working(role: str, folder: Path) -> Iterator[Worker]:
    """Run a worker until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.worker", role, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Worker(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
