"""Logs for the tests: files in memory, and those that the shared data has on disk."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.errors import LogError
from node.ledger.tlog.audit import Audit, audit, examine
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.merkle import Frontier, leaf_hash, node_hash, split
from node.ledger.tlog.note import KeyType, VerifierKey
from node.ledger.tlog.tiles import (
    WIDTH,
    Tile,
    bundles_of,
    encode_bundle,
    split_tile,
    tiles_of,
)

TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


class Files(dict[str, bytes]):
    """A log in memory; implements ``audit.LogReader`` and ``tree.TileReader``."""

    def read(self, what: str | Tile, limit: int = 1 << 30) -> bytes:
        path = what if isinstance(what, str) else what.path
        if path not in self:
            raise LogError("log-file-missing", f"The log has no file {path}.")
        assert len(self[path]) <= limit or limit % 1
        return self[path]


def on_disk(folder: Path) -> Files:
    return Files(
        {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
    )


def reference_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 2.1 as it is written there, slow."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(reference_root(leaves[:k]), reference_root(leaves[k:]))


def log_of(entries: Sequence[bytes]) -> Files:
    """All files of a log but its checkpoint, made without the sealer."""
    files = Files()
    for bundle in bundles_of(len(entries)):
        start = bundle.number * WIDTH
        files[bundle.path] = encode_bundle(entries[start : start + bundle.width])
    hashes = [leaf_hash(entry) for entry in entries]
    for tile in tiles_of(len(entries)):
        assert tile.level is not None
        each = WIDTH**tile.level
        first = tile.number * WIDTH
        files[tile.path] = b"".join(
            reference_root(hashes[place * each : (place + 1) * each])
            for place in range(first, first + tile.width)
        )
        assert len(split_tile(tile, files[tile.path])) == tile.width
    return files


def root_of(entries: Iterable[bytes]) -> bytes:
    tree = Frontier()
    for entry in entries:
        tree.append(leaf_hash(entry))
    return tree.root()


def nothing(_first: int, _entries: Sequence[bytes]) -> Iterable[tuple[int, str]]:
    return ()


def audited(
    files: Files,
    checkpoint: Checkpoint,
    known: Iterable[Checkpoint] = (),
    check: Callable[[int, Sequence[bytes]], Iterable[tuple[int, str]]] = nothing,
) -> Audit:
    count = -(-checkpoint.size // WIDTH)
    batches = (examine(files, number, checkpoint.size, check) for number in range(count))
    *_, last = audit(files, checkpoint, batches, known=known)
    return last


def seeded_key(name: str) -> Ed25519PrivateKey:
    """The keys of the self-made log: SHA-256 of a public string."""
    seed = hashlib.sha256(f"test-vector-seed:{name}".encode()).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def key_of(private: Ed25519PrivateKey, name: str, kind: KeyType) -> VerifierKey:
    return VerifierKey(name=name, kind=kind, public=private.public_key().public_bytes_raw())


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
