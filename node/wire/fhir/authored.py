"""Resources that we author ourselves: documents and people that came as C-CDA.

A C-CDA document is served as a DocumentReference whose attachment is a Binary, and its person,
where no FHIR system gave one, as a Patient. Sources: IHE MHD 4.2 (DocumentEntry mapping), US Core
6.1 (DocumentReference, Patient); facts fhir-and-udap 3.1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from node.model import Address, Code, Demographics, DocumentEntry, PatientId, PersonName, Telecom
from node.wire import document_codes

Json = dict[str, Any]

_CLINICAL_NOTE = {
    "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
    "code": "clinical-note",
    "display": "Clinical Note",
}
_URIS = "urn:ietf:rfc:3986"
_DAY, _MINUTE, _SECOND = 8, 12, 14
_GENDERS = {"M": "male", "F": "female", "UN": "other"}
_TELECOMS = {"tel:": "phone", "mailto:": "email"}


def document_id(entry: DocumentEntry) -> str:
    """The id of a document's DocumentReference and Binary, the same on every load."""
    names = (entry.home_community_id or "", entry.repository_unique_id, entry.unique_id)
    return hashlib.sha256("|".join(names).encode()).hexdigest()


def document_reference(entry: DocumentEntry, patient: str) -> Json:
    """A DocumentEntry as a DocumentReference about ``Patient/{patient}``."""
    made = document_id(entry)
    categories = [{"coding": [_CLINICAL_NOTE]}]
    if entry.class_code is not None:
        categories.append(_concept(entry.class_code))
    context = _kept(
        {
            "event": [_concept(code) for code in entry.event_codes],
            "period": _kept(
                {"start": fhir_time(entry.service_start), "end": fhir_time(entry.service_stop)}
            ),
            "facilityType": entry.facility_type and _concept(entry.facility_type),
            "practiceSetting": entry.practice_setting and _concept(entry.practice_setting),
        }
    )
    authors = [author.person for author in entry.authors if author.person]
    return _kept(
        {
            "resourceType": "DocumentReference",
            "id": made,
            "masterIdentifier": {"system": _URIS, "value": f"urn:oid:{entry.unique_id}"},
            "identifier": [{"system": _URIS, "value": entry.entry_uuid}],
            "status": "current",
            "type": _concept(entry.type_code) if entry.type_code else {"text": "unknown"},
            "category": categories,
            "subject": {"reference": f"Patient/{patient}"},
            "date": fhir_time(entry.creation_time, is_instant=True),
            "author": [{"display": _readable(person)} for person in authors],
            "securityLabel": [_concept(code) for code in entry.confidentiality],
            "content": [
                _kept(
                    {"attachment": _attachment(entry, made), "format": _coding(entry.format_code)}
                )
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
    return _kept(
        {
            "resourceType": "Patient",
            "id": local_id,
            "identifier": [_identifier(each) for each in identifiers],
            "name": [_name(name) for name in known.names],
            "telecom": [found for t in known.telecoms if (found := _telecom(t))],
            "gender": _GENDERS.get(known.sex or ""),
            "birthDate": fhir_time((known.birth_date or "")[:_DAY]),
            "address": [_address(address) for address in known.addresses],
        }
    )


def fhir_time(digits: str | None, *, is_instant: bool = False) -> str | None:
    """A timestamp of the model as a dateTime; an instant needs the minute at least.

    FHIR has no time of hour precision: such a one becomes its date.
    """
    if not digits:
        return None
    if len(digits) >= _MINUTE:
        whole = digits[:_SECOND].ljust(_SECOND, "0")
        day, clock = whole[:_DAY], whole[_DAY:]
        date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        return f"{date}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"
    if is_instant:
        return None
    return "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part)


def _attachment(entry: DocumentEntry, made: str) -> Json:
    return _kept(
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


def _concept(code: Code) -> Json:
    return {"coding": [_coding(code)]}


def _coding(code: Code | None) -> Json | None:
    if code is None:
        return None
    return _kept(
        {
            "system": document_codes.fhir_uri(code.scheme),
            "code": code.code,
            "display": code.display,
        }
    )


def _identifier(patient_id: PatientId) -> Json:
    return {
        "system": document_codes.fhir_uri(patient_id.assigning_authority),
        "value": patient_id.id,
    }


def _name(name: PersonName) -> Json:
    return _kept(
        {
            "family": name.family,
            "given": list(name.given),
            "prefix": [name.prefix] if name.prefix else [],
            "suffix": [name.suffix] if name.suffix else [],
        }
    )


def _telecom(telecom: Telecom) -> Json | None:
    for prefix, system in _TELECOMS.items():
        if telecom.value.startswith(prefix):
            return {"system": system, "value": telecom.value.removeprefix(prefix)}
    return None


def _address(address: Address) -> Json:
    return _kept(
        {
            "line": list(address.lines),
            "city": address.city,
            "state": address.state,
            "postalCode": address.postal_code,
            "country": address.country,
        }
    )


def _readable(person: str) -> str:
    """The name in an XCN: family, given and further names."""
    parts = (person.split("^") + [""] * 4)[1:4]
    return " ".join(p for p in (parts[1], parts[2], parts[0]) if p) or person.strip("^")


def _kept(element: Mapping[str, Any]) -> Json:
    return {name: value for name, value in element.items() if value not in (None, [], {}, "")}
