"""The inbox: private files, exact digests, limits, safe names, nothing replaced."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import LimitError, OurFault
from node.peers.inbox import FileInbox, safe_name


@pytest.fixture
def inbox(tmp_path) -> FileInbox:
    return FileInbox(
        tmp_path / "spool", tmp_path / "shown", max_bytes=3_000_000, max_spool_bytes=5_000_000
    )


async def store(inbox: FileInbox, content: bytes, size: int = 70_000) -> tuple[str, int, str]:
    document = await inbox.begin()
    for start in range(0, len(content), size):
        await document.write(content[start : start + size])
    return await document.finish()


@pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 9000])
async def test_what_is_written_is_what_is_read_with_size_and_sha256(inbox, content):
    token, size, sha256 = await store(inbox, content)
    assert size == len(content)
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert b"".join([chunk async for chunk in inbox.open(token)]) == content


async def test_files_are_ours_alone(inbox, tmp_path):
    token, _, _ = await store(inbox, b"secret")
    assert stat.S_IMODE((tmp_path / "spool" / token).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    shown = await inbox.release(token, "a.xml")
    assert stat.S_IMODE(os.stat(shown).st_mode) == 0o600  # noqa: PTH116 - a test


async def test_law_1_nothing_is_shown_before_release(inbox, tmp_path):
    token, _, _ = await store(inbox, b"document")
    assert not (tmp_path / "shown").exists()
    shown = await inbox.release(token, "ccd.xml")
    assert [path.name for path in (tmp_path / "shown").iterdir()] == ["ccd.xml"]
    assert shown == str(tmp_path / "shown" / "ccd.xml")
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_name_in_use_is_never_replaced(inbox, tmp_path):
    names = []
    for content in (b"one", b"two", b"three"):
        token, _, _ = await store(inbox, content)
        names.append(await inbox.release(token, "ccd.xml"))
    assert [name.rpartition("/")[2] for name in names] == ["ccd.xml", "ccd-2.xml", "ccd-3.xml"]
    assert (tmp_path / "shown" / "ccd.xml").read_bytes() == b"one"


async def test_release_copies_where_files_cannot_be_linked(inbox, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    for expected in ("ccd.xml", "ccd-2.xml"):
        token, _, _ = await store(inbox, b"content")
        assert (await inbox.release(token, "ccd.xml")).endswith(f"/{expected}")
    assert list((tmp_path / "spool").iterdir()) == []


async def test_law_7_a_document_over_the_limit_is_refused_and_gone(inbox, tmp_path):
    document = await inbox.begin()
    await document.write(b"x" * 3_000_000)
    with pytest.raises(LimitError) as raised:
        await document.write(b"x")
    assert raised.value.code == "document-too-large"
    assert list((tmp_path / "spool").iterdir()) == []


async def test_law_7_the_spool_as_a_whole_is_limited(inbox):
    token, _, _ = await store(inbox, b"x" * 2_900_000)
    with pytest.raises(OurFault) as raised:
        await store(inbox, b"x" * 2_900_000)
    assert raised.value.code == "inbox-full"
    await inbox.discard(token)
    await store(inbox, b"x" * 2_900_000)


async def test_aborted_and_discarded_documents_leave_nothing(inbox, tmp_path):
    document = await inbox.begin()
    await document.write(b"half")
    await document.abort()
    await document.abort()
    token, _, _ = await store(inbox, b"whole")
    await inbox.discard(token)
    await inbox.discard(token)
    assert list((tmp_path / "spool").iterdir()) == []
    with pytest.raises(OurFault):
        inbox.open(token)


@pytest.mark.parametrize("token", ["../../etc/passwd", "", "a" * 32, "A" * 32, "."])
async def test_a_token_is_never_a_path(inbox, tmp_path, token):
    (tmp_path / "keep").write_text("here")
    await inbox.discard(token)
    with pytest.raises(OurFault) as raised:
        await inbox.release(token, "x")
    assert raised.value.code == "inbox-token-unknown"


async def test_sweep_deletes_what_a_crash_left(inbox, tmp_path):
    await store(inbox, b"left behind")
    again = FileInbox(tmp_path / "spool", tmp_path / "shown")
    assert again.sweep() == 1
    assert again.sweep() == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "etc_passwd"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("", "document"),
        ("...", "document"),
        ("a b\n.xml", "a_b_.xml"),
        ("x" * 200 + ".xml", "x" * 116 + ".xml"),
    ],
)
def test_safe_names(name, expected):
    assert safe_name(name) == expected


@given(st.text())
def test_any_text_becomes_a_safe_name(text):
    name = safe_name(text)
    assert 0 < len(name) <= 120
    assert name[0] not in ".-"
    assert "/" not in name
    assert name.isascii()
