"""FHIR R4 bundles → demographics and documents."""

from __future__ import annotations

import base64
import csv
import tarfile
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import WireError
from node.wire.document_facts import Note
from node.wire.fhir_bundle import read_bundle

PATIENT = {
    "resourceType": "Patient",
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName",
            "valueString": "Jones",
        }
    ],
    "identifier": [
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-65-5234"},
        {"system": "urn:oid:1.2.3", "value": "77"},
        {"value": "without a system"},
    ],
    "name": [{"use": "official", "family": "Lee", "given": ["Ana"], "suffix": ["Jr"]}],
    "gender": "female",
    "birthDate": "1980-01-02",
    "telecom": [{"system": "phone", "value": "555-777-1234"}],
    "address": [{"line": ["1 Main St"], "city": "Salem", "state": "OR", "postalCode": "97301"}],
}
NOTE = {
    "resourceType": "DocumentReference",
    "type": {"coding": [{"system": "http://loinc.org", "code": "34117-2"}]},
    "date": "2023-04-05T10:00:00-05:00",
    "author": [{"display": "Dr. Max Moe"}],
    "content": [
        {"attachment": {"contentType": "text/plain; charset=utf-8", "data": "SGVsbG8="}},
        {"attachment": {"contentType": "application/pdf", "url": "Binary/b1"}},
        {"attachment": {"contentType": "text/plain", "url": "https://elsewhere.example/x"}},
    ],
}


def bundle(*resources: object, **fields: object) -> bytes:
    entries = [{"resource": r} for r in resources]
    return orjson.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": entries, **fields}
    )


def test_the_bundle_is_one_document_and_its_files_are_others():
    binary = {
        "resourceType": "Binary",
        "id": "b1",
        "data": base64.b64encode(b"%PDF-1.7").decode(),
    }
    found = read_bundle(bundle(PATIENT, NOTE, binary, timestamp="2024-01-01T00:00:00Z"))
    facts = found.facts
    assert facts.mime_type == "application/fhir+json"
    assert facts.creation_time == "20240101000000"
    assert facts.patient.sex == "F"
    assert facts.patient.birth_date == "19800102"
    assert facts.patient.mothers_maiden_name is not None
    assert [(i.assigning_authority, i.id) for i in facts.patient.identifiers] == [
        ("2.16.840.1.113883.4.1", "999-65-5234"),
        ("1.2.3", "77"),
    ]
    assert [(a.facts.mime_type, a.content) for a in found.attachments] == [
        ("text/plain", b"Hello"),
        ("application/pdf", b"%PDF-1.7"),
    ]
    note = found.attachments[0].facts
    assert note.type_code is not None
    assert note.type_code.display == "History and physical note"
    assert note.creation_time == "20230405150000"
    assert note.authors[0].person == "^Dr. Max Moe"
    assert Note.ATTACHMENT_SKIPPED in facts.notes


def test_a_bundle_without_time_is_as_old_as_its_last_encounter_never_now():
    encounter = {
        "resourceType": "Encounter",
        "period": {"start": "2019-05-01T10:00:00Z", "end": "2019-05-01T11:00:00Z"},
    }
    facts = read_bundle(bundle(PATIENT, encounter)).facts
    assert (facts.creation_time, facts.service_start) == ("20190501110000", "20190501100000")
    assert read_bundle(bundle(PATIENT)).facts.creation_time is None


def test_an_invalid_birth_date_stays_absent_and_is_noted():
    facts = read_bundle(bundle({**PATIENT, "birthDate": "1980-02-31"})).facts
    assert facts.patient.birth_date is None
    assert Note.BIRTH_DATE_INVALID in facts.notes


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", "fhir-malformed"),
        (b"\xff", "fhir-malformed"),
        (b"[]", "fhir-not-a-bundle"),
        (b'{"resourceType":"Patient"}', "fhir-not-a-bundle"),
        (bundle(), "fhir-patient-missing"),
        (b'{"resourceType":"Bundle","entry":{"a":1}}', "fhir-patient-missing"),
        (bundle(PATIENT, PATIENT), "fhir-patient-several"),
        (bundle({"resourceType": "Patient", "name": "Lee"}), "fhir-patient-unusable"),
    ],
)
def test_a_bundle_that_cannot_be_used_has_a_reason(data: bytes, code: str):
    with pytest.raises(WireError) as caught:
        read_bundle(data)
    assert caught.value.code == code


def test_wrong_shapes_read_as_absent():
    odd = {"resourceType": "Patient", "name": [{"family": "Lee"}], "telecom": 3, "address": [[]]}
    facts = read_bundle(bundle(odd, {"resourceType": "DocumentReference", "content": "x"})).facts
    assert facts.patient.telecoms == ()
    assert facts.patient.addresses == ()


@pytest.mark.shared
@pytest.mark.parametrize("name", ["smart", "hiv"])
def test_synthea_patients_are_read_as_the_index_says(shared_data: Path, name: str):
    folder = shared_data / "fhir" / "synthea"
    with (folder / "patient_index.csv").open(encoding="utf-8") as stream:
        index = {r["file"]: r for r in csv.DictReader(stream) if r["set"] == name}
    with tarfile.open(folder / f"synthea_r4_{name}.tar.gz") as archive:
        members = [m for m in archive if m.isfile() and m.name in index][::4]
        assert len(members) >= 7
        for member in members:
            stream = archive.extractfile(member)
            assert stream is not None
            patient = read_bundle(stream.read()).facts.patient
            row = index[member.name]
            assert patient.names[0].family == row["family"]
            assert patient.birth_date == row["birthDate"].replace("-", "")
            assert row["ssn"] in {i.id for i in patient.identifiers}


_FIELDS = (
    *("name", "family", "given", "value", "system", "coding", "code", "attachment", "data"),
    *("url", "period", "start", "identifier", "address", "line", "text"),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(sorted(PATIENT)), _json),
    st.dictionaries(
        st.sampled_from([*sorted(NOTE), "context", "masterIdentifier", "securityLabel"]), _json
    ),
    _json,
)
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_or_refused_with_a_reason(patient: dict, note: dict, other: object):
    data = bundle(
        {**PATIENT, **patient, "resourceType": "Patient"},
        {**NOTE, **note, "resourceType": "DocumentReference"},
        {"resourceType": "Encounter", "period": other},
        identifier=other,
        meta=other,
        timestamp=other,
    )
    try:
        facts = read_bundle(data).facts
    except WireError as error:
        assert error.code.startswith("fhir-")  # noqa: PT017 - either way is right
    else:
        assert facts.patient.names
