"""A DocumentEntry as a DocumentReference, row by row of the mapping of MHD; what a filter keeps."""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.documentreference import DocumentReference

from node.model import (
    Author,
    Availability,
    Code,
    DocumentEntry,
    DocumentType,
    HomeCommunityId,
    PatientId,
)
from node.wire.fhir.mhd_filter import keeps
from node.wire.fhir.mhd_reference import COMPREHENSIVE, HOME, MINIMAL, network_reference
from node.wire.fhir.mhd_search import PARAMETERS, read_document_question
from node.wire.fhir.problem import FhirProblem

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOME_ID = HomeCommunityId("urn:oid:2.999.2")
LOINC = "2.16.840.1.113883.6.1"
PATIENT = PatientId(assigning_authority="2.999.2.1", id="MRN-7")
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:0c287d32-01e3-4d87-9953-9fcc9404eb21",
    unique_id="2.999.2.9.1",
    repository_unique_id="2.999.2.2",
    home_community_id=HOME_ID,
    patient_id=PATIENT,
    mime_type="text/xml",
    class_code=Code(code="11369-6", scheme=LOINC, display="History of immunization"),
    type_code=Code(code="34133-9", scheme=LOINC, display="Summary of episode note"),
    format_code=Code(
        code="urn:hl7-org:sdwg:ccda-structuredBody:2.1", scheme="1.3.6.1.4.1.19376.1.2.3"
    ),
    confidentiality=(Code(code="N", scheme="2.16.840.1.113883.5.25"),),
    facility_type=Code(code="82242000", scheme="2.16.840.1.113883.6.96"),
    practice_setting=Code(code="408467006", scheme="2.16.840.1.113883.6.96"),
    event_codes=(Code(code="ACCT", scheme="2.16.840.1.113883.5.4"),),
    authors=(
        Author(
            person="77^Welby^Marcus^A^Jr^Dr^^^&2.999.5&ISO",
            institutions=("North Clinic^^^^^&2.999.6&ISO^^^^N1",),
            roles=("Attending",),
            specialties=("Cardiology",),
            telecoms=("^^Internet^welby@north.example",),
        ),
    ),
    title="A summary",
    comments="A comment",
    language="en-US",
    creation_time="20200201235050",
    service_start="20200101",
    service_stop="202001021200",
    hash=hashlib.sha1(b"").hexdigest(),
    size=0,
    source_patient_id=PatientId(assigning_authority="2.999.2.7", id="SRC-1"),
    source_patient_info=("PID-5|Doe^Jane^Q", "PID-7|19700501", "PID-8|F"),
    legal_authenticator="78^Kildare^James",
    reference_ids=("ACC-1^^^&2.999.8&ISO^urn:ihe:iti:xds:2013:accession",),
)


def made(entry: DocumentEntry = ENTRY, **options: Any) -> dict[str, Any]:
    data = network_reference(
        entry, home=HOME_ID, patient="p1", url="https://node.example/d/1", **options
    )
    DocumentReference.model_validate_json(data)
    found: dict[str, Any] = json.loads(data)
    return found


def at(resource: Any, path: str) -> Any:
    for step in path.split("."):
        resource = resource[int(step)] if step.isdigit() else resource[step]
    return resource


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("meta.profile.0", COMPREHENSIVE),
        ("meta.source", HOME_ID),
        ("extension.0", {"url": HOME, "valueOid": HOME_ID}),
        ("masterIdentifier.value", "urn:oid:2.999.2.9.1"),
        ("masterIdentifier.use", "usual"),
        ("identifier.0.value", ENTRY.entry_uuid),
        ("identifier.0.use", "official"),
        ("status", "current"),
        ("type.coding.0.code", "34133-9"),
        ("type.coding.0.system", "http://loinc.org"),
        ("category.0.coding.0.code", "11369-6"),
        ("subject.reference", "Patient/p1"),
        ("subject.identifier", {"system": "urn:oid:2.999.2.1", "value": "MRN-7"}),
        ("date", "2020-02-01T23:50:50Z"),
        ("description", "A comment"),
        ("securityLabel.0.coding.0.code", "N"),
        ("content.0.attachment.contentType", "text/xml"),
        ("content.0.attachment.language", "en-US"),
        ("content.0.attachment.url", "https://node.example/d/1"),
        ("content.0.attachment.size", 0),
        ("content.0.attachment.hash", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
        ("content.0.attachment.title", "A summary"),
        ("content.0.attachment.creation", "2020-02-01T23:50:50Z"),
        ("content.0.format.code", "urn:hl7-org:sdwg:ccda-structuredBody:2.1"),
        ("context.event.0.coding.0.code", "ACCT"),
        ("context.period", {"start": "2020-01-01", "end": "2020-01-02T12:00:00Z"}),
        ("context.facilityType.coding.0.code", "82242000"),
        ("context.practiceSetting.coding.0.code", "408467006"),
        ("context.sourcePatientInfo.identifier.value", "SRC-1"),
        ("context.related.0.identifier", {"system": "urn:oid:2.999.8", "value": "ACC-1"}),
    ],
)
def test_every_row_of_the_mapping(path: str, value: object) -> None:
    assert at(made(), path) == value


