"""Answers of the FHIR server before they leave, and what the ledger writes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from node.errors import CodedError
from node.exchange.fhir_ports import Grant, HeldResource
from node.exchange.outcomes import Ending
from node.model import Outcome, PatientId
from node.policy.decide import Decision
from node.wire.fhir.outcome import issue_of, outcome_of

FHIR_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirReply:
    """One answer.

    Attributes:
        status: of HTTP.
        body: the bytes, or empty where ``chunks`` follow.
        media_type: of the body.
        headers: further ones.
        ending: how it ended, for the ledger.
        decision: what policy said, where it was asked.
        held: the resources in it.
        patients: identifiers of whom it is about, where ``held`` does not say it.
        docs: the documents in it, likewise, for the private record.
        chunks: a document's bytes, and
        digest: their SHA-256;
        close: to be awaited when they have left, or were not wanted any more.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = FHIR_JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Ending
    decision: Decision | None = None
    held: Sequence[HeldResource] = ()
    patients: Sequence[PatientId] = ()
    docs: Sequence[dict[str, object]] = ()
    chunks: AsyncIterator[bytes] | None = None
    digest: bytes | None = None
    close: Callable[[], Awaitable[None]] | None = None


def refused(
    error: CodedError, *, decision: Decision | None = None, headers: Mapping[str, str] | None = None
) -> FhirReply:
    """The answer to a request that is not answered: an OperationOutcome."""
    issue = issue_of(error.code)
    is_absent = error.code == "fhir-not-found"
    outcome = Outcome.FAILED if issue.status >= 500 else Outcome.DECLINED  # noqa: PLR2004 - HTTP
    reason = decision.reason if decision is not None and decision.reason else error.code
    return FhirReply(
        status=issue.status,
        body=outcome_of(error),
        headers=headers or {},
        decision=decision,
        ending=Ending(
            outcome=Outcome.OK_EMPTY if is_absent else outcome,
            reason=None if is_absent else reason,
            sentence=error.sentence,
        ),
    )


def found(held: Sequence[HeldResource]) -> Ending:
    """How an answer with resources ended."""
    return Ending(outcome=Outcome.OK if held else Outcome.OK_EMPTY, documents=len(held))


def version_headers(resource: HeldResource) -> dict[str, str]:
    """``ETag`` and ``Last-Modified`` of a resource (FHIR R4 3.1.0.1.3)."""
    if resource.updated is None:
        return {"etag": f'W/"{resource.version}"'}
    moment = datetime.fromtimestamp(resource.updated / 1000, UTC)
    return {
        "etag": f'W/"{resource.version}"',
        "last-modified": format_datetime(moment, usegmt=True),
    }


def of_grant(grant: Grant) -> dict[str, object]:
    """Group ``who``: the client, its organisation, its token; the person too, of our own."""
    who: dict[str, object] = {
        "client_id": grant.client_id,
        "organization": grant.entry.name,
        "organization_id": grant.entry.organization_id,
        "scopes": [str(scope) for scope in grant.scopes],
        "token": grant.token.hex(),
    }
    if grant.principal is not None:
        who |= {"subject_id": grant.principal.subject_id, "user_id": grant.principal.user_id}
    if grant.entry_id is not None:
        who["granted_by"] = grant.entry_id
    return who


def of_held(held: Sequence[HeldResource]) -> list[dict[str, object]]:
    """Group ``docs``: the resources in an answer."""
    return [{"id": f"{each.type}/{each.id}", "version": each.version} for each in held]
