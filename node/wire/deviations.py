"""Tolerated departures from the rules for message content, by name (DESIGN law 4).

The SOAP layer has its own list in ``node.wire.names``; these are those of HL7 v3 and ebXML bodies.
A parser returns each name at most once per message; the caller counts per peer.

Source of the cases: facts ihe-wire 2, 3.3, 4, 12 and 13 (what real gateways were seen to send).
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ContentDeviation", "Deviations"]


class ContentDeviation(StrEnum):
    """One kind of departure that is understood all the same."""

    # HL7 v3 data types
    VALUE_AS_TEXT = "value-as-text"
    TIME_ISO = "time-iso"
    TIME_INVALID = "time-invalid"
    GENDER_WORD = "gender-word"
    NAME_UNSTRUCTURED = "name-unstructured"
    STRAY_TEXT = "stray-text"
    ID_WITHOUT_EXTENSION = "id-without-extension"
    ID_ROOT_URN = "id-root-urn"
    ID_ROOT_NOT_OID = "id-root-not-oid"
    HOME_COMMUNITY_FORM = "home-community-form"

    # XCPD, both ways
    ELEMENT_ORDER = "element-order"
    ITS_VERSION_MISSING = "its-version-missing"
    INTERACTION_ID = "interaction-id"
    SENDER_MISSING = "sender-missing"
    RECEIVER_MISSING = "receiver-missing"
    QUERY_ID_MISSING = "query-id-missing"
    PRIORITY_MISSING = "priority-missing"

    # XCPD answers
    ACKNOWLEDGEMENT_MISSING = "acknowledgement-missing"
    TARGET_MESSAGE_MISMATCH = "target-message-mismatch"
    QUERY_ID_MISMATCH = "query-id-mismatch"
    RESPONSE_CODE_MISSING = "response-code-missing"
    RESPONSE_CODE_CONFLICT = "response-code-conflict"
    DETAIL_CODE_SYSTEM = "acknowledgement-detail-code-system"
    PROBLEM_CODE_SYSTEM = "problem-code-system"
    ASK_MISSPELT = "ask-misspelt"
    ASK_UNKNOWN = "ask-unknown"
    MATCH_OBSERVATION_MISSING = "match-observation-missing"
    LOCATOR_CODE_MISSING = "locator-code-missing"
    HEALTH_DATA_LOCATOR = "health-data-locator"
    HOME_COMMUNITY_FALLBACK = "home-community-from-sender"
    SEVERAL_HOME_COMMUNITIES = "several-home-communities"
    SEVERAL_IDENTITIES = "several-identities"
    SEVERAL_PATIENT_IDS = "several-patient-ids"
    MATCH_UNUSABLE = "match-unusable"

    # ebXML
    STATUS_PREFIX = "status-prefix"
    STATUS_MISSING = "status-missing"
    STATUS_UNKNOWN = "status-unknown"
    STATUS_CONFLICT = "status-conflict"
    ERROR_LIST_TEXT = "error-list-text"
    ERROR_LIST_NAMESPACE = "error-list-namespace"
    ERROR_LIST_ORDER = "error-list-order"
    ERROR_CODE_UNKNOWN = "error-code-unknown"
    ERROR_CODE_MISSING = "error-code-missing"
    ERROR_SEVERITY = "error-severity"
    ERROR_LOCATION = "error-location"
    OBJECT_LIST_MISSING = "object-list-missing"
    OBJECT_IGNORED = "object-ignored"
    HOME_MISSING = "home-missing"
    ENTRY_ID_FORM = "entry-id-form"
    ENTRY_UNUSABLE = "entry-unusable"
    ENTRY_STATUS = "entry-status"
    ENTRY_TYPE = "entry-type"
    MIME_TYPE_MISSING = "mime-type-missing"
    UNIQUE_ID_FORM = "unique-id-form"
    REPOSITORY_MISSING = "repository-missing"
    REPOSITORY_FORM = "repository-form"
    PATIENT_ID_FORM = "patient-id-form"
    SOURCE_PATIENT_ID_FORM = "source-patient-id-form"
    CODE_EMPTY = "code-empty"
    CODING_SCHEME_MISSING = "coding-scheme-missing"
    HASH_INVALID = "hash-invalid"
    SIZE_INVALID = "size-invalid"

    # stored queries
    QUERY_ID_FORM = "query-id-form"
    RETURN_TYPE = "return-type"
    VALUE_UNQUOTED = "value-unquoted"

    # retrieve
    ELEMENT_CASE = "element-case"
    DOCUMENT_MISSING = "document-missing"
    DOCUMENT_EMPTY = "document-empty"
    DOCUMENT_INLINE = "document-inline"
    DOCUMENT_UNENCODED = "document-unencoded"


class Deviations:
    """Collects the deviations of one message, each once, in the order met."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[ContentDeviation, None] = {}

    def add(self, deviation: ContentDeviation) -> None:
        """Note one."""
        self._found[deviation] = None

    def seen(self) -> tuple[ContentDeviation, ...]:
        """What was noted."""
        return tuple(self._found)
