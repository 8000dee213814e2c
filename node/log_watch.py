"""A serving node compares its own log: a random bundle every hour, everything every week.

What is found is told in the node's output, in its metrics, by ``/readyz`` and ``doctor``, and kept
in ``reports/log-check.json`` (facts: tamper-evident-log C8.4). The whole comparison takes its time:
it rests nine times as long as it works, so that exchanges do not wait for it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError
from node.last_check import last_check, remember
from node.ledger import leaf
from node.ledger.bodies import purge_bodies
from node.ledger.compared import Compared
from node.ledger.fsck import Fsck
from node.ledger.private import load_key
from node.ledger.trust_change import Recorder, TrustChange
from node.opened import OpenedHome
from node.ops.metrics import Metrics
from node.sealing import Witnesses, sealing
from node.year_logs import year_logs
from node.yearly_sealer import YearlySealer

_log = structlog.get_logger(__name__)

_REST: Final = 9
_LONGEST_REST: Final = 5.0
_LOOK_SECONDS: Final = 60.0
_PURGE_EVERY: Final = timedelta(hours=1)
_FAILURES: Final = (CodedError, SQLAlchemyError, OSError)


class _Stopped(Exception):
    """The node ends."""


class LogWatch:
    """Compares when it is time; ``stop`` ends a comparison that runs."""

    def __init__(self, opened: OpenedHome, metrics: Metrics, trust: Recorder) -> None:
        """Nothing is read yet; ``trust`` takes the entries about what was deleted."""
        self._opened = opened
        self._trust = trust
        self._metrics = metrics
        self._ended = threading.Event()
        self._began = time.monotonic()
        settings = opened.settings.log
        self._sample_every = timedelta(minutes=settings.sample_minutes)
        self._whole_every = timedelta(days=settings.compare_days)
        self._next_sample = opened.clock.now() + self._sample_every
        self._next_purge = opened.clock.now()

    def stop(self) -> None:
        """End what runs at its next step."""
        self._ended.set()

    def run(self) -> None:
        """Compare what is due now, if anything is."""
        now = self._opened.clock.now()
        if now >= self._next_purge:
            self._next_purge = now + _PURGE_EVERY
            self._purge(now)
        if self._sample_every and now >= self._next_sample:
            self._next_sample = now + self._sample_every
            self._compare(whole=False)
        if not self._whole_every:
            return
        last = last_check(self._opened.home, whole=True)
        if last is None or now - last.ended >= self._whole_every:
            self._compare(whole=True)

    def _purge(self, now: datetime) -> None:
        """Delete captured messages whose days are over, also where none are captured any more."""
        before = now - timedelta(days=self._opened.settings.capture.days)
        try:
            count = purge_bodies(self._opened.engine, leaf.milliseconds(before))
            if count:
                self._trust.fact(TrustChange(act="body-purge", counts={"entries": count}))
        except _FAILURES as error:
            code = error.code if isinstance(error, CodedError) else type(error).__name__
            _log.error("capture.not-purged", code=code)
            return
        if count:
            self._metrics.purged(count)
            _log.info("capture.purged", count=count)

    def _compare(self, *, whole: bool) -> None:
        opened = self._opened
        began = self._began = time.monotonic()
        try:
            logs = year_logs(opened.home, opened.settings, now=opened.clock.now())
            if not logs:
                return
            key = load_key(opened.home.path)
            fsck = Fsck(opened.engine, key, logs, reached=self._rest)
            found = fsck.run() if whole else fsck.sample(1, SystemRandom())
            remember(opened.home, found, whole=whole, now=opened.clock.now())
        except _Stopped:
            return
        except _FAILURES as error:
            # the database's own text may quote a value: only its type goes on
            code = error.code if isinstance(error, CodedError) else type(error).__name__
            _log.error("log.not-compared", code=code)
            self._metrics.not_compared()
            return
        self._tell(found, whole=whole, seconds=time.monotonic() - began)

    def _rest(self, _done: int, _all: int) -> None:
        worked = time.monotonic() - self._began
        if self._ended.wait(min(_REST * worked, _LONGEST_REST)):
            raise _Stopped
        self._began = time.monotonic()

    def _tell(self, found: Compared, *, whole: bool, seconds: float) -> None:
        count = len(found.findings) + found.more
        how = "whole" if whole else "sample"
        self._metrics.compared(how, count)
        if found.ok:
            _log.info("log.compared", action=how, count=found.rows.entries, seconds=round(seconds))
            return
        first = found.findings[0]
        _log.error(
            "log.differs",
            action=how,
            count=count,
            code=first.finding.code,
            seq=first.seq,
            sentence=first.finding.sentence,
            advice="log fsck names all of it.",
        )


@asynccontextmanager
async def keeping_log(
    opened: OpenedHome, trust: Recorder, metrics: Metrics, witnesses: Witnesses
) -> AsyncIterator[YearlySealer]:
    """Seal and compare while the block runs.

    Raises:
        CodedError: as ``sealing``.
    """
    async with sealing(opened, trust, metrics, witnesses) as sealer:
        watch = LogWatch(opened, metrics, trust)
        task = asyncio.create_task(_keep(watch))
        try:
            yield sealer
        finally:
            watch.stop()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _keep(watch: LogWatch) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        # a cancelled wait would leave the thread with a database that is being closed
        work = asyncio.ensure_future(asyncio.to_thread(watch.run))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await work
            raise
