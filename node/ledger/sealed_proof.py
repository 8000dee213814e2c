"""Proofs of our own entries, from the sealed logs of a node home."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.errors import LogError
from node.ledger.log_files import LogFolder
from node.ledger.retired_log import kept_at
from node.ledger.sealer import CHECKPOINT, MAX_STATE, STATE, WITNESSED, read_state
from node.ledger.tlog.audit import read_bundle
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.edge import tree_of
from node.ledger.tlog.note import MAX_NOTE, parse_note
from node.ledger.tlog.proof import TlogProof
from node.ledger.tlog.tiles import WIDTH, bundle_at

_YEAR: Final = re.compile(r"[0-9]{4}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """An entry's bytes, and the proof that it is in the log that a checkpoint is of."""

    data: bytes
    proof: TlogProof
    point: Checkpoint


def prove_entry(logs: Path, number: int) -> Proved | None:
    """Prove the entry with a number; ``None`` while it is not sealed.

    Raises:
        LogError: when the log's files do not agree or cannot be read.
    """
    for folder in log_folders(logs):
        shard, _, _ = read_state(folder.read(STATE, MAX_STATE))
        signed = newest_checkpoint(folder)
        if signed is None:
            continue
        point = parse_checkpoint(parse_note(signed).text)
        index = number - shard.first
        if not 0 <= index < point.size:
            continue
        # what was kept back of a log has its proof to the last checkpoint alone
        better = _witnessed(folder, index, point.size)
        if better and (kept_at(folder, index) is None or better[1].size == point.size):
            signed, point = better
        hashes, data = _path(folder, index, point.size)
        proof = TlogProof(index=index, hashes=hashes, checkpoint=signed)
        return Proved(data=data, proof=proof, point=point)
    return None


def _witnessed(folder: LogFolder, index: int, size: int) -> tuple[bytes, Checkpoint] | None:
    """The checkpoint that witnesses signed, where it reaches the entry: it proves more."""
    try:
        signed = folder.read(WITNESSED, MAX_NOTE)
        point = parse_checkpoint(parse_note(signed).text)
    except LogError:
        return None  # the log's own signature is enough
    return (signed, point) if index < point.size <= size else None


def _path(folder: LogFolder, index: int, size: int) -> tuple[tuple[bytes, ...], bytes]:
    """The inclusion proof and the bytes of an entry."""
    if (kept := kept_at(folder, index)) is not None:  # its log's time is over
        return kept.proof, kept.entry
    bundle = bundle_at(index // WIDTH, size)
    data = read_bundle(folder, bundle)[index % WIDTH] if bundle else b""
    return tree_of(size, folder).inclusion(index), data


def log_folders(logs: Path) -> list[LogFolder]:
    """The logs of the years that were begun, oldest first."""
    found = logs.iterdir() if logs.is_dir() else ()
    years = sorted(path for path in found if _YEAR.fullmatch(path.name))
    return [LogFolder(path) for path in years if (path / STATE).is_file()]


def newest_checkpoint(folder: LogFolder) -> bytes | None:
    """The signed checkpoint of a log; ``None`` where none was signed yet.

    Raises:
        LogError: ``log-file-unreadable``.
    """
    try:
        return folder.read(CHECKPOINT, MAX_NOTE)
    except LogError as error:
        if error.code == "log-file-missing":
            return None  # begun, not signed yet
        raise
