"""Counting the log for each peer: exactly once, anew from the log, and how long things took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Engine, func, select

from node.governance.durations import BORDERS, ERROR, bucket_of, percentile
from node.governance.marks import marks, marks_of
from node.governance.scorecard import tallies
from node.governance.tallying import Tallier
from node.ledger.filter_text import from_query, parse_filter, to_query
from node.ledger.find import LedgerFilter, count
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.show import erase
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import NODE, write_fact
from node.model import Direction, Outcome, PrivateFacts, Transaction
from node.peers.answer import AnswerDeviation
from node.storage.tables import ENTRY
from node.storage.tally_tables import DURATION, MARK, SEEN_DOCUMENT, TALLY
from node.wire.deviations import ContentDeviation
from node.wire.names import Deviation
from tests.ledger.records import OWN, PEER, START, record

HCID = str(PEER.home_community_id)
Write = Callable[..., None]


@pytest.fixture
def key() -> LedgerKey:
    return LedgerKey(b"k" * 32)


@pytest.fixture
def write(store: Engine, key: LedgerKey) -> Iterator[Write]:
    ledger = ExchangeLedger(store, key)

    def append(number: int = 1, **changes: object) -> None:
        async def several() -> None:
            made = {"deviations": (), **changes}
            await asyncio.gather(*(ledger.append(record(**made)) for _ in range(number)))

        asyncio.run(several())

    yield append
    ledger.close()


def numbers(store: Engine) -> list[tuple[object, ...]]:
    """All that was counted."""
    with store.connect() as connection:
        return sorted(
            (table.name, *row)
            for table in (TALLY, DURATION, MARK)
            for row in connection.execute(select(*table.c))
        )


def in_all(store: Engine) -> int:
    with store.connect() as connection:
        whole = select(func.sum(TALLY.c.number)).where(TALLY.c.mark == "")
        return int(connection.execute(whole).scalar() or 0)


def test_two_nodes_at_one_database_count_every_entry_once(
    store: Engine, key: LedgerKey, write: Write
) -> None:
    write(2500)
    talliers = [Tallier(store, key, days=100) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        rounds = [pool.submit(each.run, now=START) for each in talliers]
        assert sum(each.result().entries for each in rounds) == 2500
    assert in_all(store) == 2500
    write(3)
    assert talliers[0].run(now=START).entries == 3
    assert talliers[1].run(now=START).entries == 0
    assert in_all(store) == 2503


def test_a_round_is_bounded_and_says_that_there_is_more(
    store: Engine, key: LedgerKey, write: Write
) -> None:
    write(1200)
    found = Tallier(store, key, days=100).run(now=START, most=500)
    assert (found.entries, found.more) == (1000, True)
    assert in_all(store) == 1000


def test_how_much_is_not_counted_yet_is_told_up_to_a_limit(
    store: Engine, key: LedgerKey, write: Write
) -> None:
    tallier = Tallier(store, key, days=100)
    assert tallier.behind(5) == 0
    write(5)
    assert tallier.behind(5) == 5
    write(2)
    assert tallier.behind(5) == 6
    tallier.run(now=START)
    assert tallier.behind(5) == 0


def test_the_numbers_can_be_made_again_from_the_log(
    store: Engine, key: LedgerKey, write: Write
) -> None:
    docs = [PrivateFacts(docs=[{"id": n, "sha256": "ab" * 32}]) for n in ("1", "2")]
    for facts in docs:
        write(transaction=Transaction.ITI_39, facts=facts)
    write(2, outcome=Outcome.FAILED, reason="tls-failed")
    write(attempt=2, deviations=("status-missing", "time-iso"))
    tallier = Tallier(store, key, days=100)
    tallier.run(now=START)
    before = numbers(store)
    assert {row[1] for row in before if row[0] == "leg_mark"} == {
        "deviation", "document-duplicate", "fault-between", "not-reached", "retried",
        "status-missing", "time-iso", "tls-problem",
    }  # fmt: skip
    assert tallier.rebuild(now=START).entries == 5
    assert numbers(store) == before


def test_days_that_are_over_go_and_are_not_counted_again(
    store: Engine, key: LedgerKey, write: Write
) -> None:
    tallier = Tallier(store, key, days=100)
    for ago in (150, 99, 3):
        write(started=START - timedelta(days=ago), outcome=Outcome.FAILED, reason="dns")
    tallier.run(now=START)
    assert in_all(store) == 2
    tallier.run(now=START + timedelta(days=10))
    assert in_all(store) == 1
    with store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(MARK)).scalar() == 2
    tallier.rebuild(now=START + timedelta(days=10))
    assert in_all(store) == 1


def note_unreadable(store: Engine, key: LedgerKey, seq: int, now: datetime) -> None:
    change = TrustChange(
        act="document-unreadable", home_community_id=HCID, counts={"first": seq}, reason="xml-limit"
    )
    with store.begin() as connection:
        write_fact(connection, key, change, author=NODE, own=OWN, now=now)


def test_an_unreadable_document_counts_once_for_its_retrieve_and_its_day(
    store: Engine, key: LedgerKey, write: Write
) -> None:
    write(transaction=Transaction.ITI_39, started=START - timedelta(days=2))
    tallier = Tallier(store, key, days=100)
    tallier.run(now=START)
    for _ in range(2):
        note_unreadable(store, key, 0, START)
    note_unreadable(store, key, 10**9, START)  # an entry that there is not
    tallier.run(now=START)
    note_unreadable(store, key, 0, START)
    tallier.run(now=START)
    chosen = LedgerFilter(mark="document-unreadable")
    assert count(store, chosen).number == 1
    found = tallies(store, HCID, 7, now=START)
    assert found.number({"mark": ("document-unreadable",)}) == 1
    assert tallies(store, HCID, 1, now=START).number({}) == 0


def test_an_erased_retrieve_leaves_no_token_of_what_came(
    store: Engine, key: LedgerKey, write: Write
) -> None:
    facts = PrivateFacts(docs=[{"id": "1", "sha256": "cd" * 32}])
    write(transaction=Transaction.ITI_39, facts=facts)
    Tallier(store, key, days=100).run(now=START)
    with store.begin() as connection:
        query = select(func.count()).select_from(SEEN_DOCUMENT)
        assert connection.execute(query).scalar() == 1
        erase(connection, 0, "docs")
        assert connection.execute(query).scalar() == 0


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"outcome": "declined", "reason": "peer-suspended"}, {"not-sent"}),
        ({"outcome": "declined", "reason": "peer-suspended", "c_res": "x"}, set()),
        ({"outcome": "failed", "reason": "no-route"}, {"not-sent"}),
        ({"outcome": "failed", "reason": "XDSRepositoryError"}, {"fault-theirs"}),
        ({"outcome": "timed-out", "reason": "timeout"}, {"fault-between"}),
        ({"outcome": "failed", "reason": "dns"}, {"fault-between", "not-reached"}),
        ({"outcome": "failed", "reason": "internal-error"}, {"fault-ours"}),
        ({"outcome": "failed", "reason": "certificate-expired"}, {"fault-theirs", "tls-problem"}),
        ({"outcome": "failed", "reason": "signature-invalid", "dir": "responding"},
         {"signature-problem"}),
        ({"outcome": "declined", "reason": "AnswerNotAvailable"}, {"no-reason"}),
        ({"outcome": "declined"}, {"no-reason"}),
        ({"outcome": "declined", "reason": "PrivacyViolation"}, set()),
        ({"outcome": "declined", "reason": "opted-out", "dir": "responding"}, set()),
        ({"outcome": "ok", "try": 2, "dev": "time-iso"}, {"retried", "deviation", "time-iso"}),
    ],
)  # fmt: skip
def test_the_marks_of_a_leg_follow_from_its_leaf(
    fields: dict[str, str | int], wanted: set[str]
) -> None:
    assert set(marks_of({"dir": Direction.INITIATING.value, **fields})) == wanted


def test_no_deviation_has_the_name_of_another_mark() -> None:
    names = {str(each) for kind in (Deviation, ContentDeviation, AnswerDeviation) for each in kind}
    assert not names & marks().keys()


def test_a_percentile_is_within_its_stated_error() -> None:
    random = Random(7)
    for _ in range(40):
        took = sorted(round(random.lognormvariate(6, 2)) for _ in range(random.randint(1, 500)))
        counts: dict[int, int] = {}
        for each in took:
            counts[bucket_of(each)] = counts.get(bucket_of(each), 0) + 1
        for share in (0.5, 0.95):
            true = took[-(-len(took) * round(share * 1000) // 1000) - 1]
            if true < BORDERS[-1]:
                assert abs((percentile(counts, share) or 0) - true) <= ERROR * true
    assert percentile({}, 0.5) is None
    assert len(BORDERS) < 200


def test_a_filter_leaves_out_legs_with_a_mark(store: Engine, key: LedgerKey, write: Write) -> None:
    write(3)
    write(2, outcome=Outcome.FAILED, reason="no-route", response_digest=None)
    Tallier(store, key, days=100).run(now=START)
    chosen = parse_filter(f"peer:{HCID} -mark:not-sent")
    assert from_query(to_query(chosen)) == chosen
    assert count(store, chosen).number == 3
    assert count(store, parse_filter("mark:not-sent")).number == 2
    assert count(store, parse_filter("-mark:not-sent")).number == 3
    with store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(ENTRY)).scalar() == 5
