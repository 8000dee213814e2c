"""What the Operations page asks of the machine (implemented by ``node.operating``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from node.examined import Examined


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A check as it stands, and since when this process has seen it so."""

    found: Examined
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much waits somewhere; ``number`` is ``None`` where it cannot be read."""

    words: str
    number: int | None
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDone:
    """When something that the node does by itself was done last, and what came of it."""

    words: str
    when: datetime | None
    what: str


class Machine(Protocol):
    """The node as a thing that runs."""

    def checks(self, now: datetime) -> Sequence[Checked]:
        """Every check of ``doctor``, the worst first; not more often than every ten seconds."""
        ...

    def depths(self) -> Sequence[Depth]:
        """What waits inside the node, apart from what waits for people."""
        ...

    def last_done(self) -> Sequence[LastDone]:
        """The rounds that leave a trace in the node home."""
        ...

    def settings_digest(self) -> str:
        """SHA-256 (hex) of the settings file as it is now."""
        ...

    def bug_report(self, now: datetime) -> bytes:
        """A report for whoever maintains the program: no patient, no person, no secret."""
        ...
