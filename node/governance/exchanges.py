"""Exchanges as people read them: one question or one served request, with all its legs.

The log has one entry for each leg. A page of exchanges is read from entries newest first: the first
entry met of an exchange stands for it, and its other legs are looked up by its id. An exchange that
an entry brought onto an earlier page is not shown again: the cursor tells.

Private groups are opened for what a row shows of the person who asked; a patient stays a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, select

from node.ledger import leaf
from node.ledger.find import Cursor, Entry, LedgerFilter, find
from node.ledger.leaf_check import fields_of
from node.ledger.private import LedgerKey, unseal
from node.model import Direction, Outcome
from node.storage.tables import ENTRY, PRIVATE, TOKEN

MOST_LEGS: Final = 2000
"""Legs of one exchange that are read."""

_ROUNDS: Final = 8
_MOST_ENTRIES: Final = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One leg: its entry, and the person who asked where that group opens."""

    entry: Entry
    who: Mapping[str, object]

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return Outcome(str(self.entry.fields["outcome"]))

    @property
    def took(self) -> int:
        """Milliseconds."""
        return int(self.entry.fields["dur_ms"])

    @property
    def documents(self) -> int:
        """Named or moved."""
        return int(self.entry.fields["docs"])

    def text(self, name: str) -> str | None:
        """A field of the leaf."""
        value = self.entry.fields.get(name)
        return None if value is None else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question, or one served request.

    Attributes:
        legs: oldest first.
        patient: the keyed token of the person it is about (hex), if it is about one.
        more_legs: whether there are more than ``MOST_LEGS``.
    """

    exchange_id: str
    legs: tuple[Leg, ...]
    patient: str | None = None
    more_legs: bool = False

    @property
    def began(self) -> datetime:
        """When its first leg began."""
        return min(leg.entry.time for leg in self.legs)

    @property
    def took(self) -> int:
        """Milliseconds from the first leg's beginning to the last one's end."""
        ends = max(leg.entry.time + timedelta(milliseconds=leg.took) for leg in self.legs)
        return round((ends - self.began) / timedelta(milliseconds=1))

    @property
    def direction(self) -> Direction:
        """Which side we were; asking peers for an own system that asked us is asking."""
        return Direction(str(self.main[0].entry.fields["dir"]))

    @property
    def main(self) -> Sequence[Leg]:
        """The legs to peers, where there are any, else all."""
        asking = [leg for leg in self.legs if leg.text("dir") == Direction.INITIATING]
        return asking or self.legs

    @property
    def purpose(self) -> str | None:
        """The exchange purpose's code."""
        return next((p for leg in self.legs if (p := leg.text("purpose"))), None)

    @property
    def outcome(self) -> Outcome:
        """How the whole ended; see ``whole``."""
        return whole(leg.outcome for leg in self.legs)

    @property
    def answered(self) -> int:
        """Legs in which the other side gave an answer of records or of none."""
        return sum(leg.outcome in _HELD for leg in self.legs)

    @property
    def documents(self) -> int:
        """Documents that were named by queries, or moved where nothing was queried."""
        named = sum(leg.documents for leg in self.main if leg.text("txn") != "ITI-39")
        return named or sum(leg.documents for leg in self.main)

    @property
    def who(self) -> Mapping[str, object]:
        """The person who asked, as far as it opens."""
        return next((leg.who for leg in self.legs if leg.who), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangePage:
    """Exchanges newest first, and where the next page begins."""

    exchanges: tuple[Exchange, ...]
    following: Cursor | None


_HELD: Final = frozenset({Outcome.OK, Outcome.OK_EMPTY, Outcome.PARTIAL})


def whole(outcomes: Iterable[Outcome]) -> Outcome:
    """How an exchange ended, from its legs.

    Alike legs give their own word. Where some brought something (or said that they hold nothing)
    and others did not, it is partial. Where none did: failed before timed out, declined, cancelled.
    """
    seen = set(outcomes)
    if len(seen) == 1:
        return next(iter(seen))
    if seen <= {Outcome.OK, Outcome.OK_EMPTY}:
        return Outcome.OK
    if seen & _HELD:
        return Outcome.PARTIAL
    order = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.DECLINED, Outcome.CANCELLED)
    return next(each for each in order if each in seen)


def exchange_page(
    engine: Engine,
    key: LedgerKey,
    chosen: LedgerFilter,
    *,
    limit: int,
    after: Cursor | None = None,
) -> ExchangePage:
    """A page of the exchanges that have an entry which the filter chooses.

    Raises:
        OurFault: as ``ledger.find.find``.
    """
    found: dict[str, Exchange] = {}
    where = after
    for _ in range(_ROUNDS):
        page = find(engine, chosen, key=key, limit=min(_MOST_ENTRIES, limit * 4), after=where)
        ids = list(dict.fromkeys(str(entry.fields["exch"]) for entry in page.entries))
        known: dict[str, Exchange] = {}
        for entry in page.entries:
            exchange_id = str(entry.fields["exch"])
            if exchange_id not in found:
                if len(found) == limit:
                    return _page(found, where)
                if exchange_id not in known:
                    begin = ids.index(exchange_id)
                    ahead = ids[begin : begin + limit - len(found)]
                    known |= read_exchanges(engine, key, ahead)
                exchange = known.get(exchange_id)
                if exchange is not None and not _was_shown(exchange, chosen, after):
                    found[exchange_id] = exchange
            where = Cursor(t=leaf.to_milliseconds(str(entry.fields["t"])), seq=entry.seq)
        if page.following is None:
            return _page(found, None)
    return _page(found, where)


