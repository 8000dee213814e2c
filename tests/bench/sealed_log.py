"""What sealing and verifying the log cost, and whether sealing keeps up beside a busy responder."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from node.ledger.log_files import LogFolder
from node.ledger.log_verify import Verified, verify_log
from node.ledger.sealer import STATE, Sealer, Shard, verifier_key
from node.ledger.tlog.policy import of_log
from node.ledger.tlog.tiles import MAX_BUNDLE, bundles_of, split_bundle
from tests.bench.appending import sealed_entries
from tests.bench.homes import Pair, pin_asker
from tests.bench.load import Load, Server
from tests.bench.process import working
from tests.bench.questions import Questions
from tests.bench.row import Row, Sizes, alternately, compared
from trust.log_key import LogKeySigner, generate_log_key

_SHARD = Shard(origin="log.bench.example/exchange/2026", first=0)
_DIFFERENT = 2048
_MICRO = 1e6
_VERIFIED = 100_000
_VERIFY_TARGET = 1.0  # seconds for so many entries
_RATE = 5000
_BEHIND_TARGET = 10.0  # seconds: an entry is under a checkpoint so soon (facts: C6)
_PARALLEL = 2
_POLL = 0.01
_ONE_PASS = 1.0  # seconds between two batches of a pass; passes are five seconds apart


class Leaves:
    """An ``EntrySource`` of so many whole exchange entries; some thousand differ in all fields."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self._made = sealed_entries(min(entries, _DIFFERENT))

    def read(self, first: int, limit: int) -> Sequence[bytes]:
        """Entries from a number on."""
        return [self._leaf(seq) for seq in range(first, min(first + limit, self.entries))]

    def _leaf(self, seq: int) -> bytes:
        made = self._made[seq % len(self._made)]
        return made.head + str(seq).encode() + made.tail


def sealed_log_rows(sizes: Sizes) -> Iterator[Row]:
    """Sealing a log, and verifying it, against hashing the same entries and nothing else."""
    with TemporaryDirectory() as name:
        folder = LogFolder(Path(name) / "log")
        signer = LogKeySigner(key=generate_log_key())
        source = Leaves(sizes.sealed)
        memory = LogFolder(Path(name) / "signed")
        sealer = Sealer(
            folder, _SHARD, source, memory=memory, name="2026", signers=lambda: [signer]
        )
        clock, cpu = time.perf_counter(), time.process_time()
        with closing(sealer):
            sealer.run()
        seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
        yield Row(name="log sealing, files synced", value=sizes.sealed / seconds, unit="entries/s")
        yield Row(name="log sealing", value=cpu / sizes.sealed * _MICRO, unit="µs CPU/entry")
        policy = of_log(verifier_key(_SHARD.origin, signer))

        def verify() -> float:
            before = time.process_time()
            _checked(verify_log(folder, policy), sizes)
            return (time.process_time() - before) / sizes.sealed * _MICRO

        def hash_alone() -> float:
            before = time.process_time()
            _hash_alone(folder, sizes.sealed)
            return (time.process_time() - before) / sizes.sealed * _MICRO

        costs, floors = alternately([verify, hash_alone], sizes.rounds)
        yield compared("log verify, against hashing alone", "µs CPU/entry", costs, floors)
        clock = time.perf_counter()
        _checked(verify_log(folder, policy, workers=_PARALLEL), sizes)
        yield Row(
            name=f"log verify, {_PARALLEL} processes, {_VERIFIED:,} entries",
            value=(time.perf_counter() - clock) / sizes.sealed * _VERIFIED,
            unit="s",
            target=_VERIFY_TARGET,
        )


def _checked(verified: Verified, sizes: Sizes) -> None:
    if not verified.ok or verified.entries != sizes.sealed:
        raise RuntimeError(f"{verified.entries} entries were verified: {verified.findings[:1]}")


