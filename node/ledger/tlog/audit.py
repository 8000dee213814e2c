"""Checks a whole log from its files: every entry is hashed again, every tile compared.

Comparing roots alone would miss an entry that was changed in place (facts: tamper-evident-log C1),
so the tree is made anew from the entries, and tiles and checkpoints must agree with it. Memory does
not grow with the log: one bundle, and at most 256 hashes of each level.

What does not hold is a finding that names the place, what was expected and what was found, and the
last signed checkpoint that still holds before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from node.errors import LogError
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.merkle import HASH_BYTES, Frontier, leaf_hash, perfect_root
from node.ledger.tlog.tiles import (
    MAX_ENTRY,
    WIDTH,
    Tile,
    bundle_at,
    split_bundle,
    split_tile,
    tile_at,
)

MOST_FINDINGS: Final = 1000
"""Findings that are listed; further ones are counted."""


class LogReader(Protocol):
    """Where the files of a log come from."""

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of a file below the log's address.

        Raises:
            LogError: ``log-file-missing``, ``log-file-unreadable`` (also when it is longer than
                ``limit``).
        """
        ...


CheckEntries = Callable[[int, Sequence[bytes]], Iterable[tuple[int, str]]]
"""What is wrong with entries apart from their hashes: the first one's index and the entries in
their order go in, indexes and sentences come out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not hold.

    Attributes:
        code: of the error table.
        sentence: for people.
        index: of the entry, where it is about one.
        expected: what the log's own files, or the signed root, say (hex of a hash).
        found: what was made from the entries (hex of a hash).
        last_good: the largest signed checkpoint up to this place that holds; ``None`` if none does.
    """

    code: str
    sentence: str
    index: int | None = None
    expected: str | None = None
    found: str | None = None
    last_good: Checkpoint | None = None


@dataclass(slots=True, kw_only=True)
class Audit:
    """What an audit came to; it grows while the log is read.

    Attributes:
        entries: entries that were hashed again.
        last: the last entry that was read.
        good: the largest signed checkpoint so far that holds.
        findings: at most ``MOST_FINDINGS``.
        more: findings beyond these.
        notes: entries that were set aside, see ``Batch``.
    """

    entries: int = 0
    last: bytes | None = None
    good: Checkpoint | None = None
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    notes: tuple[bytes, ...] = ()

    def add(self, finding: Finding) -> None:
        """Note a finding."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.more += 1


def read_tile(reader: LogReader, tile: Tile) -> bytes:
    """A tile's bytes; where its partial form was removed, cut from the full one.

    Raises:
        LogError: as ``LogReader.read``, and ``log-tile-invalid`` for another length.
    """
    try:
        data = reader.read(tile.path, tile.width * HASH_BYTES)
    except LogError as error:
        if error.code != "log-file-missing" or tile.width == WIDTH:
            raise
        full = Tile(level=tile.level, number=tile.number)
        data = reader.read(full.path, WIDTH * HASH_BYTES)
        split_tile(full, data)
        data = data[: tile.width * HASH_BYTES]
    split_tile(tile, data)
    return data


def read_bundle(reader: LogReader, bundle: Tile) -> list[bytes]:
    """A bundle's entries; where its partial form was removed, the first ones of the full one.

    Raises:
        LogError: as ``LogReader.read``, and ``log-tile-invalid`` for other contents.
    """
    limit = bundle.width * (2 + MAX_ENTRY)
    try:
        return split_bundle(bundle, reader.read(bundle.path, limit))
    except LogError as error:
        if error.code != "log-file-missing" or bundle.width == WIDTH:
            raise
    full = Tile(level=None, number=bundle.number)
    return split_bundle(full, reader.read(full.path, WIDTH * (2 + MAX_ENTRY)))[: bundle.width]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One bundle as it was examined: where, its leaf hashes, and what is wrong with it.

    ``root`` is that of a full bundle's hashes. ``notes`` are entries that the caller set aside.
    """

    number: int
    width: int
    hashes: tuple[bytes, ...] = ()
    root: bytes | None = None
    problems: tuple[tuple[int, str], ...] = ()
    missing: LogError | None = None
    last: bytes | None = None
    notes: tuple[bytes, ...] = ()


def examine(reader: LogReader, number: int, size: int, check: CheckEntries) -> Batch:
    """Read, split and hash one bundle; needs nothing of the bundles before it."""
    bundle = bundle_at(number, size)
    if bundle is None:
        return Batch(number=number, width=0)
    try:
        entries = read_bundle(reader, bundle)
    except LogError as error:
        return Batch(number=number, width=bundle.width, missing=error)
    hashes = tuple(map(leaf_hash, entries))
    return Batch(
        number=number,
        width=bundle.width,
        hashes=hashes,
        root=perfect_root(hashes) if bundle.width == WIDTH else None,
        problems=tuple(check(number * WIDTH, entries)),
        last=entries[-1],
    )


def audit(
    reader: LogReader,
    checkpoint: Checkpoint,
    batches: Iterable[Batch],
    *,
    known: Iterable[Checkpoint] = (),
) -> Iterator[Audit]:
    """Check the log up to a checkpoint whose signature was checked.

    Args:
        reader: gives the tiles.
        checkpoint: what the log is held against.
        batches: ``examine`` of every bundle in order.
        known: other checkpoints with checked signatures, of this log, not larger.

    Yields:
        The same ``Audit`` after each bundle, and once more at the end.
    """
    checking = _Checking(reader, checkpoint, known)
    for batch in batches:
        checking.take(batch)
        yield checking.result
    checking.end()
    yield checking.result


