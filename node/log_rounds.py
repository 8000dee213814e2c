"""The daily round of a running node: compare the log with peers', look into their promises.

A day is compared with each peer that has an exchange in it and whose entry shows the keys for it,
``log.reconcile_after_minutes`` after its end; what fails is tried again each hour, for three days.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CodedError
from node.exchange.ports import PeerEntry
from node.ledger.differences import Difference
from node.ledger.statement import Window
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.opened import OpenedHome
from node.promise_check import BROKEN, PromiseCheck
from node.reconciling import Reconciled, Reconciler, reconciling
from node.storage.tables import ENTRY

_log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 600.0
_AGAIN: Final = timedelta(hours=1)
_DAYS: Final = 3
_MOST_PEERS: Final = 100_000


class Rounds:
    """Goes round the peers; remembers within a process what failed, and when."""

    def __init__(self, opened: OpenedHome, reconciler: Reconciler, check: PromiseCheck) -> None:
        """Nothing is asked yet."""
        self._opened = opened
        self._reconciler = reconciler
        self._check = check
        self._failed: dict[tuple[str, date], datetime] = {}
        self._sampled: date | None = None

    async def keep(self) -> None:
        """Go round again and again; never returns."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.once()
            except (CodedError, SQLAlchemyError, OSError) as error:
                _log.error("log.round-failed", code=getattr(error, "code", type(error).__name__))

    async def once(self) -> list[Reconciled]:
        """What is to be compared now, and the day's sample of promises."""
        now = self._opened.clock.now()
        found = []
        for window in self._windows(now):
            for hcid in await asyncio.to_thread(self._peers, window):
                result = await self._compare(hcid, window, now)
                if result is not None:
                    found.append(result)
        if self._sampled != now.date():
            self._sampled = now.date()
            await self._promises()
        return found

    def _windows(self, now: datetime) -> list[date]:
        settle = timedelta(minutes=self._opened.settings.log.reconcile_after_minutes)
        newest = (now - settle).date() - timedelta(days=1)
        return [newest - timedelta(days=back) for back in range(_DAYS)]

    async def _compare(self, hcid: str, window: date, now: datetime) -> Reconciled | None:
        at = (hcid, window)
        if at in self._failed and now < self._failed[at] + _AGAIN:
            return None
        if await asyncio.to_thread(self._reconciler.done, hcid, window):
            return None
        try:
            entry = self._reconciler.entry(hcid)
            self._reconciler.log_of(entry)
        except CodedError:
            return None  # no node like ours
        try:
            found = await self._reconciler.run(entry, window)
        except CodedError as error:
            self._failed[at] = now
            _log.warning("log.not-reconciled", peer_hcid=hcid, code=error.code)
            return None
        self._failed.pop(at, None)
        if not found.agree:
            _log.warning("log.differs", peer_hcid=hcid, count=len(found.listed))
            await self._omitted(entry, found)
        return found

    async def _omitted(self, entry: PeerEntry, found: Reconciled) -> None:
        """What the peer left out although it promised it can be proved."""
        seqs = [
            each.seq
            for each in found.listed
            if each.difference is Difference.OMITTED_THERE and each.seq is not None
        ]
        for due in await asyncio.to_thread(
            self._check.due, limit=1000, peer=str(entry.home_community_id), seqs=seqs[:1000]
        ):
            await self._check.run(due)

    async def _promises(self) -> None:
        count = self._opened.settings.log.promise_checks
        for due in await asyncio.to_thread(self._check.sample, count):
            checked = await self._check.run(due)
            if checked.state == BROKEN:
                _log.warning("log.promise-broken", peer_hcid=due.peer, seq=due.seq)

    def _peers(self, day: date) -> list[str]:
        """The peers with an exchange on a day, read along the index by peer."""
        window = Window(day=day)
        last, peers = "", []
        with self._opened.engine.connect() as connection:
            for _ in range(_MOST_PEERS):
                following = select(func.min(ENTRY.c.peer)).where(ENTRY.c.peer > last)
                found: str | None = connection.execute(following).scalar()
                if found is None:
                    break
                last = found
                has_one = (
                    select(ENTRY.c.seq)
                    .where(
                        ENTRY.c.peer == found,
                        ENTRY.c.t >= window.first,
                        ENTRY.c.t < window.last,
                        ENTRY.c.kind == "exchange",
                    )
                    .limit(1)
                )
                if connection.execute(has_one).first() is not None:
                    peers.append(found)
        return peers


@asynccontextmanager
async def going_round(
    opened: OpenedHome, trust: LiveTrust, identities: LiveIdentities
) -> AsyncIterator[None]:
    """Go round while the block runs, unless the settings say that nobody does.

    Raises:
        TrustError: when our keys cannot be used.
    """
    if not opened.settings.log.reconcile:
        yield
        return
    async with reconciling(opened, trust, identities) as reconciler:
        rounds = Rounds(opened, reconciler, PromiseCheck(opened, reconciler))
        task = asyncio.create_task(rounds.keep())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
