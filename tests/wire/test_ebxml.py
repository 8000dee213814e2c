from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree
from strategies import document_entries

from node.errors import LimitError, OurFault, WireError
from node.model import Author, Availability, Code, DocumentEntry, DocumentType, PatientId
from node.wire.deviations import ContentDeviation as D
from node.wire.deviations import Deviations
from node.wire.document_entry import parse_document_entry
from node.wire.ebxml import registry_terms, rim
from node.wire.extrinsic_object import document_entry_text
from node.wire.names import RIM
from node.wire.xml import parse, serialize

HOME = "urn:oid:2.999.1"
UUID = "urn:uuid:00000000-0000-4000-8000-000000000001"
LOINC = "2.16.840.1.113883.6.1"
ENTRY = DocumentEntry(
    entry_uuid=UUID,
    unique_id="2.999.5^1",
    repository_unique_id="2.999.6",
    home_community_id=HOME,
    patient_id=PatientId(assigning_authority="2.999.7", id="77"),
    class_code=Code(code="34133-9", scheme=LOINC, display="Summary"),
    type_code=Code(code="34133-9", scheme=LOINC, display="Summary"),
    format_code=Code(code="urn:hl7-org:sdwg:ccda-structuredBody:2.1", scheme="2.999.8"),
    confidentiality=(
        Code(code="N", scheme="2.16.840.1.113883.5.25"),
        Code(code="R", scheme="2.16.840.1.113883.5.25"),
    ),
    facility_type=Code(code="1", scheme="2.16.840.1.113883.6.96"),
    practice_setting=Code(code="394802001", scheme="2.16.840.1.113883.6.96"),
    event_codes=(Code(code="e", scheme="s"),),
    authors=(
        Author(person="1^Doe^Jane", institutions=("Clinic^^^^^&2.999&ISO^^^^1",), roles=("r",)),
        Author(institutions=("Device maker",)),
    ),
    title="A & B <summary>",
    comments="none",
    language="en-US",
    creation_time="20260101120000",
    service_start="20251231",
    service_stop="20260101",
    hash="be56ce49a2a021c5c88bd4a3eef617ce5b94e002",
    size=1234,
    source_patient_id=PatientId(assigning_authority="2.999.9", id="s1"),
    source_patient_info=("PID-5|Doe^Ann",),
    legal_authenticator="2^Roe^Max",
    uri="https://x.example/" + "a" * 300,
    document_availability="urn:ihe:iti:2010:DocumentAvailability:Online",
    reference_ids=("a^^^&2.999&ISO^urn:ihe:iti:xds:2013:uniqueId",),
    logical_id=UUID,
    version="1",
    extra_slots=(("urn:x:slot", ("v1", "v2")),),
)


def built(entry=ENTRY, home=HOME):
    written = document_entry_text(entry, home=home)
    return parse(
        f'<rim:RegistryObjectList xmlns:rim="{RIM}">{written}</rim:RegistryObjectList>'.encode()
    )[0]


def read(element):
    deviations = Deviations()
    return parse_document_entry(element, deviations), set(deviations.seen())


def slot(element, name):
    return next(child for child in element if child.get("name") == name)


def set_slot(name, *values):
    def edit(element):
        value_list = slot(element, name)[0]
        for child in list(value_list):
            value_list.remove(child)
        for value in values:
            etree.SubElement(value_list, rim("Value")).text = value

    return edit


def drop_slot(name):
    return lambda element: element.remove(slot(element, name))


def classification(element, attribute):
    scheme = registry_terms().schemes[attribute]
    return next(child for child in element if child.get("classificationScheme") == scheme)


def identifier(element, attribute):
    scheme = registry_terms().identifications[attribute][0]
    return next(child for child in element if child.get("identificationScheme") == scheme)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(document_entries)
def test_an_entry_is_read_as_it_was_built(entry):
    parsed, deviations = read(built(entry))
    assert parsed == entry
    assert deviations <= {D.UNIQUE_ID_FORM}


def test_every_attribute_of_the_model_survives():
    parsed, deviations = read(built())
    assert parsed == ENTRY
    assert deviations == set()


