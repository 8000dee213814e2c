"""Legal holds: what must not be erased, whoever orders it.

A hold covers a range of numbers, a person (by the token that finds their entries) or a peer, also
entries that are written after it. Placing one, lifting one and erasing take the log's counter row
first: none of them happens beside another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Final

import orjson
from sqlalchemy import Connection, Select, and_, delete, exists, func, insert, or_, select

from node.errors import OurFault
from node.storage.tables import COUNTER, ENTRY, HOLD, TOKEN

HOLD_LIMIT: Final = 10_000
"""Holds that may stand at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold; one of range, ``token`` and ``peer`` is set.

    Attributes:
        reason: a code in the words of whoever places it, such as ``litigation``.
        placed_by: the operating system's name of the user.
        placed: milliseconds since 1970.
        first: the first number of the range.
        last: the last one, which belongs to it.
        token: of a person, ``LedgerKey.patient_token``.
        peer: HCID of the other side.
    """

    reason: str
    placed_by: str
    placed: int
    first: int | None = None
    last: int | None = None
    token: bytes | None = None
    peer: str | None = None

    @property
    def scope(self) -> str:
        """What it covers, in words without the person."""
        if self.token is not None:
            return "a patient"
        return self.peer or f"{self.first}-{self.last}"


def digest(number: int, hold: Hold) -> str:
    """SHA-256 (hex) of a hold's row, for the private part of the entry that places it."""
    row = [
        number,
        *(value.hex() if isinstance(value, bytes) else value for value in astuple(hold)),
    ]
    return hashlib.sha256(orjson.dumps(row)).hexdigest()


def lock_log(connection: Connection) -> None:
    """Keep everybody else from appending, erasing and holding until the transaction ends.

    On SQLite the transaction must have been begun with ``engine.IMMEDIATE``.
    """
    connection.execute(select(COUNTER.c.next).where(COUNTER.c.name == "entry").with_for_update())


def place_hold(connection: Connection, hold: Hold) -> int:
    """Place a hold; returns its number.

    Raises:
        OurFault: ``ledger-hold-limit``: too many stand already.
    """
    lock_log(connection)
    count, newest = connection.execute(select(func.count(), func.max(HOLD.c.id))).one()
    if count >= HOLD_LIMIT:
        raise OurFault("ledger-hold-limit", f"There are {HOLD_LIMIT} legal holds already.")
    number = (newest or 0) + 1
    connection.execute(
        insert(HOLD).values(
            id=number,
            first=hold.first,
            last=hold.last,
            token=hold.token,
            peer=hold.peer,
            reason=hold.reason,
            placed_by=hold.placed_by,
            placed=hold.placed,
        )
    )
    return number


def lift_hold(connection: Connection, number: int) -> bool:
    """Lift a hold; whether there was one."""
    lock_log(connection)
    return bool(connection.execute(delete(HOLD).where(HOLD.c.id == number)).rowcount)


def holds(connection: Connection) -> dict[int, Hold]:
    """The holds that stand, by their numbers."""
    rows = connection.execute(select(HOLD).order_by(HOLD.c.id).limit(HOLD_LIMIT)).mappings()
    return {
        row["id"]: Hold(**{name: row[name] for name in Hold.__slots__ if name in row})
        for row in rows
    }


def refuse_held(connection: Connection, seqs: Sequence[int]) -> None:
    """Pass when no hold covers any of these entries.

    Raises:
        OurFault: ``ledger-entry-held``; the sentence names the first such entry and its hold.
    """
    row = connection.execute(_covered(seqs).limit(1)).one_or_none() if seqs else None
    if row is not None:
        raise OurFault(
            "ledger-entry-held",
            f"Entry {row.seq} is under legal hold {row.id} ({row.reason}).",
        )


def held(connection: Connection, seqs: Sequence[int]) -> frozenset[int]:
    """Which of these entries a hold covers."""
    if not seqs:
        return frozenset()
    return frozenset(row.seq for row in connection.execute(_covered(seqs)))


def _covered(seqs: Sequence[int]) -> Select[tuple[int, int, str]]:
    """The entries of these that a hold covers, each with its holds."""
    named = (
        exists()
        .where(TOKEN.c.token == HOLD.c.token, TOKEN.c.t == ENTRY.c.t, TOKEN.c.seq == ENTRY.c.seq)
        .correlate(ENTRY, HOLD)
    )
    return (
        select(ENTRY.c.seq, HOLD.c.id, HOLD.c.reason)
        .select_from(ENTRY)
        .join(
            HOLD,
            or_(
                and_(HOLD.c.first <= ENTRY.c.seq, HOLD.c.last >= ENTRY.c.seq),
                HOLD.c.peer == ENTRY.c.peer,
                named,
            ),
        )
        .where(ENTRY.c.seq.in_(seqs))
        .order_by(ENTRY.c.seq, HOLD.c.id)
    )
