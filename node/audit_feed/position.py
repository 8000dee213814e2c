"""How far the audit repository has the log, on disk: what was confirmed, and what was left out.

``position.json`` is replaced whole (written beside, synced, renamed), so a crash leaves the former
one: then entries are sent again, never left out. It names entries by their numbers and holds
nothing about anybody.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from node.errors import OurFault

_VERSION: Final = 1
_LARGEST: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Entries that were left out, by their first and last number."""

    first: int
    last: int

    @property
    def entries(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the feed stands.

    Attributes:
        seq: the last entry that the repository has, or that was left out; -1 for none.
        gap: entries before ``seq`` that were left out and that the repository was not told of yet.
        skipped: entries that were ever left out.
        last_gap: the newest gap, told or not.
    """

    seq: int
    gap: Gap | None = None
    skipped: int = 0
    last_gap: Gap | None = None

    def bounded(self, newest: int, limit: int) -> Position:
        """With the oldest left out, where more than ``limit`` entries wait."""
        last = newest - limit
        if last <= self.seq:
            return self
        gap = Gap(first=self.gap.first if self.gap else self.seq + 1, last=last)
        skipped = self.skipped + last - self.seq
        return Position(seq=last, gap=gap, skipped=skipped, last_gap=gap)

    def confirmed(self, seq: int) -> Position:
        """After the repository took everything up to an entry, the gap's message included."""
        return replace(self, seq=seq, gap=None)


def read_position(path: Path) -> Position | None:
    """The position, or ``None`` where nothing was ever sent.

    Raises:
        OurFault: ``audit-position-invalid``.
    """
    try:
        with path.open("rb") as file:
            return _read(orjson.loads(file.read(_LARGEST)))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise OurFault(
            "audit-position-invalid",
            "The file that says how far the audit repository has the log cannot be read.",
            where=str(path),
        ) from error


def _read(held: Any) -> Position:
    """Raises ValueError, KeyError or TypeError for anything else than what is written below."""
    if held["v"] != _VERSION:
        raise ValueError
    gap, last_gap = (Gap(**held[n]) if held[n] is not None else None for n in ("gap", "last_gap"))
    return Position(seq=int(held["seq"]), gap=gap, skipped=int(held["skipped"]), last_gap=last_gap)


def write_position(path: Path, position: Position) -> None:
    """Replace the position; it is on the disk when this returns.

    Raises:
        OSError: when it cannot be written.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(orjson.dumps({"v": _VERSION, **asdict(position)}))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
