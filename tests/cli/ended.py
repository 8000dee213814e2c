"""How a command ended, and what the tests of the command line share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from node.settings import NodeHome

HCID = "urn:oid:2.999.71"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def flat(self) -> str:
        """Both outputs with their white space folded."""
        return " ".join((self.out + " " + self.err).split())


Cli = Callable[..., Ended]


def change(home: NodeHome, old: str, new: str) -> None:
    """Edit the settings of a home."""
    text = home.settings_file.read_text(encoding="utf-8")
    assert old in text
    home.settings_file.write_text(text.replace(old, new), encoding="utf-8")
