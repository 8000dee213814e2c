from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, insert

from node.errors import OurFault
from node.ledger.filter import LedgerFilter, Term
from node.ledger.filter_sql import PAGE_LIMIT, Cursor, leaders, statement
from node.ledger.filter_text import parse_filter
from node.ledger.find import Count, Entry, count, find, rarest, tail
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
from node.storage.case_tables import CASE, EVIDENCE, MESSAGE
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
    (
        LedgerFilter(peer=("urn:oid:2.999.0", "urn:oid:2.999.2", "urn:oid:2.999.404")),
        lambda r: r.leg.peer.home_community_id != "urn:oid:2.999.1",
    ),
    (
        LedgerFilter(outcome=Term(none_of=(Outcome.OK, Outcome.OK_EMPTY))),
        lambda r: r.leg.outcome not in (Outcome.OK, Outcome.OK_EMPTY),
    ),
    (
        LedgerFilter(
            outcome=(Outcome.DECLINED, Outcome.FAILED),
            peer=("urn:oid:2.999.0", "urn:oid:2.999.1"),
            kind="exchange",
            since=START + timedelta(milliseconds=50),
        ),
        lambda r: (
            r.leg.outcome in (Outcome.DECLINED, Outcome.FAILED)
            and r.leg.peer.home_community_id != "urn:oid:2.999.2"
            and r.leg.started >= START + timedelta(milliseconds=50)
        ),
    ),
    (
        LedgerFilter(document=("doc0", "doc1"), user=("user0", "user2")),
        lambda r: (
            r.private.docs[0]["id"] in ("doc0", "doc1")
            and r.private.who["user_id"] in ("user0", "user2")
        ),
    ),
    (
        LedgerFilter(
            patient=tuple(PatientId(assigning_authority="2.999.7", id=f"p{n}") for n in (1, 3)),
            direction=Term(none_of=(Direction.INITIATING,)),
        ),
        lambda r: (
            ("p1^" in f"{r.private.patient}" or "p3^" in f"{r.private.patient}")
            and r.leg.direction == Direction.RESPONDING
        ),
    ),
    (LedgerFilter(kind=Term(none_of=("exchange",))), lambda r: False),
    (
        LedgerFilter(kind=Term(none_of=("cert",)), reason="timeout"),
        lambda r: r.leg.reason == "timeout",
    ),
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
        assert every(store, chosen.tokenized(key), None, limit=7) == expected, chosen
        for leading in leaders(chosen, key):
            with store.connect() as connection:
                rows = connection.execute(statement(chosen, key, limit=1000, leading=leading)).all()
            assert [row.entry_id for row in rows] == expected, (chosen, leading)
        assert count(store, chosen, key=key) == Count(number=len(expected))
        if expected:
            fewer = len(expected) - 1
            assert count(store, chosen, key=key, limit=fewer) == Count(number=fewer, capped=True)


def test_a_count_says_when_there_are_more() -> None:
    assert str(Count(number=10_000, capped=True)) == "10,000+"
    assert str(Count(number=57)) == "57"


def every(engine: Engine, chosen: LedgerFilter, key: LedgerKey | None, *, limit: int) -> list[str]:
    found: list[Entry] = []
    after: Cursor | None = None
    while True:
        page = find(engine, chosen, key=key, limit=limit, after=after)
        found.extend(page.entries)
        after = page.following
        if after is None:
            return [entry.entry_id for entry in found]
        assert len(page.entries) == limit


async def test_a_case_finds_the_exchanges_of_its_basket_and_what_was_said_in_it(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    records = mixed(2, 60)
    await written(ledger, records)
    exchanges = sorted({made.leg.exchange_id for made in records})
    by_id = {made.leg.leg_id: made for made in records}
    every_one = every(store, LedgerFilter(), key, limit=100)
    said = {"2026-0001": every_one[3], "2026-0002": every_one[40]}
    held = {"2026-0001": set(exchanges[:2]), "2026-0002": set(exchanges[1:3])}
    for number, case in enumerate(held):
        entry = next(e for e in tail(store, limit=100) if e.entry_id == said[case])
        put_case(store, number, case, sorted(held[case]), entry.seq)

    def expected(cases: set[str], *, outcome: Outcome | None = None) -> list[str]:
        return [
            one
            for one in every_one
            if any(by_id[one].leg.exchange_id in held[c] or one == said[c] for c in cases)
            and outcome in (None, by_id[one].leg.outcome)
        ]

    both = set(held)
    for cases in ({"2026-0001"}, {"2026-0002"}, both):
        for outcome in (None, Outcome.OK):
            chosen = LedgerFilter(case=tuple(cases), outcome=outcome)
            wanted = expected(cases, outcome=outcome)
            assert every(store, chosen, key, limit=7) == wanted
            assert count(store, chosen).number == len(wanted)
            in_order = [entry.entry_id for entry in tail(store, chosen, limit=1000)]
            assert sorted(in_order) == sorted(wanted)
            for leading in leaders(chosen, key):
                with store.connect() as connection:
                    query = statement(chosen, key, limit=1000, leading=leading)
                    rows = connection.execute(query).all()
                assert [row.entry_id for row in rows] == wanted, leading
    assert every(store, LedgerFilter(case="CASE-2026-0404"), key, limit=5) == []
    late = record(exchange_id=exchanges[0])
    await ledger.append(late)  # an exchange goes on after it was put into the basket
    assert late.leg.leg_id in every(store, LedgerFilter(case="2026-0001"), key, limit=50)


def put_case(store: Engine, number: int, name: str, exchanges: list[str], said: int) -> None:
    with store.begin() as connection:
        connection.execute(
            insert(CASE).values(
                id=number, number=name, kind="flag", state="new", opened=0, due=0, last=0,
                messages=1, incidents=1,
            )
        )  # fmt: skip
        connection.execute(
            insert(EVIDENCE),
            [{"case_id": number, "exchange_id": each, "message": 1} for each in exchanges],
        )
        connection.execute(
            insert(MESSAGE).values(
                case_id=number, number=1, t=0, verb="open", who="ida", state="new", seq=said
            )
        )


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
        (LedgerFilter(until=timedelta(days=1)), 5),
        (LedgerFilter(message_id=(f"urn:uuid:{new_id()}", "~" + "0" * 32)), 5),
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


async def test_the_rarest_condition_leads(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    await written(ledger, [record(outcome=Outcome.OK) for _ in range(20)])
    await written(ledger, [record(outcome=Outcome.FAILED, reason="timeout", purpose="T-IAS")])
    chosen = parse_filter("peer:2.999.2 outcome:failed purpose:T-TREAT")
    with store.connect() as connection:
        assert rarest(connection, chosen, key) == "outcome"
        assert rarest(connection, parse_filter("outcome:ok purpose:T-IAS"), key) == "purpose"
        assert rarest(connection, parse_filter("outcome:ok since:2030-01-01"), key) is None
