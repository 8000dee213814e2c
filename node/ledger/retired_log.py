"""A log whose time is over: what stays of it, and checking that.

Its entries and the hashes right above them are gone. For ever stay: the last checkpoint with all
its signatures, the tiles from level 1 upwards with the partial tile at the edge, from which the
signed root is made again, and for each entry that was kept back (a legal hold, a minor, an entry
that the log needs to be understood) its bytes with its inclusion proof. The files::

    retired        which log, until when it was kept, which bundles have entries left (JSON)
    kept/<bundle>  these entries, one JSON object a line: index, entry, proof

Anybody could write ``retired`` in place of entries that they want to be rid of. What shows that it
was meant is the record: an entry ``log-retain`` of a later log, which names this one's root.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from node.errors import LogError
from node.ledger import leaf
from node.ledger.log_files import LogFolder
from node.ledger.tlog.audit import Finding, LogReader, read_tile
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.edge import tree_of
from node.ledger.tlog.merkle import leaf_hash, perfect_root, verify_inclusion
from node.ledger.tlog.note import from_base64, to_base64
from node.ledger.tlog.tiles import WIDTH, Tile, split_tile, tile_at

RETIRED: Final = "retired"
KEPT_FOLDER: Final = "kept/"
RETAIN: Final = "log-retain"
RECORD_MARK: Final = f'"act":"{RETAIN}"'.encode()
"""What stands in the bytes of the entry that records it; no form of a leaf admits such a value."""

_LARGEST: Final = 16 * 1024 * 1024
_LARGEST_KEPT: Final = WIDTH * 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What the file says.

    Attributes:
        origin: of the log.
        first: number of its first entry.
        size: how many entries it had.
        root: of its last checkpoint.
        until: until when its entries were kept.
        kept: how many still are.
        bundles: the numbers of the bundles that have some.
    """

    origin: str
    first: int
    size: int
    root: bytes
    until: datetime
    kept: int
    bundles: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An entry that was kept back, with its inclusion proof up to the last checkpoint's root."""

    index: int
    entry: bytes
    proof: tuple[bytes, ...]


def kept_path(number: int) -> str:
    """The file of the entries that are left of a bundle."""
    return Tile(level=None, number=number).path.replace("tile/entries/", KEPT_FOLDER)


def read_retired(reader: LogReader) -> Retired | None:
    """What a log says of its retirement; ``None`` when it is not retired.

    Raises:
        LogError: ``log-state-invalid``, ``log-file-unreadable``.
    """
    try:
        told = orjson.loads(reader.read(RETIRED, _LARGEST))
        return Retired(
            origin=str(told["origin"]),
            first=int(told["first"]),
            size=int(told["size"]),
            root=from_base64(told["root"]),
            until=datetime.fromisoformat(told["until"]),
            kept=int(told["kept"]),
            bundles=tuple(map(int, told["bundles"])),
        )
    except LogError as error:
        if error.code == "log-file-missing":
            return None
        raise
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise LogError(
            "log-state-invalid", "What the log says of its retirement cannot be read."
        ) from error


def write_retired(folder: LogFolder, retired: Retired) -> None:
    """Write it. Raises ``OSError``."""
    told = {
        "origin": retired.origin,
        "first": retired.first,
        "size": retired.size,
        "root": to_base64(retired.root),
        "until": leaf.from_time(retired.until),
        "kept": retired.kept,
        "bundles": retired.bundles,
    }
    folder.write(RETIRED, orjson.dumps(told))


