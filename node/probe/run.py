"""A connectivity run: one probe for each peer, side by side, each report handed on as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from node.exchange.fanout import Emit, Job, fan_out
from node.probe.layers import ProbeReport
from node.probe.walk import ProbeTarget

Probe = Callable[[ProbeTarget], Awaitable[ProbeReport]]


def probe_all(
    targets: Sequence[ProbeTarget], probe: Probe, *, concurrency: int
) -> AsyncGenerator[ProbeReport, None]:
    """Probe every target, at most ``concurrency`` at a time; closing it stops the rest."""

    def job(target: ProbeTarget) -> Job[ProbeReport]:
        async def run(emit: Emit[ProbeReport]) -> None:
            emit(await probe(target))

        return run

    return fan_out([job(target) for target in targets], concurrency=concurrency)
