"""A serving node lets its detectors look at what is new, every ``detectors.sweep_minutes``.

Between two subjects a sweep rests as long as it worked, so that exchanges do not wait for it. What
is new is also counted for each peer (``governance.tallying``), every ``_TALLY_SECONDS``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError
from node.governance.tallying import Tallier
from node.governance.watching import Watching, watching
from node.ledger.private import load_key
from node.opened import OpenedHome

_log = structlog.get_logger(__name__)

_FIRST_SECONDS: Final = 30.0
_LONGEST_REST: Final = 1.0
_TALLY_SECONDS: Final = 10.0
_FAILURES: Final = (CodedError, SQLAlchemyError, OSError)


class _Stopped(Exception):
    """The node ends."""


class _Rounds:
    """Work in a thread that rests between its steps; ``stop`` ends it at the next one."""

    def __init__(self, opened: OpenedHome) -> None:
        """Nothing is read yet."""
        self._opened = opened
        self._ended = threading.Event()
        self._worked = time.monotonic()

    def stop(self) -> None:
        """End what runs at its next step."""
        self._ended.set()

    def run(self) -> None:
        """Work until nothing is new."""
        self._worked = time.monotonic()
        try:
            self._work()
        except _Stopped:
            return
        except _FAILURES as error:
            # the database's own text may quote a value: only its type goes on
            code = error.code if isinstance(error, CodedError) else type(error).__name__
            self._failed(code)

    def _work(self) -> None:
        raise NotImplementedError

    def _failed(self, code: str) -> None:
        raise NotImplementedError

    def _rest(self) -> None:
        worked = time.monotonic() - self._worked
        if self._ended.wait(min(worked, _LONGEST_REST)):
            raise _Stopped
        self._worked = time.monotonic()


class Sweeps(_Rounds):
    """Sweeps when it is time; one that is stopped has written nothing.

    What the sweeper remembers lasts as long as the node runs.
    """

    _parts: Watching | None = None

    def _work(self) -> None:
        opened = self._opened
        if self._parts is None:
            key = load_key(opened.home.path)
            self._parts = watching(
                opened.engine, key, opened.directory, opened.index, own=opened.home_community_id
            )
        parts = self._parts
        more = True
        while more:
            self._worked = time.monotonic()
            swept = parts.sweeper.run(now=opened.clock.now(), rest=self._rest)
            more = swept.more
            if swept.failed:
                _log.error("detector.failed", code=",".join(swept.failed))
            if swept.exchanges:
                _log.info("detector.swept", count=swept.exchanges, action=str(swept.flags))
        self._worked = time.monotonic()
        sampled = parts.sampler.run(now=opened.clock.now(), rest=self._rest)
        if sampled.drawn or sampled.cases:
            _log.info("sample.drawn", count=sampled.drawn)

    def _failed(self, code: str) -> None:
        _log.error("detector.not-swept", code=code)


class Tallies(_Rounds):
    """Counts what is new for each peer; a step that was counted stays so."""

    def _work(self) -> None:
        opened = self._opened
        days = opened.settings.log.tally_days
        tallier = Tallier(opened.engine, load_key(opened.home.path), days=days)
        tallier.run(now=opened.clock.now(), rest=self._rest)

    def _failed(self, code: str) -> None:
        _log.error("tally.not-counted", code=code)


@asynccontextmanager
async def sweeping(opened: OpenedHome) -> AsyncIterator[None]:
    """Sweep while the block runs, unless the settings say that nobody does."""
    if not opened.settings.detectors.sweep_minutes:
        yield
        return
    async with _keeping(Sweeps(opened), opened.settings.detectors.sweep_minutes * 60):
        yield


@asynccontextmanager
async def tallying(opened: OpenedHome) -> AsyncIterator[None]:
    """Count for each peer while the block runs."""
    async with _keeping(Tallies(opened), _TALLY_SECONDS):
        yield


@asynccontextmanager
async def _keeping(rounds: _Rounds, seconds: float) -> AsyncIterator[None]:
    task = asyncio.create_task(_keep(rounds, seconds))
    try:
        yield
    finally:
        rounds.stop()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep(rounds: _Rounds, seconds: float) -> None:
    await asyncio.sleep(min(_FIRST_SECONDS, seconds))
    while True:
        # a cancelled wait would leave the thread with a database that is being closed
        work = asyncio.ensure_future(asyncio.to_thread(rounds.run))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await work
            raise
        await asyncio.sleep(seconds)
