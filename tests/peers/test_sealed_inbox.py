"""Sealed documents: what is on disk opens nothing, and goes with its key."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from node.errors import LimitError, OurFault
from node.peers.sealed_inbox import SealedInbox

CHUNK = 256 * 1024
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def inbox(folder, **more) -> SealedInbox:
    given = {"max_bytes": 4_000_000, "max_all_bytes": 8_000_000, "left_before": LONG_AGO, **more}
    return SealedInbox(folder, **given)


async def put(box: SealedInbox, *chunks: bytes) -> str:
    incoming = await box.begin()
    for chunk in chunks:
        await incoming.write(chunk)
    token, size, digest = await incoming.finish()
    data = b"".join(chunks)
    assert (size, digest) == (len(data), hashlib.sha256(data).hexdigest())
    return token


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
async def test_what_went_in_comes_out(tmp_path, size: int) -> None:
    box, data = inbox(tmp_path), bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    token = await put(box, *[data[at : at + 100_000] for at in range(0, size, 100_000)])
    assert box.read(token) == data
    assert b"".join([chunk async for chunk in box.open(token)]) == data


async def test_the_disk_has_no_byte_of_it_and_no_key(tmp_path) -> None:
    box, secret = inbox(tmp_path), b"Juniper Q. Sample" * 20_000
    token = await put(box, secret)
    file = tmp_path / token
    assert file.stat().st_mode & 0o777 == 0o600
    assert secret[:17] not in file.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == [token]
    # another process beside it leaves it alone; one that comes much later deletes it
    inbox(tmp_path)
    assert box.read(token) == secret
    inbox(tmp_path, left_before=datetime.now(UTC) + timedelta(minutes=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", ["flip", "cut", "drop", "swap", "other"])
async def test_what_was_changed_on_disk_is_not_given(tmp_path, harm: str) -> None:
    box = inbox(tmp_path)
    token = await put(box, b"a" * (3 * CHUNK))
    other = await put(box, b"b" * (3 * CHUNK))
    file = tmp_path / token
    data, one = file.read_bytes(), 4 + CHUNK + 16
    changed = {
        "flip": data[:100] + bytes([data[100] ^ 1]) + data[101:],
        "cut": data[: 2 * one],
        "drop": data[one:],
        "swap": data[one : 2 * one] + data[:one] + data[2 * one :],
        "other": (tmp_path / other).read_bytes(),
    }
    file.write_bytes(changed[harm])
    with pytest.raises(OurFault, match="inbox-token-unknown"):
        box.read(token)


async def test_a_forgotten_document_is_gone_with_its_file(tmp_path) -> None:
    box = inbox(tmp_path)
    token = await put(box, b"x")
    left = (tmp_path / token).read_bytes()
    await box.discard(token)
    await box.discard(token)
    assert not (tmp_path / token).exists()
    (tmp_path / token).write_bytes(left)  # a copy of the disk opens nothing either
    with pytest.raises(OurFault, match="inbox-token-unknown"):
        box.read(token)
    with pytest.raises(OurFault):
        await box.release(token, "name")


async def test_limits_are_errors_and_leave_nothing_behind(tmp_path) -> None:
    box = inbox(tmp_path, max_bytes=1000, max_all_bytes=1500)
    incoming = await box.begin()
    with pytest.raises(LimitError, match="document-too-large"):
        await incoming.write(b"x" * 1001)
    await put(box, b"x" * 1000)
    incoming = await box.begin()
    with pytest.raises(OurFault, match="inbox-full"):
        await incoming.write(b"x" * 600)
    assert len(list(tmp_path.iterdir())) == 1
    box.drop_all()
    assert list(tmp_path.iterdir()) == []
    assert await put(box, b"x" * 1000)
