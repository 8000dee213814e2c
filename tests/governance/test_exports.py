"""Files of entries: whole or not there, a second person for large ones, gone in time (6.3)."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
import pytest
from sqlalchemy import Engine, select, update

from node.errors import OurFault
from node.governance import export_writer
from node.governance.case_model import Refusal
from node.governance.export_model import Ask, Job, Source, State
from node.governance.export_sealing import SealedFile
from node.governance.export_store import ExportStore, Rules
from node.governance.export_tables import EXPORT
from node.governance.export_writer import ExportWriter
from node.governance.two_person import TwoPerson
from node.governance.two_person_model import Who
from node.ledger import export, leaf
from node.ledger.filter import LedgerFilter
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author
from node.storage.tables import ENTRY
from tests.ledger.records import CANARIES, OWN, PATIENT, record
from tests.warm_start import WarmProcess

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
WHY = "The network asks who has been asked."
ROWS = 12


def who(login: str, *rights: str) -> Who:
    return Who(
        login=login,
        rights=frozenset(rights or ("exports",)),
        author=Author(by="user", who={"user_id": login}),
    )


IDA, BEN = who("ida"), who("ben")


@dataclass
class World:
    """A log with some legs, exports of it, and a clock."""

    engine: Engine
    folder: Path
    key: LedgerKey = field(default_factory=lambda: LedgerKey(os.urandom(32)))
    now: datetime = NOW

    def __post_init__(self) -> None:
        two = TwoPerson(self.engine, self.key, own=OWN)
        rules = Rules(second_person_above=ROWS - 1, keep=timedelta(days=7), most_rows=1000)
        self.store = ExportStore(self.engine, self.key, two, rules, own=OWN)
        self.writer = ExportWriter(self.engine, self.key, self.store, self.folder, lambda: self.now)
        self.two = two

    async def fill(self, number: int = ROWS) -> None:
        ledger = ExchangeLedger(self.engine, self.key)
        for _ in range(number):
            await ledger.append(record())
        ledger.close()

    def asks(self, **more: object) -> Ask:
        given = {"source": Source.EXCHANGES, "chosen": LedgerFilter(), "format": "csv",
                 "tokens": False} | more  # fmt: skip
        return Ask(**given)  # type: ignore[arg-type]

    def ask(self, by: Who = IDA, **more: object) -> Job:
        made = self.store.ask(self.asks(**more), by, text=WHY, now=self.now)
        assert isinstance(made, Job)
        return made

    def write(self, job: Job) -> Job:
        """Let it be written to its end."""
        self.writer.submit(job.id)
        return self.until_over(job)

    def until_over(self, job: Job) -> Job:
        """The export once it is neither queued nor being written."""
        for _ in range(400):
            found = self.read(job)
            if found.state not in (State.QUEUED, State.RUNNING):
                return found
            threading.Event().wait(0.05)
        pytest.fail("It was not written.")

    def read(self, job: Job) -> Job:
        found = self.store.read(job.id)
        assert found is not None
        return found

    def approve(self, job: Job, by: Who = BEN) -> Job | Refusal | None:
        request = self.two.read(job.request or 0)
        assert request is not None
        return self.store.approve(job.id, by, digest=request.digest, now=self.now)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    def data(self, job: Job) -> bytes:
        """What somebody takes along."""
        return b"".join(self.writer.pieces_of(job))

    def acts(self) -> list[str]:
        query = select(ENTRY.c.txn).where(ENTRY.c.kind == "admin").order_by(ENTRY.c.seq)
        with self.engine.connect() as connection:
            return list(connection.execute(query).scalars())


@pytest.fixture
def world(store: Engine, tmp_path: Path) -> Iterator[World]:
    made = World(store, tmp_path / "exports")
    yield made
    made.writer.close()


def code(answer: object) -> str:
    assert isinstance(answer, Refusal)
    return answer.code


async def test_a_file_is_whole_private_and_its_digest_is_in_the_log(world: World) -> None:
    await world.fill()
    job = world.write(world.ask(format="ndjson"))
    assert (job.state, job.written, job.rows) == (State.DONE, ROWS, ROWS)
    path, data = world.writer.path(job), world.data(job)
    assert hashlib.sha256(data).digest() == job.sha256
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(world.folder.stat().st_mode) == 0o700
    with world.engine.connect() as connection:
        leaves = list(
            connection.execute(
                select(ENTRY.c.leaf).where(ENTRY.c.kind == "exchange").order_by(ENTRY.c.seq)
            ).scalars()
        )
    assert data.splitlines() == leaves
    assert world.acts() == ["export-ask", "export-done"]
    assert job.until == NOW + timedelta(days=7)


async def test_without_tokens_nobody_is_in_the_file_and_with_them_nobody_is_named(
    world: World,
) -> None:
    await world.fill(2)
    token = f"~{world.key.patient_token(PATIENT).hex()}"
    plain = world.data(world.write(world.ask()))
    assert token.encode() not in plain
    rows = list(csv.DictReader(io.StringIO(
        world.data(world.write(world.ask(tokens=True))).decode()
    )))  # fmt: skip
    assert all(token in row["patient_tokens"].split() for row in rows)
    lines = world.data(world.write(world.ask(tokens=True, format="ndjson")))
    assert token in orjson.loads(lines.splitlines()[0])["patient_tokens"]
    for canary in CANARIES:
        assert canary.encode() not in plain + lines


async def test_the_access_log_is_a_file_with_who_did_what(world: World) -> None:
    await world.fill(1)
    world.ask()
    job = world.write(world.ask(source=Source.ACCESS))
    rows = list(csv.DictReader(io.StringIO(world.data(job).decode())))
    assert [row["act"] for row in rows] == ["export-ask"]
    assert "ida" in rows[0]["private_who"]


async def test_above_the_limit_with_tokens_a_second_person_decides(world: World) -> None:
    await world.fill()
    assert world.ask().state is State.QUEUED
    job = world.ask(tokens=True)
    assert job.state is State.WAITING
    assert world.write(job).state is State.WAITING
    assert world.files() == []
    assert code(world.approve(job, IDA)) == "same-person"
    assert code(world.approve(job, who("eve", "exchanges"))) == "right-missing"
    assert code(world.store.approve(job.id, BEN, digest=b"\0" * 32, now=NOW)) == "other-content"
    ruled = world.approve(job)
    assert isinstance(ruled, Job)
    assert ruled.state is State.QUEUED
    assert code(world.approve(job)) == "request-done"
    assert world.write(job).state is State.DONE
    assert world.acts()[-3:] == ["two-person-done", "two-person-stop", "export-done"]


async def test_what_was_approved_and_not_let_begin_is_let_begin_later(world: World) -> None:
    await world.fill()
    job = world.ask(tokens=True)
    request = world.two.read(job.request or 0)
    assert request is not None
    world.two.approve(request.number, BEN, digest=request.digest, now=NOW)
    ruled = world.approve(job)
    assert isinstance(ruled, Job)
    assert ruled.state is State.QUEUED


async def test_a_large_export_says_why(world: World) -> None:
    await world.fill()
    answer = world.store.ask(world.asks(tokens=True), IDA, text="because", now=NOW)
    assert code(answer) == "text-length"
    assert world.acts() == []
    assert world.store.listed() == ()


async def test_a_refused_and_a_late_request_leave_no_file(world: World) -> None:
    await world.fill()
    first, second = world.ask(tokens=True), world.ask(tokens=True)
    assert code(world.store.refuse(first.id, BEN, text="no", now=NOW)) == "text-length"
    ruled = world.store.refuse(first.id, BEN, text="Nobody has to know that.", now=NOW)
    assert isinstance(ruled, Job)
    assert ruled.state is State.REFUSED
    world.now = NOW + timedelta(hours=72)
    assert code(world.approve(second)) == "request-expired"
    assert (world.read(second).state, world.read(second).reason) == (State.REFUSED, "expired")
    assert world.files() == []


async def test_an_expired_request_goes_with_the_next_sweep(world: World) -> None:
    await world.fill()
    job = world.ask(tokens=True)
    world.now = NOW + timedelta(hours=73)
    world.writer.sweep()
    assert world.read(job).reason == "expired"


@dataclass
class Gate:
    """Lets a writer go on piece by piece."""

    at: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def gate(world: World, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The writer stops after half of the rows, in the middle of the file."""
    made = Gate()
    monkeypatch.setattr(export, "PIECE", 1)
    monkeypatch.setattr(export_writer, "_EVERY", 1)
    whole = world.store.reached

    def reached(number: int, written: int, *, now: datetime) -> bool:
        wanted = whole(number, written, now=now)
        if written == ROWS // 2:
            assert any(name.endswith(".partial") for name in world.files())
            made.at.set()
            assert made.go.wait(20)
        return wanted

    monkeypatch.setattr(world.store, "reached", reached)
    return made


