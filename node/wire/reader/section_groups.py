"""Which word of the reader's index a section belongs to, by its code (data: ``sections.toml``)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, Final

OTHER: Final = "other"


@cache
def groups() -> dict[str, str]:
    """The index's words by their keys, in the order of the index."""
    return {key: row["word"] for key, row in _table().items()}


def group_of(code: str | None) -> str:
    """The key of a section's group; what is not known stands under Other."""
    return _by_code().get(code or "", OTHER)


@cache
def _by_code() -> dict[str, str]:
    return {code: key for key, row in _table().items() for code in row["codes"]}


@cache
def _table() -> dict[str, Any]:
    path = resources.files("node.wire").joinpath("data", "sections.toml")
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["group"]
    return table
