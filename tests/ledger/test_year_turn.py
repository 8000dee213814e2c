"""The logs of two years name each other, whenever the process dies (facts: C6)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from node.ledger.entry_source import StoredEntries, write_heartbeat
from node.ledger.find import tail
from node.ledger.log_chain import chain_findings
from node.ledger.log_files import LogFolder
from node.ledger.log_link import successor, year_of
from node.ledger.log_verify import Verified, verify_log
from node.ledger.private import LedgerKey
from node.ledger.sealer import Sealed, Sealer, Shard, verifier_key
from node.ledger.tlog.policy import of_log
from node.ledger.year_turn import turn_year
from trust.log_key import LogKeySigner, generate_log_key

OWN = "urn:oid:2.999.1"
OLD, NEW = "log.test.example/exchange/2026", "log.test.example/exchange/2027"
SIGNER = LogKeySigner(key=generate_log_key())
TURN = datetime(2027, 1, 1, 0, 0, 3, tzinfo=UTC)


def beat(store: Engine, key: LedgerKey, count: int) -> None:
    for _ in range(count):
        write_heartbeat(store, key, own=OWN, now=TURN)


def seal(store: Engine, folder: Path, origin: str, first: int) -> Sealed:
    sealer = Sealer(
        LogFolder(folder / origin[-4:]),
        Shard(origin=origin, first=first),
        StoredEntries(store),
        memory=LogFolder(folder / "signed"),
        name=origin[-4:],
        signers=lambda: (SIGNER,),
    )
    try:
        return sealer.run()
    finally:
        sealer.close()


def turn(store: Engine, key: LedgerKey, folder: Path, size: int) -> None:
    turn_year(
        store, key, LogFolder(folder / "2026"), own=OWN, origins=(OLD, NEW), first=0, size=size,
        now=TURN,
    )  # fmt: skip


def verified(folder: Path, *origins: str) -> list[Verified]:
    return [
        verify_log(LogFolder(folder / origin[-4:]), of_log(verifier_key(origin, SIGNER)))
        for origin in origins
    ]


def test_the_last_entry_names_the_successor_and_the_first_the_predecessor(
    store: Engine, key: LedgerKey, tmp_path: Path
) -> None:
    beat(store, key, 300)
    assert seal(store, tmp_path, OLD, 0).successor is None
    beat(store, key, 5)  # written after the last pass: still of the old year
    turn(store, key, tmp_path, 300)
    beat(store, key, 2)
    ended = seal(store, tmp_path, OLD, 0)
    assert (ended.checkpoint.size, ended.successor) == (306, NEW)
    assert year_of(NEW) == 2027
    assert seal(store, tmp_path, OLD, 0) == Sealed(
        checkpoint=ended.checkpoint, added=0, successor=NEW
    )  # an ended log grows no more
    assert seal(store, tmp_path, NEW, 306).checkpoint.size == 3
    entries = tail(store, after=304, limit=3)
    assert [entry.fields.get("act") for entry in entries] == ["log-close", "log-open", None]
    opening = entries[1].fields
    assert (opening["log"], opening["size"]) == (OLD, 306)
    logs = verified(tmp_path, OLD, NEW)
    assert [each.findings for each in logs] == [(), ()]
    assert chain_findings(logs) == []


def test_a_year_is_turned_once_however_often_it_is_tried(
    store: Engine, key: LedgerKey, tmp_path: Path
) -> None:
    beat(store, key, 3)
    seal(store, tmp_path, OLD, 0)
    for _ in range(2):  # a process died after it had written the two entries
        turn(store, key, tmp_path, 3)
    acts = [entry.fields.get("act") for entry in tail(store)]
    assert acts == [None, None, None, "log-close", "log-open"]
    assert seal(store, tmp_path, OLD, 0).successor == NEW


def test_a_transaction_that_failed_leaves_no_half_of_it(
    store: Engine, key: LedgerKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(store, key, 3)
    seal(store, tmp_path, OLD, 0)
    from node.ledger import year_turn  # noqa: PLC0415

    written = year_turn._write

    def failing(*args: object, **more: object) -> bytes:
        if args[2].act == "log-open":  # type: ignore[attr-defined]
            raise OSError(28, "No space left on device")
        return written(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(year_turn, "_write", failing)
    with pytest.raises(OSError, match="No space"):
        turn(store, key, tmp_path, 3)
    monkeypatch.undo()
    assert len(tail(store)) == 3
    turn(store, key, tmp_path, 3)
    assert [entry.fields["seq"] for entry in tail(store)] == [0, 1, 2, 3, 4]


def test_an_empty_log_can_end(store: Engine, key: LedgerKey, tmp_path: Path) -> None:
    seal(store, tmp_path, OLD, 0)
    turn(store, key, tmp_path, 0)
    assert seal(store, tmp_path, OLD, 0).checkpoint.size == 1
    seal(store, tmp_path, NEW, 1)
    assert chain_findings(verified(tmp_path, OLD, NEW)) == []


def test_logs_that_do_not_belong_together_are_found(
    store: Engine, key: LedgerKey, tmp_path: Path
) -> None:
    beat(store, key, 3)
    seal(store, tmp_path, OLD, 0)
    before = verified(tmp_path, OLD)[0]
    turn(store, key, tmp_path, 3)
    seal(store, tmp_path, OLD, 0)
    seal(store, tmp_path, NEW, 4)
    old, new = verified(tmp_path, OLD, NEW)
    # the old log as it was before it ended: cut
    cut = chain_findings([before, new])
    assert [each.code for each in cut] == ["log-entry-invalid"] + ["log-link-broken"] * 2
    assert "names another end" in cut[-1].sentence
    # two logs of which neither knows the other
    strange = [each.sentence for each in chain_findings([new, old])]
    assert sum("does not say that" in each for each in strange) == 2


def test_what_only_looks_like_the_end_of_a_log_is_none() -> None:
    assert successor(b'{"act":"log-close"') is None
    assert successor(b'{"act":"log-close","kind":"admin"}') is None
    assert successor(b"entry 7") is None
