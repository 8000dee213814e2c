from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, func, select, text, update
from sqlalchemy.engine.interfaces import DBAPIConnection

from node.errors import OurFault
from node.exchange.ports import Ledger, Receipt
from node.ledger import leaf
from node.ledger.find import tail
from node.ledger.ledger import ExchangeLedger, SealedEntry, seal_entry, write_entries
from node.ledger.private import LedgerKey
from node.model import HomeCommunityId, LegId, Outcome, Peer, PrivateFacts
from node.storage.engine import open_engine
from node.storage.tables import COUNTER, ENTRY, PRIVATE, TOKEN
from tests.ledger.records import CANARIES, PEER, record

ENTROPY = bytes(range(222)) * 2


def sealed(key: LedgerKey, **changes: object) -> SealedEntry:
    made = record(**changes)  # type: ignore[arg-type]
    return seal_entry(made, key=key, purposes={"T-TREAT"}, entropy=ENTROPY)


async def test_law_1_an_entry_is_durable_when_its_receipt_is_given(
    store: Engine, key: LedgerKey
) -> None:
    ledger: Ledger = ExchangeLedger(store, key)
    made = record()
    receipt = await ledger.append(made)
    assert receipt == Receipt(entry_id=made.leg.leg_id, seq=0)
    # a connection of its own sees it although the ledger is neither closed nor flushed by us
    other = create_engine(store.url)
    with other.connect() as connection:
        data = connection.execute(select(ENTRY.c.leaf)).scalar_one()
    other.dispose()
    assert leaf.decode(bytes(data))["id"] == made.leg.leg_id
    ledger.close()  # type: ignore[attr-defined]


async def test_law_1_no_receipt_when_the_commit_fails(store: Engine, key: LedgerKey) -> None:
    ledger = ExchangeLedger(store, key)
    with store.begin() as connection:
        connection.execute(text("ALTER TABLE ledger_private RENAME TO gone"))
    with pytest.raises(OurFault) as caught:
        await ledger.append(record())
    assert caught.value.code == "store-not-durable"
    assert not any(canary in repr(caught.value.__cause__) for canary in CANARIES)
    with store.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO ledger_private"))
    assert (await ledger.append(record())).seq == 0
    ledger.close()


async def test_law_1_an_entry_is_written_although_the_connection_was_lost(
    store: Engine, key: LedgerKey
) -> None:
    opened: list[DBAPIConnection] = []
    event.listen(store, "checkout", lambda connection, *_: opened.append(connection))
    ledger = ExchangeLedger(store, key)
    assert (await ledger.append(record())).seq == 0
    for lost in opened:
        lost.close()
    assert (await ledger.append(record())).seq == 1
    assert (await ledger.append(record())).seq == 2
    ledger.close()
    assert len(opened) == 2


async def test_the_sequence_has_no_gap_over_groups_and_failures(
    store: Engine, ledger: ExchangeLedger
) -> None:
    twice = record()
    await ledger.append(twice)
    work = [ledger.append(twice if n % 10 == 5 else record()) for n in range(100)]
    done = await asyncio.gather(*work, return_exceptions=True)
    refused = [fault for fault in done if isinstance(fault, OurFault)]
    assert [fault.code for fault in refused] == ["ledger-duplicate"] * 10
    numbers = sorted(receipt.seq for receipt in done if isinstance(receipt, Receipt))
    assert numbers == list(range(1, 91))
    assert [entry.fields["seq"] for entry in tail(store)] == list(range(91))


async def test_several_writers_share_one_sequence(store: Engine, key: LedgerKey) -> None:
    """As several processes do on PostgreSQL: each has its own engine, connections and thread."""
    engines = [open_engine(store.url.render_as_string(hide_password=False)) for _ in range(3)]
    ledgers = [ExchangeLedger(engine, key, batch=16) for engine in engines]
    receipts = await asyncio.gather(
        *(ledgers[n % 3].append(record()) for n in range(150)),
    )
    assert sorted(receipt.seq for receipt in receipts) == list(range(150))
    for ledger in ledgers:
        await asyncio.to_thread(ledger.close)
    for engine in engines:
        engine.dispose()


def test_a_group_whose_commit_was_not_seen_is_not_written_twice(
    store: Engine, key: LedgerKey
) -> None:
    entry = sealed(key)
    with store.begin() as connection:
        (receipt,) = write_entries(connection, [entry], again=False)
    with store.begin() as connection:
        assert write_entries(connection, [entry], again=True) == [receipt]
        assert connection.execute(select(func.count()).select_from(ENTRY)).scalar_one() == 1
        assert connection.execute(select(COUNTER.c.next)).scalar_one() == 1


