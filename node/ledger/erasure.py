"""Erasing private groups: destroyed, and the log says so, in one transaction (facts: C5).

The leaf of the target and every proof about it stay. What goes is the group's blob (salt, wrapped
key, ciphertext) and its search tokens; what comes is an entry of kind ``erasure`` for each group,
numbered by the same counter as every other entry, whose own group ``who`` says who did it. Nothing
can be made again from the commitment: its salt was 32 random bytes inside the blob.

Entries are taken in batches, a transaction each. Whatever ends an erasure between two batches, or
inside one, leaves no group that is gone without its entry and no entry whose group is there; the
same erasure run again finishes it, because a group that is gone is passed over.

**What is about the patient.** ``patient``, ``query``, ``docs`` and ``wire`` may identify the person
(``wire`` holds what a peer put where it did not belong, its errors' contexts, assertion ids). The
group ``who`` is about the person who asked and is what we are accountable with: it stays, except
in individual access services (``T-IAS``), where the person who asks is the patient.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, RowMapping, select, tuple_
from sqlalchemy.exc import SQLAlchemyError

from node.errors import OurFault
from node.ledger import leaf, private
from node.ledger.erasure_codes import erasure_codes
from node.ledger.hold import lock_log, refuse_held
from node.ledger.ledger import SealedEntry, seal_draft, write_entries
from node.ledger.private import LedgerKey
from node.ledger.record import Draft
from node.ledger.show import erase
from node.ledger.trust_change import Author
from node.storage.bulk import Row, insert_rows
from node.storage.engine import IMMEDIATE
from node.storage.tables import COUNTER, ENTRY, ERASURE, PRIVATE, TOKEN

BATCH: Final = 64
"""Entries of one transaction; while it runs nothing else is appended."""

ABOUT_PATIENT: Final = ("patient", "query", "docs", "wire")
"""The groups that may identify the patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be erased, and by whose order.

    Attributes:
        authority: who ordered it: a code of ``data/erasures.toml``.
        reason: why: a code of the same table.
        parts: the groups; none for all that are about the patient.
        seqs: entries by their numbers.
        token: instead of numbers, the token of a person: all entries that it finds.
    """

    authority: str
    reason: str
    parts: tuple[str, ...] = ()
    seqs: tuple[int, ...] = ()
    token: bytes | None = None

    def __post_init__(self) -> None:
        codes = erasure_codes()
        if self.authority not in codes.authorities or self.reason not in codes.reasons:
            raise OurFault("ledger-erasure-code-unknown", "The authority or reason has no code.")
        if not set(self.parts) <= set(leaf.GROUPS):
            raise OurFault("ledger-group-unknown", "The log has no private group of this name.")


@dataclass(slots=True, kw_only=True)
class Tally:
    """How much is, or would be, erased; nothing about anybody.

    ``entries`` counts those with a group to erase; ``first`` and ``last`` are when these began, in
    milliseconds since 1970.
    """

    entries: int
    parts: dict[str, int]
    first: int | None = None
    last: int | None = None

    def add(self, t: int, parts: Sequence[str]) -> None:
        """Count one entry."""
        self.entries += 1
        for part in parts:
            self.parts[part] = self.parts.get(part, 0) + 1
        self.first = t if self.first is None else min(self.first, t)
        self.last = t if self.last is None else max(self.last, t)


def survey(engine: Engine, order: Order) -> Tally:
    """What an order would erase now.

    Raises:
        OurFault: ``ledger-entry-held`` as ``Eraser.run``.
    """
    found = Tally(entries=0, parts={})
    for seqs in _batches(engine, order, BATCH):
        with engine.connect() as connection:
            for row, parts in _open_groups(connection, seqs, order):
                found.add(row["t"], parts)
    return found


def legs_of(engine: Engine, order: Order) -> frozenset[str]:
    """The ids of the entries that an order names, those of its person too."""
    found: set[str] = set()
    for seqs in _batches(engine, order, BATCH):
        query = select(ENTRY.c.entry_id).where(ENTRY.c.seq.in_(seqs))
        with engine.connect() as connection:
            found.update(connection.execute(query).scalars())
    return frozenset(found)


class Eraser:
    """Carries orders out. The schema must be migrated before."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        *,
        own: str,
        author: Author,
        now: Callable[[], datetime],
        batch: int = BATCH,
    ) -> None:
        """``own`` is our HCID, ``author`` who erases, ``batch`` the entries of one transaction."""
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own
        self._author = author
        self._now = now
        self._batch = batch

    def run(self, order: Order) -> Tally:
        """Erase, batch by batch. Entries written after it began are not reached.

        Raises:
            OurFault: ``ledger-entry-held``: a hold covers an entry, nothing of its batch was
                erased. ``ledger-erasure-stopped``: the database failed; the sentence says how many
                entries were erased before, and running the order again finishes it.
        """
        done = Tally(entries=0, parts={})
        try:
            for seqs in _batches(self._engine, order, self._batch):
                with self._engine.begin() as connection:
                    erased = self._erase(connection, seqs, order)
                for t, parts in erased:
                    done.add(t, parts)
        except SQLAlchemyError as error:
            # the database's own text may quote a value: only its type goes on
            cause = getattr(error, "orig", None) or error
            raise OurFault(
                "ledger-erasure-stopped",
                f"The database failed while erasing; {done.entries} entries were erased before.",
                detail=type(cause).__name__,
            ) from error
        return done

    def _erase(
        self, connection: Connection, seqs: Sequence[int], order: Order
    ) -> list[tuple[int, tuple[str, ...]]]:
        lock_log(connection)  # what is read from here on stays so until the commit
        chosen = _open_groups(connection, seqs, order)
        gone: list[tuple[int, str]] = []
        for row, parts in chosen:
            for part in parts:
                erase(connection, row["seq"], part)
                gone.append((row["seq"], part))
            self._keep_findable(connection, row, parts)
        if gone:
            entries = [self._entry(target, part, order) for target, part in gone]
            receipts = write_entries(connection, entries, again=False)
            rows = [
                (target, part, receipt.seq)
                for (target, part), receipt in zip(gone, receipts, strict=True)
            ]
            insert_rows(connection, ERASURE, ("target", "part", "seq"), rows)
        return [(row["t"], parts) for row, parts in chosen]

    def _entry(self, target: int, part: str, order: Order) -> SealedEntry:
        fields: dict[str, str | int] = {
            "v": leaf.VERSION,
            "kind": leaf.Kind.ERASURE.value,
            "id": str(uuid.uuid4()),
            "t": leaf.from_time(self._now()),
            "seq": 0,
            "own": self._own,
            "target": target,
            "part": part,
            "authority": order.authority,
            "reason": order.reason,
        }
        made = Draft(fields=fields, groups={"who": dict(self._author.who)}, checked=set())
        return seal_draft(made, key=self._key, entropy=os.urandom(private.ENTROPY))

    def _keep_findable(
        self, connection: Connection, row: RowMapping, parts: tuple[str, ...]
    ) -> None:
        """Give ``query`` the tokens that it shared with ``patient``, whose they were.

        A token stands once for an entry, with the first group that has it.
        """
        seq, blob = row["seq"], row["sealed_query"]
        if "patient" not in parts or "query" in parts or blob is None:
            return
        try:
            query = private.unseal(self._key, row["entry_id"], "query", blob).value
        except OurFault:
            return  # it does not open for anybody, so nothing in it is to be found
        held = set(connection.execute(select(TOKEN.c.token).where(TOKEN.c.seq == seq)).scalars())
        fresh: list[Row] = [
            (token, row["t"], seq, part)
            for token, part in private.tokens(self._key, {"query": query}).items()
            if token not in held
        ]
        insert_rows(connection, TOKEN, ("token", "t", "seq", "part"), fresh)


