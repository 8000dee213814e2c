from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from node.errors import OurFault
from node.storage.tables import COUNTER
from node.storage.writer import GroupWriter


class Names:
    """Writes names as rows; can be told to stop, and notes how it was called."""

    def __init__(self) -> None:
        self.groups: list[tuple[int, bool]] = []
        self.open = threading.Event()
        self.open.set()
        self.down = False

    def __call__(self, connection: Connection, items: Sequence[str], *, again: bool) -> list[int]:
        self.open.wait(10)
        self.groups.append((len(items), again))
        if self.down:
            raise OperationalError("", {}, Exception("disk full"))
        connection.execute(insert(COUNTER), [{"name": item, "next": 0} for item in items])
        return [len(item) for item in items]


def stored(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(select(COUNTER.c.name)).scalars()) - {"entry"}


async def test_each_caller_gets_its_own_result_after_the_commit(store: Engine) -> None:
    writer = GroupWriter[str, int](store, Names())
    try:
        assert await asyncio.gather(*(writer.submit("x" * n) for n in range(1, 17))) == list(
            range(1, 17)
        )
        assert stored(store) == {"x" * n for n in range(1, 17)}
    finally:
        writer.close()


async def test_what_one_pass_of_a_loop_submits_is_written_together(store: Engine) -> None:
    names = Names()
    writer = GroupWriter[str, int](store, names)
    await asyncio.gather(*(writer.submit(f"n{n}") for n in range(9)))
    writer.close()
    assert names.groups == [(9, False)]


def test_what_a_loop_left_behind_is_written_at_the_close(store: Engine) -> None:
    writer = GroupWriter[str, int](store, Names())
    loop = asyncio.new_event_loop()

    async def leave() -> None:
        # the loop stops in this very pass, before it could tell the thread
        loop.stop()
        await writer.submit("left")

    task = loop.create_task(leave())
    loop.run_forever()
    writer.close()
    assert stored(store) == {"left"}
    loop.run_until_complete(task)
    loop.close()


async def test_what_waits_while_one_group_is_written_becomes_the_next_group(store: Engine) -> None:
    names = Names()
    writer = GroupWriter[str, int](store, names, batch=4)
    names.open.clear()
    tasks = [asyncio.ensure_future(writer.submit("first"))]
    await asyncio.sleep(0.05)
    tasks += [asyncio.ensure_future(writer.submit(f"n{n}")) for n in range(9)]
    await asyncio.sleep(0.05)
    names.open.set()
    await asyncio.gather(*tasks)
    writer.close()
    assert [size for size, _ in names.groups] == [1, 4, 4, 1]


async def test_a_bad_row_fails_alone(store: Engine) -> None:
    names = Names()
    writer = GroupWriter[str, int](store, names)
    await writer.submit("taken")
    names.open.clear()
    first = asyncio.ensure_future(writer.submit("first"))
    await asyncio.sleep(0.05)
    tasks = [asyncio.ensure_future(writer.submit(name)) for name in ("a", "taken", "b")]
    await asyncio.sleep(0.05)
    names.open.set()
    await first
    done = await asyncio.gather(*tasks, return_exceptions=True)
    writer.close()
    assert (done[0], done[2]) == (1, 1)
    assert isinstance(done[1], OurFault)
    assert done[1].code == "store-not-durable"
    assert isinstance(done[1].__cause__, IntegrityError)
    assert stored(store) == {"taken", "first", "a", "b"}
    assert names.groups[-4:] == [(3, False), (1, True), (1, True), (1, True)]


async def test_when_the_database_is_at_fault_all_fail_and_later_ones_pass(store: Engine) -> None:
    names = Names()
    writer = GroupWriter[str, int](store, names)
    names.down = True
    names.open.clear()
    tasks = [asyncio.ensure_future(writer.submit(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0.05)
    names.open.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(fault, "code", None) for fault in done] == ["store-not-durable"] * 3
    # one attempt for a group and one more for its first item: the rest is not tried in vain
    assert len(names.groups) <= 4
    names.down = False
    assert await writer.submit("d") == 1
    writer.close()
    assert stored(store) == {"d"}


async def test_law_7_callers_wait_for_room_and_are_told_when_there_is_none(store: Engine) -> None:
    names = Names()
    writer = GroupWriter[str, int](store, names, batch=2, capacity=4, patience=0.2)
    names.open.clear()
    inside = [asyncio.ensure_future(writer.submit(f"in{n}")) for n in range(4)]
    outside = [asyncio.ensure_future(writer.submit(f"out{n}")) for n in range(3)]
    await asyncio.sleep(0.05)
    assert writer.outstanding == 4
    outside[0].cancel()
    faults = await asyncio.gather(*outside, return_exceptions=True)
    assert isinstance(faults[0], asyncio.CancelledError)
    assert [getattr(fault, "code", None) for fault in faults[1:]] == ["store-busy"] * 2
    waiting = [asyncio.ensure_future(writer.submit(f"late{n}")) for n in range(6)]
    await asyncio.sleep(0.05)
    names.open.set()
    await asyncio.gather(*inside, *waiting)
    writer.close()
    assert writer.outstanding == 0
    assert stored(store) == {f"in{n}" for n in range(4)} | {f"late{n}" for n in range(6)}


async def test_closing_writes_what_is_queued_and_refuses_what_comes_later(store: Engine) -> None:
    names = Names()
    writer = GroupWriter[str, int](store, names, batch=2, capacity=8)
    names.open.clear()
    queued = [asyncio.ensure_future(writer.submit(f"q{n}")) for n in range(8)]
    without_room = asyncio.ensure_future(writer.submit("late"))
    await asyncio.sleep(0.05)
    threading.Timer(0.1, names.open.set).start()
    await asyncio.to_thread(writer.close)
    assert await asyncio.gather(*queued) == [2] * 8
    for refused in (without_room, asyncio.ensure_future(writer.submit("later"))):
        with pytest.raises(OurFault) as caught:
            await refused
        assert caught.value.code == "store-closed"
    assert stored(store) == {f"q{n}" for n in range(8)}


async def test_a_cancelled_caller_leaves_its_item_to_be_written(store: Engine) -> None:
    names = Names()
    writer = GroupWriter[str, int](store, names)
    names.open.clear()
    task = asyncio.ensure_future(writer.submit("kept"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    names.open.set()
    writer.close()
    assert stored(store) == {"kept"}


def test_several_event_loops_share_one_writer(store: Engine) -> None:
    writer = GroupWriter[str, int](store, Names(), batch=8, capacity=8)
    done: list[int] = []

    async def work(name: str) -> None:
        results = await asyncio.gather(*(writer.submit(f"{name}-{n:02}") for n in range(40)))
        done.extend(results)

    threads = [
        threading.Thread(target=lambda name=name: asyncio.run(work(name)))  # type: ignore[misc]
        for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert done == [4] * 120
    assert len(stored(store)) == 120


def test_a_loop_that_has_gone_does_not_stop_the_writer(store: Engine) -> None:
    names = Names()
    writer = GroupWriter[str, int](store, names)
    names.open.clear()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.submit("orphan"), 0.05)

    asyncio.run(leave())
    names.open.set()

    async def stay() -> None:
        assert await writer.submit("next") == 4

    asyncio.run(stay())
    writer.close()
    assert stored(store) == {"orphan", "next"}
