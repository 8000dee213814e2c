"""The corpus that git keeps: for every outcome of a target the smallest inputs that lead to it."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from tests.fuzz.target import CORPUS, Target

PER_OUTCOME = 2
"""Inputs kept for one outcome: few, and of different kinds as far as their sizes tell."""


def keep(target: Target, source: Path) -> int:
    """Renew the kept corpus of a target from a working corpus; how many inputs it has.

    Nothing is kept of key files: they would be private keys.
    """
    if target.name == "key":
        return 0
    folder = CORPUS / target.name
    old = list(folder.iterdir()) if folder.is_dir() else []
    given = [path.read_bytes() for path in (*old, *source.iterdir())]
    chosen: dict[str, list[bytes]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in sorted(set(given), key=lambda each: (len(each), each)):
            if b"PRIVATE KEY" in data:
                continue
            found = chosen.setdefault(target.check(data), [])
            if len(found) < PER_OUTCOME and all(len(each) != len(data) for each in found):
                found.append(data)
    folder.mkdir(parents=True, exist_ok=True)
    for path in old:
        path.unlink()
    names = {hashlib.sha256(d).hexdigest()[:16]: d for found in chosen.values() for d in found}
    for name, data in names.items():
        (folder / name).write_bytes(data)
    return len(names)
