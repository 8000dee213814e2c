"""Keeps the log of a serving node sealed: one log a year, passes, heartbeats, the key.

A pass is run every ``log.seal_seconds``, so that an entry is under a signed checkpoint at most ten
seconds after it was durable (facts: tamper-evident-log C6). When a pass fails, the node goes on
exchanging: its entries are durable, and they are sealed as soon as that is possible again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError
from node.identity import LogKey
from node.identity_store import versions
from node.ledger.entry_source import write_heartbeat
from node.ledger.private import load_key
from node.ledger.sealer import Sealed
from node.ledger.trust_change import Recorder, TrustChange
from node.log_keys import make_log_key
from node.opened import OpenedHome
from node.ops.metrics import Metrics
from node.trust_changes import of_identity
from node.yearly_sealer import YearlySealer
from trust.lifecycle import active

_log = structlog.get_logger(__name__)

_MADE: Final = {
    LogKey.LOG: "This home had no key to sign its log with; one was made.",
    LogKey.AGREEMENT: "This home had no key to agree with peers about its log; one was made.",
    LogKey.WITNESS: "This home had no key to witness other logs with; one was made.",
}
_FAILURES: Final = (CodedError, SQLAlchemyError, OSError)


class Witnesses(Protocol):
    """Those who witness our log (implemented by ``node.witnessing``); neither of these raises."""

    async def recall(self, sealer: YearlySealer) -> None:
        """Ask each once what we signed last; what they show is claimed of the sealer."""
        ...

    async def keep(self, sealer: YearlySealer) -> None:
        """Have them sign what was sealed, again and again; never returns."""
        ...


def ensure_log_keys(opened: OpenedHome, trust: Recorder) -> None:
    """Make the keys of the log and the witness that a home has not yet, and say so.

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
    opened: OpenedHome, trust: Recorder, metrics: Metrics, witnesses: Witnesses
) -> AsyncIterator[YearlySealer]:
    """Seal while the block runs, and once more at its end; have witnesses sign meanwhile.

    Raises:
        CodedError: as ``ensure_log_keys``.
    """
    await asyncio.to_thread(ensure_log_keys, opened, trust)
    sealer = YearlySealer(opened)
    tasks = [
        asyncio.create_task(_keep(opened, sealer, metrics, witnesses)),
        asyncio.create_task(witnesses.keep(sealer)),
    ]
    try:
        yield sealer
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await _pass(sealer.run, metrics)
        sealer.close()


async def _keep(
    opened: OpenedHome, sealer: YearlySealer, metrics: Metrics, witnesses: Witnesses
) -> None:
    beat = _Heartbeat(opened)
    # before anything is signed: an older copy of this home does not know what it signed since
    await witnesses.recall(sealer)
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