def test_people_are_contained_and_referred_to() -> None:
    resource = made()
    held = {f"#{each['id']}": each for each in resource["contained"]}
    role = held[resource["author"][0]["reference"]]
    person, place = held[role["practitioner"]["reference"]], held[role["organization"]["reference"]]
    assert person["name"][0] == {
        "family": "Welby", "given": ["Marcus", "A"], "suffix": ["Jr"], "prefix": ["Dr"]
    }  # fmt: skip
    assert person["identifier"] == [{"system": "urn:oid:2.999.5", "value": "77"}]
    assert place["identifier"] == [{"system": "urn:oid:2.999.6", "value": "N1"}]
    assert role["code"][0]["text"] == "Attending"
    assert role["telecom"] == [{"system": "email", "value": "welby@north.example"}]
    assert held[resource["authenticator"]["reference"]]["name"][0]["family"] == "Kildare"
    patient = held[resource["context"]["sourcePatientInfo"]["reference"]]
    assert (patient["name"][0]["family"], patient["birthDate"], patient["gender"]) == (
        "Doe", "1970-05-01", "female"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("unique_id", "system", "value"),
    [
        ("2.999.1", "urn:ietf:rfc:3986", "urn:oid:2.999.1"),
        ("2.999.1^x-7", "urn:oid:2.999.1", "x-7"),
        ("urn:uuid:0c287d32-01e3-4d87-9953-9fcc9404eb21",) * 1
        + ("urn:ietf:rfc:3986", "urn:uuid:0c287d32-01e3-4d87-9953-9fcc9404eb21"),
        ("local 7", "urn:oid:2.999.2.2", "local 7"),
    ],
)
def test_a_unique_id_of_any_form_has_a_system(unique_id: str, system: str, value: str) -> None:
    found = made(replace(ENTRY, unique_id=unique_id))["masterIdentifier"]
    assert (found["system"], found["value"]) == (system, value)


@pytest.mark.parametrize(
    "absent",
    ["type_code", "class_code", "language", "creation_time", "format_code", "facility_type",
     "practice_setting"],
)  # fmt: skip
def test_it_claims_the_comprehensive_profile_only_where_it_keeps_it(absent: str) -> None:
    assert made(replace(ENTRY, **{absent: None}))["meta"]["profile"] == [MINIMAL]  # type: ignore[arg-type]


def test_an_on_demand_document_has_neither_size_nor_hash() -> None:
    attachment = made(replace(ENTRY, type=DocumentType.ON_DEMAND))["content"][0]["attachment"]
    assert not {"size", "hash"} & attachment.keys()


def test_a_deprecated_document_is_superseded_and_a_duplicate_says_so() -> None:
    resource = made(replace(ENTRY, status=Availability.DEPRECATED), is_duplicate=True)
    assert resource["status"] == "superseded"
    assert resource["meta"]["tag"][0]["code"] == "duplicate"


def test_the_id_is_the_same_each_time_and_another_for_each_document() -> None:
    one = made()["id"]
    assert one == made()["id"]
    assert one != made(replace(ENTRY, unique_id="2.999.2.9.2"))["id"]
    assert len(one) == 64


def test_a_bare_entry_still_makes_a_resource() -> None:
    bare = DocumentEntry(
        entry_uuid="", unique_id="2.999.1", repository_unique_id="2.999.2",
        home_community_id=None, patient_id=None,
    )  # fmt: skip
    assert made(bare)["status"] == "current"


def test_every_field_of_an_entry_is_mapped_or_known_not_to_be() -> None:
    # what no DocumentReference of MHD has a place for
    unmapped = {"home_community_id", "repository_unique_id", "uri", "document_availability",
                "logical_id", "version", "extra_slots"}  # fmt: skip
    plain = json.dumps(made())
    for field in fields(DocumentEntry):
        if field.name in unmapped:
            continue
        value = getattr(ENTRY, field.name)
        changed = replace(ENTRY, **{field.name: _other(value)})
        assert json.dumps(made(changed)) != plain, field.name


