"""What became of each peer, as issues of one OperationOutcome (``data/peer_issues.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from node.model import Outcome

RESULTS: Final = "urn:tefca-node:peer-result"
"""Code system of what became of a peer."""
REASONS: Final = "urn:tefca-node:error"


@dataclass(frozen=True, slots=True)
class Said:
    """Severity and code of an issue."""

    severity: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerIssues:
    """The table: by outcome, by reason, and of notes about entries."""

    outcomes: Mapping[str, Said]
    reasons: Mapping[str, Said]
    notes: Mapping[str, Said]


@lru_cache
def peer_issues() -> PeerIssues:
    """The table shipped with this version."""
    text = resources.files("node.exchange").joinpath("data/peer_issues.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return PeerIssues(
        **{
            part: {name: Said(row["severity"], row["code"]) for name, row in table[part].items()}
            for part in ("outcomes", "reasons", "notes")
        }
    )


def issue_of_peer(outcome: Outcome, reason: str | None, diagnostics: str) -> dict[str, Any] | None:
    """The issue of how a peer ended, or ``None`` where there is nothing to say."""
    table = peer_issues()
    said = table.outcomes.get(outcome)
    if said is None:
        return None
    coding = [{"system": RESULTS, "code": outcome.value}]
    if reason is not None:
        said = table.reasons.get(reason, said)
        coding.append({"system": REASONS, "code": reason})
    return _issue(said, coding, diagnostics)


def note(kind: str, diagnostics: str) -> dict[str, Any]:
    """An issue about entries; ``kind`` is a row of the table's notes."""
    return _issue(peer_issues().notes[kind], [{"system": RESULTS, "code": kind}], diagnostics)


def _issue(said: Said, coding: list[dict[str, str]], diagnostics: str) -> dict[str, Any]:
    return {
        "severity": said.severity,
        "code": said.code,
        "details": {"coding": coding},
        "diagnostics": diagnostics,
    }
