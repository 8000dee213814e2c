"""One process of libFuzzer: ``python -m tests.fuzz.run TARGET FINDINGS [libFuzzer's options]``.

A finding does not end the run: the input is kept in the folder FINDINGS once per kind (exception
and place), and fuzzing goes on. What kills the process (time, memory) libFuzzer keeps itself.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
import warnings
from pathlib import Path
from random import Random

import atheris

# Only what is fuzzed counts as coverage: our own code, not the harness.
with atheris.instrument_imports(include=["trust", "node"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.target import Target


class _Findings:
    """Keeps one input per kind of failure."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._seen: set[str] = set()

    def __call__(self, data: bytes) -> None:
        try:
            self._target.check(data)
        except Exception as error:  # noqa: BLE001 -- every kind of failure is a finding
            self._keep(data, error)

    def _keep(self, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = "\n".join(f"{frame.filename}:{frame.lineno}" for frame in frames[-3:])
        kind = hashlib.sha256(f"{type(error).__name__}\n{place}".encode()).hexdigest()[:16]
        if kind in self._seen:
            return
        self._seen.add(kind)
        name = self._folder / f"{self._target.name}-{type(error).__name__}-{kind}"
        name.write_bytes(data)
        name.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))
        sys.stderr.write(f"FINDING {name.name}: {error}\n")


def main() -> None:
    """Fuzz one target until libFuzzer's limits are reached."""
    warnings.simplefilter("ignore")
    target, findings = TARGETS[sys.argv[1]], Path(sys.argv[2])

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        changed = target.mutate(bytes(data), random, atheris.Mutate)
        return changed[:max_size]

    options = [sys.argv[0], *sys.argv[3:], f"-max_len={target.max_bytes}"]
    atheris.Setup(options, _Findings(target, findings), custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
