from __future__ import annotations

import pytest
from sqlalchemy import Engine, func, select, update

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.find import LedgerFilter, find
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.row_check import GroupState
from node.ledger.show import MOST, erase, show, show_all
from node.model import PrivateFacts
from node.storage.tables import ENTRY, PRIVATE, TOKEN
from tests.ledger.records import PATIENT, private, record


async def test_an_entry_is_shown_whole_by_number_and_by_id(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    made = record(message_id="odd")
    receipt = await ledger.append(made)
    for reference in (receipt.seq, str(receipt.seq), receipt.entry_id, receipt.entry_id.upper()):
        shown = show(store, reference, key)
        assert shown is not None
        assert shown.findings == ()
        assert set(shown.states.values()) == {GroupState.OPEN}
        facts = private()
        assert shown.groups["who"].value == facts.who
        assert shown.groups["patient"].value == facts.patient
        assert shown.groups["query"].value == facts.query
        assert shown.groups["docs"].value == facts.docs
        wire = shown.groups["wire"].value
        assert isinstance(wire, dict)
        assert wire["unfit"] == {"msg": "odd"}
        assert wire["sentence"] == made.leg.sentence
        assert wire["assertion_id"] == made.assertion_id
        assert wire["address"] == made.leg.peer.address
        assert wire["errors"][0]["context"] == "canary context"
        assert leaf.to_bytes(wire["request"]["digest"]) == made.request_digest
    assert show(store, 7, key) is None
    assert show(store, "0190a8c0-0000-7000-8000-000000000001", key) is None


async def test_several_entries_are_shown_as_each_alone(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    seqs = [(await ledger.append(record(message_id=f"odd {n}"))).seq for n in range(3)]
    with store.begin() as connection:
        connection.execute(update(PRIVATE).where(PRIVATE.c.seq == seqs[1]).values(docs=None))
    alone = [show(store, seq, key) for seq in seqs]
    assert show_all(store, [seqs[2], 99, seqs[0], seqs[1]], key) == alone
    assert alone[1] is not None
    assert alone[1].findings != ()
    assert show_all(store, (), key) == []
    with pytest.raises(ValueError, match="at most"):
        show_all(store, range(MOST + 1), key)


async def test_without_the_key_the_leaf_is_checked_and_groups_stay_sealed(
    store: Engine, ledger: ExchangeLedger
) -> None:
    await ledger.append(record(facts=PrivateFacts(who={"user_id": "u"})))
    shown = show(store, 0, None)
    assert shown is not None
    assert shown.states == {
        "who": GroupState.SEALED,
        "patient": GroupState.ABSENT,
        "query": GroupState.ABSENT,
        "docs": GroupState.ABSENT,
        "wire": GroupState.SEALED,
    }
    assert (shown.findings, shown.groups) == ((), {})


async def test_an_erased_group_is_gone_with_its_tokens_and_the_leaf_stays(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    await ledger.append(record())
    await ledger.append(record())
    before = show(store, 0, key)
    with store.begin() as connection:
        assert erase(connection, 0, "patient")
        assert not erase(connection, 0, "patient")
        assert not erase(connection, 404, "patient")
    after = show(store, 0, key)
    assert before is not None
    assert after is not None
    assert after.entry == before.entry
    # erase alone writes no entry
    assert after.findings == ("The private group patient is gone, and no entry says why.",)
    assert after.states["patient"] is GroupState.MISSING
    assert after.states["who"] is GroupState.OPEN
    found = find(store, LedgerFilter(patient=PATIENT), key=key).entries
    assert [entry.seq for entry in found] == [1]
    with store.connect() as connection:
        parts = connection.execute(
            select(TOKEN.c.part, func.count()).where(TOKEN.c.seq == 0).group_by(TOKEN.c.part)
        ).all()
        assert dict(map(tuple, parts)) == {"who": 1, "query": 1, "docs": 1}
    with pytest.raises(OurFault) as caught, store.begin() as connection:
        erase(connection, 0, "everything")
    assert caught.value.code == "ledger-group-unknown"


async def test_swapped_and_changed_groups_are_found(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    await ledger.append(record())
    await ledger.append(record())
    with store.begin() as connection:
        blob = connection.execute(select(PRIVATE.c.who).where(PRIVATE.c.seq == 1)).scalar_one()
        connection.execute(update(PRIVATE).where(PRIVATE.c.seq == 0).values(who=blob))
    shown = show(store, 0, key)
    assert shown is not None
    assert shown.states["who"] is GroupState.UNREADABLE
    assert shown.findings == ("The private group who is not the one the leaf commits to.",)


@pytest.mark.parametrize(
    ("column", "value", "finding"),
    [
        ("outcome", "ok-empty", "The search column outcome differs from the leaf."),
        ("t", 5, "The search column t differs from the leaf."),
        ("peer", None, "The search column peer differs from the leaf."),
        (
            "leaf_hash",
            bytes(32),
            "The leaf is not the one whose hash was noted when it was written.",
        ),
    ],
)
async def test_a_changed_row_is_found(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey,
    column: str, value: object, finding: str,
) -> None:  # fmt: skip
    await ledger.append(record())
    with store.begin() as connection:
        connection.execute(update(ENTRY).values({column: value}))
    shown = show(store, 0, key)
    assert shown is not None
    assert shown.findings == (finding,)


async def test_a_changed_leaf_is_found_even_when_it_is_canonical(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    await ledger.append(record())
    with store.begin() as connection:
        data = bytes(connection.execute(select(ENTRY.c.leaf)).scalar_one())
        forged = leaf.encode({**leaf.decode(data), "outcome": "declined", "seq": 9})
        connection.execute(update(ENTRY).values(leaf=forged))
    shown = show(store, 0, key)
    assert shown is not None
    assert shown.findings == (
        "The leaf is not the one whose hash was noted when it was written.",
        "The leaf carries another sequence number than its row.",
        "The search column outcome differs from the leaf.",
    )
    with store.begin() as connection:
        connection.execute(update(ENTRY).values(leaf=b"{}"))
    with pytest.raises(OurFault):
        show(store, 0, key)
