"""Divides the time over the targets, runs each in a process of its own, and counts.

The folder ``.fuzz`` (not kept in git) holds the working corpus, what libFuzzer said, and the
findings; ``.fuzz/report.json`` has the numbers. The kept corpus is the start of every run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz.target import CORPUS, Target

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".fuzz"
SECONDS_PER_INPUT = 20
MEBIBYTES = 2048
_LINE = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one target came to.

    Attributes:
        target: its name.
        minutes: how long it ran.
        executions: inputs tried.
        edges: edges of our own code that were reached.
        features: edges, and how often they were taken, as libFuzzer counts.
        inputs: size of the working corpus.
        findings: names of the kept inputs that broke an invariant.
    """

    target: str
    minutes: float
    executions: int
    edges: int
    features: int
    inputs: int
    findings: tuple[str, ...]


def fuzz(targets: list[Target], minutes: float) -> Iterator[Row]:
    """Run the targets one after the other; a row as each ends."""
    whole = sum(target.weight for target in targets)
    for target in targets:
        yield _fuzz(target, minutes * 60 * target.weight / whole)


def _fuzz(target: Target, seconds: float) -> Row:
    corpus, findings = WORK / "corpus" / target.name, WORK / "findings"
    log = WORK / f"{target.name}.log"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    known = set(findings.iterdir())
    for data in (*kept(target), *target.seeds()):
        (corpus / hashlib.sha256(data).hexdigest()[:20]).write_bytes(data)
    started = time.monotonic()
    executions, best, text = 0, (0, 0, 0), ""
    while (left := seconds - (time.monotonic() - started)) >= 1:
        # Starts again when an input has killed the process.
        text = _run(target, corpus, findings, log, int(left))
        numbers = [tuple(map(int, found)) for found in _LINE.findall(text)]
        if not numbers:
            break
        executions += numbers[-1][0]
        best = (max(n[1] for n in numbers), max(n[2] for n in numbers), numbers[-1][3])
    new = sorted(path.name for path in set(findings.iterdir()) - known if path.suffix != ".txt")
    if not executions:
        new.append(f"{target.name} did not run: {text[-2000:]}")
    return Row(
        target=target.name,
        minutes=round((time.monotonic() - started) / 60, 2),
        executions=executions,
        edges=best[0],
        features=best[1],
        inputs=best[2],
        findings=tuple(new),
    )


def kept(target: Target) -> list[bytes]:
    """The corpus of a target that the repository keeps."""
    folder = CORPUS / target.name
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def _run(target: Target, corpus: Path, findings: Path, log: Path, seconds: int) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.run",
            target.name,
            str(findings),
            f"-max_total_time={seconds}",
            f"-timeout={SECONDS_PER_INPUT}",
            f"-rss_limit_mb={MEBIBYTES}",
            f"-artifact_prefix={findings}/{target.name}-",
            "-print_final_stats=1",
            "-reload=0",
            str(corpus),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
        errors="replace",
    )
    with log.open("a") as file:
        file.write(done.stdout)
    return done.stdout


def write_report(rows: list[Row]) -> Path:
    """The numbers as JSON."""
    path = WORK / "report.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return path
