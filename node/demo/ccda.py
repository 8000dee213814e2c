"""Writes C-CDA R2.1 documents about made-up people: header, sections with tables, coded entries.

The same inputs give the same bytes: every id is derived from the document's own, and all times
come from its description. Templates and codes are in ``data/ccda.toml``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from xml.etree import ElementTree as ET

from node.demo.ccda_entries import Row, Writer, add, coded, write_entries
from node.demo.people import Clinician, Organisation, Person, read_table

_NAMESPACES = {
    "xmlns": "urn:hl7-org:v3",
    "xmlns:sdtc": "urn:hl7-org:sdtc",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_MORNING, _AFTERNOON = 9, 16
_OFFICE = ("1 Sample Square", "Madison", "WI", "53703")
_TELEPHONE = "tel:+1-608-555-0100"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section: paragraphs, or rows of a table with a coded entry for each coded row."""

    kind: str
    text: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a document says. ``start`` and ``stop`` are the care it is about, aware and UTC.

    ``patient_number`` is the person's number at the author's organisation, which is the custodian.
    ``facility`` is a code of HSLOC with its text.
    """

    key: str
    kind: str
    title: str
    person: Person
    patient_number: str
    author: Clinician
    organisation: Organisation
    start: datetime
    stop: datetime
    facility: tuple[str, str]
    sections: tuple[Section, ...]

    @property
    def unique_id(self) -> tuple[str, str]:
        """Root and extension of the document's id."""
        return f"{self.organisation.oid}.6", f"{self.key}-{self.stop:%Y%m%d}"