def _page(found: Mapping[str, Exchange], where: Cursor | None) -> ExchangePage:
    return ExchangePage(exchanges=tuple(found.values()), following=where)


def _was_shown(exchange: Exchange, chosen: LedgerFilter, after: Cursor | None) -> bool:
    """Whether an entry before the cursor brought it onto an earlier page."""
    if after is None:
        return False
    place = (after.t, after.seq)
    return any(
        (leaf.to_milliseconds(str(leg.entry.fields["t"])), leg.entry.seq) >= place
        and _fits(leg.entry, chosen)
        for leg in exchange.legs
    )


def _fits(entry: Entry, chosen: LedgerFilter) -> bool:
    """Whether the filter's conditions on columns choose an entry; the others stay open."""
    for qualifier, term in chosen.terms():
        if qualifier.column is None or qualifier.personal:
            continue
        value = entry.fields.get(_LEAF.get(qualifier.column, qualifier.column))
        if (term.any_of and value not in term.any_of) or value in term.none_of:
            return False
    return True


_LEAF: Final = {"exchange_id": "exch", "direction": "dir"}


def exchange_ids(
    engine: Engine, key: LedgerKey, chosen: LedgerFilter, *, limit: int
) -> tuple[list[str], bool]:
    """The ids of the newest exchanges that a filter chooses; whether there are more.

    At most ``_ROUNDS`` times ``_MOST_ENTRIES`` entries are read.

    Raises:
        OurFault: as ``ledger.find.find``.
    """
    found: dict[str, None] = {}
    where: Cursor | None = None
    for _ in range(_ROUNDS):
        page = find(engine, chosen, key=key, limit=_MOST_ENTRIES, after=where)
        found |= dict.fromkeys(str(entry.fields["exch"]) for entry in page.entries)
        where = page.following
        if where is None or len(found) > limit:
            break
    return list(found)[:limit], where is not None or len(found) > limit


def read_exchange(engine: Engine, key: LedgerKey, exchange_id: str) -> Exchange | None:
    """An exchange with its legs, or ``None`` when the log has none with this id."""
    return read_exchanges(engine, key, [exchange_id]).get(exchange_id)


def exchanges_of(engine: Engine, seqs: Sequence[int]) -> list[str]:
    """The ids of the exchanges that some entries belong to, in the log's order."""
    query = (
        select(ENTRY.c.exchange_id)
        .where(ENTRY.c.seq.in_(list(seqs)), ENTRY.c.exchange_id.is_not(None))
        .order_by(ENTRY.c.seq)
    )
    with engine.connect() as connection:
        return list(dict.fromkeys(connection.scalars(query)))


def read_exchanges(
    engine: Engine, key: LedgerKey, exchange_ids: Sequence[str]
) -> dict[str, Exchange]:
    """The exchanges with some ids, by their ids; those that the log has not are left out."""
    place = func.row_number().over(
        partition_by=ENTRY.c.exchange_id, order_by=(ENTRY.c.t, ENTRY.c.seq)
    )
    first = (
        select(ENTRY.c.seq, place.label("place"))
        .where(ENTRY.c.exchange_id.in_(list(exchange_ids)))
        .subquery("first")
    )
    query = (
        select(ENTRY.c.seq, ENTRY.c.entry_id, ENTRY.c.leaf, ENTRY.c.exchange_id, PRIVATE.c.who)
        .join_from(first, ENTRY, ENTRY.c.seq == first.c.seq)
        .outerjoin(PRIVATE, PRIVATE.c.seq == ENTRY.c.seq)
        .where(first.c.place <= MOST_LEGS + 1)
        .order_by(ENTRY.c.t, ENTRY.c.seq)
    )
    rows: dict[str, list[Any]] = {}
    with engine.connect() as connection:
        for row in connection.execute(query):
            rows.setdefault(row.exchange_id, []).append(row)
        patients = _patients(connection, rows)
    return {
        exchange_id: Exchange(
            exchange_id=exchange_id,
            legs=tuple(_leg(key, row) for row in legs[:MOST_LEGS]),
            patient=patients.get(exchange_id),
            more_legs=len(legs) > MOST_LEGS,
        )
        for exchange_id, legs in rows.items()
    }


def _leg(key: LedgerKey, row: Any) -> Leg:
    return Leg(
        entry=Entry(seq=row.seq, entry_id=row.entry_id, data=row.leaf, fields=fields_of(row.leaf)),
        who=_who(key, row.entry_id, row.who),
    )


def _patients(connection: Connection, rows: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """The token of the first patient that each exchange names, in hex."""
    of = {row.seq: exchange for exchange, legs in rows.items() for row in legs[:_TOKENS_OF]}
    query = (
        select(TOKEN.c.seq, TOKEN.c.token)
        .where(TOKEN.c.seq.in_(list(of)), TOKEN.c.part == "patient")
        .order_by(TOKEN.c.seq.desc())
    )
    return {of[seq]: token.hex() for seq, token in connection.execute(query)} if of else {}


_TOKENS_OF: Final = 100


def _who(key: LedgerKey, entry_id: str, blob: bytes | None) -> Mapping[str, object]:
    if blob is None:
        return {}
    value = unseal(key, entry_id, "who", blob).value
    return value if isinstance(value, dict) else {}


def legs_by_outcome(legs: Sequence[Leg]) -> dict[Outcome, int]:
    """How many legs ended how, in the order of the outcomes."""
    found = dict.fromkeys(Outcome, 0)
    for leg in legs:
        found[leg.outcome] += 1
    return {outcome: number for outcome, number in found.items() if number}
