"""Messages as they were on the wire, kept for some days where the operator asks for it.

A message is the SOAP part of a request or an answer; documents are not kept. Each is sealed like a
private group (``node.ledger.private``) under a key of its own, ``keys/capture.kek``: who has the
ledger's key opens none of them. A message that is longer than the limit is kept cut, with its whole
length. They go when the days are over, and with any private group of their entry that is erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import urandom
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, select, tuple_

from node.ledger import private
from node.ledger.hold import held, lock_log
from node.ledger.private import LedgerKey
from node.storage.bulk import Row, insert_rows
from node.storage.engine import IMMEDIATE
from node.storage.tables import BODY

KEY_FILE: Final = Path("keys") / "capture.kek"
"""Where a node home keeps the key."""

PARTS: Final = ("request", "response")
PURGE_BATCH: Final = 256

_LENGTH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A message as far as it was kept, and its whole length in bytes."""

    length: int
    data: bytes = field(repr=False)

    @property
    def is_cut(self) -> bool:
        """Whether its end was not kept."""
        return len(self.data) < self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The messages of one entry, to be kept."""

    seq: int
    entry_id: str
    t: int
    request: Body | None
    response: Body | None

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(len(body.data) for body in (self.request, self.response) if body)


def body_of(message: bytes | None, limit: int) -> Body | None:
    """What is kept of a message."""
    return Body(length=len(message), data=message[:limit]) if message else None


def keep_bodies(connection: Connection, key: LedgerKey, items: Sequence[Captured]) -> None:
    """Write the messages of entries inside the caller's transaction."""
    rows: list[Row] = [
        (each.seq, each.t, each.size, *(_seal(key, each, part) for part in PARTS)) for each in items
    ]
    insert_rows(connection, BODY, ("seq", "t", "size", *PARTS), rows)


def _seal(key: LedgerKey, item: Captured, part: str) -> bytes | None:
    body: Body | None = getattr(item, part)
    if body is None:
        return None
    data = body.length.to_bytes(_LENGTH, "big") + body.data
    wrapping = key.wrapping(item.entry_id)
    return private.seal(wrapping, item.entry_id, part, data, urandom(private.ENTROPY))


def read_bodies(engine: Engine, key: LedgerKey, seq: int, entry_id: str) -> dict[str, Body]:
    """The messages that are kept of an entry, by part.

    Raises:
        OurFault: ``ledger-private-unreadable``.
    """
    query = select(BODY.c.request, BODY.c.response).where(BODY.c.seq == seq)
    with engine.connect() as connection:
        row = connection.execute(query).mappings().one_or_none()
    found: dict[str, Body] = {}
    for part in PARTS:
        blob = row[part] if row is not None else None
        if blob is not None:
            data = private.unseal(key, entry_id, part, bytes(blob)).data
            length = int.from_bytes(data[:_LENGTH], "big")
            found[part] = Body(length=length, data=data[_LENGTH:])
    return found


def has_bodies(engine: Engine, seq: int) -> bool:
    """Whether a message of an entry is kept."""
    with engine.connect() as connection:
        return connection.execute(select(BODY.c.seq).where(BODY.c.seq == seq)).scalar() is not None


def kept_of(engine: Engine, seqs: Sequence[int]) -> frozenset[int]:
    """The entries of which a message is kept, of some hundreds."""
    with engine.connect() as connection:
        return frozenset(
            connection.execute(select(BODY.c.seq).where(BODY.c.seq.in_(seqs))).scalars()
        )


def kept_bytes(engine: Engine) -> int:
    """Bytes of all messages that are kept."""
    with engine.connect() as connection:
        return int(connection.execute(select(func.sum(BODY.c.size))).scalar() or 0)


def purge_bodies(engine: Engine, before: int) -> int:
    """Delete the messages of entries that began before an instant (milliseconds since 1970).

    Those of entries under a legal hold stay. Returns of how many entries they were.

    Raises:
        SQLAlchemyError: when the database cannot be changed; what was deleted stays so.
    """
    writing = engine.execution_options(**{IMMEDIATE: True})
    last = (-1, -1)
    purged = 0
    while True:
        with writing.begin() as connection:
            lock_log(connection)  # no hold is placed beside this
            query = (
                select(BODY.c.t, BODY.c.seq)
                .where(BODY.c.t < before, tuple_(BODY.c.t, BODY.c.seq) > tuple_(*last))
                .order_by(BODY.c.t, BODY.c.seq)
                .limit(PURGE_BATCH)
            )
            rows = connection.execute(query).all()
            if not rows:
                return purged
            seqs = [seq for _, seq in rows]
            kept = held(connection, seqs)
            gone = [seq for seq in seqs if seq not in kept]
            connection.execute(delete(BODY).where(BODY.c.seq.in_(gone)))
        purged += len(gone)
        t, seq = rows[-1]
        last = (int(t), int(seq))


def load_capture_key(home: Path) -> LedgerKey:
    """The key of the messages; made where there is none yet.

    Raises:
        SettingsError: as ``private.load_key``.
    """
    if not (home / KEY_FILE).exists():
        private.create_key(home, urandom(private.KEY_LENGTH), place=KEY_FILE)
    return private.load_key(home, place=KEY_FILE)