def _other(value: Any) -> Any:
    by_type: dict[type, Any] = {
        DocumentType: DocumentType.ON_DEMAND,
        Availability: Availability.DEPRECATED,
        tuple: (),
        int: 7,
    }
    if isinstance(value, Code):
        return replace(value, code="other")
    if isinstance(value, PatientId):
        return replace(value, id="other")
    if type(value) in by_type:
        return by_type[type(value)]
    if value.isdigit():
        return "19990101000000"[: len(value)]
    return hashlib.sha1(b"x").hexdigest() if value == ENTRY.hash else f"{value}x"


def test_hashes_are_the_same_bytes_in_another_form() -> None:
    found = made()["content"][0]["attachment"]["hash"]
    assert base64.b64decode(found).hex() == ENTRY.hash


# --- the examples of the guide -----------------------------------------------------------------


def test_we_emit_what_the_profiles_demand_and_the_guides_example_has(shared_data: Path) -> None:
    archive = shared_data / "fhir/ig/ihe.iti.mhd-4.2.3-definitions.tar.gz"
    demanded = set()
    for name in ("Minimal", "UnContained.Comprehensive"):
        definition = read(archive, f"StructureDefinition-IHE.MHD.{name}.DocumentReference.json")
        demanded |= {
            element["path"].removeprefix("DocumentReference.")
            for element in definition["differential"]["element"]
            if element.get("min", 0) >= 1
        }
    assert "masterIdentifier" in demanded
    assert "context.sourcePatientInfo" in demanded
    for path in demanded:
        assert has(made(), path), path
    example = read(
        shared_data / "fhir/ig/ihe.iti.mhd-4.2.3-examples.tar.gz",
        "DocumentReference-ex-DocumentReferenceComprehensive.json",
    )
    # relatesTo: associations are not a part of what FindDocuments gives
    absent = set(example) - set(made()) - {"text", "relatesTo"}
    assert absent == set()


def read(archive: Path, name: str) -> Any:
    with tarfile.open(archive) as tar:
        member = next(m for m in tar if m.name.endswith(name))
        file = tar.extractfile(member)
        assert file is not None
        return json.load(file)


def has(resource: Any, path: str) -> bool:
    for step in path.split("."):
        if isinstance(resource, list):
            resource = resource[0]
        if step not in resource:
            return False
        resource = resource[step]
    return True


# --- searches ----------------------------------------------------------------------------------


def question(*pairs: tuple[str, str], strict: bool = False) -> Any:
    base = "https://node.example/fhir/network"
    return read_document_question(
        [("patient", "p1"), *pairs], strict=strict, base_url=base, now=NOW
    )


CCD = "http://loinc.org|34133-9"


@pytest.mark.parametrize(
    ("name", "value", "slot", "slotted"),
    [
        ("type", CCD, "$XDSDocumentEntryTypeCode", (f"34133-9^^{LOINC}",)),
        ("type", f"{CCD},http://loinc.org|x", "$XDSDocumentEntryTypeCode",
         (f"34133-9^^{LOINC}", f"x^^{LOINC}")),
        ("category", CCD, "$XDSDocumentEntryClassCode", (f"34133-9^^{LOINC}",)),
        ("setting", CCD, "$XDSDocumentEntryPracticeSettingCode", (f"34133-9^^{LOINC}",)),
        ("facility", CCD, "$XDSDocumentEntryHealthcareFacilityTypeCode", (f"34133-9^^{LOINC}",)),
        ("event", CCD, "$XDSDocumentEntryEventCodeList", (f"34133-9^^{LOINC}",)),
        ("security-label", CCD, "$XDSDocumentEntryConfidentialityCode", (f"34133-9^^{LOINC}",)),
        ("format", CCD, "$XDSDocumentEntryFormatCode", (f"34133-9^^{LOINC}",)),
        ("author.family", "Welby", "$XDSDocumentEntryAuthorPerson", ("%Welby%",)),
        ("creation", "ge2020-02-01", "$XDSDocumentEntryCreationTimeFrom", ("20200201000000",)),
        ("creation", "lt2020-02-01", "$XDSDocumentEntryCreationTimeTo", ("20200201000000",)),
    ],
)  # fmt: skip
def test_every_row_of_the_parameter_table(name: str, value: str, slot: str, slotted: Any) -> None:
    assert (slot, slotted) in question((name, value)).slots


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "34133-9"),  # no system: a slot cannot say it
        ("type", f"{CCD},34133-9"),
        ("author.family", "We%by"),
        ("identifier", "urn:oid:2.999.2.9.1"),
        ("date", "2020-02-01"),
    ],
)
def test_what_a_slot_cannot_say_is_left_to_the_filter(name: str, value: str) -> None:
    assert question((name, value)).slots == ()


