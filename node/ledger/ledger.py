"""The ledger: takes a leg, returns when its entry is durable (DESIGN, law 1).

``append`` drafts the leaf and seals the private groups in the caller's task; the writer thread
then numbers the entries of a group inside its transaction. The number comes from a counter row that
stays locked until the commit, so that the sequence has no gap whatever crashes and however many
processes write (on PostgreSQL; SQLite has one writer anyway).

An exchange entry's id is the leg's id: a leg is written once. Writing it again is refused, except
when the writer itself repeats an entry whose commit it did not see.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection, Engine, select

from node.errors import OurFault
from node.exchange.ports import Receipt
from node.ledger import leaf, private
from node.ledger.commitment import SALT_LENGTH, commit
from node.ledger.record import ENTROPY as DRAFT_ENTROPY
from node.ledger.record import Draft, draft
from node.ledger.trust_decisions import DecisionWriter
from node.model import LegRecord
from node.policy.purposes import purpose_register
from node.storage.bulk import Row, insert_rows, placeholder, run_statement
from node.storage.tables import ENTRY, OPEN_PROMISE, PRIVATE, PROMISE, TOKEN
from node.storage.writer import GroupWriter
from trust.decision import TrustDecision

_ENTROPY: Final = DRAFT_ENTROPY + private.ENTROPY * len(leaf.GROUPS)

_COLUMNS: Final[Mapping[str, str]] = {
    "kind": "kind",
    "exchange_id": "exch",
    "direction": "dir",
    "txn": "txn",
    "peer": "peer",
    "purpose": "purpose",
    "outcome": "outcome",
    "reason": "reason",
    "msg": "msg",
    "rel": "rel",
}

_TAKE_NUMBERS: Final = (
    "UPDATE ledger_counter SET next = next + {} WHERE name = 'entry' RETURNING next"
)


def columns(fields: leaf.Leaf) -> dict[str, str | int | None]:
    """The search columns of a leaf; they repeat it and can be checked against it."""
    found: dict[str, str | int | None] = {
        column: fields.get(name) for column, name in _COLUMNS.items()
    }
    if found["txn"] is None:
        found["txn"] = fields.get("act")
    found["entry_id"] = fields["id"]
    found["t"] = leaf.to_milliseconds(str(fields["t"]))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEntry:
    """An entry ready to be numbered and written.

    ``columns`` and ``groups`` have all their keys in one order, that of ``columns`` and of
    ``leaf.GROUPS``: the writer turns them into rows.
    """

    entry_id: str
    head: bytes
    tail: bytes
    columns: dict[str, str | int | None]
    groups: dict[str, bytes | None]
    tokens: dict[bytes, str]
    trust: TrustDecision | None = None
    promise: str | None = None


def seal_entry(
    leg: LegRecord,
    *,
    key: private.LedgerKey,
    purposes: Collection[str],
    entropy: bytes,
) -> SealedEntry:
    """Draft, commit to and seal one entry; ``entropy`` is fresh random bytes (444).

    Raises:
        OurFault: ``ledger-leaf-invalid``, ``ledger-private-invalid``.
    """
    if len(entropy) != _ENTROPY:
        raise OurFault("ledger-private-invalid", f"An entry takes {_ENTROPY} random bytes.")
    made = draft(leg, purposes=purposes, entropy=entropy[:DRAFT_ENTROPY])
    return seal_draft(
        made, key=key, entropy=entropy[DRAFT_ENTROPY:], trust=leg.trust, promise=leg.promise
    )


def seal_draft(
    made: Draft,
    *,
    key: private.LedgerKey,
    entropy: bytes,
    trust: TrustDecision | None = None,
    promise: str | None = None,
) -> SealedEntry:
    """Commit to and seal a draft; ``entropy`` is fresh random bytes, 76 for each of its groups.

    Raises:
        OurFault: ``ledger-leaf-invalid``, ``ledger-private-invalid``.
    """
    entry_id = str(made.fields["id"])
    wrapping = key.wrapping(entry_id)
    blobs: dict[str, bytes | None] = dict.fromkeys(leaf.GROUPS)
    for place, (group, content) in enumerate(made.groups.items()):
        start = place * private.ENTROPY
        randomness = entropy[start : start + private.ENTROPY]
        data = private.to_json(content)
        field = f"c_{group}"
        made.fields[field] = leaf.from_bytes(commit(randomness[:SALT_LENGTH], group, data))
        made.checked.add(field)
        blobs[group] = private.seal(wrapping, entry_id, group, data, randomness)
    head, tail = leaf.split_at_seq(leaf.encode(made.fields, checked=made.checked))
    return SealedEntry(
        entry_id=entry_id,
        head=head,
        tail=tail,
        columns=columns(made.fields),
        groups=blobs,
        tokens=private.tokens(key, made.groups),
        trust=trust,
        promise=promise,
    )


def write_entries(
    connection: Connection,
    items: Sequence[SealedEntry],
    *,
    again: bool,
    decisions: DecisionWriter | None = None,
) -> list[Receipt]:
    """Number and insert entries inside the caller's transaction (``storage.writer.Write``).

    ``decisions`` spares the decisions that the same caller wrote before.

    Raises:
        OurFault: ``ledger-counter-missing`` before the first migration.
    """
    if again:
        written = _written(connection, items[0])
        if written is not None:
            return [written]
    (decisions or DecisionWriter()).write(connection, (item.trust for item in items))
    count = len(items)
    taking = _TAKE_NUMBERS.format(placeholder(connection.dialect))
    taken = run_statement(connection, taking, (count,))
    if not taken:
        raise OurFault("ledger-counter-missing", "The log's counter is missing.")
    following: int = taken[0][0]
    rows: list[Row] = []
    private_rows: list[Row] = []
    tokens: list[Row] = []
    promises: list[Row] = []
    receipts: list[Receipt] = []
    for seq, entry in enumerate(items, start=following - count):
        data = entry.head + str(seq).encode() + entry.tail
        rows.append((seq, data, leaf.leaf_hash(data), *entry.columns.values()))
        private_rows.append((seq, *entry.groups.values()))
        t = entry.columns["t"]
        tokens.extend((token, t, seq, part) for token, part in entry.tokens.items())
        if entry.promise is not None:
            promises.append((seq, entry.columns["peer"] or "", t, entry.promise, OPEN_PROMISE))
        receipts.append(Receipt(entry_id=entry.entry_id, seq=seq))
    insert_rows(connection, ENTRY, ("seq", "leaf", "leaf_hash", *items[0].columns), rows)
    insert_rows(connection, PRIVATE, ("seq", *leaf.GROUPS), private_rows)
    insert_rows(connection, TOKEN, ("token", "t", "seq", "part"), tokens)
    if promises:
        insert_rows(connection, PROMISE, ("seq", "peer", "t", "value", "state"), promises)
    return receipts


def _written(connection: Connection, entry: SealedEntry) -> Receipt | None:
    """The receipt of an entry whose commit went through although its answer was lost."""
    row = connection.execute(
        select(ENTRY.c.seq, ENTRY.c.leaf).where(ENTRY.c.entry_id == entry.entry_id)
    ).one_or_none()
    if row is None:
        return None
    # salts are random: equal bytes mean this very draft, not another record of the same leg
    if row.leaf == entry.head + str(row.seq).encode() + entry.tail:
        return Receipt(entry_id=entry.entry_id, seq=row.seq)
    raise OurFault("ledger-duplicate", "The log has an entry of this leg already.")


class ExchangeLedger:
    """``exchange.ports.Ledger`` over a database. The schema must be migrated before.

    Usable from several event loops; ``close`` writes what is waiting.
    """

    def __init__(
        self,
        engine: Engine,
        key: private.LedgerKey,
        *,
        purposes: Collection[str] | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        batch: int = 256,
        capacity: int = 4096,
        patience: float = 10.0,
    ) -> None:
        self._key = key
        self._purposes = frozenset(purpose_register().purposes if purposes is None else purposes)
        self._entropy = entropy
        self._writer = GroupWriter[SealedEntry, Receipt](
            engine,
            partial(write_entries, decisions=DecisionWriter()),
            batch=batch,
            capacity=capacity,
            patience=patience,
        )

    async def append(self, record: LegRecord) -> Receipt:
        """Write one leg; returns when it is durable.

        Raises:
            OurFault: ``ledger-leaf-invalid``, ``ledger-private-invalid``, ``ledger-duplicate``,
                ``store-not-durable``, ``store-busy`` or ``store-closed``: nothing may be sent.
        """
        entry = seal_entry(
            record, key=self._key, purposes=self._purposes, entropy=self._entropy(_ENTROPY)
        )
        return await self._writer.submit(entry)

    @property
    def outstanding(self) -> int:
        """Entries that wait to be durable now."""
        return self._writer.outstanding

    def close(self) -> None:
        """Write what is waiting and stop."""
        self._writer.close()
