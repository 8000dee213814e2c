"""The names that a narrative may use, from ``narrative.toml``."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, Final

from node.wire.reader.document import BEGIN, END, Kind, Mark


def _read() -> dict[str, Any]:
    path = resources.files("node.wire").joinpath("data", "narrative.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


Pair = tuple[Mark, Mark]
"""The marks of a beginning and of an end."""


def _pair(kind: str) -> Pair:
    return BEGIN[Kind(kind)], END[Kind(kind)]


_TABLE: Final = _read()
PARAGRAPHS: Final = frozenset(map(str, _TABLE["paragraphs"]))
ACTIVE: Final = frozenset(map(str, _TABLE["active"]))
RUNS: Final = {str(name): _pair(kind) for name, kind in _TABLE["runs"].items()}
STYLES: Final = {str(word): tuple(map(_pair, kinds)) for word, kinds in _TABLE["styles"].items()}
REVISED: Final = {str(word): _pair(kind) for word, kind in _TABLE["revised"].items()}
LISTS: Final = {"list": _pair("list"), "ul": _pair("list"), "ol": _pair("numbered")}
NUMBERED: Final = LISTS["ol"]
ROW_GROUPS: Final = {"thead": _pair("head"), "tbody": _pair("body"), "tfoot": _pair("foot")}
