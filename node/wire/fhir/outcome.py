"""OperationOutcomes as we write them: what happened, in a code and a sentence without PHI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from node.errors import CodedError
from node.wire.fhir.problem import Issue, issues

CODE_SYSTEM = "urn:tefca-node:error"
_OTHER = Issue(status=500, issue="exception")


def issue_of(code: str) -> Issue:
    """How a code of ours is said; one that has no row is a fault of ours."""
    return issues().get(code, _OTHER)


def outcome_of(error: CodedError) -> bytes:
    """The outcome of a request that failed."""
    issue = issue_of(error.code)
    return write_outcome([_issue("error", issue.issue, error.sentence, error.code)])


def warning(issue: str, sentence: str) -> dict[str, Any]:
    """An issue that does not fail the request."""
    return _issue("warning", issue, sentence, None)


def write_outcome(found: Iterable[dict[str, Any]]) -> bytes:
    """An OperationOutcome."""
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": list(found)})


def _issue(severity: str, issue: str, sentence: str, code: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {"severity": severity, "code": issue, "diagnostics": sentence}
    if code is not None:
        made["details"] = {"coding": [{"system": CODE_SYSTEM, "code": code}]}
    return made