def test_another_record_of_the_same_leg_is_refused(store: Engine, key: LedgerKey) -> None:
    first, second = sealed(key), sealed(key, leg_id=LegId("0190a8c0-0000-7000-8000-000000000001"))
    with store.begin() as connection:
        write_entries(connection, [first], again=False)
    forged = replace(second, entry_id=first.entry_id)
    with pytest.raises(OurFault) as caught, store.begin() as connection:
        write_entries(connection, [forged], again=True)
    assert caught.value.code == "ledger-duplicate"


def test_a_missing_counter_is_named_and_nothing_is_numbered_from_zero(
    store: Engine, key: LedgerKey
) -> None:
    with store.begin() as connection:
        connection.execute(update(COUNTER).values(name="other"))
    with pytest.raises(OurFault) as caught, store.begin() as connection:
        write_entries(connection, [sealed(key)], again=False)
    assert caught.value.code == "ledger-counter-missing"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message_id": "mr-smith-19691231"}, "msg"),
        ({"message_id": "urn:uuid:mr-smith"}, "msg"),
        ({"relates_to": "Smith, John"}, "rel"),
        ({"reason": "no patient John Smith"}, "reason"),
        ({"reason": "patient-123456789"}, "reason"),
        ({"purpose": "SMITH"}, "purpose"),
        ({"peer": replace(PEER, home_community_id=HomeCommunityId("smith"))}, "peer"),
        ({"peer": replace(PEER, organization_id="John Smith")}, "org"),
        ({"peer_key": "smith"}, "key"),
        ({"binding": "John Smith"}, "bind"),
        ({"deviations": ("value Smith",)}, "dev"),
        ({"policy_rules": ("rule of Smith",)}, "pol"),
        ({"directory_version": "John Smith"}, "dirver"),
    ],
)
def test_law_6_what_does_not_fit_goes_into_the_private_record(
    key: LedgerKey, change: dict[str, object], field: str
) -> None:
    made = sealed(key, **change)
    fields = leaf.decode(made.head + b"0" + made.tail)
    assert fields["unfit"] == field
    assert field not in fields
    assert "c_wire" in fields
    assert b"mith" not in made.head + made.tail
    assert "mith" not in repr(made.columns)


def test_an_unknown_peer_and_absent_values_leave_their_fields_out(key: LedgerKey) -> None:
    nobody = Peer(organization_id="", home_community_id=HomeCommunityId(""), name="unknown")
    made = sealed(
        key, peer=nobody, purpose=None, peer_key=None, binding=None, policy_rules=(),
        directory_version=None, request_digest=None, response_digest=None, deviations=(),
        assertion_id=None, reason=None, message_id=None, relates_to=None, sentence=None,
        errors=(), outcome=Outcome.FAILED, facts=PrivateFacts(),
    )  # fmt: skip
    fields = leaf.decode(made.head + b"0" + made.tail)
    assert fields.keys() == {
        "v", "kind", "id", "t", "seq", "own", "exch", "dir", "txn", "outcome", "docs", "dur_ms",
        "c_wire",
    }  # fmt: skip


def test_our_own_ids_must_have_their_form(key: LedgerKey) -> None:
    with pytest.raises(OurFault) as caught:
        sealed(key, leg_id="leg-1")
    assert caught.value.code == "ledger-leaf-invalid"


async def test_law_6_no_private_value_is_in_a_leaf_a_column_or_the_database_files(
    store: Engine, ledger: ExchangeLedger
) -> None:
    await asyncio.gather(*(ledger.append(record()) for _ in range(20)))
    with store.connect() as connection:
        for table in (ENTRY, PRIVATE, TOKEN):
            for row in connection.execute(select(table)):
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    assert not any(canary.encode() in raw for canary in CANARIES)
    if store.dialect.name != "sqlite":
        return
    database = Path(str(store.url.database))
    files = [database, database.with_name(database.name + "-wal")]
    whole = b"".join(file.read_bytes() for file in files)
    assert b"T-TREAT" in whole
    for canary in CANARIES:
        assert canary.encode() not in whole
        assert canary.encode("utf-16-le") not in whole


def test_entries_of_one_person_share_nothing_but_the_erasable_token(key: LedgerKey) -> None:
    def fields() -> dict[str, str | int]:
        made = seal_entry(record(), key=key, purposes={"T-TREAT"}, entropy=os.urandom(444))
        return leaf.decode(made.head + b"0" + made.tail)

    one, two = fields(), fields()
    for name in one:
        if name.startswith("c_"):
            assert one[name] != two[name]


async def test_a_closed_ledger_takes_nothing(ledger: ExchangeLedger) -> None:
    ledger.close()
    with pytest.raises(OurFault) as caught:
        await ledger.append(record())
    assert caught.value.code == "store-closed"
    assert ledger.outstanding == 0
