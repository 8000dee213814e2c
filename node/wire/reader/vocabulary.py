"""The names that a narrative may use, from ``narrative.toml``."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, Final

from node.wire.reader.document import Kind


def _read() -> dict[str, Any]:
    path = resources.files("node.wire").joinpath("data", "narrative.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


_TABLE: Final = _read()
PARAGRAPHS: Final = frozenset(map(str, _TABLE["paragraphs"]))
ACTIVE: Final = frozenset(map(str, _TABLE["active"]))
RUNS: Final = {str(name): Kind(kind) for name, kind in _TABLE["runs"].items()}
STYLES: Final = {str(word): tuple(map(Kind, kinds)) for word, kinds in _TABLE["styles"].items()}
REVISED: Final = {str(word): Kind(kind) for word, kind in _TABLE["revised"].items()}
LISTS: Final = {"list": Kind.LIST, "ul": Kind.LIST, "ol": Kind.NUMBERED}
ROW_GROUPS: Final = {"thead": Kind.HEAD, "tbody": Kind.BODY, "tfoot": Kind.FOOT}
