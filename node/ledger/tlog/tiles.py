"""Tiles and entry bundles: where they are, how wide they are, their bytes (C2SP tlog-tiles).

A tile of level ``l`` holds up to 256 hashes of complete subtrees of ``256**l`` entries each; a
bundle holds the entries under one tile of level 0. The rightmost tile of a level may be partial,
its width is then part of its path. The path of tile 1,234,067 of level 0 is
``tile/0/x001/x234/067``, with width 17 ``tile/0/x001/x234/067.p/17``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from node.errors import LogError
from node.ledger.tlog.merkle import HASH_BYTES, MAX_SIZE

WIDTH: Final = 256
"""Hashes of a full tile, entries of a full bundle."""

MAX_LEVEL: Final = 7
"""The highest level that a tree of ``MAX_SIZE`` entries needs."""

MAX_ENTRY: Final = 65_535
"""Bytes of the longest entry: its length has 16 bits."""

MAX_BUNDLE: Final = WIDTH * (MAX_ENTRY + 2)
"""Bytes of the longest bundle."""

_ENTRIES: Final = "entries"
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)
_LONGEST_PATH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Coordinates of a tile, or of a bundle when ``level`` is ``None``.

    ``width`` is 1 to 256; 256 is a full tile.
    """

    level: int | None
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Below the log's address."""
        level = _ENTRIES if self.level is None else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_groups(self.number)}{partial}"

    @property
    def is_bundle(self) -> bool:
        """Whether it holds entries."""
        return self.level is None


def _groups(number: int) -> str:
    text = f"{number:03}"
    text = text.zfill(-(-len(text) // 3) * 3)
    parts = [text[i : i + 3] for i in range(0, len(text), 3)]
    return "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])


def parse_path(path: str) -> Tile | None:
    """The tile of a path; ``None`` when it is not the one spelling of a tile that may exist."""
    found = _PATH.fullmatch(path) if len(path) <= _LONGEST_PATH else None
    if found is None:
        return None
    level = None if found["level"] == _ENTRIES else int(found["level"])
    number = int(found["number"].replace("x", "").replace("/", ""))
    tile = Tile(level=level, number=number, width=int(found["width"] or WIDTH))
    exists = (
        (level or 0) <= MAX_LEVEL
        and tile.width <= WIDTH
        and number * WIDTH ** ((level or 0) + 1) <= MAX_SIZE
    )
    # a width of 256 written out or zeros in front would be a second name of the same tile
    return tile if exists and tile.path == path else None


def partial_width(level: int, size: int) -> int:
    """Hashes of the partial tile of a level, 0 when there is none."""
    return (size >> (8 * level)) % WIDTH


def tile_at(level: int, number: int, size: int) -> Tile | None:
    """The tile of a level and number in a tree of ``size``; ``None`` when it is empty."""
    width = min((size >> (8 * level)) - number * WIDTH, WIDTH)
    return Tile(level=level, number=number, width=width) if width > 0 else None


def bundle_at(number: int, size: int) -> Tile | None:
    """The bundle of a number in a log of ``size``; ``None`` when it is empty."""
    width = min(size - number * WIDTH, WIDTH)
    return Tile(level=None, number=number, width=width) if width > 0 else None


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """The tiles of a tree, level by level, that the tree of ``since`` entries does not have so."""
    level = 0
    while size >> (8 * level):
        first = (since >> (8 * level)) // WIDTH
        while (tile := tile_at(level, first, size)) is not None:
            if tile != tile_at(level, first, since):
                yield tile
            first += 1
        level += 1


def bundles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """The bundles of a log that the log of ``since`` entries does not have so."""
    number = since // WIDTH
    while (bundle := bundle_at(number, size)) is not None:
        if bundle != bundle_at(number, since):
            yield bundle
        number += 1


def split_tile(tile: Tile, data: bytes) -> tuple[bytes, ...]:
    """The hashes of a tile.

    Raises:
        LogError: ``log-tile-invalid`` when it has another length than its width says.
    """
    if len(data) != tile.width * HASH_BYTES:
        raise _invalid(
            tile, f"has {len(data)} bytes instead of {tile.width * HASH_BYTES} (32 for each hash)"
        )
    return tuple(data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES))


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """The bytes of a bundle: each entry after its length in two bytes, big-endian.

    Raises:
        LogError: ``log-tile-invalid`` for an entry that is too long.
    """
    if any(len(entry) > MAX_ENTRY for entry in entries):
        raise LogError("log-tile-invalid", f"A log entry is longer than {MAX_ENTRY} bytes.")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def split_bundle(bundle: Tile, data: bytes) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        LogError: ``log-tile-invalid`` when it is cut, has bytes left over, or holds another number
            of entries than its width says.
    """
    entries: list[bytes] = []
    place, end = 0, len(data)
    for _ in range(bundle.width):
        start = place + 2
        if start > end:
            raise _cut(bundle, entries)
        place = start + (data[place] << 8) + data[place + 1]
        if place > end:
            raise _cut(bundle, entries)
        entries.append(data[start:place])
    if place != end:
        raise _invalid(bundle, f"has {end - place} bytes after its {bundle.width} entries")
    return entries


def _cut(bundle: Tile, entries: Sequence[bytes]) -> LogError:
    return _invalid(bundle, f"ends within entry {len(entries)} of its {bundle.width}")


def _invalid(tile: Tile, what: str) -> LogError:
    return LogError("log-tile-invalid", f"The file {tile.path} {what}.", where=tile.path)
