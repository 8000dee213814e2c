"""What is older than it has to be kept goes; what stays of it still proves (facts: C7)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, delete, event, func, select

from node.errors import OurFault
from node.ledger.aged_out import AgedOut, aged_out, retained_until
from node.ledger.compared import YearLog
from node.ledger.entry_source import StoredEntries, write_heartbeat
from node.ledger.erasure import Eraser, Order
from node.ledger.fsck import Fsck
from node.ledger.hold import Hold, digest, lift_hold, place_hold
from node.ledger.kept_back import Why
from node.ledger.ledger import ExchangeLedger
from node.ledger.log_chain import chain_findings
from node.ledger.log_files import LogFolder
from node.ledger.log_verify import verify_log
from node.ledger.private import LedgerKey
from node.ledger.retention import Retainer
from node.ledger.retention_rules import Majority, Rules, majorities, rules
from node.ledger.retired_log import kept_at, read_retired
from node.ledger.sealer import Sealer, Shard, verifier_key
from node.ledger.tlog.merkle import leaf_hash, verify_inclusion
from node.ledger.tlog.policy import of_log
from node.ledger.trust_change import TrustChange
from node.ledger.trust_log import TrustLog, operator
from node.ledger.year_turn import turn_year
from node.model import PatientId, PrivateFacts
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY, PRIVATE, RETIREMENT, TOKEN
from tests.ledger.records import OWN, private, record
from trust.log_key import LogKeySigner, generate_log_key

SIGNER = LogKeySigner(key=generate_log_key())
OLD, NEW = "log.test.example/exchange/2026", "log.test.example/exchange/2027"
TURN = datetime(2027, 1, 1, tzinfo=UTC)
DUE = datetime(2037, 1, 1, tzinfo=UTC)
RULES = Rules(years=10, majority=Majority(age=18, source="test", verify=False), minor_years=6)
CHILD = PatientId(assigning_authority="2.999.2.1", id="CHILD1")
SIZE = 303
HELD, ASKED, FOLLOWED, ERASED = 3, 10, 11, 20
"""Numbers: under a hold; a discovery of a child; a query of the same child; with erased groups."""


def child() -> PrivateFacts:
    query = {"demographics": {"birth_date": "20200229"}}
    return PrivateFacts(patient={"ids": [CHILD.cx]}, query=query)


def followed() -> PrivateFacts:
    return PrivateFacts(
        query={"id": "x", "parameters": [["$XDSDocumentEntryPatientId", [CHILD.cx]]]}
    )


async def _write(store: Engine, key: LedgerKey) -> None:
    ledger = ExchangeLedger(store, key)
    facts = {ASKED: child(), FOLLOWED: followed()}
    try:
        for number in range(30):
            await ledger.append(record(facts=facts.get(number, private())))
    finally:
        ledger.close()


def trust(store: Engine, key: LedgerKey) -> TrustLog:
    return TrustLog(store, lambda: key, own=OWN, author=operator(), now=lambda: TURN)


def hold(store: Engine, key: LedgerKey, seq: int) -> int:
    with (
        trust(store, key).change(TrustChange(act="hold-add", reason="litigation")) as made,
        store.execution_options(**{IMMEDIATE: True}).begin() as connection,
    ):
        placed = Hold(reason="litigation", placed_by="me", placed=1, first=seq, last=seq)
        number = place_hold(connection, placed)
        row = {"hold": number, "row": digest(number, placed)}
        made.add(TrustChange(act="hold-add", private=row))
    return number


def sealer(store: Engine, folder: Path, origin: str, first: int) -> None:
    made = Sealer(
        LogFolder(folder / origin[-4:]), Shard(origin=origin, first=first), StoredEntries(store),
        memory=LogFolder(folder / "signed"), name=origin[-4:], signers=lambda: (SIGNER,),
    )  # fmt: skip
    made.run()
    made.close()


def seal(store: Engine, folder: Path) -> None:
    """As the node goes on: the old log has ended."""
    sealer(store, folder, NEW, SIZE)


def logs(folder: Path) -> list[YearLog]:
    found = []
    for origin, first in ((OLD, 0), (NEW, SIZE)):
        size = int((folder / origin[-4:] / "checkpoint").read_text().split("\n")[1])
        found.append(
            YearLog(
                year=int(origin[-4:]), folder=LogFolder(folder / origin[-4:]),
                shard=Shard(origin=origin, first=first),
                policy=of_log(verifier_key(origin, SIGNER)),
                memory=(folder / "signed" / origin[-4:]).read_bytes(), size=size,
            )
        )  # fmt: skip
    return found


@pytest.fixture
def world(store: Engine, key: LedgerKey, tmp_path: Path) -> Path:
    """A year of 303 entries with a hold, a child's exchanges and an erasure; and the next one."""
    asyncio.run(_write(store, key))
    hold(store, key, HELD)  # entries 30, 31
    eraser = Eraser(store, key, own=OWN, author=operator(), now=lambda: TURN)
    eraser.run(Order(authority="patient", reason="person-request", seqs=(ERASED,)))  # 32 to 35
    eraser.run(
        Order(authority="patient", reason="person-request", seqs=(FOLLOWED,), parts=("wire",))
    )  # 36
    while True:
        receipt = write_heartbeat(store, key, own=OWN, now=TURN)
        if receipt.seq == SIZE - 2:
            break
    sealer(store, tmp_path, OLD, 0)
    turn_year(
        store, key, LogFolder(tmp_path / "2026"), own=OWN, origins=(OLD, NEW), first=0,
        size=SIZE - 1, now=TURN,
    )  # fmt: skip
    sealer(store, tmp_path, OLD, 0)
    seal(store, tmp_path)
    return tmp_path


