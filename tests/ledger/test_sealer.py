"""Sealing: what is written in which order, every crash on the way, and what is not signed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from records import START, record
from sqlalchemy import Engine, delete

from node.errors import LogError, OurFault
from node.ledger.entry_source import StoredEntries, write_heartbeat
from node.ledger.ledger import ExchangeLedger
from node.ledger.log_files import LogFolder
from node.ledger.private import LedgerKey
from node.ledger.sealer import BATCH, Sealer, Shard
from node.ledger.tlog.audit import Finding, audit, examine
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.note import KeyType, VerifierKey
from node.ledger.tlog.policy import accept, of_log
from node.storage.tables import ENTRY, PRIVATE, TOKEN
from trust.log_key import LogKeySigner, generate_log_key

SHARD = Shard(origin="log.test.example/exchange/2026", first=0)
SIGNER = LogKeySigner(key=generate_log_key())
KEY = VerifierKey(
    name=SHARD.origin,
    kind=KeyType.ED25519_NOTE,
    public=SIGNER.public_key.public_bytes_raw(),
)


class Crash(BaseException):
    """The machine stops."""


class Memory(list[bytes]):
    """Durable entries; implements ``EntrySource``."""

    def read(self, first: int, limit: int) -> Sequence[bytes]:
        return self[first : first + limit]

    def grow(self, count: int) -> None:
        self.extend(f"entry {len(self) + n}".encode() for n in range(count))


class World:
    """A log on disk, its memory, and the entries behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "log"
        self.memory = folder / "signed"
        self.entries = Memory()
        self.steps: list[tuple[str, str]] = []
        self.stop_at: int | None = None

    def step(self, name: str, path: Path) -> None:
        if self.stop_at == len(self.steps):
            raise Crash
        self.steps.append((name, path.name))

    def sealer(self, shard: Shard = SHARD, signers: Sequence[LogKeySigner] = (SIGNER,)) -> Sealer:
        return Sealer(
            LogFolder(self.folder, step=self.step),
            shard,
            self.entries,
            memory=LogFolder(self.memory, step=self.step),
            name="2026",
            signers=lambda: signers,
        )

    def seal(self) -> Checkpoint:
        """As a new process: open, one pass, close."""
        sealer = self.sealer()
        try:
            return sealer.run().checkpoint
        finally:
            sealer.close()

    def published(self, name: str = "checkpoint") -> Checkpoint:
        return accept(of_log(KEY), (self.folder / name).read_bytes()).checkpoint

    def check(self) -> list[Finding]:
        """Audit the folder against the published checkpoint; its entries must be ours."""
        point = self.published()
        folder = LogFolder(self.folder)
        count = -(-point.size // 256)
        batches = (examine(folder, n, point.size, self.compare) for n in range(count))
        known = [self.published(f"checkpoints/{f.name}") for f in self.kept()]
        *_, result = audit(folder, point, batches, known=known)
        return result.findings

    def kept(self) -> list[Path]:
        folder = self.folder / "checkpoints"
        return sorted(f for f in folder.glob("*") if f.suffix != ".draft")

    def compare(self, first: int, entries: Sequence[bytes]) -> list[tuple[int, str]]:
        return [
            (first + n, "Another entry.")
            for n, entry in enumerate(entries)
            if entry != self.entries[first + n]
        ]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- what is written ----------------------------------------------------------------------------


def test_a_log_grows_and_every_checkpoint_extends_the_one_before(world: World) -> None:
    for count in (0, 1, 254, 1, 1, 300, BATCH, 0, 3):
        world.entries.grow(count)
        assert world.seal().size == len(world.entries)
        assert world.published().size == len(world.entries)
        assert world.check() == []


def test_files_are_written_in_the_order_bundle_tiles_state_memory_checkpoint(world: World) -> None:
    world.entries.grow(300)
    world.seal()
    renamed = [name for step, name in world.steps if step == "rename"]
    assert renamed == [
        "state", "000", "44", "000", "44", "1", "state", "2026.keys", "2026", "300", "checkpoint",
    ]  # fmt: skip
    for step in ("draft", "half", "fsync", "rename", "fsync-folder"):
        assert [name for each, name in world.steps if each == step] == renamed


def test_nothing_new_writes_nothing(world: World) -> None:
    world.entries.grow(5)
    sealer = world.sealer()
    sealer.run()
    world.steps.clear()
    assert sealer.run().added == 0
    assert world.steps == []
    sealer.close()


def test_partial_tiles_go_when_the_full_one_is_there(world: World) -> None:
    for _ in range(4):
        world.entries.grow(100)
        world.seal()
    names = {str(p.relative_to(world.folder)) for p in (world.folder / "tile").rglob("*.p")}
    assert names == {"tile/0/001.p", "tile/1/000.p", "tile/entries/001.p"}
    assert world.check() == []


def test_earlier_checkpoints_are_kept_now_and_then(world: World) -> None:
    for _ in range(5):
        world.entries.grow(2000)
        world.seal()
    assert sorted(int(f.name) for f in world.kept()) == [2000, 6000, 10000]
    assert world.check() == []


def test_two_keys_sign_while_one_takes_over(world: World) -> None:
    world.entries.grow(1)
    other = LogKeySigner(key=generate_log_key())
    sealer = world.sealer(signers=(other, SIGNER))
    sealer.run()
    sealer.close()
    new = VerifierKey(
        name=SHARD.origin, kind=KeyType.ED25519_NOTE, public=other.public_key.public_bytes_raw()
    )
    data = (world.folder / "checkpoint").read_bytes()
    assert accept(of_log(KEY), data) == accept(of_log(new), data)


def test_one_process_seals_a_log(world: World) -> None:
    sealer = world.sealer()
    with pytest.raises(OurFault) as raised:
        world.sealer()
    assert raised.value.code == "log-busy"
    sealer.close()
    world.sealer().close()


# --- crashes ------------------------------------------------------------------------------------


def crash_everywhere(tmp_path: Path, prepare: Callable[[World], None], count: int) -> int:
    """Crash at every step of the pass that adds so many entries; recover; check. How many steps."""
    before = World(tmp_path / "before")
    before.folder.parent.mkdir()
    prepare(before)
    number = 0
    while True:
        here = tmp_path / f"crash-{number}"
        shutil.copytree(tmp_path / "before", here)
        world = World(here)
        world.entries.extend(before.entries)
        world.entries.grow(count)
        world.stop_at = number
        published = world.published().size if (world.folder / "checkpoint").is_file() else None
        try:
            world.seal()
        except Crash:
            pass
        else:
            return number
        if published is not None:
            # whoever looks now sees one of the two logs, whole
            assert world.published().size in (published, len(world.entries))
            assert world.check() == []
        world.stop_at = None
        world.entries.grow(1)  # as the node goes on
        assert world.seal().size == len(world.entries)
        assert world.check() == []
        assert not list(world.folder.glob("tile/**/*.p")) or len(world.entries) % 256
        shutil.rmtree(here)
        number += 1


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These crashes end the writer, not the machine: hundreds of passes need not reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.mark.usefixtures("quick_disk")
def test_a_crash_at_any_step_of_the_first_pass_is_recovered_from(tmp_path: Path) -> None:
    assert crash_everywhere(tmp_path, lambda _: None, 257) > 50


@pytest.mark.usefixtures("quick_disk")
def test_a_crash_at_any_step_of_a_later_pass_is_recovered_from(tmp_path: Path) -> None:
    def prepare(world: World) -> None:
        for count in (200, 50):
            world.entries.grow(count)
            world.seal()

    assert crash_everywhere(tmp_path, prepare, 10) > 40


def test_a_full_disk_is_an_error_and_loses_nothing(world: World) -> None:
    world.entries.grow(10)
    world.seal()
    sealer = world.sealer()
    world.entries.grow(300)
    number = len(world.steps) + 12

    def full(_name: str, _path: Path) -> None:
        world.steps.append((_name, _path.name))
        if len(world.steps) == number:
            raise OSError(28, "No space left on device")

    sealer._folder._step = full
    with pytest.raises(OSError, match="No space"):
        sealer.run()
    assert world.published().size == 10
    assert world.check() == []
    assert sealer.run().checkpoint.size == 310  # the same process goes on
    assert world.check() == []
    sealer.close()


# --- what is not signed -------------------------------------------------------------------------


def refused(world: World, code: str, says: str) -> None:
    before = {p: p.read_bytes() for p in world.folder.rglob("checkpoint")}
    with pytest.raises((OurFault, LogError), match=says) as raised:
        world.seal()
    assert raised.value.code == code
    assert {p: p.read_bytes() for p in world.folder.rglob("checkpoint")} == before


def aged(world: World, tmp_path: Path) -> Path:
    """A log of 600 entries, and a copy of it as it was at 300."""
    world.entries.grow(300)
    world.seal()
    shutil.copytree(world.folder, tmp_path / "old-log")
    shutil.copytree(world.memory, tmp_path / "old-signed")
    world.entries.grow(300)
    world.seal()
    return tmp_path / "old-log"


def put_back(old: Path, place: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(old, place)


def test_a_log_restored_from_an_older_copy_is_noticed(world: World, tmp_path: Path) -> None:
    put_back(aged(world, tmp_path), world.folder)
    refused(world, "log-rolled-back", "has 300 entries, yet 600 were signed before")
    world.entries.grow(1000)
    refused(world, "log-rolled-back", "600 were signed before")


def test_a_database_restored_from_an_older_copy_is_noticed(world: World, tmp_path: Path) -> None:
    aged(world, tmp_path)
    del world.entries[500:]
    refused(world, "log-rolled-back", "ends before entry 599")
    world.entries.extend(f"new entry {n}".encode() for n in range(500))
    refused(world, "log-rolled-back", "Entry 599 of the database is not the one")


def test_log_and_database_restored_together_are_noticed_by_the_memory(
    world: World, tmp_path: Path
) -> None:
    put_back(aged(world, tmp_path), world.folder)
    del world.entries[300:]
    world.entries.extend(f"another history {n}".encode() for n in range(500))
    refused(world, "log-rolled-back", "600 were signed before")


def test_a_log_with_another_history_is_not_signed(world: World, tmp_path: Path) -> None:
    aged(world, tmp_path)
    other = World(tmp_path / "other")
    other.entries.extend(f"another history {n}".encode() for n in range(700))
    other.seal()
    put_back(other.folder, world.folder)
    world.entries[:] = other.entries
    refused(world, "log-rolled-back", "does not begin with the 600 entries")


def test_a_lost_state_or_a_foreign_one_is_not_taken_for_a_new_log(world: World) -> None:
    world.entries.grow(5)
    world.seal()
    state = (world.folder / "state").read_bytes()
    (world.folder / "state").unlink()
    refused(world, "log-rolled-back", "has 0 entries, yet 5 were signed before")
    (world.folder / "state").write_bytes(state.replace(b"test.example", b"else.example"))
    refused(world, "log-rolled-back", "another log")
    (world.folder / "state").write_bytes(state[:-5])
    refused(world, "log-state-invalid", "cannot be read")
    (world.folder / "state").write_bytes(state)
    assert world.seal().size == 5


def test_the_published_checkpoint_counts_when_the_memory_is_lost(world: World) -> None:
    world.entries.grow(5)
    world.seal()
    shutil.rmtree(world.memory)
    (world.folder / "state").unlink()
    refused(world, "log-rolled-back", "5 were signed before")


@pytest.mark.parametrize("name", ["tile/0/001.p/44", "tile/entries/001.p/44", "tile/0/000"])
def test_a_broken_edge_is_not_built_upon(world: World, name: str) -> None:
    world.entries.grow(300)
    world.seal()
    world.entries.grow(1)
    data = bytearray((world.folder / name).read_bytes())
    data[-1] ^= 1
    (world.folder / name).write_bytes(data)
    with pytest.raises(LogError, match=r"do(es)? not"):
        world.seal()
    assert world.published().size == 300


# --- over the database --------------------------------------------------------------------------


async def test_entries_of_the_database_are_sealed_in_their_order(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, tmp_path: Path
) -> None:
    for _ in range(3):
        await ledger.append(record())
    receipt = write_heartbeat(store, key, own="urn:oid:2.999.1", now=START)
    assert receipt.seq == 3
    world = World(tmp_path)
    world.entries = StoredEntries(store)  # type: ignore[assignment]
    assert world.seal().size == 4
    bundle = (world.folder / "tile/entries/000.p/4").read_bytes()
    assert b'"kind":"heartbeat"' in bundle
    assert b"Canary" not in bundle
    with store.begin() as connection:
        for table in (TOKEN, PRIVATE, ENTRY):
            connection.execute(delete(table).where(table.c.seq == 1))
    with pytest.raises(OurFault, match="Entry 1 is not in the database"):
        StoredEntries(store).read(0, 10)


def test_a_reader_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b"x" * 100)
    assert len(LogFolder(tmp_path).read("checkpoint", 100)) == 100
    with pytest.raises(LogError, match="longer than 99 bytes"):
        LogFolder(tmp_path).read("checkpoint", 99)
    (tmp_path / "folder").mkdir()
    with pytest.raises(LogError, match="cannot be read"):
        LogFolder(tmp_path).read("folder", 99)
