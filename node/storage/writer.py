"""The group-commit writer: many callers, one thread, one commit for all that waits.

The thread takes what is queued at that moment (no lingering for more), up to ``batch`` items, gives
it to one function inside one transaction, commits, and only then completes the callers' futures. A
caller that got its answer therefore knows that its item survives a crash. While the disk flushes,
the next group gathers: the more callers, the larger the group.

What the callers of one event loop submit in one of its passes reaches the thread together, at the
end of the pass. Nobody waits longer for that: a result can only be handed over in a later pass. Yet
a loop that has many requests at hand wakes the thread once for all of them, where the thread would
otherwise commit them one by one and fight the loop for the interpreter meanwhile (measured: half
the thread's time for each entry). A lone caller's item goes as soon as the loop has nothing else.

A group that fails is tried again item by item, so that an item that the database refuses fails
alone. ``again`` tells the function that the item may have been written already, when the connection
broke while committing. When the database itself is at fault, the rest of the group fails at once.

The thread keeps one connection and takes another after a failure of the database: a connection lost
between two groups costs nobody an entry.

At most ``capacity`` items are outstanding; further callers wait in order of arrival, at most
``patience`` seconds (facts: tamper-evident-log C6, push-back).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from node.errors import NodeError, OurFault
from node.storage.engine import IMMEDIATE

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Write(Protocol[Item_contra, Result_co]):
    """Writes items in the writer's thread and transaction; one result for each, in order."""

    def __call__(
        self, connection: Connection, items: Sequence[Item_contra], *, again: bool
    ) -> Sequence[Result_co]:
        """``again`` is set for a single item whose group failed: look whether it is there."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class _Job(Generic[Item, Result]):
    item: Item
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Result]


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiter:
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]
    admitted: bool = field(default=False)


class GroupWriter(Generic[Item, Result]):
    """Owns the writer thread. Usable from any number of event loops at once."""

    def __init__(
        self,
        engine: Engine,
        write: Write[Item, Result],
        *,
        name: str = "ledger",
        batch: int = 256,
        capacity: int = 4096,
        patience: float = 10.0,
    ) -> None:
        self._writing = engine.execution_options(**{IMMEDIATE: True})
        self._write = write
        self._batch = batch
        self._capacity = capacity
        self._patience = patience
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._queue: deque[_Job[Item, Result]] = deque()
        self._gathered: deque[_Job[Item, Result]] = deque()
        self._passing: set[asyncio.AbstractEventLoop] = set()
        self._waiters: deque[_Waiter] = deque()
        self._outstanding = 0
        self._closing = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name=f"{name}-writer", daemon=True)
        self._thread.start()

    async def submit(self, item: Item) -> Result:
        """Write one item; returns its result when it is durable.

        A caller that is cancelled while waiting for the commit leaves its item to be written.

        Raises:
            OurFault: ``store-not-durable`` (it could not be written), ``store-busy`` (no room
                within the patience), ``store-closed``.
        """
        loop = asyncio.get_running_loop()
        job: _Job[Item, Result] = _Job(item=item, loop=loop, future=loop.create_future())
        with self._lock:
            if self._closing:
                raise _closed()
            waiter = None
            if self._outstanding < self._capacity:
                self._outstanding += 1
                self._gather(job)
            else:
                waiter = _Waiter(loop=loop, future=loop.create_future())
                self._waiters.append(waiter)
        if waiter is not None:
            await self._admission(waiter)
            self._put_admitted(job)
        return await job.future

    async def _admission(self, waiter: _Waiter) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await waiter.future
        except BaseException as error:
            self._withdraw(waiter)
            if isinstance(error, TimeoutError):
                raise OurFault(
                    "store-busy", "The log cannot take more entries at the moment."
                ) from error
            raise

    def _put_admitted(self, job: _Job[Item, Result]) -> None:
        with self._lock:
            if self._closing:
                self._release(1)
                raise _closed()
            self._gather(job)

    def _gather(self, job: _Job[Item, Result]) -> None:
        """Keep a job until its loop's pass ends (lock held)."""
        self._gathered.append(job)
        if job.loop not in self._passing:
            self._passing.add(job.loop)
            job.loop.call_soon(self._pass_ended, job.loop)

    def _pass_ended(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._passing.discard(loop)
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the thread what was gathered, by whichever loop (lock held)."""
        if self._gathered:
            self._queue.extend(self._gathered)
            self._gathered.clear()
            self._wake.notify()

    def _withdraw(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter.admitted:
                self._release(1)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)

    def _release(self, count: int) -> None:
        """Give room back (lock held): it passes to those who wait, in their order."""
        for _ in range(count):
            if not self._waiters:
                self._outstanding -= 1
                continue
            waiter = self._waiters.popleft()
            waiter.admitted = True
            _call(waiter.loop, _set_result, waiter.future, None)

    @property
    def outstanding(self) -> int:
        """Items queued or being written now."""
        return self._outstanding

    def close(self) -> None:
        """Write what is queued, then stop the thread. Callers without room get an error."""
        with self._lock:
            self._closing = True
            for waiter in self._waiters:
                _call(waiter.loop, _set_error, waiter.future, _closed())
            self._waiters.clear()
            self._hand_over()  # also of a loop that ended before its pass did
            self._passing.clear()
            self._wake.notify()
        self._thread.join()

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while jobs := self._next_group():
            self._commit(jobs)
            with self._lock:
                self._release(len(jobs))
        self._disconnect()

    def _next_group(self) -> list[_Job[Item, Result]]:
        """What is queued now, as soon as anything is; nothing when all is written and closed."""
        with self._wake:
            while not self._queue and not self._closing:
                self._wake.wait()
            count = min(len(self._queue), self._batch)
            return [self._queue.popleft() for _ in range(count)]

    def _commit(self, jobs: list[_Job[Item, Result]]) -> None:
        try:
            results = self._transact([job.item for job in jobs], again=False)
        except Exception:  # noqa: BLE001  # edge of the thread: any error is the callers' answer
            self._one_by_one(jobs)
        else:
            _complete(list(zip(jobs, results, strict=True)))

    def _one_by_one(self, jobs: list[_Job[Item, Result]]) -> None:
        outcomes: list[tuple[_Job[Item, Result], Result | Exception]] = []
        down: Exception | None = None
        for job in jobs:
            outcome: Result | Exception
            if down is not None:
                outcome = _not_durable(down)
            else:
                try:
                    outcome = self._transact([job.item], again=True)[0]
                except NodeError as error:
                    outcome = error
                except Exception as error:  # noqa: BLE001  # edge of the thread, as above
                    outcome = _not_durable(error)
                    down = error if _is_store_down(error) else None
            outcomes.append((job, outcome))
        _complete(outcomes)

    def _transact(self, items: list[Item], *, again: bool) -> Sequence[Result]:
        if self._connection is None:
            self._connection = self._writing.connect()
        try:
            with self._connection.begin():
                return self._write(self._connection, items, again=again)
        except Exception as error:
            if _is_store_down(error):
                self._disconnect()
            raise

    def _disconnect(self) -> None:
        """Give up the connection: after a failure of the store the next group takes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()


def _complete(outcomes: Sequence[tuple[_Job[Item, Result], Result | Exception]]) -> None:
    """Tell the callers, with one wake-up for each event loop."""
    by_loop: dict[
        asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Result], Result | Exception]]
    ] = {}
    for job, outcome in outcomes:
        by_loop.setdefault(job.loop, []).append((job.future, outcome))
    for loop, told in by_loop.items():
        _call(loop, _tell, told)


def _tell(told: list[tuple[asyncio.Future[Result], Result | Exception]]) -> None:
    for future, outcome in told:
        if isinstance(outcome, Exception):
            _set_error(future, outcome)
        else:
            _set_result(future, outcome)


def _set_result(future: asyncio.Future[Result], result: Result) -> None:
    if not future.done():
        future.set_result(result)


def _set_error(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _call(
    loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object
) -> None:
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        # The caller's loop has been closed: nobody is left to be told, the item is written.
        return


def _is_store_down(error: Exception) -> bool:
    """Whether the database is at fault rather than the item."""
    if isinstance(error, IntegrityError | DataError):
        return False
    return isinstance(error, DBAPIError | SQLAlchemyError | OSError)


def _not_durable(error: Exception) -> OurFault:
    # the database's own text may quote a value: only its type goes on
    detail = type(error.orig if isinstance(error, DBAPIError) else error).__name__
    fault = OurFault("store-not-durable", "The log entry could not be made durable.", detail=detail)
    fault.__cause__ = error
    return fault


def _closed() -> OurFault:
    return OurFault("store-closed", "The log is closed.")