def retainer(store: Engine, key: LedgerKey, folder: Path, now: datetime = DUE) -> Retainer:
    return Retainer(store, key, logs(folder)[0], RULES, own=OWN, author=operator(), now=now)


def left(store: Engine) -> list[int]:
    with store.connect() as connection:
        query = select(ENTRY.c.seq).where(ENTRY.c.seq < SIZE).order_by(ENTRY.c.seq)
        return list(connection.execute(query).scalars())


KEPT = [HELD, ASKED, FOLLOWED, 30, 31, 36, SIZE - 1]
"""The hold's two entries, the erasure of what is kept, and the entry that names the next log."""


def check(store: Engine, key: LedgerKey, folder: Path) -> None:
    """Everything that is left agrees and proves."""
    found = Fsck(store, key, logs(folder)).run()
    assert [each.finding.sentence for each in found.findings] == []
    results = [verify_log(log.folder, log.policy) for log in logs(folder)]
    assert [each.findings for each in results] == [(), ()]
    assert chain_findings(results) == []


def test_a_past_year_goes_but_for_holds_minors_and_what_the_log_needs(
    store: Engine, key: LedgerKey, world: Path
) -> None:
    planned = retainer(store, key, world).plan()
    assert left(store) == list(range(SIZE))
    done = retainer(store, key, world).run()
    assert (planned.dropped, planned.kept) == (done.dropped, done.kept)
    assert done.kept == Counter({Why.HOLD: 1, Why.MINOR: 2, Why.RECORD: 4})
    assert done.dropped == SIZE - len(KEPT)
    assert left(store) == KEPT
    with store.connect() as connection:
        for table in (PRIVATE, TOKEN):
            seqs = set(connection.execute(select(table.c.seq).where(table.c.seq < SIZE)).scalars())
            assert seqs <= set(KEPT)
    folder = world / "2026"
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files - {".lock"} == {
        "checkpoint", "state", "retired", "kept/000", "kept/001", "tile/0/001.p/47",
        "tile/1/000.p/1",
    }  # fmt: skip
    seal(store, world)
    check(store, key, world)
    with store.connect() as connection:
        records = connection.execute(
            select(ENTRY.c.leaf).where(ENTRY.c.txn == "log-retain").order_by(ENTRY.c.seq)
        ).scalars().all()  # fmt: skip
    assert b'"step":"begun"' in bytes(records[0])
    assert b'"entries":296' in bytes(records[1])
    assert b'"kept":7' in bytes(records[1])


def test_a_kept_entry_proves_to_the_last_checkpoint(
    store: Engine, key: LedgerKey, world: Path
) -> None:
    retainer(store, key, world).run()
    log = logs(world)[0]
    retired = read_retired(log.folder)
    assert retired is not None
    assert (retired.kept, retired.size, retired.until) == (7, SIZE, DUE)
    kept = kept_at(log.folder, ASKED)
    assert kept is not None
    verify_inclusion(
        index=ASKED, size=SIZE, leaf=leaf_hash(kept.entry), proof=kept.proof, root=retired.root
    )
    assert kept_at(log.folder, 12) is None


def test_nothing_is_dropped_before_its_time_or_where_the_log_does_not_hold(
    store: Engine, key: LedgerKey, world: Path
) -> None:
    early = datetime(2036, 12, 31, 23, 59, tzinfo=UTC)
    with pytest.raises(OurFault, match="kept until 2037-01-01"):
        retainer(store, key, world, early).run()
    newest = replace(logs(world)[1], year=2020)
    with pytest.raises(OurFault, match="has not ended yet"):
        Retainer(store, key, newest, RULES, own=OWN, author=operator(), now=DUE).run()
    tile = world / "2026" / "tile/0/000"
    tile.write_bytes(bytes(len(tile.read_bytes())))
    with pytest.raises(OurFault, match="does not hold") as raised:
        retainer(store, key, world).run()
    assert raised.value.code == "log-retain-refused"
    assert left(store) == list(range(SIZE))


class Killed(BaseException):
    """The process dies."""