def _batches(engine: Engine, order: Order, size: int) -> Iterator[tuple[int, ...]]:
    """The numbers of the chosen entries, as many at a time, of those there were at the start."""
    if order.token is None:
        seqs = sorted(set(order.seqs))
        for start in range(0, len(seqs), size):
            yield tuple(seqs[start : start + size])
        return
    with engine.connect() as connection:
        end = connection.execute(select(COUNTER.c.next).where(COUNTER.c.name == "entry")).scalar()
    after = (-1, -1)
    while True:
        query = (
            select(TOKEN.c.t, TOKEN.c.seq)
            .where(TOKEN.c.token == order.token, TOKEN.c.seq < (end or 0))
            .where(tuple_(TOKEN.c.t, TOKEN.c.seq) > tuple_(*after))
            .order_by(TOKEN.c.t, TOKEN.c.seq)
            .limit(size)
        )
        with engine.connect() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return
        yield tuple(seq for _, seq in rows)
        t, seq = rows[-1]
        after = (t, seq)


def _open_groups(
    connection: Connection, seqs: Sequence[int], order: Order
) -> list[tuple[RowMapping, tuple[str, ...]]]:
    """The entries that still have a group which the order erases, with these groups.

    Raises:
        OurFault: ``ledger-entry-held``.
    """
    query = (
        select(
            ENTRY.c.seq,
            ENTRY.c.entry_id,
            ENTRY.c.t,
            ENTRY.c.purpose,
            PRIVATE.c.query.label("sealed_query"),
            *(PRIVATE.c[group].is_not(None).label(f"has_{group}") for group in leaf.GROUPS),
        )
        .join(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
        .where(ENTRY.c.seq.in_(seqs))
        .order_by(ENTRY.c.seq)
    )
    asked_by_patient = erasure_codes().asked_by_patient
    found = []
    for row in connection.execute(query).mappings():
        wanted = order.parts or ABOUT_PATIENT
        if not order.parts and row["purpose"] in asked_by_patient:
            wanted = ("who", *wanted)
        if parts := tuple(part for part in wanted if row[f"has_{part}"]):
            found.append((row, parts))
    refuse_held(connection, [row["seq"] for row, _ in found])
    return found
