"""Content codings: what goes in comes out, in small pieces, and never more than the limit."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import LimitError, WireError
from node.wire.compression import Decoder, accepts_gzip, compress


def decoded(data: bytes, coding: str, *, step: int = 1000, limit: int = 1 << 20) -> bytes:
    decoder = Decoder(coding, max_bytes=limit)
    pieces = [p for i in range(0, len(data), step) for p in decoder.feed(data[i : i + step])]
    decoder.close()
    assert coding == "identity" or all(len(piece) <= 65536 for piece in pieces)
    return b"".join(pieces)


@given(st.binary(max_size=5000), st.integers(1, 5000))
def test_what_is_compressed_comes_back_however_it_is_cut(data, step):
    assert decoded(compress(data), "gzip", step=step) == data
    assert decoded(zlib.compress(data), "deflate", step=step) == data
    assert decoded(data, "identity", step=step) == data


def test_large_output_comes_in_small_pieces():
    data = bytes(1_000_000)
    assert decoded(gzip.compress(data), "gzip") == data


def test_law_7_a_bomb_is_stopped_at_the_limit():
    bomb = gzip.compress(bytes(50_000_000))
    made = 0
    decoder = Decoder("gzip", max_bytes=100_000)
    with pytest.raises(LimitError) as raised:
        for piece in decoder.feed(bomb):
            made += len(piece)
    assert raised.value.code == "message-too-large"
    assert made <= 100_000


@pytest.mark.parametrize(
    "data",
    [b"junk", gzip.compress(b"hello", mtime=0)[:-4], gzip.compress(b"hello", mtime=0) + b"more"],
)
def test_broken_or_surplus_bytes_are_refused(data):
    with pytest.raises(WireError) as raised:
        decoded(data, "gzip")
    assert raised.value.code == "content-coding-invalid"


def test_an_unknown_coding_is_refused():
    with pytest.raises(WireError) as raised:
        Decoder("br", max_bytes=1)
    assert raised.value.code == "content-coding-unsupported"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP, deflate", True),
        ("deflate, x-gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
    ],
)
def test_gzip_is_used_where_it_is_accepted(header, expected):
    assert accepts_gzip(header) is expected
