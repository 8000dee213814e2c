"""What is wrong with a FHIR request, and how FHIR says so (``data/issues.toml``)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from node.errors import WireError


class FhirProblem(WireError):
    """A request that cannot be answered; its code is a row of ``data/issues.toml``.

    The sentence never repeats a value of the request: it may be about a patient.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """How a code of ours is said: the HTTP status and the issue code of FHIR."""

    status: int
    issue: str


@lru_cache
def issues() -> dict[str, Issue]:
    """All rows by our code."""
    text = resources.files("node.wire.fhir").joinpath("data/issues.toml").read_text("utf-8")
    return {
        code: Issue(status=row["status"], issue=row["issue"])
        for code, row in tomllib.loads(text).items()
    }
