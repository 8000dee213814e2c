"""Keeps the log of a serving node sealed: one log a year, passes, heartbeats, the key.

A pass is run every ``log.seal_seconds``, so that an entry is under a signed checkpoint at most ten
seconds after it was durable (facts: tamper-evident-log C6). When a pass fails, the node goes on
exchanging: its entries are durable, and they are sealed as soon as that is possible again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError, OurFault
from node.identity import LogKey, history_file, live_file
from node.identity_store import versions
from node.ledger.entry_source import StoredEntries, write_heartbeat
from node.ledger.log_files import LogFolder
from node.ledger.private import load_key
from node.ledger.sealer import STATE, Sealed, Sealer, Shard, read_state, verifier_key
from node.ledger.tlog.note import VerifierKey
from node.ledger.trust_change import Recorder, TrustChange
from node.log_keys import log_signers, make_log_key
from node.log_origin import origin_of
from node.opened import OpenedHome
from node.ops.metrics import Metrics
from node.settings import NodeHome, Settings
from node.trust_changes import of_identity
from trust.lifecycle import active
from trust.log_key import LogKeySigner

_log = structlog.get_logger(__name__)

_YEAR: Final = re.compile(r"[0-9]{4}", re.ASCII)
_LARGEST_STATE: Final = 4096
_MADE: Final = {
    LogKey.LOG: "This home had no key to sign its log with; one was made.",
    LogKey.AGREEMENT: "This home had no key to agree with peers about its log; one was made.",
}
_FAILURES: Final = (CodedError, SQLAlchemyError, OSError)


def years(folder: Path) -> list[int]:
    """The years of the logs, or of what was signed, in a folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(path.name) for path in found if _YEAR.fullmatch(path.name))


def sealed_years(home: NodeHome) -> list[int]:
    """The years that have a log."""
    return [year for year in years(home.log) if (home.log / str(year) / STATE).is_file()]


def verifier_keys(
    home: NodeHome, settings: Settings, origin: str, *, now: datetime
) -> tuple[VerifierKey, ...]:
    """The keys by which others check a log of ours, the one in use first.

    Raises:
        TrustError: when a key cannot be opened.
    """
    return tuple(verifier_key(origin, signer) for signer in log_signers(home, settings, now=now))


class YearlySealer:
    """Seals the log of the year, and begins the next one when a year is over."""

    def __init__(self, opened: OpenedHome) -> None:
        """Nothing is locked or written yet."""
        self._opened = opened
        self._memory = opened.home.resolve(opened.settings.log.signed)
        self._sealer: Sealer | None = None
        self._year = 0
        self._signers = LogSigners(opened)

    def run(self) -> Sealed:
        """One pass.

        Raises:
            OurFault: ``log-busy``, and as ``Sealer.run``.
            LogError: as ``Sealer.run``.
            TrustError: when a key that signs cannot be opened.
            OSError: when a file cannot be written.
        """
        year = self._opened.clock.now().year
        sealer = self._sealer or self._resume(year)
        sealed = sealer.run()
        if year > self._year:  # all that was durable is in the old log: the new one goes on
            sealer.close()
            first = sealer.shard.first + sealed.checkpoint.size
            sealed = self._begin(year, first).run()
        return sealed

    def close(self) -> None:
        """Let another process seal."""
        if self._sealer is not None:
            self._sealer.close()
            self._sealer = None

    def _resume(self, year: int) -> Sealer:
        found = sealed_years(self._opened.home)
        newest = found[-1] if found else None
        remembered = years(self._memory)
        # a log's state is written before anything of it is signed
        if remembered and (newest is None or remembered[-1] > newest):
            raise OurFault(
                "log-rolled-back",
                f"The log of {remembered[-1]} was signed before, and its folder is not there.",
            )
        if newest is None:
            return self._begin(year, 0)
        data = LogFolder(self._opened.home.log / str(newest)).read(STATE, _LARGEST_STATE)
        shard, _, _ = read_state(data)
        return self._open(newest, shard)

    def _begin(self, year: int, first: int) -> Sealer:
        return self._open(year, Shard(origin=origin_of(self._opened.settings, year), first=first))

    def _open(self, year: int, shard: Shard) -> Sealer:
        self._year = year
        self._sealer = Sealer(
            LogFolder(self._opened.home.log / str(year)),
            shard,
            StoredEntries(self._opened.engine),
            memory=LogFolder(self._memory),
            name=str(year),
            signers=self._signers,
        )
        return self._sealer


