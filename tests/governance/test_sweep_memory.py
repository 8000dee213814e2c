"""What a sweeper keeps in memory changes nothing of what it finds (detectors.memory)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from node.governance.detectors.model import Seen, Subject, Whom
from node.governance.detectors.windows import Window, Windows
from node.storage.engine import migrate, open_engine
from tests.governance.detector_stream import Stream

PEERS = [Whom(subject=Subject.PEER, about=f"urn:oid:2.999.{n}") for n in range(4)]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'stream.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(("seed", "most", "longest"), [(1, 400, 300), (2, 60, 12)])
def test_a_sweeper_that_goes_on_finds_what_one_finds_that_begins_anew(
    sqlite: Engine, seed: int, most: int, longest: int
) -> None:
    """Whatever comes between: see ``detector_stream``; the second one has too little memory."""
    stream = Stream(sqlite, seed, most=most, longest=longest)
    stream.run(20)
    assert 50 < stream.fullest <= most
    assert len(stream.detectors) >= 6


@pytest.mark.postgres
def test_both_engines_find_the_same(sqlite: Engine, postgres_engine: Engine) -> None:
    streams = [Stream(each, 3) for each in (sqlite, postgres_engine)]
    for each in streams:
        each.run(10)
    assert streams[0].rows == streams[1].rows
    assert len(streams[0].detectors) >= 4


def leg(seq: int) -> Seen:
    return Seen(seq=seq, t=seq, exchange=f"x{seq}", direction="responding", txn="ITI-55",
                outcome="ok")  # fmt: skip


def legs(count: int) -> Window:
    return Window(legs=[leg(n) for n in range(count)])


def test_no_more_legs_are_kept_than_there_is_room_for() -> None:
    windows = Windows(most=30, longest=20)
    windows.begin(1000)
    for whom in PEERS:
        windows.keep(whom, legs(12))
    assert [whom in windows for whom in PEERS] == [True, True, False, False]
    for n in range(50):
        windows.add(PEERS[0], leg(500 + n))
    assert windows.legs + len(windows) <= 30
    assert [whom in windows for whom in PEERS] == [True, False, False, False]


def test_those_that_were_not_looked_at_make_room_for_those_that_are() -> None:
    windows = Windows(most=30, longest=20)
    windows.begin(1000)
    windows.keep(PEERS[0], legs(12))
    windows.keep(PEERS[1], legs(12))
    windows.begin(1001)
    assert windows.of(PEERS[0], 0) is not None
    windows.keep(PEERS[2], legs(12))
    assert [whom in windows for whom in PEERS] == [True, False, True, False]


def test_windows_without_legs_have_an_end_too() -> None:
    windows = Windows(most=30, longest=20)
    windows.begin(1000)
    for n in range(100):
        windows.keep(Whom(subject=Subject.PEER, about=str(n)), legs(0))
    assert len(windows) == 30
