"""One attempt at a peer, under its time limit and its peer's circuit breaker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from node.errors import NetworkFault, NodeError
from node.exchange.ports import Clock
from node.peers.breaker import Breakers
from node.peers.network_faults import network_fault


@asynccontextmanager
async def guarded(
    breakers: Breakers, peer: str, clock: Clock, *, seconds: float
) -> AsyncIterator[None]:
    """Attempt inside the block; how it ends is told to the breaker of ``peer``.

    Raises:
        NetworkFault: ``circuit-open`` when the peer is not asked now, ``timeout``.
    """
    if not breakers.admit(peer, clock.monotonic()):
        raise NetworkFault("circuit-open", "The peer failed repeatedly and is not asked now.")
    try:
        async with asyncio.timeout(max(seconds, 0)):
            yield
    except TimeoutError as error:
        breakers.failed(peer, clock.monotonic())
        raise network_fault(error) from error
    except NetworkFault:
        breakers.failed(peer, clock.monotonic())
        raise
    except NodeError:
        breakers.succeeded(peer)
        raise
    except BaseException:
        breakers.released(peer, clock.monotonic())
        raise
    breakers.succeeded(peer)
