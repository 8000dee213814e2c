"""How a peer that did not answer is said: every row of our own table."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from node.model import HomeCommunityId, Outcome
from node.wire.fhir.peer_results import MOST_ISSUES, PeerResult, peer_issues, row_of

HOME = HomeCommunityId("urn:oid:2.999.2")
# facts fhir-and-udap 3.1 names these; the others are ours (FHIR R4, value set issue-type)
ROWS = {
    "XDSUnknownPatientId": "not-found",
    "XDSRegistryBusy": "throttled",
    "XDSRepositoryBusy": "throttled",
    "XDSTooManyResults": "too-costly",
    "XDSUnavailableCommunity": "transient",
    "XDSUnknownCommunity": "not-found",
    "XDSMissingHomeCommunityId": "required",
    "XDSRegistryError": "exception",
    "XDSRepositoryError": "exception",
    "XDSDocumentUniqueIdError": "not-found",
    "XDSStoredQueryMissingParam": "required",
    "XDSStoredQueryParamNumber": "invalid",
    "XDSPatientIdDoesNotMatch": "conflict",
    "XDSResultNotSinglePatient": "multiple-matches",
    "XDSRegistryOutOfResources": "throttled",
    "XDSRepositoryOutOfResources": "throttled",
    "XDSRegistryNotAvailable": "transient",
    "XDSUnknownRepositoryId": "not-found",
    "XDSMissingDocument": "not-found",
    "XDSRegistryDeprecatedDocumentError": "deleted",
    "XDSUnknownStoredQuery": "not-supported",
    "LocalPolicyRestrictionError": "suppressed",
    "UnresolvedReferenceException": "not-found",
    "DocumentQueued": "incomplete",
    "XDSNonIdenticalHash": "conflict",
    "XDSDuplicateUniqueIdInRegistry": "duplicate",
    "XDSRegistryMetadataError": "invalid",
    "XDSRepositoryMetadataError": "invalid",
    "UnknownRecipient": "not-found",
    "UnavailableRecipient": "transient",
    "delivery-refused": "processing",
    "AnswerNotAvailable": "suppressed",
    "ResponderBusy": "throttled",
    "no-route": "not-supported",
    "timeout": "timeout",
    "documents-missing": "incomplete",
    # of FHIR servers
    "fhir-peer-throttled": "throttled",
    "fhir-peer-token": "login",
    "fhir-peer-forbidden": "forbidden",
    "fhir-peer-failed": "transient",
    "fhir-peer-refused": "processing",
    "fhir-peer-format": "structure",
    "fhir-peer-ambiguous": "multiple-matches",
    "fhir-endpoint-missing": "not-supported",
    "fhir-attachment-elsewhere": "structure",
    "fhir-attachment-absent": "not-found",
    "fhir-attachment-type": "structure",
    "fhir-attachment-changed": "conflict",
    "fhir-attachment-empty": "structure",
    "fhir-link-elsewhere": "structure",
    "fhir-malformed": "structure",
    "fhir-not-a-bundle": "structure",
    "fhir-limit": "too-long",
    "message-too-large": "too-long",
    "oauth-refused": "forbidden",
}
# value set http://hl7.org/fhir/ValueSet/issue-type, as far as a peer's answer can be one
ISSUE_TYPES = {
    "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown",
    "expired", "forbidden", "suppressed", "processing", "not-supported", "duplicate",
    "multiple-matches", "not-found", "deleted", "too-long", "code-invalid", "extension",
    "too-costly", "business-rule", "conflict", "transient", "lock-error", "no-store",
    "exception", "timeout", "incomplete", "throttled", "informational",
}  # fmt: skip


def result(outcome: Outcome, reason: str | None = None) -> PeerResult:
    return PeerResult(home_community_id=HOME, name="North", outcome=outcome, reason=reason)


def test_the_table_is_what_is_tested() -> None:
    text = resources.files("node.wire.fhir").joinpath("data/peer_results.toml").read_text("utf-8")
    table = tomllib.loads(text)
    assert set(table["error"]) == set(ROWS)
    assert {Outcome(each) for each in table["outcome"]} == set(Outcome) - {
        Outcome.OK, Outcome.OK_EMPTY
    }  # fmt: skip
    for row in (*table["error"].values(), *table["outcome"].values()):
        assert row["issue"] in ISSUE_TYPES
        assert row["sentence"].endswith(".")


@pytest.mark.parametrize(("reason", "issue"), ROWS.items())
def test_each_reason_has_its_issue(reason: str, issue: str) -> None:
    (said,) = peer_issues([result(Outcome.FAILED, reason)])
    assert said["code"] == issue
    assert said["severity"] == "warning"  # in an answer that holds what others gave
    assert [c["code"] for c in said["details"]["coding"]] == ["failed", reason]
    assert said["diagnostics"].startswith("North (urn:oid:2.999.2): ")


@pytest.mark.parametrize(
    ("outcome", "issue", "status"),
    [
        (Outcome.PARTIAL, "incomplete", 502),
        (Outcome.DECLINED, "forbidden", 502),
        (Outcome.FAILED, "transient", 502),
        (Outcome.TIMED_OUT, "timeout", 504),
        (Outcome.CANCELLED, "transient", 502),
    ],
)
def test_an_unknown_reason_is_said_by_its_outcome(
    outcome: Outcome, issue: str, status: int
) -> None:
    row = row_of(outcome, "nobody-knows-this")
    assert (row.issue, row.status) == (issue, status)


def test_a_reason_that_is_no_code_is_not_repeated() -> None:
    (said,) = peer_issues([result(Outcome.FAILED, "John Smith, born 1970-01-01")])
    assert "Smith" not in str(said)


def test_the_number_of_issues_is_bounded() -> None:
    found = peer_issues([result(Outcome.FAILED)] * (MOST_ISSUES + 5))
    assert len(found) == MOST_ISSUES + 1
    assert found[-1]["diagnostics"].startswith("5 further peers")
