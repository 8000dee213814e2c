"""Resources that we author ourselves: documents and people that came as C-CDA.

A C-CDA document is served as a DocumentReference whose attachment is a Binary, and its person,
where no FHIR system gave one, as a Patient. Sources: IHE MHD 4.2 (DocumentEntry mapping), US Core
6.1 (DocumentReference, Patient); facts fhir-and-udap 3.1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

import orjson

from node.model import Demographics, DocumentEntry, PatientId
from node.wire.fhir.elements import (
    GENDERS,
    URIS,
    Json,
    address,
    coding,
    concept,
    fhir_time,
    identifier,
    kept,
    name,
    readable,
    telecom,
)

_CLINICAL_NOTE = {
    "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
    "code": "clinical-note",
    "display": "Clinical Note",
}
_DAY = 8


def document_id(entry: DocumentEntry) -> str:
    """The id of a document's DocumentReference and Binary, the same on every load."""
    names = (entry.home_community_id or "", entry.repository_unique_id, entry.unique_id)
    return hashlib.sha256("|".join(names).encode()).hexdigest()


def document_reference(entry: DocumentEntry, patient: str) -> Json:
    """A DocumentEntry as a DocumentReference about ``Patient/{patient}``."""
    made = document_id(entry)
    categories = [{"coding": [_CLINICAL_NOTE]}]
    if entry.class_code is not None:
        categories.append(concept(entry.class_code))
    context = kept(
        {
            "event": [concept(code) for code in entry.event_codes],
            "period": kept(
                {"start": fhir_time(entry.service_start), "end": fhir_time(entry.service_stop)}
            ),
            "facilityType": entry.facility_type and concept(entry.facility_type),
            "practiceSetting": entry.practice_setting and concept(entry.practice_setting),
        }
    )
    authors = [author.person for author in entry.authors if author.person]
    return kept(
        {
            "resourceType": "DocumentReference",
            "id": made,
            "masterIdentifier": {"system": URIS, "value": f"urn:oid:{entry.unique_id}"},
            "identifier": [{"system": URIS, "value": entry.entry_uuid}],
            "status": "current",
            "type": concept(entry.type_code) if entry.type_code else {"text": "unknown"},
            "category": categories,
            "subject": {"reference": f"Patient/{patient}"},
            "date": fhir_time(entry.creation_time, is_instant=True),
            "author": [{"display": readable(person)} for person in authors],
            "securityLabel": [concept(code) for code in entry.confidentiality],
            "content": [
                kept({"attachment": _attachment(entry, made), "format": coding(entry.format_code)})
            ],
            "context": context,
        }
    )


def binary_head(entry: DocumentEntry) -> bytes:
    """A document's Binary without its data."""
    head = {
        "resourceType": "Binary",
        "id": document_id(entry),
        "contentType": entry.mime_type,
        "securityContext": {"reference": f"DocumentReference/{document_id(entry)}"},
    }
    return orjson.dumps(head)


def with_data(head: bytes, content: bytes) -> bytes:
    """A Binary with its data."""
    return b'%b,"data":"%b"}' % (head[:-1], binascii.b2a_base64(content, newline=False))


def patient_resource(
    local_id: str | None,
    known: Demographics,
    own: PatientId | None,
    further: Sequence[PatientId] = (),
) -> Json:
    """A person as a Patient; ``own`` is the id that we gave, who has none is asked about."""
    identifiers = dict.fromkeys((*((own,) if own else ()), *known.identifiers, *further))
    return kept(
        {
            "resourceType": "Patient",
            "id": local_id,
            "identifier": [identifier(each) for each in identifiers],
            "name": [name(each) for each in known.names],
            "telecom": [found for t in known.telecoms if (found := telecom(t))],
            "gender": GENDERS.get(known.sex or ""),
            "birthDate": fhir_time((known.birth_date or "")[:_DAY]),
            "address": [address(each) for each in known.addresses],
        }
    )


def _attachment(entry: DocumentEntry, made: str) -> Json:
    return kept(
        {
            "contentType": entry.mime_type,
            "language": entry.language,
            "url": f"Binary/{made}",
            "size": entry.size,
            "hash": base64.b64encode(bytes.fromhex(entry.hash)).decode() if entry.hash else None,
            "title": entry.title,
            "creation": fhir_time(entry.creation_time),
        }
    )