def test_a_pass_that_dies_anywhere_is_finished_by_the_next_run(
    store: Engine, key: LedgerKey, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    commits: list[None] = []
    stop = [0]

    def committing(_: Connection) -> None:
        commits.append(None)
        if len(commits) == stop[0]:
            raise Killed

    event.listen(store, "commit", committing)
    for number in range(1, 5):  # the beginning, two bundles, the end: each dies once
        stop[0] = len(commits) + 1
        with pytest.raises(Killed):
            retainer(store, key, world).run()
        stop[0] = 0
        found = Fsck(store, key, logs(world)).run(2026)
        assert found.ok, (number, [each.finding.sentence for each in found.findings])
        if number == 1:
            assert left(store) == list(range(SIZE))
        stop[0] = len(commits) + 2 if number < 4 else 0
        if number < 4:
            with pytest.raises(Killed):  # one step further than before
                retainer(store, key, world).run()
            stop[0] = 0
    event.remove(store, "commit", committing)
    retainer(store, key, world).run()
    assert left(store) == KEPT
    seal(store, world)
    check(store, key, world)
    with store.connect() as connection:
        row = connection.execute(select(RETIREMENT)).mappings().one()
        count = connection.execute(
            select(func.count()).select_from(ENTRY).where(ENTRY.c.txn == "log-retain")
        ).scalar()
    assert (row["dropped"], row["kept"], row["size"]) == (296, 7, SIZE)
    assert count == 2


def test_what_was_kept_back_goes_when_its_reason_ends(
    store: Engine, key: LedgerKey, world: Path
) -> None:
    retainer(store, key, world).run()
    with (
        trust(store, key).change(TrustChange(act="hold-remove", private={"hold": 1})),
        store.execution_options(**{IMMEDIATE: True}).begin() as connection,
    ):
        assert lift_hold(connection, 1)
    last = datetime(2044, 2, 28, 23, tzinfo=UTC)  # the child is 24 on the next day
    again = retainer(store, key, world, last).run()
    assert again.kept == Counter({Why.MINOR: 2, Why.RECORD: 4})
    assert left(store) == [seq for seq in KEPT if seq != HELD]
    retainer(store, key, world, datetime(2044, 2, 29, tzinfo=UTC)).run()
    assert left(store) == [30, 31, SIZE - 1]
    seal(store, world)
    check(store, key, world)


def test_the_oldest_metadata_that_is_kept_is_known(
    store: Engine, key: LedgerKey, world: Path
) -> None:
    assert aged_out(store) is None
    retainer(store, key, world).run()
    assert aged_out(store) == AgedOut(before=TURN, until=DUE)
    assert retained_until(store, 5) == DUE
    assert retained_until(store, SIZE) is None


def test_a_retired_log_that_was_changed_is_found(
    store: Engine, key: LedgerKey, world: Path
) -> None:
    retainer(store, key, world).run()
    seal(store, world)
    log = logs(world)[0]
    kept = world / "2026" / "kept/000"
    whole = kept.read_bytes()
    kept.write_bytes(whole.replace(b"ITI-55", b"ITI-38", 1))
    assert "does not prove" in verify_log(log.folder, log.policy).findings[0].sentence
    kept.write_bytes(b"".join(whole.splitlines(keepends=True)[1:]))
    assert "6 kept entries, yet 7" in verify_log(log.folder, log.policy).findings[0].sentence
    kept.write_bytes(whole)
    with store.begin() as connection:
        for table in (TOKEN, PRIVATE, ENTRY):
            connection.execute(delete(table).where(table.c.seq == HELD))
    (found,) = Fsck(store, key, logs(world)).run().findings
    assert (found.finding.code, found.seq) == ("log-entry-lost", HELD)


def test_entries_that_vanished_need_a_record_in_another_log(
    store: Engine, key: LedgerKey, world: Path
) -> None:
    retainer(store, key, world).run()  # not sealed: the record is in no log that others see
    results = [verify_log(log.folder, log.policy) for log in logs(world)]
    (finding,) = chain_findings(results)
    assert "no entry of another log says so" in finding.sentence


@pytest.mark.parametrize(
    ("birth", "until"),
    [
        ("20200229", datetime(2044, 2, 29, tzinfo=UTC)),
        ("2020-03-01", datetime(2044, 3, 1, tzinfo=UTC)),
        ("202006", datetime(2044, 6, 30, tzinfo=UTC)),
        ("2009", datetime(2033, 12, 31, tzinfo=UTC)),
        ("20081231", None),  # of age on the day before the entry
        ("20090101", None),
        ("19691231", None),
        ("20201301", None),
        ("unknown", None),
    ],
)
def test_an_entry_about_a_minor_is_kept_until_they_are_of_age_and_longer(
    birth: str, until: datetime | None
) -> None:
    assert RULES.kept_for_minor(birth, TURN) == until


def test_the_age_of_majority_is_data_with_a_source() -> None:
    for row in majorities().values():
        assert row.source
        assert 18 <= row.age <= 21
    assert rules(years=10, majority="NE", minor_years=6).majority.age == 19
    with pytest.raises(OurFault, match=r"log\.majority is one of"):
        rules(years=10, majority="XX", minor_years=6)
