"""Messages as they were on the wire: off by default, sealed apart, short-lived, erasable."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event, func, select

from node.capturing import CaptureRules, CapturingLedger
from node.errors import OurFault
from node.ledger import leaf
from node.ledger.bodies import (
    Body,
    has_bodies,
    kept_bytes,
    purge_bodies,
    read_bodies,
)
from node.ledger.erasure import Eraser, Order
from node.ledger.hold import Hold, place_hold
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.trust_log import operator
from node.model import Direction, LegRecord, Transaction
from node.ops.metrics import Metrics
from node.settings import Settings
from node.storage.engine import IMMEDIATE
from node.storage.tables import BODY, ENTRY
from tests.ledger.records import OWN, PEER, START, record

CAPTURE = LedgerKey(bytes(range(1, 33)))
REQUEST, RESPONSE = b"<Envelope>canary question</Envelope>", b"<Envelope>" + b"x" * 400
RULES = CaptureRules(
    transactions=frozenset({"ITI-55"}), peers=frozenset(), message_bytes=200, total_bytes=10_000
)


def leg(**more: object) -> LegRecord:
    return replace(record(**more), request=REQUEST, response=RESPONSE)


def counted(metrics: Metrics, outcome: str) -> float:
    found = metrics.registry.get_sample_value("tefca_captured_messages_total", {"outcome": outcome})
    return found or 0


def write(
    store: Engine, key: LedgerKey, records: list[LegRecord], rules: CaptureRules = RULES
) -> Metrics:
    """As a serving node: append them all, one after the other, and end in good order."""
    metrics, ledger = Metrics(), ExchangeLedger(store, key)
    capturing = CapturingLedger(ledger, store, CAPTURE, rules, metrics)

    async def append() -> None:
        for each in records:
            await capturing.append(each)

    try:
        asyncio.run(append())
    finally:
        capturing.close()
        ledger.close()
    return metrics


def entry_id(store: Engine, seq: int) -> str:
    with store.connect() as connection:
        query = select(ENTRY.c.entry_id).where(ENTRY.c.seq == seq)
        return str(connection.execute(query).scalar_one())


def bodies(store: Engine, seq: int, key: LedgerKey = CAPTURE) -> dict[str, Body]:
    return read_bodies(store, key, seq, entry_id(store, seq))


def test_nothing_is_captured_by_default() -> None:
    assert Settings.model_fields["capture"].default.transactions == ()


def test_messages_of_chosen_transactions_are_kept_sealed_and_cut_to_their_limit(
    store: Engine, key: LedgerKey
) -> None:
    query = leg(transaction=Transaction.ITI_38)
    test = replace(leg(), synthetic=True)
    served = leg(direction=Direction.RESPONDING)
    metrics = write(store, key, [leg(), query, test, served])
    assert [has_bodies(store, seq) for seq in range(4)] == [True, False, False, True]
    found = bodies(store, 0)
    assert found["request"] == Body(length=len(REQUEST), data=REQUEST)
    assert found["response"] == Body(length=len(RESPONSE), data=RESPONSE[:200])
    assert (found["request"].is_cut, found["response"].is_cut) == (False, True)
    assert kept_bytes(store) == 2 * (len(REQUEST) + 200)
    assert counted(metrics, "kept") == 2
    with store.connect() as connection:
        rows = connection.execute(select(BODY.c.request, BODY.c.response)).all()
    blobs = [bytes(blob) for row in rows for blob in row]
    assert not any(b"canary" in blob or b"Envelope" in blob for blob in blobs)


def test_the_ledger_key_opens_none_of_them_nor_does_another_entry(
    store: Engine, key: LedgerKey
) -> None:
    write(store, key, [leg(), leg()])
    with pytest.raises(OurFault, match="does not open"):
        bodies(store, 0, key)
    with pytest.raises(OurFault, match="does not open"):
        read_bodies(store, CAPTURE, 0, entry_id(store, 1))


def test_peers_can_be_chosen(store: Engine, key: LedgerKey) -> None:
    other = replace(RULES, peers=frozenset({"urn:oid:2.999.99"}))
    write(store, key, [leg()], other)
    write(store, key, [leg()], replace(RULES, peers=frozenset({PEER.home_community_id})))
    assert [has_bodies(store, seq) for seq in range(2)] == [False, True]


def test_what_is_beyond_the_limit_of_all_is_counted_and_entries_go_on(
    store: Engine, key: LedgerKey
) -> None:
    metrics = write(store, key, [leg() for _ in range(3)], replace(RULES, total_bytes=300))
    with store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(ENTRY)).scalar() == 3
    assert kept_bytes(store) <= 300
    assert counted(metrics, "kept") + counted(metrics, "lost") == 3
    assert counted(metrics, "lost") >= 2


def test_a_full_disk_fails_no_exchange(store: Engine, key: LedgerKey) -> None:
    def full(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "message_body" in statement:
            raise OSError(28, "No space left on device")

    event.listen(store, "before_cursor_execute", full)
    metrics = write(store, key, [leg(), leg()])
    event.remove(store, "before_cursor_execute", full)
    with store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(ENTRY)).scalar() == 2
    assert (counted(metrics, "kept"), counted(metrics, "lost")) == (0, 2)


def test_erasing_any_group_of_the_person_erases_the_messages(store: Engine, key: LedgerKey) -> None:
    write(store, key, [leg(), leg()])
    eraser = Eraser(store, key, own=OWN, author=operator(), now=lambda: datetime.now(UTC))
    order = Order(authority="patient", reason="person-request", seqs=(0,), parts=("patient",))
    eraser.run(order)
    assert [has_bodies(store, seq) for seq in range(2)] == [False, True]


def test_messages_go_when_their_days_are_over_but_for_holds(store: Engine, key: LedgerKey) -> None:
    write(store, key, [leg(started=START + timedelta(days=day)) for day in range(4)])
    with store.execution_options(**{IMMEDIATE: True}).begin() as connection:
        place_hold(connection, Hold(reason="x", placed_by="me", placed=1, first=1, last=1))
    before = leaf.milliseconds(START + timedelta(days=2, hours=12))
    assert purge_bodies(store, before) == 2
    assert [has_bodies(store, seq) for seq in range(4)] == [False, True, False, True]
    assert purge_bodies(store, before) == 0


def test_many_that_wait_are_let_go_and_counted(
    store: Engine, key: LedgerKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.capturing._WAITING", 1)
    monkeypatch.setattr(CapturingLedger, "_run", lambda self: self._queue.get() and None)
    metrics, ledger = Metrics(), ExchangeLedger(store, key)
    capturing = CapturingLedger(ledger, store, CAPTURE, RULES, metrics)

    async def append() -> None:
        for _ in range(4):
            await capturing.append(leg())

    asyncio.run(append())
    assert counted(metrics, "lost") >= 2
    ledger.close()


def test_a_message_stands_in_no_text_of_a_record() -> None:
    assert "canary question" not in repr(leg())
    assert "canary question" not in repr(Body(length=1, data=REQUEST))
