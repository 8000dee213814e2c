"""FHIR R4 Patient → demographics (fields of US Core Patient and the two birth extensions)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from node.model import Address, Demographics, PersonName, Telecom
from node.wire import document_codes
from node.wire.document_facts import Note
from node.wire.fhir_values import Json, child, identifier, objects, strings, text
from node.wire.timestamps import parse_date

MAX_REPEATS = 16
_MAIDEN_NAME = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
_BIRTH_PLACE = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
_USES = {"official": "L", "nickname": "P", "anonymous": "A"}
T = TypeVar("T")
_SCHEMES = {"phone": "tel:", "email": "mailto:"}


def read_patient(patient: Json) -> tuple[Demographics, tuple[Note, ...]]:
    """The demographics of a Patient resource and what was wrong with it. Never raises."""
    notes: list[Note] = []
    born = text(patient.get("birthDate"))
    birth_date = parse_date(born) if born else None
    if born and birth_date is None:
        notes.append(Note.BIRTH_DATE_INVALID)
    ids = [identifier(i) for i in objects(patient.get("identifier"))]
    extensions = {
        text(e.get("url")): e for e in objects(patient.get("extension")) if text(e.get("url"))
    }
    maiden = text(extensions.get(_MAIDEN_NAME, {}).get("valueString"))
    birth_place = _address(child(extensions.get(_BIRTH_PLACE), "valueAddress"))
    demographics = Demographics(
        names=_kept(_name(n) for n in objects(patient.get("name"))),
        birth_date=birth_date,
        sex=document_codes.fhir_gender(patient.get("gender")),
        addresses=_kept(_address(a) for a in objects(patient.get("address"))),
        telecoms=_kept(_telecom(t) for t in objects(patient.get("telecom"))),
        identifiers=_kept(ids),
        mothers_maiden_name=PersonName(family=maiden) if maiden else None,
        birth_place=birth_place,
    )
    return demographics, tuple(notes)


def _kept(found: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(x for x in found if x is not None))[:MAX_REPEATS]


def _name(name: Json) -> PersonName | None:
    family, given = text(name.get("family")), strings(name.get("given"))
    if family is None and not given:
        words = (text(name.get("text")) or "").split()
        if not words:
            return None
        family, given = words[-1], tuple(words[:-1])
    return PersonName(
        family=family,
        given=given[:MAX_REPEATS],
        prefix=" ".join(strings(name.get("prefix"))) or None,
        suffix=" ".join(strings(name.get("suffix"))) or None,
        use=_USES.get(str(name.get("use"))),
    )


def _address(address: Json) -> Address | None:
    found = Address(
        lines=strings(address.get("line"))[:MAX_REPEATS],
        city=text(address.get("city")),
        state=text(address.get("state")),
        postal_code=text(address.get("postalCode")),
        country=text(address.get("country")),
    )
    return found if found != Address() else None


def _telecom(telecom: Json) -> Telecom | None:
    value, scheme = text(telecom.get("value")), _SCHEMES.get(str(telecom.get("system")))
    if value is None or scheme is None:
        return None
    return Telecom(value=value if value.startswith(scheme) else scheme + value)
