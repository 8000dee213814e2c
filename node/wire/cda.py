"""CDA documents (C-CDA R1.1 and R2.1, C32, unstructured) → what they say about themselves.

Only the header is read, and the body just far enough to know its kind. A document that cannot be
offered under a patient is refused with a reason; anything less is noted on the facts, because a
header with a wrong code still leads to the right person's right document (DESIGN, law 4).

Rules of the mapping: IHE PCC TF-2 4.1.1 (CDA header → XDS metadata), ITI TF-3 4.2.3.2.

Example::

    facts = read_document(path.read_bytes())
    facts.patient.names[0].family, facts.type_code.code
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from lxml import etree

from node.errors import WireError
from node.model import Author, Code
from node.wire import document_codes
from node.wire.cda_elements import (
    attribute,
    code,
    identifiers,
    one,
    person_name,
    plain,
    several,
    xcn,
    xon,
)
from node.wire.cda_patient import read_patient, source_patient_id
from node.wire.document_facts import DocumentFacts, Note
from node.wire.identifiers import is_document_unique_id, is_oid
from node.wire.names import HL7
from node.wire.timestamps import parse_time
from node.wire.xml import DEFAULT_LIMITS, XmlLimits, parse

MIME_TYPE = "text/xml"
_MAX_TITLE = 1024
_DAY_DIGITS = 8
_OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


def read_document(data: bytes, *, limits: XmlLimits = DEFAULT_LIMITS) -> DocumentFacts:
    """Read a CDA document's header.

    Args:
        data: the document's bytes, in any encoding the hardened parser knows.
        limits: what the document may cost.

    Raises:
        LimitError: ``xml-limit``.
        WireError: ``xml-doctype``, ``xml-malformed``; ``cda-not-a-document`` when the root is not a
            ClinicalDocument; ``cda-patient-missing``, ``cda-patient-several``,
            ``cda-patient-unusable``; ``cda-body-invalid`` when an embedded file is not base64.
    """
    root = parse(data, limits=limits)
    if root.tag != f"{{{HL7}}}ClinicalDocument":
        raise WireError("cda-not-a-document", "The XML is not a CDA ClinicalDocument.")
    patient, notes = read_patient(root)
    structured = _read_body(root, notes)
    type_ = _type(root, notes)
    created = _creation_time(root, notes)
    service = _service_time(root, created, notes)
    encounter = one(root, "componentOf/encompassingEncounter")
    custodian = one(root, "custodian/assignedCustodian/representedCustodianOrganization")
    return DocumentFacts(
        patient=patient,
        mime_type=MIME_TYPE,
        source_patient_id=source_patient_id(patient),
        unique_id=_unique_id(root, notes),
        set_id=_root_and_extension(one(root, "setId")),
        version=attribute(one(root, "versionNumber"), "value"),
        type_code=type_,
        class_code=document_codes.class_code(type_) if type_ else None,
        format_code=document_codes.format_code(_templates(root), structured=structured),
        title=plain(one(root, "title"), _MAX_TITLE),
        language=_language(root),
        confidentiality=_confidentiality(root),
        creation_time=created,
        service_start=service.start,
        service_stop=service.stop,
        authors=tuple(a for e in several(root, "author") for a in [_author(e)] if a is not None),
        legal_authenticator=_person(one(root, "legalAuthenticator/assignedEntity")),
        custodian=xon(custodian),
        facility_type=code(one(encounter, "location/healthCareFacility/code")),
        practice_setting=_practice_setting(root),
        event_codes=_event_codes(root),
        notes=tuple(dict.fromkeys(notes)),
    )


def _templates(root: etree._Element) -> list[tuple[str, str | None]]:
    found = ((attribute(t, "root"), attribute(t, "extension")) for t in several(root, "templateId"))
    return [(oid, extension) for oid, extension in found if oid]


def _type(root: etree._Element, notes: list[Note]) -> Code | None:
    found = code(one(root, "code"))
    if found is not None:
        known = document_codes.type_code(found.code, found.display)
        return known if found.scheme == known.scheme else found
    implied = document_codes.template_type(oid for oid, _ in _templates(root))
    notes.append(Note.TYPE_MISSING if implied is None else Note.TYPE_FROM_TEMPLATE)
    return implied


def _language(root: etree._Element) -> str | None:
    value = attribute(one(root, "languageCode"), "code")
    return value if value and _LANGUAGE.fullmatch(value) else None


def _confidentiality(root: etree._Element) -> tuple[Code, ...]:
    elements = several(root, "confidentialityCode")
    found = (
        document_codes.confidentiality(value, attribute(e, "codeSystem"))
        for e in elements
        for value in [attribute(e, "code")]
        if value
    )
    return tuple(dict.fromkeys(found))


def _root_and_extension(element: etree._Element | None) -> str | None:
    """An II as ``root`` or ``root^extension``; a UUID root becomes its OID below 2.25."""
    root, extension = attribute(element, "root"), attribute(element, "extension")
    if root is None:
        return None
    if _UUID.fullmatch(root):
        root = f"2.25.{int(root.replace('-', ''), 16)}"
    if not is_oid(root):
        return None
    return f"{root}^{extension}" if extension else root


def _unique_id(root: etree._Element, notes: list[Note]) -> str | None:
    element = one(root, "id")
    found = _root_and_extension(element)
    if found is not None and is_document_unique_id(found):
        return found
    missing = attribute(element, "root") is None
    notes.append(Note.DOCUMENT_ID_MISSING if missing else Note.DOCUMENT_ID_INVALID)
    return None


def _time(element: etree._Element | None, notes: list[Note], invalid: Note) -> str | None:
    value = attribute(element, "value")
    if value is None:
        return None
    found = parse_time(value)
    if found is None:
        notes.append(invalid)
    elif len(found) > _DAY_DIGITS and not _OFFSET.search(value):
        notes.append(Note.TIME_ZONE_ASSUMED)
    return found


def _creation_time(root: etree._Element, notes: list[Note]) -> str | None:
    """effectiveTime; where there is none, the first author's time; never the time of reading."""
    found = _time(one(root, "effectiveTime"), notes, Note.CREATION_TIME_INVALID)
    if found is None:
        found = _time(one(root, "author/time"), notes, Note.CREATION_TIME_INVALID)
        notes.append(
            Note.CREATION_TIME_MISSING if found is None else Note.CREATION_TIME_FROM_AUTHOR
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Period:
    start: str | None = None
    stop: str | None = None


def _period(element: etree._Element | None, notes: list[Note]) -> _Period:
    point = _time(element, notes, Note.SERVICE_TIME_INVALID)
    low = _time(one(element, "low"), notes, Note.SERVICE_TIME_INVALID)
    high = _time(one(element, "high"), notes, Note.SERVICE_TIME_INVALID)
    return _Period(start=low or point, stop=high or point)


def _service_time(root: etree._Element, created: str | None, notes: list[Note]) -> _Period:
    """Start and stop of the documented care: service event, else encounter, else creation.

    QTF requires both in LeafClass answers (facts: ihe-wire 3.3); an open end is the time of
    writing, because the document says nothing about later care.
    """
    found = _Period()
    for event in several(root, "documentationOf/serviceEvent"):
        found = _period(one(event, "effectiveTime"), notes)
        if found.start or found.stop:
            break
    if not (found.start or found.stop):
        found = _period(one(root, "componentOf/encompassingEncounter/effectiveTime"), notes)
        if found.start or found.stop:
            notes.append(Note.SERVICE_TIME_FROM_ENCOUNTER)
    if not (found.start and found.stop) and created:
        notes.append(Note.SERVICE_TIME_FROM_CREATION)
    # An open end before its start would be no period: a document written before the care it
    # announces (a referral) keeps its start on both sides.
    stop = found.stop or max(filter(None, (created, found.start)), default=None)
    return _Period(start=found.start or found.stop or created, stop=stop)


def _person(entity: etree._Element | None) -> str | None:
    name = one(entity, "assignedPerson/name")
    return xcn(
        person_name(name) if name is not None else None,
        identifiers(entity),
        document_codes.system("npi"),
    )


def _author(author: etree._Element) -> Author | None:
    entity = one(author, "assignedAuthor")
    role = code(one(author, "functionCode"))
    specialty = code(one(entity, "code"))
    institution = xon(one(entity, "representedOrganization"))
    device = plain(one(entity, "assignedAuthoringDevice/softwareName")) or plain(
        one(entity, "assignedAuthoringDevice/manufacturerModelName")
    )
    person = _person(entity) if one(entity, "assignedPerson") is not None else None
    if person is None and device:
        person = "^" + device.replace("^", " ").replace("&", " ")
    if person is None and institution is None:
        return None
    return Author(
        person=person,
        institutions=(institution,) if institution else (),
        roles=tuple(c.display or c.code for c in [role] if c is not None),
        specialties=tuple(c.display or c.code for c in [specialty] if c is not None),
    )


def _practice_setting(root: etree._Element) -> Code | None:
    """Setting of the encounter's place, else of the first performer's organisation."""
    places = (
        "componentOf/encompassingEncounter/location/healthCareFacility/serviceProviderOrganization",
        "documentationOf/serviceEvent/performer/assignedEntity/representedOrganization",
        "author/assignedAuthor/representedOrganization",
    )
    found = (code(one(root, f"{place}/standardIndustryClassCode")) for place in places)
    return next((c for c in found if c is not None), None)


def _event_codes(root: etree._Element) -> tuple[Code, ...]:
    found = [code(one(e, "code")) for e in several(root, "documentationOf/serviceEvent")]
    return tuple(dict.fromkeys(c for c in found if c is not None))


def _read_body(root: etree._Element, notes: list[Note]) -> bool:
    """Whether the body is structured. Raises for an embedded file that is not base64."""
    text = one(root, "component/nonXMLBody/text")
    if one(root, "component/nonXMLBody") is None:
        if one(root, "component/structuredBody") is None:
            notes.append(Note.BODY_MISSING)
        return True
    if one(text, "reference") is not None:
        notes.append(Note.BODY_REFERENCE)
    elif attribute(text, "representation") == "B64":
        content = "".join((text.text or "").split()) if text is not None else ""
        if not _is_base64(content):
            raise WireError("cda-body-invalid", "The embedded file is not valid base64.")
    return False


def _is_base64(content: str) -> bool:
    try:
        return bool(binascii.a2b_base64(content, strict_mode=True))
    except (binascii.Error, ValueError):
        return False
