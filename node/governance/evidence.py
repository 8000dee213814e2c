"""What goes into a packet: of a case, or of what a filter finds; whole, or neutral for a peer.

The packet of a case has the entries of its messages and those of the exchanges in its basket, and
``case.json`` with what people wrote. For a peer it has the legs with that peer alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine, func, select

from node.governance.case_reading import CaseFile, Said
from node.governance.packet import Content, json_of
from node.ledger import leaf
from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import sentence
from node.ledger.find import COUNT_LIMIT, count, find
from node.ledger.private import LedgerKey
from node.storage.tables import ENTRY

MOST_ENTRIES: Final = 2000
"""Entries of one packet; the manifest says how many were left out."""

_PAGE: Final = 500


def of_case(engine: Engine, found: CaseFile, *, peer: str | None = None) -> Content:
    """What the packet of a case holds; with ``peer`` (an HCID) it is neutral, for that peer."""
    if peer is None:
        rows, left_out = _entries(engine, found, None)
        return Content(
            title=f"Packet of case {found.view.number}",
            about=(f"Case {found.view.number}, {found.view.kind}, {found.view.state.value}.",),
            rows=rows,
            left_out=left_out,
            files={"case.json": json_of(_case(found))},
            facts={"case": found.view.number, "messages left out": found.left_out},
        )
    rows, left_out = _entries(engine, found, peer)
    return _neutral(peer, "Exchanges that are looked into.", rows, left_out)


def of_filter(
    engine: Engine, chosen: LedgerFilter, key: LedgerKey, *, peer: str | None = None
) -> Content:
    """What the packet of a filter holds, the newest entries; with ``peer`` it is neutral.

    Raises:
        OurFault: ``ledger-filter-invalid``.
    """
    rows: dict[int, bytes] = {}
    after = None
    while len(rows) < MOST_ENTRIES:
        page = find(engine, chosen, key=key, limit=_PAGE, after=after)
        for entry in page.entries:
            if peer is None or entry.fields.get("peer") == peer:
                rows[entry.seq] = entry.data
        after = page.following
        if after is None:
            break
    in_all = count(engine, chosen, key=key, limit=COUNT_LIMIT).number if after else len(rows)
    kept = dict(sorted(rows.items())[-MOST_ENTRIES:])
    left_out = max(in_all - len(kept), 0)
    said = sentence(chosen)
    if peer is None:
        return Content(
            title="Packet of entries", about=(said,), rows=kept, left_out=left_out,
            facts={"filter": said},
        )  # fmt: skip
    return _neutral(peer, said, kept, left_out)


def _neutral(peer: str, about: str, rows: Mapping[int, bytes], left_out: int) -> Content:
    return Content(
        title="Packet about exchanges between two nodes",
        about=(about, f"The entries are those with {peer} alone."),
        rows=rows,
        left_out=left_out,
        facts={"for": peer},
    )


def _entries(engine: Engine, found: CaseFile, peer: str | None) -> tuple[dict[int, bytes], int]:
    """The entries of the messages and of the legs, by number, and how many were left out."""
    rows: dict[int, bytes] = {}
    of_legs = select(ENTRY.c.seq, ENTRY.c.leaf).where(ENTRY.c.exchange_id.in_(found.exchanges))
    with engine.connect() as connection:
        if peer is None:
            seqs = [message.seq for message in found.messages]
            of_messages = select(ENTRY.c.seq, ENTRY.c.leaf).where(ENTRY.c.seq.in_(seqs))
            rows |= {row.seq: bytes(row.leaf) for row in connection.execute(of_messages)}
        else:
            of_legs = of_legs.where(ENTRY.c.peer == peer)
        in_all = connection.execute(select(func.count()).select_from(of_legs.subquery())).scalar()
        room = max(MOST_ENTRIES - len(rows), 0)
        legs = connection.execute(of_legs.order_by(ENTRY.c.seq).limit(room)).all()
    rows |= {row.seq: bytes(row.leaf) for row in legs}
    return dict(sorted(rows.items())), (in_all or 0) - len(legs)


def _case(found: CaseFile) -> Mapping[str, object]:
    view = found.view
    return {
        "number": view.number,
        "kind": view.kind,
        "peer": view.peer,
        "state": view.state.value,
        "outcome": view.outcome,
        "opened": leaf.from_time(view.opened),
        "due": leaf.from_time(view.due),
        "assignee": view.assignee,
        "exchanges": found.exchanges,
        "review items": [item.id for item in found.items],
        "merged from": found.merged,
        "messages": [_message(message) for message in found.messages],
    }


def _message(message: Said) -> Mapping[str, object]:
    return {
        "number": message.number,
        "time": leaf.from_time(message.t),
        "verb": message.verb,
        "who": message.who,
        "name": message.name,
        "state": message.state.value,
        "refused": message.refusal,
        "outcome": message.outcome,
        "due": leaf.from_time(message.due) if message.due else None,
        "entry": message.seq,
        "written": message.private,
    }