def test_the_time_of_care_is_asked_as_a_range() -> None:
    asked = question(("period", "ge2020-01-01"), ("period", "lt2021"))
    assert asked.care == ("20200101000000", "20210101000000")


@pytest.mark.parametrize(
    ("pairs", "is_kept"),
    [
        ([("status", "current")], True),
        ([("status", "superseded")], False),
        ([("status", "current,superseded")], True),
        ([("status", "entered-in-error")], False),
        ([("type", "34133-9")], True),
        ([("type", CCD)], True),
        ([("type", "http://snomed.info/sct|34133-9")], False),
        ([("type", "other")], False),
        ([("type", "other,34133-9")], True),
        ([("event", "ACCT"), ("event", "other")], False),
        ([("creation", "2020-02-01")], True),
        ([("creation", "gt2020-02-02")], False),
        ([("creation", "sa2020-01-31")], True),
        ([("creation", "ne2020-02-01")], False),
        ([("date", "ge2020-02-01"), ("date", "lt2020-02-02")], True),
        ([("period", "ge2020-01-02")], True),
        ([("period", "lt2020-01-01")], False),
        ([("author.family", "wel")], True),
        ([("author.family", "kil")], False),
        ([("author.given", "marcus")], True),
        ([("identifier", "urn:oid:2.999.2.9.1")], True),
        ([("identifier", "urn:ietf:rfc:3986|urn:oid:2.999.2.9.1")], True),
        ([("identifier", ENTRY.entry_uuid)], True),
        ([("identifier", "urn:oid:2.999.2.9.2")], False),
        ([("related:identifier", "urn:oid:2.999.8|ACC-1")], True),
        ([("related:identifier", "urn:oid:2.999.9|ACC-1")], False),
        ([("_id", "0" * 64)], False),
    ],
)
def test_every_condition_is_applied_to_what_comes_back(pairs: Any, is_kept: bool) -> None:
    assert keeps(question(*pairs), ENTRY) is is_kept


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([("author.qualification", "x")], "fhir-parameter-unsupported"),
        ([("subject.name", "x")], "fhir-parameter-unsupported"),
        ([("_has:Provenance:target:agent", "x")], "fhir-parameter-unsupported"),
        ([("type:not", "x")], "fhir-parameter-unsupported"),
        ([("patient", "Observation/1")], "fhir-value-invalid"),
        ([("patient", "another")], "fhir-parameter-unsupported"),
        ([("patient", "https://elsewhere.example/fhir/Patient/1")], "fhir-value-invalid"),
        ([("patient.identifier", "alone")], "fhir-value-invalid"),
        ([("creation", "yesterday")], "fhir-value-invalid"),
        ([("targetCommunityIdList", "not an oid")], "fhir-value-invalid"),
        ([("_count", "many")], "fhir-value-invalid"),
        ([("type", ",".join("x" * 60))], "fhir-search-limit"),
        ([("type", "x" * 30000)], "fhir-search-limit"),
    ],
)
def test_what_cannot_be_meant_is_refused(pairs: Any, code: str) -> None:
    with pytest.raises(FhirProblem) as caught:
        question(*pairs)
    assert caught.value.code == code


def test_an_unknown_parameter_is_ignored_or_refused_if_strict() -> None:
    assert question(("nonsense", "1")).ignored == ("nonsense",)
    with pytest.raises(FhirProblem) as caught:
        question(("nonsense", "1"), strict=True)
    assert caught.value.code == "fhir-parameter-unknown"


def test_all_parameters_of_mhd_are_taken(shared_data: Path) -> None:
    statement = read(
        shared_data / "fhir/ig/ihe.iti.mhd-4.2.3-definitions.tar.gz",
        "CapabilityStatement-IHE.MHD.DocumentResponder.json",
    )
    (row,) = [r for r in statement["rest"][0]["resource"] if r["type"] == "DocumentReference"]
    # _lastUpdated: the network's answers have no version
    assert {p["name"] for p in row["searchParam"]} - set(PARAMETERS) == {"_lastupdated"}
