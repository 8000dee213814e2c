"""Is the log sealed, and did its last comparison find nothing? For ``/readyz`` and ``doctor``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, select

from node.errors import CodedError
from node.last_check import LastCheck, last_check
from node.ledger.find import newest
from node.ledger.log_files import LogFolder
from node.ledger.sealer import CHECKPOINT, STATE, read_state
from node.ledger.tlog.checkpoint import parse_checkpoint
from node.ledger.tlog.note import MAX_NOTE, parse_note
from node.ops.health import Finding, Status
from node.settings import NodeHome, Settings
from node.storage.tables import ENTRY
from node.yearly_sealer import sealed_years

OLDEST_UNSEALED: Final = timedelta(minutes=15)
"""From here on an entry that is under no checkpoint is an alarm (facts: tamper-evident-log C6)."""

_LARGEST_STATE: Final = 4096


def log_finding(home: NodeHome, settings: Settings, engine: Engine, now: datetime) -> Finding:
    """What is wrong with the log, the worst first; ``FAIL`` where somebody has to look."""
    for how, whole in (("comparison", True), ("sample", False)):
        last = last_check(home, whole=whole)
        if last is not None and not last.ok:
            return _differs(how, last)
    try:
        end = sealed_end(home)
    except CodedError as error:
        return Finding(status=Status.FAIL, sentence=error.sentence, advice=error.advice)
    if (last_entry := newest(engine)) < end - 1:
        return Finding(
            status=Status.FAIL,
            sentence=f"The database ends with entry {last_entry}, and the log has sealed up to"
            f" {end - 1}: one of them is an older copy, or another node's.",
            advice="Put back the newest copy of both; `explain log-rolled-back` has the rest.",
        )
    with engine.connect() as connection:
        query = select(ENTRY.c.t).where(ENTRY.c.seq >= end).order_by(ENTRY.c.seq).limit(1)
        waiting = connection.execute(query).scalar()
    if waiting is not None:
        since = datetime.fromtimestamp(waiting / 1000, UTC)
        if now - since > OLDEST_UNSEALED:
            return Finding(
                status=Status.FAIL,
                sentence=f"Entries since {since:%Y-%m-%d %H:%M} UTC are under no checkpoint.",
                advice="Start the node; while it serves, look for log.not-sealed in its output.",
            )
    return _compared(settings, last_check(home, whole=True), end, now)


def _differs(how: str, last: LastCheck) -> Finding:
    first = f" The first: {last.sentences[0]}" if last.sentences else ""
    return Finding(
        status=Status.FAIL,
        sentence=f"The last {how} of the log ({last.ended:%Y-%m-%d %H:%M} UTC) found differences: "
        f"{last.count}.{first}",
        advice="`log fsck` names them all; keep a copy of database and log before mending it.",
    )


def sealed_end(home: NodeHome) -> int:
    """The number after the last entry under a signed checkpoint."""
    for year in reversed(sealed_years(home)):
        folder = LogFolder(home.log / str(year))
        shard, _, _ = read_state(folder.read(STATE, _LARGEST_STATE))
        try:
            data = folder.read(CHECKPOINT, MAX_NOTE)
        except CodedError as error:
            if error.code == "log-file-missing":
                continue  # begun, not signed yet
            raise
        return shard.first + parse_checkpoint(parse_note(data).text).size
    return 0


def _compared(settings: Settings, last: LastCheck | None, end: int, now: datetime) -> Finding:
    sealed = f"{end} entries are sealed"
    days = settings.log.compare_days
    if last is None:
        return Finding(status=Status.OK, sentence=f"{sealed}; nothing was compared yet.")
    when = f"{last.ended:%Y-%m-%d}"
    if days and now - last.ended > 2 * timedelta(days=days):
        return Finding(
            status=Status.WARN,
            sentence=f"{sealed}, but all of it was compared last on {when}.",
            advice="`log fsck`, or leave the node running: it compares by itself.",
        )
    return Finding(
        status=Status.OK,
        sentence=f"{sealed}; the last comparison, on {when}, found {last.entries} in order.",
    )
