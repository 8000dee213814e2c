"""Which entries of a past year are kept back, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, select

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.birth_dates import BirthDates
from node.ledger.hold import held
from node.ledger.log_link import CLOSE, OPEN
from node.ledger.private import LedgerKey
from node.ledger.retention_rules import Rules
from node.ledger.retired_log import RETAIN
from node.storage.tables import ENTRY


class Why(StrEnum):
    """Why an entry is kept back; the first reason that applies counts."""

    HOLD = "legal-hold"
    MINOR = "minor"
    RECORD = "record"
    """The log needs it: it links two years, or says of a log, a hold or an erasure what stays."""


_RECORDS: Final = frozenset({OPEN, CLOSE, RETAIN, "hold-add", "hold-remove"})

Row = Mapping[str, Any]
"""``seq``, ``entry_id``, ``kind``, ``txn``, ``t``, ``leaf``, ``patient`` and ``query``."""


class KeptBack:
    """Judges the entries of a log, in their order."""

    def __init__(self, key: LedgerKey, rules: Rules, now: datetime) -> None:
        """``now`` is the time of the whole pass."""
        self._rules = rules
        self._now = now
        self._births = BirthDates(key)
        self.unknown = 0
        """Exchanges of which no birth date is known; they are not kept back for it."""

    def judge(self, connection: Connection, rows: Sequence[Row]) -> dict[int, Why]:
        """The entries of these that are kept back. Earlier ones of the log were judged before."""
        kept: dict[int, Why] = dict.fromkeys(
            held(connection, [row["seq"] for row in rows]), Why.HOLD
        )
        exchanges = [row for row in rows if row["kind"] == leaf.Kind.EXCHANGE]
        births = self._births.of(connection, [r for r in exchanges if r["seq"] not in kept])
        for row in exchanges:
            if row["seq"] in kept:
                continue
            birth = births[row["seq"]]
            self.unknown += birth is None
            if birth is not None and self._minor(birth, row["t"]):
                kept[row["seq"]] = Why.MINOR
        for row in rows:
            if row["txn"] in _RECORDS and row["kind"] == leaf.Kind.ADMIN:
                kept.setdefault(row["seq"], Why.RECORD)
        self._erasures(connection, rows, kept)
        return kept

    def _minor(self, birth: str, t: int) -> bool:
        until = self._rules.kept_for_minor(birth, datetime.fromtimestamp(t / 1000, UTC))
        return until is not None and until > self._now

    def _erasures(self, connection: Connection, rows: Sequence[Row], kept: dict[int, Why]) -> None:
        """What says that a group of an entry is gone stays as long as that entry."""
        here = {row["seq"] for row in rows}
        targets = {
            row["seq"]: target
            for row in rows
            if row["kind"] == leaf.Kind.ERASURE and (target := _target(row["leaf"])) is not None
        }
        elsewhere = sorted(set(targets.values()) - here)
        query = select(ENTRY.c.seq).where(ENTRY.c.seq.in_(elsewhere))
        there = set(connection.execute(query).scalars()) if elsewhere else set()
        for seq, target in sorted(targets.items()):
            if target in there or target in kept:
                kept.setdefault(seq, Why.RECORD)


def _target(data: bytes) -> int | None:
    try:
        return int(leaf.decode(bytes(data))["target"])
    except (OurFault, KeyError):
        return None
