"""Writes whole entries into a log at a steady pace, as another process of a node does."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from node.ledger.ledger import SealedEntry, seal_entry, write_entries
from node.ledger.private import ENTROPY, LedgerKey
from node.ledger.record import ENTROPY as DRAFT_ENTROPY
from node.storage.engine import IMMEDIATE
from tests.ledger.records import record

_DIFFERENT = 2048
_GROUPS = 5
_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """How fast it went, and the number of the last entry."""

    per_second: float
    last: int


def sealed_entries(entries: int) -> list[SealedEntry]:
    """So many entries with all five private groups."""
    key, purposes = LedgerKey(os.urandom(32)), frozenset({"T-TREAT"})
    size = DRAFT_ENTROPY + _GROUPS * ENTROPY
    return [
        seal_entry(record(), key=key, purposes=purposes, entropy=os.urandom(size))
        for _ in range(entries)
    ]


class Appender:
    """Entries for one database, sealed beforehand."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._made = sealed_entries(_DIFFERENT)

    def run(self, entries: int, rate: int) -> Appended:
        """Append so many, ``rate`` a second at most, a durable transaction for each batch."""
        begun = time.monotonic()
        done, last = 0, -1
        for batch in self._batches(entries):
            with self._engine.begin() as connection:
                last = write_entries(connection, batch, again=False)[-1].seq
            done += len(batch)
            time.sleep(max(0.0, begun + done / rate - time.monotonic()))
        return Appended(per_second=done / (time.monotonic() - begun), last=last)

    def _batches(self, entries: int) -> Iterator[Sequence[SealedEntry]]:
        for start in range(0, entries, _BATCH):
            numbers = range(start, min(start + _BATCH, entries))
            yield [_anew(self._made[n % len(self._made)]) for n in numbers]


def _anew(entry: SealedEntry) -> SealedEntry:
    """The same under another id. Its groups do not open any more: nothing here reads them."""
    other = str(uuid.uuid4())
    return replace(
        entry,
        entry_id=other,
        head=entry.head.replace(entry.entry_id.encode(), other.encode()),
        columns=entry.columns | {"entry_id": other},
    )