def read_kept(reader: LogReader, number: int) -> list[Kept]:
    """The entries that are left of a bundle; none where it has no file.

    Raises:
        LogError: ``log-proof-invalid``, ``log-file-unreadable``.
    """
    try:
        data = reader.read(kept_path(number), _LARGEST_KEPT)
    except LogError as error:
        if error.code == "log-file-missing":
            return []
        raise
    try:
        rows = [orjson.loads(line) for line in data.splitlines()]
        return [
            Kept(
                index=int(row["index"]),
                entry=str(row["entry"]).encode(),
                proof=tuple(from_base64(each) for each in row["proof"]),
            )
            for row in rows
        ]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, LogError) as error:
        raise LogError(
            "log-proof-invalid", f"The file {kept_path(number)} of kept entries cannot be read."
        ) from error


def kept_at(reader: LogReader, index: int) -> Kept | None:
    """The entry that was kept back at an index, if it was. Raises as ``read_kept``."""
    found = (each for each in read_kept(reader, index // WIDTH) if each.index == index)
    return next(found, None)


def write_kept(folder: LogFolder, number: int, kept: Sequence[Kept]) -> None:
    """Write what is left of a bundle; without any, there is no file. Raises ``OSError``."""
    if not kept:
        (folder.path / kept_path(number)).unlink(missing_ok=True)
        return
    rows = (
        {
            "index": each.index,
            "entry": each.entry.decode(),
            "proof": [to_base64(hashed) for hashed in each.proof],
        }
        for each in kept
    )
    folder.write(kept_path(number), b"".join(orjson.dumps(row) + b"\n" for row in rows))


def check_retired(
    reader: LogReader, retired: Retired, target: Checkpoint
) -> Iterator[Finding | Kept]:
    """Check what stays of a log: findings, and the kept entries that prove."""
    if (retired.origin, retired.size, retired.root) != (target.origin, target.size, target.root):
        sentence = "The log was retired with another end than its checkpoint has."
        yield Finding(
            code="log-root-differs",
            sentence=sentence,
            expected=target.root.hex(),
            found=retired.root.hex(),
        )
    yield from _tile_findings(reader, target)
    count = 0
    for number in retired.bundles:
        try:
            kept = read_kept(reader, number)
        except LogError as error:
            yield Finding(code=error.code, sentence=error.sentence, index=number * WIDTH)
            continue
        for each in kept:
            count += 1
            try:
                verify_inclusion(
                    index=each.index,
                    size=target.size,
                    leaf=leaf_hash(each.entry),
                    proof=each.proof,
                    root=target.root,
                )
            except LogError as error:
                sentence = f"The kept entry {each.index} does not prove: {error.sentence}"
                yield Finding(code="log-proof-invalid", sentence=sentence, index=each.index)
            else:
                yield each
    if count != retired.kept:
        sentence = f"The log has {count} kept entries, yet {retired.kept} were kept."
        yield Finding(code="log-entry-lost", sentence=sentence)


def _tile_findings(reader: LogReader, target: Checkpoint) -> Iterator[Finding]:
    """Make the root again from the tiles that stay, each level from the one below."""
    try:
        root = tree_of(target.size, reader).root()
        if root != target.root:
            yield Finding(
                code="log-root-differs",
                sentence="The tiles that stay do not have the signed root.",
                expected=target.root.hex(),
                found=root.hex(),
            )
        level = 1
        while target.size >> (8 * (level + 1)):
            yield from _level_findings(reader, target, level)
            level += 1
    except LogError as error:
        yield Finding(code=error.code, sentence=error.sentence)


def _level_findings(reader: LogReader, target: Checkpoint, level: int) -> Iterator[Finding]:
    for number in range(target.size >> (8 * (level + 1))):
        full = Tile(level=level, number=number)
        above = tile_at(level + 1, number // WIDTH, target.size)
        if above is None:  # pragma: no cover  # the range ends before
            return
        made = perfect_root(split_tile(full, read_tile(reader, full)))
        stored = split_tile(above, read_tile(reader, above))[number % WIDTH]
        if made != stored:
            yield Finding(
                code="log-tile-changed",
                sentence=f"Tile {number} of level {level} is not the one that the next level has.",
                expected=stored.hex(),
                found=made.hex(),
            )
