"""The right edge of a growing log: what the next entries change, and nothing else of it.

Holds the entries of the last, partial bundle and the hashes of the partial tile of each level, so
that growing a log costs the same however long it is. The bytes to be written come out; writing
them, in this order, is the sealer's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.errors import LogError
from node.ledger.tlog.audit import LogReader, read_bundle, read_tile
from node.ledger.tlog.merkle import Frontier, leaf_hash, perfect_root
from node.ledger.tlog.tiles import (
    WIDTH,
    Tile,
    bundle_at,
    encode_bundle,
    partial_width,
    split_tile,
    tile_at,
)
from node.ledger.tlog.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Files to be written in their order: bundles, then tiles from level 0 upwards."""

    files: tuple[tuple[Tile, bytes], ...]

    @property
    def full(self) -> tuple[Tile, ...]:
        """Tiles and bundles that became full: their partial forms are not needed any more."""
        return tuple(tile for tile, _ in self.files if tile.width == WIDTH)


class Edge:
    """The right edge of a log of ``size`` entries."""

    def __init__(self) -> None:
        """An empty log."""
        self._tree = Frontier()
        self._entries: list[bytes] = []
        self._rows: list[list[bytes]] = []

    @classmethod
    def load(cls, size: int, reader: LogReader) -> Edge:
        """Read the edge of a log and check that its entries, tiles and levels agree.

        Raises:
            LogError: as ``audit.read_tile``, and ``log-tile-invalid`` where they do not agree.
        """
        edge = cls()
        edge._tree = Frontier(size, Tree(size, _Tiles(reader)).frontier())
        bundle = bundle_at(size // WIDTH, size)
        edge._entries = read_bundle(reader, bundle) if bundle else []
        level = 0
        while size >> (8 * level):
            row: list[bytes] = []
            tile = tile_at(level, (size >> (8 * level)) // WIDTH, size)
            if tile is not None:
                row = list(split_tile(tile, read_tile(reader, tile)))
            edge._rows.append(row)
            edge._check_last(level, size, reader)
            level += 1
        if size and edge._rows[0] != [leaf_hash(entry) for entry in edge._entries]:
            raise LogError("log-tile-invalid", "The last bundle and its tile do not agree.")
        return edge

    def _check_last(self, level: int, size: int, reader: LogReader) -> None:
        """The last full tile below a level must have the hash that the level holds last."""
        if level == 0 or not self._rows[level]:
            return
        below = tile_at(level - 1, (size >> (8 * level)) - 1, size)
        if below is None or below.width < WIDTH:  # pragma: no cover  # it lies left of the edge
            return
        root = perfect_root(split_tile(below, read_tile(reader, below)))
        if root != self._rows[level][-1]:
            raise LogError("log-tile-invalid", f"The last tiles of level {level} do not agree.")

    @property
    def size(self) -> int:
        """Entries of the log."""
        return self._tree.size

    @property
    def root(self) -> bytes:
        """The root of its tree."""
        return self._tree.root()

    @property
    def last(self) -> bytes | None:
        """The last entry where it is in the partial bundle; ``None`` at the end of a full one."""
        return self._entries[-1] if self._entries else None

    def append(self, entries: Iterable[bytes]) -> Growth:
        """Add entries; an ``Edge`` whose files could not be written must be loaded again."""
        before = self.size
        bundles: list[tuple[Tile, bytes]] = []
        tiles: list[tuple[Tile, bytes]] = []
        for entry in entries:
            hashed = leaf_hash(entry)
            self._entries.append(entry)
            number = self.size // WIDTH
            self._tree.append(hashed)
            if len(self._entries) == WIDTH:
                bundles.append((Tile(level=None, number=number), encode_bundle(self._entries)))
                self._entries = []
            self._put(0, hashed, tiles)
        if self.size == before:
            return Growth(files=())
        bundle = bundle_at(self.size // WIDTH, self.size)
        if bundle is not None:
            bundles.append((bundle, encode_bundle(self._entries)))
        for level, row in enumerate(self._rows):
            changed = self.size >> (8 * level) != before >> (8 * level)
            if row and changed:
                number = (self.size >> (8 * level)) // WIDTH
                width = partial_width(level, self.size)
                tiles.append((Tile(level=level, number=number, width=width), b"".join(row)))
        tiles.sort(key=lambda each: (each[0].level or 0, each[0].number))
        return Growth(files=(*bundles, *tiles))

    def _put(self, level: int, hashed: bytes, tiles: list[tuple[Tile, bytes]]) -> None:
        if level == len(self._rows):
            self._rows.append([])
        row = self._rows[level]
        row.append(hashed)
        if len(row) == WIDTH:
            number = ((self.size >> (8 * level)) - 1) // WIDTH
            tiles.append((Tile(level=level, number=number), b"".join(row)))
            self._rows[level] = []
            self._put(level + 1, perfect_root(row), tiles)


class _Tiles:
    """A ``tree.TileReader`` over the files of a log."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    def read(self, tile: Tile) -> bytes:
        return read_tile(self._reader, tile)


def tree_of(size: int, reader: LogReader) -> Tree:
    """The tree of the first ``size`` entries of a log."""
    return Tree(size, _Tiles(reader))
