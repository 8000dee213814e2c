"""What is said about entries of a merged answer, as issues (``data/merge_notes.toml``)."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

from node.wire.fhir.peer_results import OUTCOMES


@lru_cache
def _table() -> dict[str, dict[str, str]]:
    text = resources.files("node.exchange").joinpath("data/merge_notes.toml").read_text("utf-8")
    return tomllib.loads(text)


def note(kind: str, diagnostics: str) -> dict[str, Any]:
    """An issue about entries; ``kind`` is a row of the table."""
    coding = [{"system": OUTCOMES, "code": kind}]
    return {**_table()[kind], "details": {"coding": coding}, "diagnostics": diagnostics}