async def test_cancelled_half_way_nothing_is_left_and_nothing_lost(
    world: World, gate: Gate
) -> None:
    await world.fill()
    job, next_ = world.ask(), world.ask(format="ndjson")
    world.writer.submit(job.id)
    world.writer.submit(next_.id)
    assert gate.at.wait(20)
    half = world.read(job)
    assert (half.state, half.written) == (State.RUNNING, ROWS // 2)
    assert code(world.store.cancel(job.id, BEN, now=NOW)) == "not-yours"
    cancelled = world.store.cancel(job.id, IDA, now=NOW)
    assert isinstance(cancelled, Job)
    gate.go.set()
    assert world.until_over(next_).state is State.DONE
    assert world.read(job).state is State.CANCELLED
    assert world.files() == ["export-2.ndjson"]
    assert world.acts().count("export-cancel") == 1
    assert "export-fail" not in world.acts()
    assert code(world.store.cancel(job.id, IDA, now=NOW)) == "not-open"


async def test_the_end_of_the_process_leaves_no_part_of_a_file(world: World, gate: Gate) -> None:
    await world.fill()
    job = world.ask()
    world.writer.submit(job.id)
    assert gate.at.wait(20)
    closing = threading.Thread(target=world.writer.close)
    closing.start()
    gate.go.set()
    closing.join(20)
    assert (world.read(job).state, world.read(job).reason) == (State.FAILED, "interrupted")
    assert world.files() == []


async def test_a_full_disk_ends_it_with_its_code_and_no_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.fill()

    def full(_handle: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export_writer, "SealedFile", partial(SealedFile, write=full))
    job = world.write(world.ask())
    assert (job.state, job.reason) == (State.FAILED, "file-unusable")
    assert world.files() == []
    assert world.acts()[-1] == "export-fail"


async def test_a_disk_that_is_full_at_the_end_leaves_no_file_either(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held back for the last piece is written when all rows are there."""
    await world.fill()
    head = []

    def full(handle: int, data: bytes) -> int:
        if head:
            raise OSError(errno.ENOSPC, "No space left on device")
        head.append(data)
        return os.write(handle, data)

    monkeypatch.setattr(export_writer, "SealedFile", partial(SealedFile, write=full))
    job = world.write(world.ask())
    assert (job.state, job.reason) == (State.FAILED, "file-unusable")
    assert world.files() == []


async def test_a_folder_that_cannot_be_made_is_said(world: World) -> None:
    await world.fill()
    world.folder.write_text("a file in its place")
    job = world.write(world.ask())
    assert (job.state, job.reason) == (State.FAILED, "file-unusable")
    assert world.acts()[-1] == "export-fail"


async def test_at_rest_no_row_can_be_read_and_what_was_changed_is_not_handed_out(
    world: World,
) -> None:
    await world.fill()
    job = world.write(world.ask(format="ndjson"))
    path = world.writer.path(job)
    held, line = path.read_bytes(), world.data(job).splitlines()[0]
    for plain in (line, b'"kind"', OWN.encode()):
        assert plain in world.data(job)
        assert plain not in held
    for changed in (held[:-1], held[:60] + bytes([held[60] ^ 1]) + held[61:], b"", line):
        path.write_bytes(changed)
        with pytest.raises(OurFault) as caught:
            world.data(job)
        assert caught.value.code == "export-unreadable"
    path.write_bytes(held)
    other = ExportWriter(world.engine, LedgerKey(os.urandom(32)), world.store, world.folder,
                         lambda: NOW)  # fmt: skip
    with pytest.raises(OurFault):
        b"".join(other.pieces_of(job))


async def test_killed_half_way_the_next_start_clears_it_and_says_so(world: World) -> None:
    await world.fill()
    job = world.ask()
    url = world.engine.url.render_as_string(hide_password=False)
    writing = WarmProcess(
        [url, world.folder, str(job.id)],
        folder=Path.cwd(), stdout=None, stderr=2, module="tests.governance.killed_export",
    )  # fmt: skip
    assert writing.stdout is not None
    with writing.stdout:
        assert writing.stdout.readline() == b"half\n"
        world.writer.sweep()
        assert world.read(job).state is State.RUNNING  # it is alive
        assert world.files() == ["export-1.csv.partial"]
        writing.kill()
        assert writing.wait() == -9
    world.writer.sweep()
    assert (world.read(job).state, world.read(job).reason) == (State.FAILED, "interrupted")
    assert world.files() == []
    assert world.acts()[-1] == "export-fail"


async def test_what_nobody_writes_for_minutes_is_given_up_and_what_waits_goes_on(
    world: World,
) -> None:
    await world.fill()
    dead, waits = world.ask(), world.ask()
    assert world.store.begin(dead.id, now=NOW) is not None
    world.now = NOW + timedelta(minutes=4)
    world.writer.sweep()
    assert world.read(dead).state is State.RUNNING
    world.now = NOW + timedelta(minutes=6)
    world.writer.sweep()
    assert (world.read(dead).state, world.read(dead).reason) == (State.FAILED, "interrupted")
    assert world.until_over(waits).state is State.DONE
    assert world.files() == ["export-2.csv"]


async def test_an_export_is_written_by_one_process_alone(world: World) -> None:
    await world.fill()
    job = world.ask()
    assert world.store.begin(job.id, now=NOW) is not None
    assert world.store.begin(job.id, now=NOW) is None


async def test_a_file_whose_time_is_over_is_deleted_and_its_digest_stays(world: World) -> None:
    await world.fill()
    job = world.write(world.ask())
    world.now = NOW + timedelta(days=7)
    assert world.writer.sweep() == 1
    assert world.files() == []
    gone = world.read(job)
    assert (gone.state, gone.sha256) == (State.GONE, job.sha256)
    assert world.acts()[-1] == "export-delete"
    assert world.writer.sweep() == 0


async def test_each_download_is_counted_and_an_entry(world: World) -> None:
    await world.fill()
    job = world.write(world.ask())
    for _ in range(2):
        world.store.downloaded(job, IDA.author, now=NOW)
    assert world.read(job).downloads == 2
    assert world.acts()[-2:] == ["export-download", "export-download"]


async def test_entries_written_meanwhile_are_not_in_the_file(world: World) -> None:
    await world.fill(3)
    job = world.ask()
    await world.fill(2)
    assert world.write(job).written == 3


async def test_what_is_too_much_or_nothing_is_refused(world: World) -> None:
    assert code(world.store.ask(world.asks(), IDA, text=WHY, now=NOW)) == "no-rows"
    await world.fill(3)
    few = ExportStore(world.engine, world.key, world.two, Rules(most_rows=2), own=OWN)
    assert code(few.ask(world.asks(), IDA, text=WHY, now=NOW)) == "too-many-rows"
    for _ in range(5):
        world.ask()
    assert code(world.store.ask(world.asks(), IDA, text=WHY, now=NOW)) == "too-many"
    assert isinstance(world.ask(BEN), Job)


async def test_what_the_log_cannot_take_is_not_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.fill(1)
    monkeypatch.setattr(leaf, "encode", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.ask()
    assert world.store.listed() == ()


async def test_a_changed_row_is_not_what_was_approved(world: World) -> None:
    await world.fill()
    job = world.ask(tokens=True)
    with world.engine.begin() as connection:
        connection.execute(update(EXPORT).values(filter="peer:urn:oid:2.999.9"))
    assert code(world.approve(job)) == "other-content"
    assert world.read(job).state is State.WAITING
