"""What a clinical document says about itself: the bridge from any format to XDS metadata."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from node.model import Author, Code, Demographics, PatientId


class Note(StrEnum):
    """Something a document left out or got wrong, and what was made of it."""

    BIRTH_DATE_INVALID = "birth-date-invalid"
    SEX_INVALID = "sex-invalid"
    PATIENT_ID_INVALID = "patient-id-invalid"
    PATIENT_ID_MISSING = "patient-id-missing"
    NAME_UNSTRUCTURED = "name-unstructured"
    CREATION_TIME_INVALID = "creation-time-invalid"
    CREATION_TIME_MISSING = "creation-time-missing"
    CREATION_TIME_FROM_AUTHOR = "creation-time-from-author"
    TIME_ZONE_ASSUMED = "time-zone-assumed"
    SERVICE_TIME_INVALID = "service-time-invalid"
    SERVICE_TIME_FROM_ENCOUNTER = "service-time-from-encounter"
    SERVICE_TIME_FROM_CREATION = "service-time-from-creation"
    TYPE_MISSING = "type-missing"
    TYPE_FROM_TEMPLATE = "type-from-template"
    CONFIDENTIALITY_ASSUMED = "confidentiality-assumed"
    LANGUAGE_ASSUMED = "language-assumed"
    DOCUMENT_ID_MISSING = "document-id-missing"
    DOCUMENT_ID_INVALID = "document-id-invalid"
    DOCUMENT_ID_REUSED = "document-id-reused"
    BODY_MISSING = "body-missing"
    BODY_REFERENCE = "body-reference"
    ATTACHMENT_SKIPPED = "attachment-skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    """The metadata a document carries, in the forms of ``node.model``.

    Attributes:
        patient: the person the document is about; ``identifiers`` hold every usable id.
        source_patient_id: the id the author's system uses for the person, or ``None``.
        unique_id: ``root`` or ``root^extension``, or ``None`` when the document has no usable id.
        custodian: the organisation that keeps it, as XON.
        legal_authenticator: as XCN.
        notes: what was missing or wrong; an invalid date is absent and noted, never guessed.

    Times are HL7 text of digits in UTC with the precision the document gives.
    """

    patient: Demographics
    mime_type: str
    source_patient_id: PatientId | None = None
    unique_id: str | None = None
    set_id: str | None = None
    version: str | None = None
    type_code: Code | None = None
    class_code: Code | None = None
    format_code: Code | None = None
    title: str | None = None
    language: str | None = None
    confidentiality: tuple[Code, ...] = ()
    creation_time: str | None = None
    service_start: str | None = None
    service_stop: str | None = None
    authors: tuple[Author, ...] = ()
    legal_authenticator: str | None = None
    custodian: str | None = None
    facility_type: Code | None = None
    practice_setting: Code | None = None
    event_codes: tuple[Code, ...] = ()
    notes: tuple[Note, ...] = ()
