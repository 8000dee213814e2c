"""The data types of FHIR R4 from the values of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.model import Address, Code, PatientId, PersonName, Telecom
from node.wire import document_codes

Json = dict[str, Any]

URIS = "urn:ietf:rfc:3986"
"""The system of identifiers that are URIs."""

GENDERS = {"M": "male", "F": "female", "UN": "other"}

_DAY, _MINUTE, _SECOND = 8, 12, 14
_TELECOMS = {"tel:": "phone", "mailto:": "email"}


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


def concept(code: Code) -> Json:
    """A CodeableConcept of one code."""
    return {"coding": [coding(code)]}


def coding(code: Code | None) -> Json | None:
    """A Coding, where there is a code."""
    if code is None:
        return None
    return kept(
        {
            "system": document_codes.fhir_uri(code.scheme),
            "code": code.code,
            "display": code.display,
        }
    )


def identifier(patient_id: PatientId) -> Json:
    """An Identifier."""
    return {
        "system": document_codes.fhir_uri(patient_id.assigning_authority),
        "value": patient_id.id,
    }


def name(held: PersonName) -> Json:
    """A HumanName."""
    return kept(
        {
            "family": held.family,
            "given": list(held.given),
            "prefix": [held.prefix] if held.prefix else [],
            "suffix": [held.suffix] if held.suffix else [],
        }
    )


def telecom(held: Telecom) -> Json | None:
    """A ContactPoint, where the scheme is one that FHIR names."""
    for prefix, system in _TELECOMS.items():
        if held.value.startswith(prefix):
            return {"system": system, "value": held.value.removeprefix(prefix)}
    return None


def address(held: Address) -> Json:
    """An Address."""
    return kept(
        {
            "line": list(held.lines),
            "city": held.city,
            "state": held.state,
            "postalCode": held.postal_code,
            "country": held.country,
        }
    )


def readable(person: str) -> str:
    """The name in an XCN: family, given and further names."""
    parts = (person.split("^") + [""] * 4)[1:4]
    return " ".join(p for p in (parts[1], parts[2], parts[0]) if p) or person.strip("^")


def kept(element: Mapping[str, Any]) -> Json:
    """An element without what is empty."""
    return {name: value for name, value in element.items() if value not in (None, [], {}, "")}
