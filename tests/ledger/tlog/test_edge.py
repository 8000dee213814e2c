"""The right edge: growing in steps writes the same files as making the log at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_logs import Files, log_of, root_of

from node.errors import LogError
from node.ledger.tlog.edge import Edge
from node.ledger.tlog.tiles import tile_at

ENTRIES = [f"entry {number}".encode() for number in range(66_000)]


def grow(edge: Edge, files: Files, until: int) -> None:
    growth = edge.append(ENTRIES[edge.size : until])
    files.update({tile.path: data for tile, data in growth.files})


@given(st.lists(st.sampled_from([1, 2, 3, 100, 255, 256, 257, 512]), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_growing_in_steps_leaves_the_files_of_the_whole(steps: list[int]) -> None:
    edge, files = Edge(), Files()
    for step in steps:
        grow(edge, files, edge.size + step)
        edge = Edge.load(edge.size, files)  # as after a restart
    whole = log_of(ENTRIES[: edge.size])
    assert {name: files[name] for name in whole} == whole
    assert edge.root == root_of(ENTRIES[: edge.size])
    assert edge.last == (ENTRIES[edge.size - 1] if edge.size % 256 else None)


def test_growth_comes_as_bundles_then_tiles_from_level_0_upwards() -> None:
    growth = Edge().append(ENTRIES[:65_793])
    levels = [tile.level for tile, _ in growth.files]
    assert levels == [None] * 258 + [0] * 258 + [1] * 2 + [2]
    assert [tile.path for tile, _ in growth.files[-3:]] == [
        "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1",
    ]  # fmt: skip
    assert len(growth.full) == 257 + 257 + 1


def test_an_edge_over_three_levels_is_loaded_again() -> None:
    edge, files = Edge(), Files()
    grow(edge, files, 65_793)
    loaded = Edge.load(65_793, files)
    assert (loaded.size, loaded.root) == (edge.size, edge.root)
    assert loaded.append(ENTRIES[65_793:]) == edge.append(ENTRIES[65_793:])


@pytest.mark.parametrize("size", [1, 256, 257, 300, 512, 700])
def test_an_edge_whose_files_do_not_agree_is_refused(size: int) -> None:
    edge, files = Edge(), Files()
    grow(edge, files, size)
    tile = tile_at(0, (size - 1) // 256, size)
    assert tile is not None
    broken = Files(files)
    broken[tile.path] = bytes(32) + files[tile.path][32:]
    with pytest.raises(LogError):
        assert Edge.load(size, broken).root == edge.root
    for missing in (tile.path,):
        less = Files(files)
        del less[missing]
        with pytest.raises(LogError):
            Edge.load(size, less)
