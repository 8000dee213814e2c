"""Are the legal holds that stand those that the log says were placed and not lifted?

The entry of a hold has, in its private group ``wire``, the hold's number and the digest of its row.
Where that group was erased, its hold cannot be told from another one and is passed over. So is a
change that was begun and has no end yet: its command runs, or it died, and the log shows that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, Engine, select, tuple_

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.hold import Hold, digest, holds
from node.ledger.private import LedgerKey, unseal
from node.ledger.row_check import Problem
from node.ledger.stored_rows import snapshot
from node.ledger.trust_change import Step
from node.storage.tables import ENTRY, NO_EXCHANGE, PRIVATE

_ACTS = ("hold-add", "hold-remove")
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldsChecked:
    """How many stand, and what is wrong."""

    holds: int
    problems: tuple[Problem, ...]


def hold_problems(engine: Engine, key: LedgerKey) -> HoldsChecked:
    """Compare the table of holds with the entries about them."""
    placed: dict[int, str] = {}
    begun: dict[int, tuple[str, object]] = {}
    erased = 0
    with snapshot(engine) as connection:
        standing = holds(connection)
        for fields, told in _told(connection, key):
            number, row = told.get("hold"), told.get("row")
            if fields["step"] == Step.BEGUN:
                begun[int(fields["seq"])] = (str(fields["act"]), number)
                continue
            begun.pop(int(fields.get("begun", -1)), None)
            if fields["step"] == Step.FAILED:
                continue
            if not isinstance(number, int):
                erased += fields["act"] == "hold-add"
            elif fields["act"] == "hold-remove":
                placed.pop(number, None)
            elif isinstance(row, str):
                placed[number] = row
    open_ones = list(begun.values())
    erased += sum(act == "hold-add" for act, _ in open_ones)
    lifting = {number for act, number in open_ones if act == "hold-remove"}
    return HoldsChecked(
        holds=len(standing), problems=tuple(_problems(standing, placed, lifting, spare=erased))
    )


def _problems(
    standing: dict[int, Hold], placed: dict[int, str], lifting: set[object], *, spare: int
) -> Iterator[Problem]:
    for number in sorted(standing.keys() | placed.keys()):
        sentence = None
        if number not in standing:
            if number in lifting:
                continue
            sentence = f"The legal hold {number} was placed and not lifted, and it is not there."
        elif number not in placed:
            spare -= 1
            if spare < 0:
                sentence = f"No entry says that the legal hold {number} was placed."
        elif digest(number, standing[number]) != placed[number]:
            sentence = f"The legal hold {number} is another one than was placed."
        if sentence:
            yield Problem(code="log-hold-differs", sentence=sentence)


def _told(
    connection: Connection, key: LedgerKey
) -> Iterator[tuple[dict[str, str | int], dict[str, object]]]:
    """The entries about holds in their order: leaf and private details."""
    last = (-1, -1)
    while True:
        query = (
            select(ENTRY.c.seq, ENTRY.c.t, ENTRY.c.entry_id, ENTRY.c.leaf, PRIVATE.c.wire)
            .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
            .where(NO_EXCHANGE, ENTRY.c.kind == leaf.Kind.ADMIN.value, ENTRY.c.txn.in_(_ACTS))
            .where(tuple_(ENTRY.c.t, ENTRY.c.seq) > tuple_(*last))
            .order_by(ENTRY.c.t, ENTRY.c.seq)
            .limit(_AT_ONCE)
        )
        rows = connection.execute(query).mappings().all()
        if not rows:
            return
        for row in rows:
            try:
                fields = leaf.decode(bytes(row["leaf"]))
            except OurFault:
                continue  # a finding about the entry itself
            if {"act", "step"} <= fields.keys():
                yield fields, _wire(key, row["entry_id"], row["wire"])
        last = (rows[-1]["t"], rows[-1]["seq"])


def _wire(key: LedgerKey, entry_id: str, blob: bytes | None) -> dict[str, object]:
    if blob is None:
        return {}
    try:
        found = unseal(key, entry_id, "wire", bytes(blob)).value
    except (OurFault, orjson.JSONDecodeError):
        return {}  # a finding about the entry itself
    return found if isinstance(found, dict) else {}
