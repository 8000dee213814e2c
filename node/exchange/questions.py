"""The questions we ask, as values: which stored query, with which parameters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from node.model import (
    Availability,
    DocumentType,
    HomeCommunityId,
    PatientId,
    ReturnType,
    StoredQuery,
)
from node.wire.stored_query_catalogue import catalogue

_FIVE_YEARS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSearch:
    """What a person wants to see of a patient's documents.

    ``since`` and ``until`` are HL7 timestamps (``YYYY[MM[DD...]]``) of the time of care: a document
    is wanted when its service period touches the range. ``codes`` are further stored-query slots
    such as ``$XDSDocumentEntryTypeCode`` with ``code^^scheme`` values.
    """

    since: str | None = None
    until: str | None = None
    on_demand: bool = True
    deprecated: bool = False
    codes: tuple[tuple[str, tuple[str, ...]], ...] = ()


def find_documents_query(
    patient_id: PatientId, home: HomeCommunityId, search: DocumentSearch
) -> StoredQuery:
    """FindDocuments for one patient id, LeafClass, Approved (QTF-814, 815, 820, 821)."""
    statuses = [Availability.APPROVED.value]
    if search.deprecated:
        statuses.append(Availability.DEPRECATED.value)
    types = [DocumentType.STABLE.value]
    if search.on_demand:
        types.append(DocumentType.ON_DEMAND.value)
    parameters: list[tuple[str, tuple[str, ...]]] = [
        ("$XDSDocumentEntryPatientId", (patient_id.cx,)),
        ("$XDSDocumentEntryStatus", tuple(statuses)),
        ("$XDSDocumentEntryType", tuple(types)),
    ]
    if search.until:
        parameters.append(("$XDSDocumentEntryServiceStartTimeTo", (search.until,)))
    if search.since:
        parameters.append(("$XDSDocumentEntryServiceStopTimeFrom", (search.since,)))
    return StoredQuery(
        id=catalogue().named("FindDocuments").id,
        parameters=(*parameters, *search.codes),
        return_type=ReturnType.LEAF_CLASS,
        home=home,
    )


def five_years_before(now: datetime) -> str:
    """The start of the default date range, as an HL7 date (QTF-819)."""
    day = min(now.day, 28)
    return f"{now.year - _FIVE_YEARS:04d}{now.month:02d}{day:02d}"
