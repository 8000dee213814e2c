"""What becomes of peers that did not answer in full, as issues of one OperationOutcome.

``data/peer_results.toml`` has the rows. Nothing that a peer wrote is repeated but its codes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from node.model import HomeCommunityId, Outcome
from node.wire.fhir.outcome import CODE_SYSTEM

OUTCOMES: Final = "urn:tefca-node:peer-result"
"""The code system of how a peer's answer ended."""

MOST_ISSUES: Final = 300
"""Peers that are named; the rest is counted."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,63}", re.ASCII)
_ANSWERED = (Outcome.OK, Outcome.OK_EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerResult:
    """How one peer's answer ended.

    Attributes:
        reason: a registry error code, an application error or a code of ours.
        entry: id of its entry in the log, by which its operator and ours can talk about it.
    """

    home_community_id: HomeCommunityId
    name: str
    outcome: Outcome
    reason: str | None = None
    entry: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How an ending is said."""

    issue: str
    severity: str
    status: int
    sentence: str


@lru_cache
def _table() -> dict[str, Any]:
    data = resources.files("node.wire.fhir").joinpath("data/peer_results.toml")
    return tomllib.loads(data.read_text(encoding="utf-8"))


def row_of(outcome: Outcome, reason: str | None) -> Row:
    """The row of an ending that is no answer: of its reason, else of its outcome."""
    table = _table()
    row = table["outcome"][outcome.value]
    return Row(**row | table["error"].get(reason or "", {}))


def incomplete(results: Sequence[PeerResult]) -> list[PeerResult]:
    """The peers that did not answer in full."""
    return [each for each in results if each.outcome not in _ANSWERED]


def peer_issues(results: Sequence[PeerResult], *, severity: str | None = None) -> list[Any]:
    """An issue for every peer that did not answer in full, and the number of those without data.

    ``severity`` stands in place of the rows' own.
    """
    broken = incomplete(results)
    issues = [_issue(each, severity) for each in broken[:MOST_ISSUES]]
    if len(broken) > MOST_ISSUES:
        issues.append(
            {
                "severity": severity or "warning",
                "code": "incomplete",
                "diagnostics": f"{len(broken) - MOST_ISSUES} further peers did not answer in full.",
            }
        )
    empty = sum(each.outcome is Outcome.OK_EMPTY for each in results)
    if empty:
        issues.append(
            {
                "severity": "information",
                "code": "informational",
                "details": {"coding": [{"system": OUTCOMES, "code": Outcome.OK_EMPTY.value}]},
                "diagnostics": f"{empty} of {len(results)} answers of peers: nothing held.",
            }
        )
    return issues


def _issue(result: PeerResult, severity: str | None) -> dict[str, Any]:
    row = row_of(result.outcome, result.reason)
    codes = [{"system": OUTCOMES, "code": result.outcome.value}]
    if result.reason and _CODE.fullmatch(result.reason):
        codes.append({"system": CODE_SYSTEM, "code": result.reason})
    entry = f" Log entry {result.entry}." if result.entry else ""
    return {
        "severity": severity or row.severity,
        "code": row.issue,
        "details": {"coding": codes},
        "diagnostics": f"{result.name} ({result.home_community_id}): {row.sentence}{entry}",
    }
