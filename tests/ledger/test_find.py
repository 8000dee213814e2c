from __future__ import annotations

import asyncio
import random
import re
from dataclasses import fields, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.dialects import postgresql, sqlite

from node.errors import OurFault
from node.ledger.find import PAGE_LIMIT, Cursor, Entry, LedgerFilter, find, statement, tail
from node.ledger.leaf import Kind
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.model import (
    Direction,
    HomeCommunityId,
    LegRecord,
    Outcome,
    PatientId,
    PrivateFacts,
    Transaction,
)
from tests.ledger.records import PATIENT, PEER, START, USER, new_id, record

ODD = "message of an odd form"


def mixed(seed: int, count: int) -> list[LegRecord]:
    """Legs whose values vary independently, several of them at the same millisecond."""
    chance = random.Random(seed)
    exchanges = [new_id() for _ in range(5)]
    made = []
    for number in range(count):
        person = PatientId(assigning_authority="2.999.7", id=f"p{chance.randrange(4)}")
        made.append(
            record(
                peer=replace(
                    PEER, home_community_id=HomeCommunityId(f"urn:oid:2.999.{chance.randrange(3)}")
                ),
                transaction=chance.choice(list(Transaction)),
                outcome=chance.choice(list(Outcome)),
                direction=chance.choice(list(Direction)),
                purpose=chance.choice(["T-TREAT", "T-IAS", None]),
                reason=chance.choice([None, "timeout", "peer-suspended"]),
                exchange_id=chance.choice(exchanges),
                started=START + timedelta(milliseconds=number // 3 * 10),
                facts=PrivateFacts(
                    who={"user_id": f"user{chance.randrange(3)}"},
                    patient={"ids": [person.cx]},
                    docs=[{"id": f"doc{chance.randrange(3)}"}],
                ),
            )
        )
    return made


async def written(ledger: ExchangeLedger, records: list[LegRecord]) -> None:
    for made in records:
        await ledger.append(made)


FILTERS: list[tuple[LedgerFilter, object]] = [
    (LedgerFilter(), lambda r: True),
    (
        LedgerFilter(peer="urn:oid:2.999.1"),
        lambda r: r.leg.peer.home_community_id == "urn:oid:2.999.1",
    ),
    (LedgerFilter(transaction="ITI-38"), lambda r: r.leg.transaction == "ITI-38"),
    (LedgerFilter(outcome=Outcome.DECLINED), lambda r: r.leg.outcome == Outcome.DECLINED),
    (
        LedgerFilter(direction=Direction.RESPONDING),
        lambda r: r.leg.direction == Direction.RESPONDING,
    ),
    (LedgerFilter(purpose="T-IAS"), lambda r: r.purpose == "T-IAS"),
    (LedgerFilter(reason="timeout"), lambda r: r.leg.reason == "timeout"),
    (
        LedgerFilter(
            since=START + timedelta(milliseconds=50), until=START + timedelta(milliseconds=100)
        ),
        lambda r: (
            START + timedelta(milliseconds=50)
            <= r.leg.started
            < START + timedelta(milliseconds=100)
        ),
    ),
    (
        LedgerFilter(patient=PatientId(assigning_authority="2.999.7", id="p2")),
        lambda r: "p2^" in str(r.private.patient),
    ),
    (LedgerFilter(user="user1"), lambda r: r.private.who["user_id"] == "user1"),
    (LedgerFilter(document="doc2"), lambda r: r.private.docs[0]["id"] == "doc2"),
    (
        LedgerFilter(
            patient=PatientId(assigning_authority="2.999.7", id="p1"),
            user="user2",
            outcome=Outcome.OK,
        ),
        lambda r: (
            "p1^" in str(r.private.patient)
            and r.private.who["user_id"] == "user2"
            and r.leg.outcome == Outcome.OK
        ),
    ),
    (
        LedgerFilter(peer="urn:oid:2.999.2", purpose="T-TREAT", transaction="ITI-55"),
        lambda r: (
            r.leg.peer.home_community_id == "urn:oid:2.999.2"
            and r.purpose == "T-TREAT"
            and r.leg.transaction == "ITI-55"
        ),
    ),
    (LedgerFilter(peer="urn:oid:2.999.404"), lambda r: False),
]


async def test_each_filter_finds_what_a_plain_search_finds_page_by_page(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    records = mixed(1, 120)
    await written(ledger, records)
    for chosen, holds in FILTERS:
        expected = [
            str(made.leg.leg_id)
            for number, made in sorted(
                enumerate(records), key=lambda pair: (pair[1].leg.started, pair[0]), reverse=True
            )
            if holds(made)  # type: ignore[operator]
        ]
        assert every(store, chosen, key, limit=7) == expected, chosen


def every(engine: Engine, chosen: LedgerFilter, key: LedgerKey, *, limit: int) -> list[str]:
    found: list[Entry] = []
    after: Cursor | None = None
    while True:
        page = find(engine, chosen, key=key, limit=limit, after=after)
        found.extend(page.entries)
        after = page.following
        if after is None:
            return [entry.entry_id for entry in found]
        assert len(page.entries) == limit


async def test_message_ids_of_any_form_are_found(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    plain, odd = record(), record(message_id=ODD)
    await written(ledger, [plain, odd, record()])
    for made in (plain, odd):
        chosen = LedgerFilter(message_id=made.leg.message_id)
        assert every(store, chosen, key, limit=5) == [made.leg.leg_id]
    related = LedgerFilter(relates_to=plain.leg.relates_to)
    assert every(store, related, key, limit=5) == [plain.leg.leg_id]
    one = LedgerFilter(exchange_id=odd.leg.exchange_id)
    assert every(store, one, key, limit=5) == [odd.leg.leg_id]


async def test_a_person_is_found_by_what_was_asked_too(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    made = record()
    await ledger.append(made)
    asked = PatientId(assigning_authority="2.999.1.1", id="CANARYMRN888")
    for patient in (PATIENT, asked):
        assert every(store, LedgerFilter(patient=patient), key, limit=5) == [made.leg.leg_id]
    assert every(store, LedgerFilter(user=USER), key, limit=5) == [made.leg.leg_id]
    other = LedgerKey(b"\x09" * 32)
    assert every(store, LedgerFilter(patient=PATIENT), other, limit=5) == []


@pytest.mark.parametrize(
    ("chosen", "limit"),
    [
        (LedgerFilter(patient=PATIENT), 5),
        (LedgerFilter(message_id=ODD), 5),
        (LedgerFilter(since=datetime(2026, 1, 1)), 5),  # noqa: DTZ001
        (LedgerFilter(), 0),
        (LedgerFilter(), PAGE_LIMIT + 1),
    ],
)
def test_a_filter_that_cannot_be_answered_says_so(
    store: Engine, chosen: LedgerFilter, limit: int
) -> None:
    with pytest.raises(OurFault) as caught:
        find(store, chosen, limit=limit)
    assert caught.value.code == "ledger-filter-invalid"


async def test_tail_gives_what_came_after_in_order(store: Engine, ledger: ExchangeLedger) -> None:
    await asyncio.gather(*(ledger.append(record()) for _ in range(12)))
    first = tail(store, limit=5)
    rest = tail(store, after=first[-1].seq, limit=100)
    assert [entry.seq for entry in (*first, *rest)] == list(range(12))
    assert tail(store, after=11) == ()
    assert first[0].time == datetime.fromisoformat(str(first[0].fields["t"]))
    with pytest.raises(OurFault):
        tail(store, limit=0)


PLANS = {
    "peer": ("urn:oid:2.999.1", "ix_ledger_entry_peer"),
    "kind": (Kind.CERT, "ix_ledger_entry_kind"),
    "act": ("anchor-add", "ix_ledger_entry_txn"),
    "transaction": ("ITI-38", "ix_ledger_entry_txn"),
    "outcome": (Outcome.DECLINED, "ix_ledger_entry_outcome"),
    "direction": (Direction.RESPONDING, "ix_ledger_entry_direction"),
    "purpose": ("T-IAS", "ix_ledger_entry_purpose"),
    "reason": ("timeout", "ix_ledger_entry_reason"),
    "since": (START, "ix_ledger_entry_time"),
    "until": (START, "ix_ledger_entry_time"),
    "exchange_id": (new_id(), "ix_ledger_entry_exchange_id"),
    "message_id": (f"urn:uuid:{new_id()}", "ix_ledger_entry_msg"),
    "relates_to": (f"urn:uuid:{new_id()}", "ix_ledger_entry_rel"),
    "patient": (PATIENT, "token"),
    "user": (USER, "token"),
    "document": ("doc", "token"),
}


def test_each_field_of_the_filter_has_a_plan_to_check() -> None:
    assert {field.name for field in fields(LedgerFilter)} == set(PLANS)


@pytest.mark.parametrize("paged", [False, True])
@pytest.mark.parametrize("name", [None, *PLANS])
def test_every_filter_reads_its_page_from_an_index(
    store: Engine, key: LedgerKey, name: str | None, paged: bool
) -> None:
    value, index = PLANS[name] if name else (None, "ix_ledger_entry_time")
    chosen = LedgerFilter(**{name: value}) if name else LedgerFilter()  # type: ignore[arg-type]
    after = Cursor(t=10**12, seq=5) if paged else None
    query = statement(chosen, key, limit=50, after=after)
    if store.dialect.name == "sqlite":
        plan = explain(store, "EXPLAIN QUERY PLAN", query, sqlite.dialect())
        assert "TEMP B-TREE" not in plan, plan
        wanted = "token0 USING PRIMARY KEY " if index == "token" else f"USING INDEX {index}"
        assert f" {wanted}" in plan, plan
        assert plan.startswith("SEARCH ") or (name is None and not paged), plan
        assert not paged or "(t,seq)<(?,?)" in plan or "t<" in plan, plan
    else:
        plan = explain(store, "EXPLAIN", query, postgresql.dialect())
        assert "Sort" not in plan, plan
        wanted = "ledger_token_pkey" if index == "token" else index
        assert f"using {wanted} " in plan, plan
        assert not paged or re.search(r"Index Cond: .*ROW\(", plan), plan
    assert "SCAN ledger_entry\n" not in plan
    assert "Seq Scan" not in plan


def explain(engine: Engine, word: str, query: object, dialect: object) -> str:
    """The plan of a statement, with its values in place: a plan may depend on them."""
    compiled = query.compile(engine, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # the tables are empty here: what is asked is whether an index serves, not its price
            connection.execute(text("SET enable_seqscan TO off"))
            connection.execute(text("SET enable_bitmapscan TO off"))
        rows = connection.exec_driver_sql(
            f"{word} {compiled}",
            tuple(compiled.params[name] for name in compiled.positiontup)
            if compiled.positional
            else compiled.params,
        ).all()
    assert dialect
    return "\n".join(str(row[-1]) for row in rows) + "\n"