def test_children_stand_in_schema_order_and_every_part_has_an_id():
    element = built()
    names = [etree.QName(child).localname for child in element]
    order = ["Slot", "Name", "Description", "VersionInfo", "Classification", "ExternalIdentifier"]
    assert names == sorted(names, key=order.index)
    assert set(names) == set(order)
    parts = [child for child in element if child.get("id")]
    ids = [child.get("id") for child in parts]
    assert len(parts) == names.count("Classification") + names.count("ExternalIdentifier")
    assert len(set(ids)) == len(ids)
    assert all(part.startswith("urn:uuid:") for part in ids)
    for part in parts:
        assert UUID in (part.get("classifiedObject"), part.get("registryObject"))
    names = {
        child.get("identificationScheme"): child[0][0].get("value")
        for child in element.iterchildren(rim("ExternalIdentifier"))
    }
    assert sorted(names.values()) == ["XDSDocumentEntry.patientId", "XDSDocumentEntry.uniqueId"]


def test_building_is_deterministic():
    assert serialize(built()) == serialize(built())


def test_the_gateways_home_stands_on_an_entry_that_has_none():
    assert built(replace(ENTRY, home_community_id=None)).get("home") == HOME


def test_a_long_uri_travels_in_pieces_of_128():
    values = [child.text for child in slot(built(), "URI")[0]]
    assert len(values) == 3
    assert all(len(value) <= 128 for value in values)
    assert values[1].startswith("2|")


AWKWARD = "a<b>&\"c'd]]>\u0085\u00e9\U0001f600"


