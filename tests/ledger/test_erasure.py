"""Private groups are erasable: gone for good, said in the log, and every leaf stays (C5)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, func, select, update
from sqlalchemy.exc import OperationalError

from node.errors import OurFault
from node.ledger import leaf
from node.ledger.erasure import Eraser, Order, survey
from node.ledger.erasure_codes import erasure_codes, erasure_sentence
from node.ledger.find import LedgerFilter, find, tail
from node.ledger.hold import Hold, holds, lift_hold, place_hold
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.row_check import GroupState
from node.ledger.show import show
from node.ledger.trust_log import operator
from node.model import PrivateFacts
from node.storage.engine import IMMEDIATE
from node.storage.remains import Remains, clear_remains
from node.storage.tables import COUNTER, ERASURE, PRIVATE, TOKEN
from tests.ledger.records import PATIENT, PEER, record
from tests.warm_start import WarmProcess

ROOT = Path(__file__).resolve().parents[2]
KEY = bytes(range(32))
OTHER = PrivateFacts(patient={"ids": ["9^^^&2.999.4&ISO"]})
LEAVE, KEEP = ("patient", "query", "docs", "wire"), ("who",)


@pytest.fixture
def key() -> LedgerKey:
    return LedgerKey(KEY)


@pytest.fixture
def eraser(store: Engine, key: LedgerKey) -> Eraser:
    return an_eraser(store, key)


def an_eraser(store: Engine, key: LedgerKey, batch: int = 2) -> Eraser:
    return Eraser(
        store, key, own="urn:oid:2.999.1", author=operator(), now=lambda: datetime.now(UTC),
        batch=batch,
    )  # fmt: skip


def order(key: LedgerKey | None = None, *seqs: int, parts: tuple[str, ...] = ()) -> Order:
    """By numbers, or about the patient of ``records``."""
    token = key.patient_token(PATIENT) if key else None
    return Order(authority="patient", reason="person-request", parts=parts, seqs=seqs, token=token)


def states(store: Engine, seq: int, key: LedgerKey) -> dict[str, GroupState]:
    shown = show(store, seq, key)
    assert shown is not None
    assert shown.findings == ()
    return dict(shown.states)


async def write(ledger: ExchangeLedger, count: int) -> None:
    for _ in range(count):
        await ledger.append(record())


def check_whole(store: Engine, key: LedgerKey) -> set[tuple[int, str]]:
    """The numbers have no gap, and what is gone and what the log says is gone are the same."""
    entries = tail(store, limit=1000)
    assert [entry.fields["seq"] for entry in entries] == list(range(len(entries)))
    said = [
        (int(entry.fields["target"]), str(entry.fields["part"]))
        for entry in entries
        if entry.fields["kind"] == "erasure"
    ]
    assert len(said) == len(set(said))
    gone = set()
    for entry in entries:
        shown = show(store, entry.seq, key)
        assert shown is not None
        assert shown.findings == ()
        gone |= {(entry.seq, n) for n, s in shown.states.items() if s is GroupState.ERASED}
    with store.connect() as connection:
        assert connection.execute(select(COUNTER.c.next)).scalar_one() == len(entries)
        indexed = connection.execute(select(ERASURE.c.target, ERASURE.c.part)).all()
    assert gone == set(said) == set(map(tuple, indexed))
    return gone


async def test_what_is_about_the_patient_goes_and_the_log_says_so(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, eraser: Eraser
) -> None:
    await write(ledger, 1)
    before = tail(store)
    done = eraser.run(order(None, 0))
    assert (done.entries, done.parts) == (1, dict.fromkeys(LEAVE, 1))
    assert states(store, 0, key) == {
        **dict.fromkeys(LEAVE, GroupState.ERASED),
        **dict.fromkeys(KEEP, GroupState.OPEN),
    }
    assert tail(store)[:1] == before
    shown, erasure = show(store, 0, key), show(store, 1, key)
    assert shown is not None
    assert erasure is not None
    assert shown.erasures["patient"] == erasure.entry
    told = erasure.entry.fields
    assert {name: told[name] for name in ("kind", "target", "part", "authority", "reason")} == {
        "kind": "erasure", "target": 0, "part": "patient", "authority": "patient",
        "reason": "person-request",
    }  # fmt: skip
    assert erasure_sentence(told) == (
        "The private group patient of entry 0 was erased (ordered by patient: person-request)."
    )
    assert erasure.groups["who"].value == operator().who
    with store.connect() as connection:
        tokens = connection.execute(select(TOKEN.c.part).where(TOKEN.c.seq == 0)).scalars().all()
    assert tokens == ["who"]


async def test_a_person_s_entries_go_and_nobody_else_s(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, eraser: Eraser
) -> None:
    await write(ledger, 3)
    await ledger.append(record(facts=OTHER))
    await write(ledger, 2)
    found = survey(store, order(key))
    assert (found.entries, found.parts) == (5, dict.fromkeys(LEAVE, 5))
    assert found.first is not None
    assert found.last is not None
    assert found.first < found.last
    assert len(tail(store)) == 6, "a survey writes nothing"
    done = eraser.run(order(key))
    assert (done.entries, done.first, done.last) == (5, found.first, found.last)
    assert check_whole(store, key) == {(n, p) for n in (0, 1, 2, 4, 5) for p in LEAVE}
    assert find(store, LedgerFilter(patient=PATIENT), key=key).entries == ()
    assert states(store, 3, key)["patient"] is GroupState.OPEN
    again = eraser.run(order(key))
    assert (again.entries, again.parts) == (0, {})
    assert len(tail(store)) == 6 + 5 * len(LEAVE)


async def test_one_part_goes_and_the_rest_is_still_found_by_the_person(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, eraser: Eraser
) -> None:
    asked = PrivateFacts(
        patient={"ids": [PATIENT.cx]}, query={"parameters": [["$p", [PATIENT.cx]]]}
    )
    await ledger.append(record(facts=asked))
    eraser.run(order(key, parts=("patient",)))
    left = states(store, 0, key)
    assert (left["patient"], left["query"]) == (GroupState.ERASED, GroupState.OPEN)
    assert [e.seq for e in find(store, LedgerFilter(patient=PATIENT), key=key).entries] == [0]
    assert eraser.run(order(key)).parts == {"query": 1, "wire": 1}
    assert find(store, LedgerFilter(patient=PATIENT), key=key).entries == ()
    check_whole(store, key)


async def test_who_asked_goes_too_where_it_is_the_patient(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, eraser: Eraser
) -> None:
    ias = ExchangeLedger(store, key, purposes={"T-IAS"})
    await ias.append(record(purpose="T-IAS"))
    ias.close()
    await write(ledger, 1)
    eraser.run(order(key))
    assert set(states(store, 0, key).values()) == {GroupState.ERASED}
    assert states(store, 1, key)["who"] is GroupState.OPEN


async def test_a_group_that_is_gone_without_an_entry_is_found(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, eraser: Eraser
) -> None:
    await write(ledger, 2)
    with store.begin() as connection:
        old = connection.execute(select(PRIVATE.c.docs).where(PRIVATE.c.seq == 1)).scalar_one()
        connection.execute(update(PRIVATE).where(PRIVATE.c.seq == 0).values(docs=None))
    shown = show(store, 0, key)
    assert shown is not None
    assert shown.states["docs"] is GroupState.MISSING
    assert shown.findings == ("The private group docs is gone, and no entry says why.",)
    eraser.run(order(None, 1))
    with store.begin() as connection:  # out of a backup
        connection.execute(update(PRIVATE).where(PRIVATE.c.seq == 1).values(docs=old))
    shown = show(store, 1, key)
    assert shown is not None
    assert shown.findings == ("The private group docs was erased, and yet it is there.",)


async def test_bytes_and_tokens_are_in_no_file_of_sqlite_afterwards(
    tmp_path: Path, store: Engine, ledger: ExchangeLedger, key: LedgerKey, eraser: Eraser
) -> None:
    await write(ledger, 40)
    large = [{"id": f"CANARYDOC.{n}", "repository": "2.999.2.5"} for n in range(900)]
    await ledger.append(record(facts=PrivateFacts(patient={"ids": [PATIENT.cx]}, docs=large)))
    await write(ledger, 40)
    with store.connect() as connection:
        rows = connection.execute(select(*(PRIVATE.c[part] for part in LEAVE))).all()
    # pieces too: a page holds 4096 bytes, and a long blob is spread over several
    pieces = [
        blob[start : start + 16] for row in rows for blob in row if blob is not None
        for start in range(0, len(blob) - 16, 500)
    ]  # fmt: skip
    files = [tmp_path / "node.db", tmp_path / "node.db-wal"]
    token = key.patient_token(PATIENT)
    held = b"".join(file.read_bytes() for file in files if file.exists())
    if store.dialect.name == "sqlite":
        assert token in held
        # one that lies across two pages is not found as it is
        pieces = [piece for piece in pieces if piece in held]
        assert len(pieces) > 400
    assert eraser.run(order(key)).entries == 81
    if store.dialect.name != "sqlite":
        assert clear_remains(store) is Remains.DEAD_ROWS
        return
    assert clear_remains(store) is Remains.NONE
    held = b"".join(file.read_bytes() for file in files)
    assert [piece for piece in pieces if piece in held] == []
    assert token not in held


async def test_a_write_ahead_log_in_use_is_told(
    store: Engine, ledger: ExchangeLedger, eraser: Eraser
) -> None:
    await write(ledger, 1)
    if store.dialect.name != "sqlite":
        assert clear_remains(store) is Remains.DEAD_ROWS
        return
    with store.connect() as reading:
        assert reading.execute(select(func.count()).select_from(PRIVATE)).scalar_one() == 1
        eraser.run(order(None, 0))
        raw = store.raw_connection()
        raw.cursor().execute("PRAGMA busy_timeout=1")  # the pool gives it out again next
        raw.close()
        assert clear_remains(store) is Remains.WAL
    assert clear_remains(store) is Remains.NONE


@pytest.mark.parametrize("which", [1, 3, 5])
async def test_a_crash_in_any_batch_loses_nothing_and_the_next_run_finishes(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, which: int
) -> None:
    await write(ledger, 10)
    commits: list[None] = []

    def committing(_: Connection) -> None:
        commits.append(None)
        if len(commits) == which:
            raise OperationalError("COMMIT", None, OSError("disk full"))

    event.listen(store, "commit", committing)
    with pytest.raises(OurFault) as caught:
        an_eraser(store, key).run(order(key))
    assert caught.value.code == "ledger-erasure-stopped"
    event.remove(store, "commit", committing)
    assert f"{2 * (which - 1)} entries were erased" in caught.value.sentence
    assert len(check_whole(store, key)) == 2 * (which - 1) * len(LEAVE)
    assert an_eraser(store, key).run(order(key)).entries == 10 - 2 * (which - 1)
    assert len(check_whole(store, key)) == 10 * len(LEAVE)


@pytest.mark.e2e
async def test_a_kill_inside_a_batch_while_others_append_leaves_no_gap(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    await write(ledger, 12)
    url = store.url.render_as_string(hide_password=False)

    async def erase(which: int) -> int:
        process = WarmProcess(
            [url, KEY.hex(), "2", str(which)],
            folder=ROOT, stdout=1, stderr=2, module="tests.ledger.eraser",
        )  # fmt: skip
        return await asyncio.to_thread(process.wait)

    async def append(during: asyncio.Task[int]) -> int:
        count = 0
        while not during.done():
            await ledger.append(record(facts=OTHER))
            count += 1
        return count

    written = 0
    for which, code, erased in ((3, -9, 4), (0, 0, 12)):
        ending = asyncio.create_task(erase(which))
        written += await append(ending)
        assert ending.result() == code
        with store.connect() as connection:
            gone = connection.execute(select(func.count()).select_from(ERASURE)).scalar_one()
            total = connection.execute(select(COUNTER.c.next)).scalar_one()
        assert gone == erased * len(LEAVE)
        assert total == 12 + written + gone
    assert written > 0
    seqs, after = [], -1
    while page := tail(store, after=after, limit=1000):
        seqs += [entry.fields["seq"] for entry in page]
        after = page[-1].seq
    assert seqs == list(range(total))
    assert states(store, 11, key)["patient"] is GroupState.ERASED


def the_hold(**scope: object) -> Hold:
    return Hold(reason="litigation", placed_by="alice", placed=1, **scope)  # type: ignore[arg-type]


@pytest.fixture
def writing(store: Engine) -> Engine:
    return store.execution_options(**{IMMEDIATE: True})


@pytest.mark.parametrize("scope", ["range", "patient", "peer"])
async def test_what_is_held_is_refused_by_the_hold_s_number(
    store: Engine,
    writing: Engine,
    ledger: ExchangeLedger,
    key: LedgerKey,
    eraser: Eraser,
    scope: str,
) -> None:
    await write(ledger, 3)
    hold = {
        "range": the_hold(first=1, last=1),
        "patient": the_hold(token=key.patient_token(PATIENT)),
        "peer": the_hold(peer=PEER.home_community_id),
    }[scope]
    with writing.begin() as connection:
        place_hold(connection, the_hold(first=70, last=90))
        place_hold(connection, the_hold(peer="urn:oid:2.999.77"))
        number = place_hold(connection, hold)
        assert holds(connection)[number] == hold
    for attempt in (survey, lambda _, order: an_eraser(store, key, batch=64).run(order)):
        with pytest.raises(OurFault) as caught:
            attempt(store, order(key))
        assert caught.value.code == "ledger-entry-held"
        assert f"under legal hold {number} (litigation)" in caught.value.sentence
    assert check_whole(store, key) == set()
    with writing.begin() as connection:
        assert lift_hold(connection, number)
        assert not lift_hold(connection, number)
    assert eraser.run(order(key)).entries == 3


def test_codes_are_codes_of_a_leaf_and_others_are_refused(key: LedgerKey) -> None:
    codes = erasure_codes()
    assert all(leaf.fits("authority", code) for code in codes.authorities)
    assert all(leaf.fits("reason", code) for code in codes.reasons)
    for wrong in ({"authority": "me"}, {"reason": "because"}, {"parts": ("everything",)}):
        with pytest.raises(OurFault):
            Order(**{"authority": "patient", "reason": "person-request", **wrong})  # type: ignore[arg-type]
    assert erasure_sentence({"kind": "heartbeat"}) is None
    assert PATIENT.id not in repr(order(key))
