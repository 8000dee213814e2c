"""What both sides wrote down: the entries of the nodes' ledgers, matched by message id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from node.demo.network import BuiltNode, Network
from node.ledger.find import PAGE_LIMIT, Entry, tail
from node.ledger.leaf import Kind
from node.model import Direction, Leg, Outcome
from node.storage.engine import open_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One side's entry: its number in that side's ledger and the outcome it states."""

    seq: int
    outcome: Outcome
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPair:
    """The entries about one message; ``theirs`` is ``None`` where the peer wrote none."""

    peer: str
    home_community_id: str
    transaction: str
    message_id: str
    leg_id: str
    ours: Written
    theirs: Written | None


def read_ledgers(network: Network, legs: Iterable[Leg]) -> tuple[LedgerPair, ...]:
    """Our entries of the exchange, oldest first, each with the peer's entry of the same message.

    An attempt that was repeated has an entry of its own, so there may be more pairs than legs.

    Raises:
        OurFault: when a ledger cannot be read.
    """
    exchanges = {leg.exchange_id for leg in legs}
    theirs = {
        (str(member.node.organisation.home_community_id), str(entry.fields.get("msg"))): entry
        for member in network.members
        for entry in _entries(member.node)
        if entry.fields.get("dir") == Direction.RESPONDING
    }
    names = {
        str(m.node.organisation.home_community_id): m.node.organisation.name
        for m in network.members
    }
    pairs = []
    for entry in _entries(network.asking):
        fields = entry.fields
        if fields.get("exch") not in exchanges or fields.get("dir") != Direction.INITIATING:
            continue
        hcid, message_id = str(fields.get("peer")), str(fields.get("msg"))
        other = theirs.get((hcid, message_id))
        pairs.append(
            LedgerPair(
                peer=names.get(hcid, hcid),
                home_community_id=hcid,
                transaction=str(fields.get("txn")),
                message_id=message_id,
                leg_id=entry.entry_id,
                ours=_written(entry),
                theirs=_written(other) if other else None,
            )
        )
    return tuple(pairs)


def _written(entry: Entry) -> Written:
    return Written(
        seq=entry.seq,
        outcome=Outcome(str(entry.fields["outcome"])),
        duration_ms=int(entry.fields["dur_ms"]),
    )


def _entries(node: BuiltNode) -> Iterator[Entry]:
    engine = open_engine(node.home.database_url(node.settings))
    try:
        after = -1
        while page := tail(engine, after=after, limit=PAGE_LIMIT):
            yield from (entry for entry in page if entry.fields["kind"] == Kind.EXCHANGE)
            after = page[-1].seq
    finally:
        engine.dispose()
