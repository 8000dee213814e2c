"""The position of the audit feed: never ahead, never lost, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from node.audit_feed.feed import POSITION
from node.audit_feed.position import Gap, Position, read_position, write_position
from node.errors import NetworkFault, OurFault
from node.ledger.ledger import ExchangeLedger
from tests.ledger.records import record
from tests.ledger.test_find import written


def test_a_position_reads_back_and_nothing_yet_is_none(tmp_path: Path) -> None:
    path = tmp_path / "audit" / POSITION
    assert read_position(path) is None
    gap = Gap(first=3, last=9)
    for position in (
        Position(seq=-1),
        Position(seq=9, gap=gap, skipped=7, last_gap=gap),
        Position(seq=20, skipped=7, last_gap=gap),
    ):
        write_position(path, position)
        assert read_position(path) == position


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b'{"v":2,"seq":1}', b'{"v":1,"seq":"x"}', b"\xff" * 9000]
)
def test_a_position_that_cannot_be_read_is_an_error_and_not_the_beginning(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / POSITION
    path.write_bytes(data)
    with pytest.raises(OurFault) as caught:
        read_position(path)
    assert caught.value.code == "audit-position-invalid"


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=20), st.integers(1, 30))
def test_every_entry_is_sent_or_stands_in_exactly_one_gap(
    steps: list[tuple[int, bool]], limit: int
) -> None:
    position, newest, told = Position(seq=-1), -1, set()
    for more, reachable in steps:
        newest += more
        before = position
        position = position.bounded(newest, limit)
        assert newest - position.seq <= limit or position == before
        if position != before:
            assert position.gap is not None
            assert position.gap.last == position.seq
        if reachable:
            if position.gap:
                gap = set(range(position.gap.first, position.gap.last + 1))
                assert not told & gap
                told |= gap
            told |= set(range(position.seq + 1, newest + 1))
            position = position.confirmed(newest)
    waiting = set(range(position.seq + 1, newest + 1))
    untold = set(range(position.gap.first, position.gap.last + 1)) if position.gap else set()
    assert told | waiting | untold == set(range(newest + 1))


async def test_one_process_at_a_time_and_a_log_that_was_set_back(
    feeding, engine: Engine, ledger: ExchangeLedger, tmp_path: Path
) -> None:
    def nobody():
        raise NetworkFault("audit-unreachable", "Nobody.")

    feed, _ = feeding(nobody)
    feed.begin()
    other, _ = feeding(nobody)
    with pytest.raises(OurFault) as caught:
        other.begin()
    assert caught.value.code == "audit-busy"
    feed.end()
    await written(ledger, [record() for _ in range(3)])
    write_position(tmp_path / "audit" / POSITION, Position(seq=1000))
    other.begin()
    assert read_position(tmp_path / "audit" / POSITION) == Position(seq=2)
