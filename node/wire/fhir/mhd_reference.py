"""A DocumentEntry of the network as a DocumentReference (IHE MHD 4.2, XDS on FHIR; facts 3.1).

It claims the profile Comprehensive where the community's metadata has all that it demands, else
Minimal. Not mapped: associations (a query of FindDocuments gives none), objectType, custodian.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import orjson

from node.model import Availability, DocumentEntry, DocumentType, HomeCommunityId
from node.wire.fhir.authored import document_id
from node.wire.fhir.contained import (
    Contained,
    contained_author,
    contained_patient,
    contained_person,
)
from node.wire.fhir.elements import URIS, Json, coding, concept, fhir_time, identifier, kept
from node.wire.identifiers import is_oid

_DEFINITIONS: Final = "https://profiles.ihe.net/ITI/MHD/StructureDefinition"
COMPREHENSIVE: Final = f"{_DEFINITIONS}/IHE.MHD.Comprehensive.DocumentReference"
MINIMAL: Final = f"{_DEFINITIONS}/IHE.MHD.Minimal.DocumentReference"
HOME: Final = f"{_DEFINITIONS}/ihe-HomeCommunityId"
DUPLICATE: Final = {
    "system": "urn:tefca-node:tag",
    "code": "duplicate",
    "display": "Another community names the same document",
}
_ENCOUNTER = "urn:ihe:iti:xds:2015:encounterId"
_SHA1_DIGITS = 40


def network_reference(
    entry: DocumentEntry,
    *,
    home: HomeCommunityId,
    patient: str,
    url: str,
    is_duplicate: bool = False,
) -> bytes:
    """The DocumentReference.

    Args:
        entry: the metadata as the community gave it.
        home: the community.
        patient: id of the network patient whom it was asked for.
        url: where the document can be had.
        is_duplicate: whether another community names the same document.
    """
    held = Contained()
    authors = [
        {"reference": ref} for each in entry.authors if (ref := contained_author(each, held))
    ]
    signer = entry.legal_authenticator
    authenticator = contained_person(signer, held) if signer else None
    source = contained_patient(entry.source_patient_info, entry.source_patient_id, held)
    made: Json = {
        "resourceType": "DocumentReference",
        "id": document_id(entry),
        "meta": {"source": home},
        "contained": held.resources,
        "extension": [{"url": HOME, "valueOid": home}],
        "masterIdentifier": _master(entry),
        "identifier": [
            {"use": "official", "system": URIS, "value": value}
            for value in [_uuid(entry.entry_uuid)]
            if value is not None
        ],
        "status": "current" if entry.status is Availability.APPROVED else "superseded",
        "type": entry.type_code and concept(entry.type_code),
        "category": [concept(entry.class_code)] if entry.class_code else [],
        "subject": kept(
            {
                "reference": f"Patient/{patient}",
                "identifier": entry.patient_id and identifier(entry.patient_id),
            }
        ),
        "date": fhir_time(entry.creation_time, is_instant=True),
        "author": authors,
        "authenticator": {"reference": authenticator} if authenticator else None,
        "description": entry.comments,
        "securityLabel": [concept(code) for code in entry.confidentiality],
        "content": [
            kept({"attachment": _attachment(entry, url), "format": coding(entry.format_code)})
        ],
        "context": _context(entry, source),
    }
    made = kept(made)
    made["meta"]["profile"] = [COMPREHENSIVE if _is_comprehensive(made) else MINIMAL]
    if is_duplicate:
        made["meta"]["tag"] = [DUPLICATE]
    return orjson.dumps(made)


def _attachment(entry: DocumentEntry, url: str) -> Json:
    stable = entry.type is DocumentType.STABLE
    return kept(
        {
            "contentType": entry.mime_type,
            "language": entry.language,
            "url": url,
            # an on-demand document is made when it is fetched: it has neither
            "size": entry.size if stable else None,
            "hash": _hash(entry.hash) if stable else None,
            "title": entry.title,
            "creation": fhir_time(entry.creation_time),
        }
    )


def _hash(digits: str | None) -> str | None:
    """The bytes of a SHA-1 in base64; what is no SHA-1 says nothing."""
    if digits is None or len(digits) != _SHA1_DIGITS:
        return None
    try:
        return base64.b64encode(binascii.unhexlify(digits)).decode()
    except binascii.Error:
        return None


def _master(entry: DocumentEntry) -> Json:
    """The uniqueId: an OID, a UUID, ``oid^extension``, or what the repository made up."""
    name = entry.unique_id
    oid, sign, extension = name.partition("^")
    if is_oid(name):
        system, value = URIS, f"urn:oid:{name}"
    elif name.startswith("urn:"):
        system, value = URIS, name
    elif sign and extension and is_oid(oid):
        system, value = f"urn:oid:{oid}", extension
    else:
        system, value = f"urn:oid:{entry.repository_unique_id}", name
    return {"use": "usual", "system": system, "value": value}


def _uuid(text: str) -> str | None:
    if not text:
        return None
    return text if text.startswith("urn:") else f"urn:uuid:{text}"


def _context(entry: DocumentEntry, source: str | None) -> Json:
    encounters: list[Json] = []
    related: list[Json] = []
    for reference in entry.reference_ids:
        parts = [*reference.split("^"), "", "", "", "", ""]
        authority = [*parts[3].split("&"), "", ""][1]
        named = kept({"system": f"urn:oid:{authority}" if authority else URIS, "value": parts[0]})
        (encounters if parts[4] == _ENCOUNTER else related).append({"identifier": named})
    found: Mapping[str, Any] = {
        "encounter": encounters,
        "event": [concept(code) for code in entry.event_codes],
        "period": kept(
            {"start": fhir_time(entry.service_start), "end": fhir_time(entry.service_stop)}
        ),
        "facilityType": entry.facility_type and concept(entry.facility_type),
        "practiceSetting": entry.practice_setting and concept(entry.practice_setting),
        "sourcePatientInfo": kept(
            {
                "reference": source,
                "identifier": entry.source_patient_id and identifier(entry.source_patient_id),
            }
        ),
        "related": related,
    }
    return kept(found)


def _is_comprehensive(made: Json) -> bool:
    content = made["content"][0]
    context = made.get("context", {})
    return (
        {"type", "category", "subject", "securityLabel"} <= made.keys()
        and {"language", "creation"} <= content["attachment"].keys()
        and "format" in content
        and {"facilityType", "practiceSetting", "sourcePatientInfo"} <= context.keys()
    )
