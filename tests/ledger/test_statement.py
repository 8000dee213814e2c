"""Statements as text: written, read back, and everything wrong with one named."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import LogError
from node.ledger import leaf
from node.ledger.statement import (
    HEAD_LINES,
    Head,
    Row,
    Side,
    Window,
    read_head,
    read_rows,
    root_of,
    statement,
)
from node.ledger.tlog.merkle import EMPTY_ROOT, leaf_hash, node_hash

WINDOW = Window(day=date(2026, 11, 26))
KEYS = tuple(leaf.from_bytes(hashlib.sha256(each).digest()) for each in (b"a", b"b"))
ROWS = tuple(
    Row(token=bytes([n]) * 16, side=Side.ASKED, t=WINDOW.first + n, outcome="ok", request=b"r" * 16)
    for n in range(1, 6)
)


def head_of(given_rows, **changes) -> Head:
    head = Head(
        log="log.a.example/exchange", own="urn:oid:2.999.1", peer="urn:oid:2.999.2",
        window=WINDOW.day, keys=KEYS, rows=len(given_rows), root=root_of(given_rows),
    )  # fmt: skip
    return replace(head, **changes)


def read(data: bytes) -> tuple[Head, list[Row]]:
    lines = data.split(b"\n")[:-1]
    head = read_head(lines[:HEAD_LINES])
    return head, list(read_rows(lines[HEAD_LINES:], head))


def text(given_rows=ROWS, **changes) -> bytes:
    return b"".join(statement(head_of(given_rows, **changes), given_rows))


rows_of_window = st.lists(
    st.builds(
        Row,
        token=st.binary(min_size=16, max_size=16).filter(any),
        side=st.sampled_from(Side),
        t=st.integers(WINDOW.span[0], WINDOW.span[1] - 1),
        outcome=st.sampled_from(["ok", "ok-empty", "partial", "declined", "failed", "none"]),
        request=st.none() | st.binary(min_size=16, max_size=16),
        response=st.none() | st.binary(min_size=16, max_size=16),
    ),
    unique_by=lambda row: row.token,
    max_size=20,
).map(lambda rows: tuple(sorted(rows, key=lambda row: row.token)))


@given(rows_of_window)
def test_what_was_written_is_read_back(rows) -> None:
    assert read(text(rows)) == (head_of(rows), list(rows))


def test_the_root_is_that_of_rfc_6962_over_the_tokens() -> None:
    hashes = [leaf_hash(row.token) for row in ROWS[:3]]
    expected = node_hash(node_hash(hashes[0], hashes[1]), hashes[2])
    assert root_of(ROWS[:3]) == expected
    assert root_of(()) == EMPTY_ROOT


def test_a_window_is_a_day_in_utc_and_a_statement_reaches_ten_minutes_further() -> None:
    assert leaf.to_milliseconds("2026-11-26T00:00:00.000Z") == WINDOW.first
    assert leaf.to_milliseconds("2026-11-27T00:00:00.000Z") == WINDOW.last
    assert WINDOW.span == (WINDOW.first - 600_000, WINDOW.last + 600_000)
    assert (WINDOW.has(WINDOW.first), WINDOW.has(WINDOW.last)) == (True, False)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (text(ROWS[::-1]), "out of order"),
        (text((ROWS[0], ROWS[0])), "comes twice"),
        (text(ROWS, root=bytes(32)), "do not have the root"),
        (text(ROWS, rows=4), "more than the 4 rows"),
        (text(ROWS, rows=6), "has 5 rows and says that it has 6"),
        (text((replace(ROWS[0], t=WINDOW.span[1]),)), "not of its window"),
        (text((replace(ROWS[0], t=WINDOW.span[0] - 1),)), "not of its window"),
        (text().replace(b" ok ", b" fine "), "another form"),
        (text().replace(b" asked ", b" heard "), "another form"),
        (text() + b"\n", "another form"),
        (text()[1:], "head"),
        (text().replace(b"v1", b"v2"), "head"),
        (text().replace(b"2026-11-26", b"2026-13-26"), "head"),
        (b"\xff" + text(), "head"),
        (b"", "head"),
    ],
)
def test_what_is_wrong_with_a_statement_is_named(data: bytes, words: str) -> None:
    with pytest.raises(LogError) as refused:
        read(data)
    assert refused.value.code == "log-statement-invalid"
    assert words in refused.value.sentence


@given(st.integers(0, len(text()) - 1), st.integers(0, 7))
def test_a_flipped_bit_of_a_token_is_noticed(place: int, bit: int) -> None:
    """Any change gives another SHA-256, which the log has; one of a token also another root."""
    changed = bytearray(text())
    changed[place] ^= 1 << bit
    try:
        head, rows = read(bytes(changed))
    except LogError:
        return
    assert [row.token for row in rows] == [row.token for row in ROWS]
    assert (head, rows) != read(text())
