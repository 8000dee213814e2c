"""A document's header as a person reads it: who it is about, who wrote it, who keeps it, when."""

from __future__ import annotations

from lxml import etree

from node.wire.cda_elements import attribute, one, person_name, plain, several
from node.wire.reader.characters import seen
from node.wire.reader.document import Encounter, PrintedPatient
from node.wire.timestamps import parse_date, parse_time

_MAX_TITLE = 300


def title(root: etree._Element) -> str | None:
    """The document's title, else the name of its type."""
    found = plain(one(root, "title"), _MAX_TITLE) or attribute(one(root, "code"), "displayName")
    return _seen(found)


def patients(root: etree._Element) -> tuple[PrintedPatient, ...]:
    """Everybody whom the document names as its subject."""
    found = []
    for role in several(root, "recordTarget/patientRole"):
        patient = one(role, "patient")
        birth = attribute(one(patient, "birthTime"), "value")
        sex = one(patient, "administrativeGenderCode")
        found.append(
            PrintedPatient(
                name=_name(one(patient, "name")),
                birth_date=parse_date(birth) if birth else None,
                sex=_seen(attribute(sex, "displayName") or attribute(sex, "code")),
            )
        )
    return tuple(dict.fromkeys(found))


def authors(root: etree._Element) -> tuple[str, ...]:
    """People, devices and organisations that wrote it, each as one line."""
    found = []
    for author in several(root, "author/assignedAuthor"):
        device = one(author, "assignedAuthoringDevice")
        who = (
            _name(one(author, "assignedPerson/name"))
            or plain(one(device, "softwareName"))
            or plain(one(device, "manufacturerModelName"))
        )
        place = plain(one(author, "representedOrganization/name"))
        line = ", ".join(part for part in (who, place) if part)
        if line:
            found.append(_seen(line) or "")
    return tuple(dict.fromkeys(found))


def custodian(root: etree._Element) -> str | None:
    """The organisation that keeps the document."""
    path = "custodian/assignedCustodian/representedCustodianOrganization/name"
    return _seen(plain(one(root, path)))


def created(root: etree._Element) -> str | None:
    """When the document was made, as digits in UTC with their own precision."""
    return _time(one(root, "effectiveTime"))


def encounter(root: etree._Element) -> Encounter | None:
    """The visit that the document is about."""
    found = one(root, "componentOf/encompassingEncounter")
    if found is None:
        return None
    code, when = one(found, "code"), one(found, "effectiveTime")
    place = one(found, "location/healthCareFacility/location/name")
    if place is None:
        place = one(found, "location/healthCareFacility/serviceProviderOrganization/name")
    made = Encounter(
        kind=_seen(attribute(code, "displayName") or plain(one(code, "originalText"))),
        place=_seen(plain(place)),
        start=_time(one(when, "low")) or _time(when),
        stop=_time(one(when, "high")),
    )
    return None if made == Encounter() else made


def _name(element: etree._Element | None) -> str | None:
    if element is None:
        return None
    name = person_name(element)
    if name is None:
        return _seen(plain(element))
    parts = (name.prefix, *name.given, name.family, name.suffix)
    return _seen(" ".join(part for part in parts if part))


def _time(element: etree._Element | None) -> str | None:
    value = attribute(element, "value")
    return parse_time(value) if value else None


def _seen(text: str | None) -> str | None:
    return seen(text)[0] or None if text else None
