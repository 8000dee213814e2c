"""When a renewal that failed is tried again: after an hour, then twice as long, a day at most."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

from node.identity import Role
from node.settings import NodeHome
from trust.files import write_file

FIRST = timedelta(hours=1)
CAP = timedelta(days=1)
_MAX_BYTES = 4096


def note_failure(home: NodeHome, role: Role, *, now: datetime) -> datetime:
    """Count a failure; gives the moment from which to try again. Raises ``TrustError``."""
    failures = _failures(home, role)[0] + 1
    later: datetime = now + min(CAP, FIRST * (1 << min(failures - 1, 10)))
    text = json.dumps({"failures": failures, "not_before": later.isoformat()})
    write_file(_file(home, role), text.encode(), replace=True)
    return later


def waits_until(home: NodeHome, role: Role) -> datetime | None:
    """The moment before which nothing is tried; ``None`` after a success."""
    return _failures(home, role)[1]


def forget_failures(home: NodeHome, role: Role) -> None:
    """It worked."""
    _file(home, role).unlink(missing_ok=True)


def _failures(home: NodeHome, role: Role) -> tuple[int, datetime | None]:
    try:
        with _file(home, role).open("rb") as file:
            row = json.loads(file.read(_MAX_BYTES))
        return int(row["failures"]), datetime.fromisoformat(row["not_before"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, None  # none, or a damaged note: trying once too often does no harm


def _file(home: NodeHome, role: Role) -> Path:
    return home.keys / role / "renewal.json"