class _Row:
    """The hashes of the tile of one level that is being filled."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.number = 0
        self.hashes: list[bytes] = []


class _Checking:
    """The tree as it is made anew."""

    def __init__(
        self, reader: LogReader, checkpoint: Checkpoint, known: Iterable[Checkpoint]
    ) -> None:
        self.result = Audit()
        self._reader = reader
        self._size = checkpoint.size
        self._tree = Frontier()
        self._rows: list[_Row] = []
        older = sorted((each for each in known if each.size), key=lambda each: each.size)
        self._signed = iter([*older, checkpoint])
        self._next: Checkpoint | None = next(self._signed)

    def take(self, batch: Batch) -> None:
        """Compare a bundle with its tile, and grow the tree by it."""
        first = batch.number * WIDTH
        hashes = batch.hashes
        self.result.notes += batch.notes
        stored = self._stored(0, batch.number)
        if batch.missing is not None:
            self._note(batch.missing.code, batch.missing.sentence, index=first)
            # the tile stands in, so that the rest can still be checked
            hashes = stored or (bytes(HASH_BYTES),) * batch.width
        else:
            self.result.entries += batch.width
            self.result.last = batch.last
        differing = list(_differing(first, stored, hashes))
        root = batch.root or (perfect_root(hashes) if len(hashes) == WIDTH else None)
        passed = self._next is None or self._next.size >= first + WIDTH
        if root and passed and not differing and not batch.problems:
            self._tree.append_perfect(root, WIDTH)
            self._meet()
        else:
            self._append_each(first, hashes, differing, batch.problems)
        if root:
            self._raise(1, root)

    def _append_each(
        self,
        first: int,
        hashes: Sequence[bytes],
        differing: Iterable[tuple[int, bytes, bytes]],
        problems: Iterable[tuple[int, str]],
    ) -> None:
        """Grow by one entry after the other, so that a finding knows what holds before it."""
        changed = {index: (wanted, made) for index, wanted, made in differing}
        said: dict[int, list[str]] = {}
        for index, sentence in problems:
            said.setdefault(index, []).append(sentence)
        for index, each in enumerate(hashes, start=first):
            if index in changed:
                sentence = f"Entry {index} does not have the hash that its tile holds."
                self._note("log-entry-changed", sentence, index, *changed[index])
            for sentence in said.get(index, ()):
                self._note("log-entry-invalid", sentence, index=index)
            self._tree.append(each)
            self._meet()

    def end(self) -> None:
        """Compare the partial tiles above the entries."""
        for row in self._rows:
            if row.hashes:
                self._compare(row)

    def _raise(self, level: int, root: bytes) -> None:
        """Put the root of a full tile into the tile above it."""
        if level > len(self._rows):
            self._rows.append(_Row(level))
        row = self._rows[level - 1]
        row.hashes.append(root)
        if len(row.hashes) == WIDTH:
            self._compare(row)
            full = perfect_root(row.hashes)
            row.hashes, row.number = [], row.number + 1
            self._raise(level + 1, full)

    def _compare(self, row: _Row) -> None:
        stored = self._stored(row.level, row.number)
        entries = WIDTH**row.level
        for place, wanted, made in _differing(row.number * WIDTH, stored, row.hashes):
            start = place * entries
            sentence = (
                f"Tile {row.number} of level {row.level} does not hold the hash of the entries "
                f"{start} to {start + entries - 1}."
            )
            self._note("log-tile-changed", sentence, start, wanted, made)

    def _stored(self, level: int, number: int) -> tuple[bytes, ...]:
        """The hashes of a tile; none when it cannot be read, which is a finding."""
        tile = tile_at(level, number, self._size)
        if tile is None:
            return ()
        try:
            return split_tile(tile, read_tile(self._reader, tile))
        except LogError as error:
            index = number * WIDTH ** (level + 1)
            self._note(error.code, error.sentence, index=index)
            return ()

    def _meet(self) -> None:
        """Compare with every signed checkpoint of the size that is reached."""
        while self._next is not None and self._next.size == self._tree.size:
            root = self._tree.root()
            if root == self._next.root:
                self.result.good = self._next
            else:
                sentence = f"The first {self._tree.size} entries do not have the signed root."
                self._note("log-root-differs", sentence, None, self._next.root, root)
            self._next = next(self._signed, None)

    def _note(
        self,
        code: str,
        sentence: str,
        index: int | None = None,
        expected: bytes | None = None,
        found: bytes | None = None,
    ) -> None:
        self.result.add(
            Finding(
                code=code,
                sentence=sentence,
                index=index,
                expected=expected.hex() if expected else None,
                found=found.hex() if found else None,
                last_good=self.result.good,
            )
        )


def _differing(
    first: int, stored: Sequence[bytes], made: Sequence[bytes]
) -> Iterator[tuple[int, bytes, bytes]]:
    """Place, stored and made hash where they differ; nothing where the tile cannot be read."""
    if stored and tuple(stored) != tuple(made):
        for place, (wanted, found) in enumerate(zip(stored, made, strict=True)):
            if wanted != found:
                yield first + place, wanted, found