def _hash_alone(folder: LogFolder, size: int) -> None:
    """Read and split all entries and hash each once: less cannot be done."""
    for bundle in bundles_of(size):
        for entry in split_bundle(bundle, folder.read(bundle.path, MAX_BUNDLE)):
            sha256(entry).digest()


def sealing_under_load_rows(pair: Pair, sizes: Sizes) -> Iterator[Row]:
    """A node answers while another process writes 5,000 entries a second.

    First it answers as much as it can; then it rests as long as it answered, over and over, so
    that on few cores the writer comes nearer to its rate.
    """
    pin_asker(pair, pinned=True)
    for load, rests in (("full", 0.0), ("half", 1.0)):
        yield from _sealing_under(pair, sizes, load, rests)


def _sealing_under(pair: Pair, sizes: Sizes, name: str, rests: float) -> Iterator[Row]:
    questions = Questions(pair)
    folder = pair.answering.home.path
    unknown = count(20_000_000)
    with (
        asyncio.Runner() as runner,
        working("node", folder) as node,
        working("append", folder) as appender,
    ):
        load = Load(Server(port=node.port, context=pair.asking.client_context))
        made = [questions.discovery(next(unknown)) for _ in range(sizes.requests)]
        runner.run(load.send(made, expected=b'queryResponseCode code="NF"'))
        watching = _Watching(folder)
        appending = _Appending(appender, entries=_RATE * sizes.sealing_seconds, rate=_RATE)
        answered, begun = 0, time.monotonic()
        while appending.is_alive():
            batch = time.monotonic()
            made = [questions.discovery(next(unknown)) for _ in range(sizes.requests)]
            runner.run(load.send(made, expected=b'queryResponseCode code="NF"'))
            answered += len(made)
            time.sleep(rests * (time.monotonic() - batch))
        seconds = time.monotonic() - begun
        last = appending.last_number
        while _sealed(folder) <= last:
            time.sleep(0.05)
        behind = time.monotonic() - begun - seconds
        watching.end()
        runner.run(load.close())
    for row, value, unit, target in (
        ("entries appended", appending.per_second, "entries/s", None),
        ("ITI-55 answered meanwhile", answered / seconds, "requests/s", None),
        ("entries sealed", watching.per_second, "entries/s", None),
        ("sealing behind the last of them", behind, "s", _BEHIND_TARGET),
    ):
        yield Row(name=f"{row}, responder at {name} load", value=value, unit=unit, target=target)


class _Appending(threading.Thread):
    """Waits for the process that appends."""

    def __init__(self, worker, *, entries: int, rate: int) -> None:  # type: ignore[no-untyped-def]
        super().__init__(daemon=True)
        self._worker, self._entries, self._rate = worker, entries, rate
        self.per_second = 0.0
        self.last_number = -1
        self.start()

    def run(self) -> None:
        """Append all."""
        done = self._worker.append(self._entries, self._rate)
        self.per_second, self.last_number = done["per_second"], done["last"]


class _Watching(threading.Thread):
    """Looks how fast the sealed size grows while it does: the passes without the rests."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._home = home
        self._over = threading.Event()
        self._grown, self._seconds = 0, 0.0
        self.start()

    @property
    def per_second(self) -> float:
        """Entries sealed a second, of those batches that followed one another."""
        return self._grown / self._seconds if self._seconds else 0.0

    def run(self) -> None:
        """Poll until the end."""
        size, since = _sealed(self._home), time.monotonic()
        while not self._over.wait(_POLL):
            now, grown = time.monotonic(), _sealed(self._home) - size
            if grown:
                # a batch whose beginning was seen too: the one before had just ended
                if now - since < _ONE_PASS:
                    self._grown += grown
                    self._seconds += now - since
                size, since = size + grown, now

    def end(self) -> None:
        """Stop."""
        self._over.set()
        self.join()


def _sealed(home: Path) -> int:
    """The number after the last sealed entry."""
    newest = max((home / "log").glob(f"[0-9][0-9][0-9][0-9]/{STATE}"))
    state = orjson.loads(newest.read_bytes())
    return int(state["first"]) + int(state["size"])
