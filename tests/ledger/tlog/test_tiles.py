"""Tiles and bundles: paths, widths, bytes (C2SP tlog-tiles)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import LogError
from node.ledger.tlog.merkle import MAX_SIZE
from node.ledger.tlog.tiles import (
    MAX_ENTRY,
    WIDTH,
    Tile,
    bundle_at,
    bundles_of,
    encode_bundle,
    parse_path,
    partial_width,
    split_bundle,
    split_tile,
    tile_at,
    tiles_of,
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(level=0, number=1234067), "tile/0/x001/x234/067"),
        (Tile(level=0, number=0), "tile/0/000"),
        (Tile(level=3, number=999, width=17), "tile/3/999.p/17"),
        (Tile(level=1, number=1000, width=1), "tile/1/x001/000.p/1"),
        (Tile(level=None, number=1, width=44), "tile/entries/001.p/44"),
        (Tile(level=None, number=70_000), "tile/entries/x070/000"),
    ],
)
def test_the_path_of_a_tile(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "checkpoint", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/00/000", "tile/01/000",
        "tile/0/x000/001", "tile/0/001/x002", "tile/0/x001", "tile/0/000.p/0", "tile/0/000.p/256",
        "tile/0/000.p/01", "tile/0/000.p/1/", "tile/64/000", "tile/8/000", "tile/-1/000",
        "tile/0/../../etc/passwd", "tile/0/x001/../000", "/tile/0/000", "tile/0/000\n",
        "tile/entries/000.p/300", "tile/0/" + "x999/" * 9 + "999", "tile/0/\u0660\u0660\u0660",
        "tile/7/999", "tile/data/000",
    ],
)  # fmt: skip
def test_a_path_that_is_no_tile_or_a_second_name_of_one_is_none(path: str) -> None:
    assert parse_path(path) is None


@given(st.none() | st.integers(0, 5), st.integers(0, 10**9), st.integers(1, WIDTH))
@settings(max_examples=200, deadline=None)
def test_every_path_names_one_tile(level: int | None, number: int, width: int) -> None:
    tile = Tile(level=level, number=number, width=width)
    exists = number * WIDTH ** ((level or 0) + 1) <= MAX_SIZE
    assert parse_path(tile.path) == (tile if exists else None)


def test_the_example_of_the_specification_70000_entries() -> None:
    level0, level1, level2 = (
        [tile for tile in tiles_of(70_000) if tile.level == level] for level in (0, 1, 2)
    )
    assert [len(level0), level0[-1].width] == [274, 112]
    assert [(t.number, t.width) for t in level1] == [(0, 256), (1, 17)]
    assert [(t.number, t.width) for t in level2] == [(0, 1)]
    assert [partial_width(level, 70_000) for level in (0, 1, 2, 3)] == [112, 17, 1, 0]


@given(st.integers(0, 140_000), st.integers(0, 140_000))
@settings(max_examples=50, deadline=None)
def test_what_grew_since_a_size_is_what_differs(one: int, two: int) -> None:
    old, new = sorted((one, two))
    everything = set(tiles_of(new))
    assert set(tiles_of(new, since=old)) == everything - set(tiles_of(old))
    bundles = set(bundles_of(new))
    assert set(bundles_of(new, since=old)) == bundles - set(bundles_of(old))
    assert sum(bundle.width for bundle in bundles) == new


def test_an_empty_tile_or_bundle_does_not_exist() -> None:
    assert tile_at(0, 1, 256) is None
    assert tile_at(1, 0, 255) is None
    assert bundle_at(0, 0) is None
    assert list(tiles_of(0)) == list(bundles_of(0)) == []


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=WIDTH))
@settings(max_examples=50, deadline=None)
def test_a_bundle_comes_back_as_it_was_put_in(entries: list[bytes]) -> None:
    bundle = Tile(level=None, number=3, width=len(entries))
    assert split_bundle(bundle, encode_bundle(entries)) == entries


@given(st.binary(max_size=2000), st.integers(1, WIDTH))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_bundle_that_comes_back_or_an_error(data: bytes, width: int) -> None:
    with suppress(LogError):
        entries = split_bundle(Tile(level=None, number=0, width=width), data)
        assert encode_bundle(entries) == data
        assert len(entries) == width


def test_the_longest_entry_has_65535_bytes() -> None:
    longest = b"x" * MAX_ENTRY
    assert split_bundle(Tile(level=None, number=0, width=1), encode_bundle([longest])) == [longest]
    with pytest.raises(LogError, match="65535"):
        encode_bundle([longest + b"x"])


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 5, 6])
def test_a_bundle_that_is_cut_is_named(cut: int) -> None:
    whole = encode_bundle([b"one", b"two"])
    with pytest.raises(LogError, match=r"tile/entries/005\.p/2 ends within entry"):
        split_bundle(Tile(level=None, number=5, width=2), whole[:cut])
    with pytest.raises(LogError, match="1 bytes after"):
        split_bundle(Tile(level=None, number=5, width=2), whole + b"x")


def test_a_tile_of_another_length_than_its_width_is_refused() -> None:
    tile = Tile(level=0, number=0, width=2)
    assert split_tile(tile, b"a" * 32 + b"b" * 32) == (b"a" * 32, b"b" * 32)
    for data in (b"", b"a" * 63, b"a" * 65, b"a" * 96):
        with pytest.raises(LogError, match="instead of 64"):
            split_tile(tile, data)
