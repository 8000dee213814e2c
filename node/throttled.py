"""Writes into the log, each minute, what listeners turned away at a limit (``turned_away``)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from node.errors import CodedError
from node.gateway.turned_away import TurnedAway
from node.ledger import leaf
from node.ledger.trust_change import Recorder, TrustChange
from node.ledger.trust_log import NODE
from node.opened import OpenedHome, trust_log

_log = structlog.get_logger(__name__)

_SECONDS: Final = 60.0


@asynccontextmanager
async def writing_throttles(
    opened: OpenedHome, *, seconds: float = _SECONDS
) -> AsyncIterator[None]:
    """Write while the block runs, and the rest at its end."""
    recorder = trust_log(opened, NODE)
    task = asyncio.create_task(_keep(opened, recorder, seconds))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(write_throttles, opened, recorder)


async def _keep(opened: OpenedHome, recorder: Recorder, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        # a cancelled wait would leave the thread with a database that is being closed
        work = asyncio.ensure_future(asyncio.to_thread(write_throttles, opened, recorder))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await work
            raise


def write_throttles(opened: OpenedHome, recorder: Recorder) -> None:
    """One entry for each listener, limit and known peer; what the log cannot take is kept."""
    waiting = opened.turnstile.taken()
    while waiting:
        try:
            recorder.fact(_change(opened, waiting[0]))
        except CodedError as error:
            opened.turnstile.give_back(waiting)
            _log.error("throttle.not-entered", code=error.code)
            return
        del waiting[0]


def _change(opened: OpenedHome, each: TurnedAway) -> TrustChange:
    owner = opened.directory.local.pinned_to(each.key) if each.key else None
    organization = opened.directory.by_id(owner) if owner else None
    return TrustChange(
        act="turn-away",
        role=each.listener,
        reason=each.throttle.value,
        key=each.key,
        organization_id=organization.id if organization else None,
        home_community_id=organization.home_community_id if organization else None,
        counts={"left_out": each.number},
        private={"first": leaf.from_time(each.first), "last": leaf.from_time(each.last)},
    )