def care_times(now: datetime, *, days_ago: int, stay: int) -> tuple[datetime, datetime]:
    """Start and stop of care that ended so many days before ``now`` and took ``stay`` days."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)
    start = day - timedelta(days=stay) + timedelta(hours=_MORNING)
    return start, day + timedelta(hours=_AFTERNOON)


@lru_cache
def _templates() -> dict[str, Any]:
    return read_table("ccda")


def write_document(document: Document) -> bytes:
    """The document as UTF-8 XML.

    Raises:
        KeyError: for a kind of document or section that ``data/ccda.toml`` does not have.
    """
    templates = _templates()
    kind = templates["document"][document.kind]
    systems: dict[str, str] = templates["systems"]
    root = ET.Element("ClinicalDocument", _NAMESPACES)
    writer = Writer(
        templates=templates,
        seed=uuid5(NAMESPACE_OID, "^".join(document.unique_id)),
        at=_stamp(document.stop),
    )
    add(root, "realmCode", code="US")
    extension = templates["header"]["type_extension"]
    add(root, "typeId", root=systems["type_id"], extension=extension)
    writer.template(root, templates["header"]["template"])
    writer.template(root, kind["template"])
    oid, name = document.unique_id
    add(root, "id", root=oid, extension=name)
    coded(root, "code", kind["code"], systems["loinc"], kind["display"])
    add(root, "title").text = document.title
    # signed an hour after the care it is about
    written = _stamp(document.stop + timedelta(hours=1))
    add(root, "effectiveTime", value=written)
    coded(root, "confidentialityCode", "N", systems["confidentiality"], "normal")
    add(root, "languageCode", code="en-US")
    add(root, "setId", root=f"{oid}.1", extension=name)
    add(root, "versionNumber", value="1")
    _record_target(root, document, systems)
    _author(root, document, systems, written)
    _custodian(root, document)
    _authenticator(root, document, written)
    _service(root, document)
    _encounter(root, document, systems)
    body = add(add(root, "component"), "structuredBody")
    for section in document.sections:
        _section(body, section, writer)
    ET.indent(root, space=" ")
    written_out: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written_out


# --- header -------------------------------------------------------------------------------------


def _record_target(root: ET.Element, document: Document, systems: dict[str, str]) -> None:
    person = document.person
    role = add(add(root, "recordTarget"), "patientRole")
    authority = document.organisation.numbers_authority
    add(role, "id", root=authority, extension=document.patient_number)
    _address(role, (person.street, person.city, person.state, person.postal_code), use="HP")
    add(role, "telecom", value=f"tel:{person.telephone}", use="HP")
    patient = add(role, "patient")
    _name(patient, person.given, person.family, use="L")
    words = {"F": "Female", "M": "Male"}
    gender = words.get(person.sex, "Undifferentiated")
    coded(patient, "administrativeGenderCode", person.sex, systems["gender"], gender)
    add(patient, "birthTime", value=person.birth_date)
    provider = add(role, "providerOrganization")
    _organisation(provider, document.organisation)


def _author(root: ET.Element, document: Document, systems: dict[str, str], written: str) -> None:
    author = add(root, "author")
    add(author, "time", value=written)
    entity = add(author, "assignedAuthor")
    _clinician(entity, document)
    code, display = document.author.taxonomy
    coded(entity, "code", code, systems["taxonomy"], display)
    _work(entity)
    _name(add(entity, "assignedPerson"), (document.author.given,), document.author.family)
    _organisation(add(entity, "representedOrganization"), document.organisation)


def _custodian(root: ET.Element, document: Document) -> None:
    entity = add(add(root, "custodian"), "assignedCustodian")
    held = add(entity, "representedCustodianOrganization")
    _organisation(held, document.organisation)


def _authenticator(root: ET.Element, document: Document, written: str) -> None:
    signer = add(root, "legalAuthenticator")
    add(signer, "time", value=written)
    add(signer, "signatureCode", code="S")
    entity = add(signer, "assignedEntity")
    _clinician(entity, document)
    _work(entity)
    _name(add(entity, "assignedPerson"), (document.author.given,), document.author.family)


def _service(root: ET.Element, document: Document) -> None:
    event = add(add(root, "documentationOf"), "serviceEvent", classCode="PCPR")
    _period(event, document)
    performer = add(event, "performer", typeCode="PRF")
    entity = add(performer, "assignedEntity")
    _clinician(entity, document)
    _name(add(entity, "assignedPerson"), (document.author.given,), document.author.family)


def _encounter(root: ET.Element, document: Document, systems: dict[str, str]) -> None:
    encounter = add(add(root, "componentOf"), "encompassingEncounter")
    oid, name = document.unique_id
    add(encounter, "id", root=f"{oid}.2", extension=name)
    inpatient = document.start.date() != document.stop.date()
    code, display = ("IMP", "inpatient encounter") if inpatient else ("AMB", "ambulatory")
    coded(encounter, "code", code, systems["act_code"], display)
    _period(encounter, document)
    place = add(add(encounter, "location"), "healthCareFacility")
    code, display = document.facility
    coded(place, "code", code, systems["facility"], display)
    _organisation(add(place, "serviceProviderOrganization"), document.organisation)


def _period(parent: ET.Element, document: Document) -> None:
    time = add(parent, "effectiveTime")
    add(time, "low", value=_stamp(document.start))
    add(time, "high", value=_stamp(document.stop))


def _clinician(entity: ET.Element, document: Document) -> None:
    # no NPI: every ten digits with a right check digit may be somebody's
    add(entity, "id", root=f"{document.organisation.oid}.7", extension=document.author.key)


def _organisation(parent: ET.Element, organisation: Organisation) -> None:
    add(parent, "id", root=organisation.oid)
    add(parent, "name").text = organisation.name
    add(parent, "telecom", value=_TELEPHONE, use="WP")
    _address(parent, _OFFICE, use="WP")


def _work(parent: ET.Element) -> None:
    _address(parent, _OFFICE, use="WP")
    add(parent, "telecom", value=_TELEPHONE, use="WP")


def _address(parent: ET.Element, parts: tuple[str, str, str, str], *, use: str) -> None:
    element = add(parent, "addr", use=use)
    street, city, state, postal_code = parts
    add(element, "streetAddressLine").text = street
    add(element, "city").text = city
    add(element, "state").text = state
    add(element, "postalCode").text = postal_code
    add(element, "country").text = "US"


def _name(parent: ET.Element, given: Iterable[str], family: str, *, use: str | None = None) -> None:
    element = add(parent, "name", **({"use": use} if use else {}))
    for name in given:
        add(element, "given").text = name
    add(element, "family").text = family


def _stamp(instant: datetime) -> str:
    return instant.strftime("%Y%m%d%H%M%S+0000")


# --- body ---------------------------------------------------------------------------------------


def _section(body: ET.Element, section: Section, writer: Writer) -> None:
    kind = writer.templates["section"][section.kind]
    element = add(add(body, "component"), "section")
    writer.template(element, kind["template"])
    coded(element, "code", kind["code"], writer.systems["loinc"], kind["title"])
    add(element, "title").text = kind["title"]
    text = add(element, "text")
    for paragraph in section.text:
        add(text, "paragraph").text = paragraph
    if section.rows:
        _table(text, section, kind["columns"])
        write_entries(element, section.kind, kind.get("entry"), section.rows, writer)


def _table(text: ET.Element, section: Section, columns: list[str]) -> None:
    table = add(text, "table", border="1", width="100%")
    head = add(add(table, "thead"), "tr")
    for column in columns:
        add(head, "th").text = column
    rows = add(table, "tbody")
    for number, row in enumerate(section.rows, start=1):
        line = add(rows, "tr", ID=f"{section.kind}-{number}")
        for cell in row.cells:
            add(line, "td").text = cell
