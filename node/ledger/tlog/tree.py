"""Roots and proofs, computed from tiles: what a log need not serve, since every reader can.

The tiles are trusted as they are read; a proof that comes from a wrong tile does not verify against
the signed root.
"""

from __future__ import annotations

from typing import Final, Protocol

from node.errors import LogError
from node.ledger.tlog.merkle import EMPTY_ROOT, node_hash, perfect_root, split
from node.ledger.tlog.tiles import WIDTH, Tile, split_tile, tile_at

_BITS: Final = 8


class TileReader(Protocol):
    """Where tiles come from."""

    def read(self, tile: Tile) -> bytes:
        """The bytes of a tile.

        Raises:
            LogError: ``log-file-missing``.
        """
        ...


class Tree:
    """The tree of the first ``size`` entries over the tiles of a log that has at least these."""

    def __init__(self, size: int, tiles: TileReader) -> None:
        """Reads nothing yet."""
        self.size = size
        self._tiles = tiles

    def root(self) -> bytes:
        """Its root."""
        return self._hash(0, self.size) if self.size else EMPTY_ROOT

    def frontier(self) -> tuple[bytes, ...]:
        """The roots of its perfect subtrees, largest first."""
        roots, start = [], 0
        for height in reversed(range(self.size.bit_length())):
            if self.size >> height & 1:
                roots.append(self._node(height, start >> height))
                start += 1 << height
        return tuple(roots)

    def leaf(self, index: int) -> bytes:
        """The leaf hash at an index.

        Raises:
            LogError: ``log-proof-invalid`` when the tree does not reach it.
        """
        if not 0 <= index < self.size:
            raise _outside(index, self.size)
        return self._node(0, index)

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """The proof that the entry at ``index`` is in this tree.

        Raises:
            LogError: ``log-proof-invalid`` when the tree does not reach it.
        """
        if not 0 <= index < self.size:
            raise _outside(index, self.size)
        proof: list[bytes] = []
        start, end = 0, self.size
        while end - start > 1:
            middle = start + split(end - start)
            if index < middle:
                proof.append(self._hash(middle, end))
                end = middle
            else:
                proof.append(self._hash(start, middle))
                start = middle
        return tuple(reversed(proof))

    def consistency(self, older: int) -> tuple[bytes, ...]:
        """The proof that this tree begins with the one of ``older`` entries, 1 at least.

        Raises:
            LogError: ``log-proof-invalid`` for a size that this tree cannot begin with.
        """
        if not 1 <= older <= self.size:
            raise _outside(older, self.size)
        proof: list[bytes] = []
        start, end, whole = 0, self.size, True  # whether the older tree covers from the left edge
        while end != older:
            middle = start + split(end - start)
            if older <= middle:
                proof.append(self._hash(middle, end))
                end = middle
            else:
                proof.append(self._hash(start, middle))
                start, whole = middle, False
        if not whole:
            proof.append(self._hash(start, end))
        return tuple(reversed(proof))

    def _hash(self, start: int, end: int) -> bytes:
        """The hash over ``[start, end)``, whose start the tree's own division gave."""
        count = end - start
        if count & (count - 1) == 0:
            height = count.bit_length() - 1
            return self._node(height, start >> height)
        middle = start + split(count)
        return node_hash(self._hash(start, middle), self._hash(middle, end))

    def _node(self, height: int, place: int) -> bytes:
        """The hash of the perfect subtree of ``2**height`` entries that is the ``place``-th."""
        level, within = divmod(height, _BITS)
        first = place << within
        number, offset = divmod(first, WIDTH)
        tile = tile_at(level, number, self.size)
        if tile is None:
            raise _outside(first, self.size)
        hashes = split_tile(tile, self._tiles.read(tile))
        return perfect_root(hashes[offset : offset + (1 << within)])


def _outside(index: int, size: int) -> LogError:
    return LogError("log-proof-invalid", f"The log has no entry {index}: it has {size}.")
