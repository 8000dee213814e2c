"""The register of what was turned away at a limit: one row for each listener, limit and minute.

These are entries of the log about the node itself (act ``turn-away``); whoever was turned away was
not known by more than a key. Limits and their words: ``data/throttles.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Final

from sqlalchemy import Engine

from node.ledger.find import Cursor, Entry, LedgerFilter, find
from node.ledger.private import LedgerKey
from node.ledger.show import show

ACT: Final = "turn-away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One row of the table."""

    sentence: str
    setting: str
    answer: str
    cite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """So many were turned away at a limit; ``first`` and ``last`` where the entry still says so."""

    entry: Entry
    listener: str
    code: str
    number: int
    peer: str | None
    key: str | None
    first: datetime | None
    last: datetime | None

    @property
    def limit(self) -> Limit:
        """Which limit, in words."""
        return limits()[self.code]


@cache
def limits() -> Mapping[str, Limit]:
    """All limits by their codes."""
    text = resources.files("node.governance").joinpath("data/throttles.toml").read_text("utf-8")
    return {code: Limit(**row) for code, row in tomllib.loads(text).items()}


def throttled(
    engine: Engine, key: LedgerKey, *, limit: int, after: Cursor | None = None
) -> tuple[tuple[Throttled, ...], Cursor | None]:
    """A page of the register, newest first, and where the next one begins."""
    page = find(engine, LedgerFilter(act=ACT), key=key, limit=limit, after=after)
    return tuple(_row(engine, key, entry) for entry in page.entries), page.following


def _row(engine: Engine, key: LedgerKey, entry: Entry) -> Throttled:
    shown = show(engine, entry.seq, key)
    wire = shown.groups.get("wire") if shown else None
    said = wire.value if wire is not None and isinstance(wire.value, dict) else {}
    peer, spki = entry.fields.get("peer"), entry.fields.get("key")
    return Throttled(
        entry=entry,
        listener=str(entry.fields.get("role", "")),
        code=str(entry.fields["reason"]),
        number=int(entry.fields["left_out"]),
        peer=str(peer) if peer else None,
        key=str(spki) if spki else None,
        first=_time(said.get("first")),
        last=_time(said.get("last")),
    )


def _time(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
