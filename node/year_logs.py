"""The logs of a node home, each with the keys that may have signed it, for what compares them."""

from __future__ import annotations

from datetime import datetime

from node.errors import LogError
from node.identity import LogKey
from node.identity_store import versions
from node.ledger.compared import YearLog
from node.ledger.leaf_check import number_of
from node.ledger.log_files import LogFolder
from node.ledger.sealer import CHECKPOINT, MAX_KEYS, MAX_STATE, STATE, Shard, keys_file, read_state
from node.ledger.tlog.audit import read_bundle
from node.ledger.tlog.checkpoint import parse_checkpoint
from node.ledger.tlog.note import MAX_NOTE, VerifierKey, parse_note, parse_verifier_key
from node.ledger.tlog.policy import of_log
from node.ledger.tlog.tiles import bundle_at
from node.settings import NodeHome, Settings
from node.yearly_sealer import sealed_years, verifier_keys
from trust.log_key import spki_of


def year_logs(home: NodeHome, settings: Settings, *, now: datetime) -> list[YearLog]:
    """The logs of the years that have one, oldest first.

    Raises:
        LogError: ``log-state-invalid``, ``log-file-unreadable``: which log it is cannot be told.
        TrustError: when the keys that signed are not remembered and those in use do not open.
    """
    memory = LogFolder(home.resolve(settings.log.signed))
    found = []
    for year in sealed_years(home):
        folder = LogFolder(home.log / str(year))
        shard, size = _shard(folder)
        keys = _remembered(home, memory, year, now) or verifier_keys(
            home, settings, shard.origin, now=now
        )
        log = YearLog(
            year=year,
            folder=folder,
            shard=shard,
            policy=of_log(*keys),
            memory=_optional(memory, str(year), MAX_NOTE),
            size=size,
        )
        found.append(log)
    return found


def _shard(folder: LogFolder) -> tuple[Shard, int]:
    """Which log it is and its size: as the sealer has it, or as its own files say."""
    try:
        shard, size, _ = read_state(folder.read(STATE, MAX_STATE))
    except LogError:  # what compares the log finds that as well
        point = parse_checkpoint(parse_note(folder.read(CHECKPOINT, MAX_NOTE)).text)
        bundle = bundle_at(0, point.size)
        first = number_of(read_bundle(folder, bundle)[0]) if bundle else None
        if first is None:
            raise
        return Shard(origin=point.origin, first=first), point.size
    return shard, size


def _remembered(
    home: NodeHome, memory: LogFolder, year: int, now: datetime
) -> tuple[VerifierKey, ...]:
    """The keys that signed a year's log, of those that this home ever had."""
    data = _optional(memory, keys_file(str(year)), MAX_KEYS)
    if data is None:
        return ()
    ours = {record.spki_sha256 for record in versions(home, LogKey.LOG, now=now)}
    keys = [parse_verifier_key(line) for line in data.decode("ascii", "replace").splitlines()]
    return tuple(key for key in keys if spki_of(key.public) in ours)


def _optional(folder: LogFolder, name: str, limit: int) -> bytes | None:
    try:
        return folder.read(name, limit)
    except LogError as error:
        if error.code == "log-file-missing":
            return None
        raise