@pytest.mark.parametrize(
    "changes",
    [
        {"title": AWKWARD},
        {"mime_type": AWKWARD},
        {"logical_id": AWKWARD},
        {"version": AWKWARD},
        {"unique_id": AWKWARD},
        {"language": AWKWARD},
        {"class_code": Code(code=AWKWARD, scheme=AWKWARD, display=AWKWARD)},
        {"authors": (Author(person=AWKWARD, roles=(AWKWARD,)),)},
        {"extra_slots": ((f"urn:x:{AWKWARD}", (AWKWARD,)),)},
        {"title": "two\nlines\tand\ra tab"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_markup_in_a_value_stays_a_value(changes):
    entry = replace(ENTRY, **changes)
    assert read(built(entry))[0] == entry


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\ud800", "\uffff"])
@pytest.mark.parametrize("name", ["title", "entry_uuid", "language", "mime_type", "version"])
def test_a_character_that_xml_cannot_carry_is_not_sent(name, character):
    with pytest.raises(OurFault) as caught:
        document_entry_text(replace(ENTRY, **{name: f"a{character}"}), home=HOME)
    assert caught.value.code == "text-not-xml"


@pytest.mark.parametrize("name", ["entry_uuid", "unique_id", "repository_unique_id"])
def test_an_entry_that_cannot_be_retrieved_is_not_sent(name):
    with pytest.raises(OurFault) as caught:
        built(replace(ENTRY, **{name: ""}))
    assert caught.value.code == "entry-incomplete"


def no_code(element):
    found = classification(element, "class_code")
    found.set("nodeRepresentation", "")
    for child in list(found):
        found.remove(child)


@pytest.mark.parametrize(
    ("edit", "changes", "deviations"),
    [
        (
            lambda element: element.set("id", "Document01"),
            {"entry_uuid": "Document01"},
            {D.ENTRY_ID_FORM},
        ),
        (set_slot("creationTime", "2026-01-01T12:00:00Z"), {}, {D.TIME_ISO}),
        (set_slot("creationTime", "20260101070000-0500"), {}, {D.TIME_ISO}),
        (
            set_slot("creationTime", "recently"),
            {
                "creation_time": None,
                "extra_slots": (*ENTRY.extra_slots, ("creationTime", ("recently",))),
            },
            {D.TIME_INVALID},
        ),
        (
            lambda element: identifier(element, "unique_id").set("value", "urn:uuid:abc"),
            {"unique_id": "urn:uuid:abc"},
            {D.UNIQUE_ID_FORM},
        ),
        (
            lambda element: identifier(element, "unique_id").set("value", "urn:oid:2.999.5"),
            {"unique_id": "urn:oid:2.999.5"},
            {D.UNIQUE_ID_FORM},
        ),
        (
            drop_slot("repositoryUniqueId"),
            {"repository_unique_id": "2.999.1"},
            {D.REPOSITORY_MISSING},
        ),
        (
            set_slot("repositoryUniqueId", "urn:oid:2.999.6"),
            {"repository_unique_id": "urn:oid:2.999.6"},
            {D.REPOSITORY_FORM},
        ),
        (
            lambda element: classification(element, "class_code").set("nodeRepresentation", ""),
            {"class_code": Code(code="Summary", scheme=LOINC, display="Summary")},
            {D.CODE_EMPTY},
        ),
        (no_code, {"class_code": None}, {D.CODE_EMPTY}),
        (
            lambda element: classification(element, "facility_type").remove(
                classification(element, "facility_type")[0]
            ),
            {"facility_type": Code(code="1", scheme="")},
            {D.CODING_SCHEME_MISSING},
        ),
        (set_slot("hash", "0"), {"hash": None}, {D.HASH_INVALID}),
        (set_slot("hash", "0" * 40), {"hash": None}, {D.HASH_INVALID}),
        (set_slot("hash", "BE56CE49A2A021C5C88BD4A3EEF617CE5B94E002"), {}, set()),
        (set_slot("size", "0"), {"size": None}, {D.SIZE_INVALID}),
        (set_slot("size", "1e3"), {"size": None}, {D.SIZE_INVALID}),
        (set_slot("size", "9" * 40), {"size": None}, {D.SIZE_INVALID}),
        (lambda element: element.set("status", "Active"), {}, {D.ENTRY_STATUS}),
        (
            lambda element: element.set("status", "Deprecated"),
            {"status": Availability.DEPRECATED},
            {D.ENTRY_STATUS},
        ),
        (lambda element: element.attrib.pop("status"), {}, {D.ENTRY_STATUS}),
        (lambda element: element.attrib.pop("objectType"), {}, {D.ENTRY_TYPE}),
        (
            lambda element: element.attrib.pop("mimeType"),
            {"mime_type": "application/octet-stream"},
            {D.MIME_TYPE_MISSING},
        ),
        (lambda element: element.set("home", ""), {"home_community_id": None}, {D.HOME_MISSING}),
        (
            lambda element: element.set("home", "nowhere"),
            {"home_community_id": None},
            {D.HOME_COMMUNITY_FORM},
        ),
        (lambda element: element.set("home", "2.999.1"), {}, {D.HOME_COMMUNITY_FORM}),
        (
            set_slot("sourcePatientId", "D123401"),
            {
                "source_patient_id": None,
                "extra_slots": (*ENTRY.extra_slots, ("sourcePatientId", ("D123401",))),
            },
            {D.SOURCE_PATIENT_ID_FORM},
        ),
        (
            lambda element: identifier(element, "patient_id").set("value", "D123401"),
            {"patient_id": None},
            {D.PATIENT_ID_FORM},
        ),
        (
            lambda element: element.set("objectType", DocumentType.ON_DEMAND.value.upper()),
            {"type": DocumentType.ON_DEMAND},
            set(),
        ),
    ],
)
def test_each_variation_is_understood_and_named(edit, changes, deviations):
    element = built()
    edit(element)
    parsed, seen = read(parse(serialize(element)))
    assert parsed == replace(ENTRY, **changes)
    assert seen == deviations


def test_an_on_demand_entry_has_neither_hash_nor_size():
    entry = replace(ENTRY, type=DocumentType.ON_DEMAND, hash=None, size=None, creation_time=None)
    element = built(entry)
    assert not {"hash", "size", "creationTime"} & {child.get("name") for child in element}
    assert read(element) == (entry, set())


@pytest.mark.parametrize(
    "edit",
    [
        lambda element: element.attrib.pop("id"),
        lambda element: element.remove(identifier(element, "unique_id")),
        lambda element: (element.attrib.pop("home"), drop_slot("repositoryUniqueId")(element)),
    ],
)
def test_an_entry_without_the_ids_that_retrieve_it_is_unusable(edit):
    element = built()
    edit(element)
    with pytest.raises(WireError) as caught:
        read(element)
    assert caught.value.code == "entry-unusable"


def test_limits_on_slots_values_and_parts():
    element = built()
    set_slot("sourcePatientInfo", *["x"] * 5001)(element)
    with pytest.raises(LimitError):
        read(element)
    element = built()
    for _ in range(501):
        etree.SubElement(element, rim("Classification"))
    with pytest.raises(LimitError):
        read(element)
    element = built()
    set_slot("legalAuthenticator", "x" * 5000)(element)
    with pytest.raises(LimitError):
        read(element)
