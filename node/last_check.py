"""What came of the last comparisons of the log, kept in the node home for whoever asks later.

``reports/log-check.json`` has the last whole one and the last sample: when, whether everything
agreed, how many of each were compared, and the first findings. It holds nothing about a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from node.errors import LogError
from node.ledger import leaf
from node.ledger.compared import Compared, Found
from node.ledger.log_files import LogFolder
from node.ledger.tlog.note import to_base64
from node.settings import NodeHome

_FILE: Final = "log-check.json"
_LARGEST: Final = 256 * 1024
_FIRST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCheck:
    """One comparison that ended; ``findings`` are the first ones, ``count`` how many there were."""

    ended: datetime
    ok: bool
    entries: int
    count: int
    sentences: tuple[str, ...] = ()


def plain(found: Found) -> dict[str, object]:
    """A finding as JSON has it."""
    finding, good = found.finding, found.finding.last_good
    return {
        "code": finding.code,
        "sentence": finding.sentence,
        "year": found.year,
        "index": finding.index,
        "seq": found.seq,
        "expected": finding.expected,
        "found": finding.found,
        "last_good_checkpoint": (
            {"size": good.size, "root": to_base64(good.root)} if good else None
        ),
    }


def summary(compared: Compared) -> dict[str, object]:
    """A comparison as JSON has it."""
    return {
        "ok": compared.ok,
        "compared": compared.counts(),
        "findings": [plain(each) for each in compared.findings],
        "findings_not_listed": compared.more,
    }


def remember(home: NodeHome, compared: Compared, *, whole: bool, now: datetime) -> None:
    """Keep what came of a comparison. Raises ``OSError``."""
    told = summary(compared)
    listed = [plain(each) for each in compared.findings[:_FIRST]]
    told |= {
        "ended": leaf.from_time(now),
        "findings": listed,
        "findings_not_listed": len(compared.findings) - len(listed) + compared.more,
    }
    kept = _read(home) | {"whole" if whole else "sample": told}
    LogFolder(home.reports).write(_FILE, orjson.dumps(kept, option=orjson.OPT_INDENT_2))


def last_check(home: NodeHome, *, whole: bool) -> LastCheck | None:
    """The last whole comparison, or the last sample; ``None`` when there was none."""
    told: Any = _read(home).get("whole" if whole else "sample")
    try:
        return LastCheck(
            ended=datetime.fromisoformat(told["ended"]),
            ok=bool(told["ok"]),
            entries=int(told["compared"]["entries"]),
            count=len(told["findings"]) + int(told["findings_not_listed"]),
            sentences=tuple(str(each["sentence"]) for each in told["findings"]),
        )
    except (TypeError, KeyError, ValueError):
        return None


def _read(home: NodeHome) -> dict[str, Any]:
    try:
        found = orjson.loads(LogFolder(home.reports).read(_FILE, _LARGEST))
    except (LogError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
