"""Asking many peers at once: bounded concurrency, every job ends, nothing is left running.

``fan_out`` knows nothing of what is asked. Each job is given ``emit`` and may emit any number of
events; they are yielded in the order in which they come. When the caller stops listening, what
still runs is cancelled, and the generator waits until each of those jobs has written its ending.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

Event = TypeVar("Event")

Emit = Callable[[Event], None]
Job = Callable[[Callable[[Event], None]], Awaitable[None]]


async def fan_out(jobs: Sequence[Job[Event]], *, concurrency: int) -> AsyncGenerator[Event, None]:
    """Run jobs side by side, at most ``concurrency`` at a time, and yield their events.

    Raises:
        Exception: the first error that a job raises; the other jobs are cancelled first. A peer's
            failure is not such an error, jobs turn those into events.
    """
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    places = asyncio.Semaphore(concurrency)
    running = len(jobs)

    async def run(job: Job[Event]) -> None:
        nonlocal running
        try:
            async with places:
                await job(events.put_nowait)
        except Exception:
            running = 0  # nothing more is worth waiting for
            raise
        else:
            running -= 1
        finally:
            if running == 0:
                events.put_nowait(None)

    if not jobs:
        return
    tasks = [asyncio.create_task(run(job)) for job in jobs]
    try:
        while (event := await events.get()) is not None:
            yield event
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
