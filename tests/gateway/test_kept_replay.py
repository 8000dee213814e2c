"""A message that was accepted is refused also after a restart, orderly or not."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from node.gateway.kept_replay import SLOT, kept_replay
from trust.errors import TrustError

NOW = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
SKEW = timedelta(minutes=5)
FIVE = timedelta(minutes=5)


def opened(folder, now=NOW, capacity=100):
    return kept_replay(folder, capacity=capacity, skew=SKEW, now=now)


def code_of(guard, key, now=NOW, until=NOW + FIVE) -> str | None:
    try:
        guard.accept(key, until=until, now=now)
    except TrustError as error:
        return error.code
    return None


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize("orderly", [True, False])
def test_a_restart_forgets_no_message_that_could_pass_again(tmp_path, orderly):
    first = opened(tmp_path / "replay")
    assert code_of(first, key(1)) is None
    assert code_of(first, key(1)) == "replay"
    if orderly:
        first.close()
    later = NOW + timedelta(minutes=4)
    second = opened(tmp_path / "replay", later)
    assert code_of(second, key(1), later) == "replay"
    assert code_of(second, key(2), later) is None
    third = opened(tmp_path / "replay", NOW + timedelta(minutes=9, seconds=59))
    assert code_of(third, key(1), NOW + timedelta(minutes=9, seconds=59)) == "replay"


def test_what_cannot_pass_any_more_is_forgotten_with_its_file(tmp_path):
    folder = tmp_path / "replay"
    guard = opened(folder)
    for number in range(10):
        moment = NOW + timedelta(seconds=SLOT * number)
        assert code_of(guard, key(number), moment, moment + FIVE) is None
    assert len(list(folder.iterdir())) <= 3
    opened(folder, NOW + timedelta(days=1))
    assert list(folder.iterdir()) == []


def test_a_write_that_was_cut_off_spoils_nothing(tmp_path):
    folder = tmp_path / "replay"
    guard = opened(folder)
    assert code_of(guard, key(1)) is None
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("ab") as file:
        file.write(b"\0\0\0\1half")
    second = opened(folder)
    assert code_of(second, key(1)) == "replay"
    assert code_of(second, key(2)) is None
    assert code_of(opened(folder), key(2)) == "replay"


def test_other_files_and_other_bytes_are_no_matter(tmp_path):
    folder = tmp_path / "replay"
    folder.mkdir()
    (folder / "README").write_text("x")
    (folder / str(int(NOW.timestamp()) // SLOT)).write_bytes(os.urandom(4000))
    (folder / "9999999999").write_bytes(b"\xff" * 80)
    assert code_of(opened(folder, capacity=1000), key(1)) is None


def test_a_folder_that_cannot_be_written_lets_messages_pass_once(tmp_path):
    guard = opened(tmp_path / "replay")
    (tmp_path / "replay").rmdir()
    assert code_of(guard, key(1)) is None
    assert code_of(guard, key(1)) == "replay"
