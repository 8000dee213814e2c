"""The person a CDA document is about: ``recordTarget`` as demographics (CDA R2 4.2.2.11)."""

from __future__ import annotations

from lxml import etree

from node.errors import WireError
from node.model import Demographics, PatientId
from node.wire import document_codes
from node.wire.cda_elements import (
    address,
    attribute,
    code,
    identifiers,
    one,
    person_name,
    several,
    telecom,
)
from node.wire.document_facts import Note
from node.wire.timestamps import parse_date

_SEXES = frozenset({"M", "F", "UN"})


def read_patient(document: etree._Element) -> tuple[Demographics, list[Note]]:
    """The person of a document and what was wrong in the header.

    Raises:
        WireError: ``cda-patient-missing`` without a recordTarget, ``cda-patient-several`` when the
            document is about different people, ``cda-patient-unusable`` without a name.
    """
    targets = several(document, "recordTarget")
    if not targets:
        raise WireError("cda-patient-missing", "The document names no patient (recordTarget).")
    notes: list[Note] = []
    people = [_person(target, notes) for target in targets]
    first = people[0]
    if any(_differ(first, other) for other in people[1:]):
        raise WireError("cda-patient-several", "The document is about more than one person.")
    if not first.names:
        raise WireError("cda-patient-unusable", "The document's patient has no name.")
    return first, notes


def source_patient_id(patient: Demographics) -> PatientId | None:
    """The id the author's system uses: the first that is not a social security number."""
    ssn = document_codes.system("ssn")
    return next((i for i in patient.identifiers if i.assigning_authority != ssn), None)


def _differ(one_: Demographics, other: Demographics) -> bool:
    return one_.names[:1] != other.names[:1] or one_.birth_date != other.birth_date


def _person(target: etree._Element, notes: list[Note]) -> Demographics:
    role = one(target, "patientRole")
    patient = one(role, "patient")
    names = tuple(n for e in several(patient, "name") for n in [person_name(e)] if n is not None)
    if any(len(e) == 0 and (e.text or "").strip() for e in several(patient, "name")):
        notes.append(Note.NAME_UNSTRUCTURED)
    ids = identifiers(role)
    if not ids:
        known = several(role, "id")
        notes.append(Note.PATIENT_ID_INVALID if known else Note.PATIENT_ID_MISSING)
    places = several(patient, "birthplace/place/addr")
    return Demographics(
        names=names,
        birth_date=_birth_date(patient, notes),
        sex=_sex(patient, notes),
        addresses=tuple(a for e in several(role, "addr") for a in [address(e)] if a is not None),
        telecoms=tuple(t for e in several(role, "telecom") for t in [telecom(e)] if t is not None),
        identifiers=ids,
        birth_place=next((a for e in places for a in [address(e)] if a is not None), None),
    )


def _birth_date(patient: etree._Element | None, notes: list[Note]) -> str | None:
    value = attribute(one(patient, "birthTime"), "value")
    if value is None:
        return None
    found = parse_date(value)
    if found is None:
        notes.append(Note.BIRTH_DATE_INVALID)
    return found


def _sex(patient: etree._Element | None, notes: list[Note]) -> str | None:
    element = one(patient, "administrativeGenderCode")
    found = code(element)
    if found is None:
        return None
    if found.code in _SEXES and found.scheme == document_codes.system("gender"):
        return found.code
    notes.append(Note.SEX_INVALID)
    return None