class LogSigners:
    """The keys that sign now; opened again when their files have changed."""

    def __init__(self, opened: OpenedHome) -> None:
        """Nothing is opened yet."""
        self._opened = opened
        self._seen: tuple[int, ...] = ()
        self._signers: Sequence[LogKeySigner] = ()

    def __call__(self) -> Sequence[LogKeySigner]:
        """The one in use first. Raises ``TrustError`` when one cannot be opened."""
        home = self._opened.home
        files = (live_file(home, LogKey.LOG), history_file(home, LogKey.LOG))
        seen = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
        if seen != self._seen or not self._signers:
            now = self._opened.clock.now()
            self._signers = log_signers(home, self._opened.settings, now=now)
            self._seen = seen
        return self._signers


def ensure_log_keys(opened: OpenedHome, trust: Recorder) -> None:
    """Make the keys of the log that a home has not yet, and say so.

    Raises:
        CodedError: when one cannot be made or written down.
    """
    now = opened.clock.now()
    for which in LogKey:
        if active(versions(opened.home, which, now=now)) is not None:
            continue
        with trust.change(TrustChange(act="key-make", role=which.value)) as change:
            made = make_log_key(opened.home, opened.settings, now=now, name=which)
            change.add(of_identity("key-make", which, made))
        _log.warning("log.key-made", sentence=_MADE[which], fingerprint=made.spki_sha256)


@asynccontextmanager
async def sealing(
    opened: OpenedHome, trust: Recorder, metrics: Metrics
) -> AsyncIterator[YearlySealer]:
    """Seal while the block runs, and once more at its end.

    Raises:
        CodedError: as ``ensure_log_keys``.
    """
    await asyncio.to_thread(ensure_log_keys, opened, trust)
    sealer = YearlySealer(opened)
    task = asyncio.create_task(_keep(opened, sealer, metrics))
    try:
        yield sealer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await _pass(sealer.run, metrics)
        sealer.close()


async def _keep(opened: OpenedHome, sealer: YearlySealer, metrics: Metrics) -> None:
    beat = _Heartbeat(opened)
    while True:
        # a cancelled wait would leave the thread running beside the last pass
        await _whole(_pass(beat, metrics))
        await _whole(_pass(sealer.run, metrics))
        await asyncio.sleep(opened.settings.log.seal_seconds)


async def _whole(work: Coroutine[object, object, None]) -> None:
    """Wait to the end even when cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _pass(work: Callable[[], Sealed | None], metrics: Metrics) -> None:
    try:
        sealed = await asyncio.to_thread(work)
    except _FAILURES as error:
        if isinstance(error, CodedError):
            told = {"code": error.code, "sentence": error.sentence, "advice": error.advice}
        else:  # the database's own text may quote a value: only its type goes on
            told = {"code": type(error).__name__}
        _log.error("log.not-sealed", **told)
        metrics.sealing_failed()
        return
    if sealed is not None:
        metrics.sealed(sealed.checkpoint.size)


class _Heartbeat:
    """Writes one entry each ``log.heartbeat_minutes``, so that silence is visible."""

    def __init__(self, opened: OpenedHome) -> None:
        self._opened = opened
        self._every = timedelta(minutes=opened.settings.log.heartbeat_minutes)
        self._next: datetime = opened.clock.now() + self._every

    def __call__(self) -> None:
        now = self._opened.clock.now()
        if now < self._next:
            return
        key = load_key(self._opened.home.path)
        write_heartbeat(self._opened.engine, key, own=self._opened.home_community_id, now=now)
        self._next = now + self._every
