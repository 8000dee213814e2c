"""Exports in words: where each stands, and what other files left this node."""

from __future__ import annotations

from typing import Final

from node.console.parts import Visit
from node.console.wording import counted
from node.governance.export_model import Job, Source, State
from node.ledger.find import LedgerFilter, find
from node.ledger.show import show
from node.ledger.trust_change import Step, acts

MOST_OTHERS: Final = 20
_OTHERS: Final = (
    "export",
    "case-export",
    "packet-export",
    "denial-letter",
    "disclosure-report",
    "qhin-report",
)
"""The acts of other files: those that the log's table of acts has."""

_STATES: Final = {
    State.WAITING: ("partial", "waits for a second person"),
    State.QUEUED: ("in-progress", "waits for its turn"),
    State.RUNNING: ("in-progress", "being written"),
    State.DONE: ("ok", "whole"),
    State.CANCELLED: ("cancelled", "cancelled"),
    State.REFUSED: ("declined", "refused"),
    State.FAILED: ("failed", "given up"),
    State.GONE: ("ok-empty", "deleted, its time being over"),
}
_REASONS: Final = {
    "expired": "nobody decided within 72 hours",
    "interrupted": "the node ended while it was written; ask for it again",
    "file-unusable": "no room on the disk for its file, or the folder cannot be used",
    "database-unavailable": "the database could not be read to the end",
}
_SIZES: Final = ("bytes", "KB", "MB", "GB")
_THOUSAND: Final = 1000


def job_row(visit: Visit, job: Job) -> dict[str, object]:
    """An export as lists and its page show it."""
    look, words = _STATES[job.state]
    over = job.state is State.DONE and job.until is not None and job.until <= visit.now
    if over:
        look, words = _STATES[State.GONE]
    share = min(100, job.written * 100 // job.rows) if job.rows else 0
    return {
        "id": job.id,
        "asker": job.asker,
        "asked": job.asked,
        "what": "Exchanges" if job.source is Source.EXCHANGES else "Access log",
        "sentence": job.sentence,
        "filter": job.filter,
        "tokens": job.ask.reveals,
        "rows": job.rows,
        "written": job.written,
        "share": share,
        "look": look,
        "state": words,
        "reason": _REASONS.get(job.reason or "", (job.reason or "").replace("-", " "))
        if job.state in (State.FAILED, State.REFUSED)
        else "",
        "sha256": job.sha256.hex() if job.sha256 else None,
        "size": _size(job.size) if job.size is not None else None,
        "until": job.until if job.state is State.DONE else None,
        "downloads": job.downloads,
        "format": job.format.upper(),
        "is_running": job.state in (State.QUEUED, State.RUNNING),
    }


def others(visit: Visit) -> list[dict[str, object]]:
    """The newest other files that people or operators made, as the log has them."""
    known = tuple(act for act in _OTHERS if act in acts())
    console = visit.console
    rows = []
    found = find(console.engine, LedgerFilter(act=known), key=console.key, limit=MOST_OTHERS)
    for entry in found.entries:
        if entry.fields["step"] != Step.DONE:
            continue
        shown = show(console.engine, entry.seq, console.key)
        group = shown.groups.get("who") if shown else None
        who = group.value if group else None
        rows.append(
            {
                "time": entry.time,
                "who": str(who.get("user_id", "")) if isinstance(who, dict) else "",
                "what": acts()[str(entry.fields["act"])].done.split(":")[0].split(" (")[0],
                "entries": entry.fields.get("entries"),
                "seq": entry.seq,
            }
        )
    return rows


def _size(number: int) -> str:
    value = float(number)
    for unit in _SIZES:
        if value < _THOUSAND or unit == _SIZES[-1]:
            return counted(number, "byte") if unit == "bytes" else f"{value:.1f} {unit}"
        value /= _THOUSAND
    raise AssertionError
