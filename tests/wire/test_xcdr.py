"""Cross-Gateway Document Provide (ITI-80): the codec and the rules of what is taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    authors,
    codes,
    document_entries,
    full_times,
    homes,
    maybe,
    oids,
    patient_ids,
    registry_errors,
    several,
    texts,
    uuids,
)

from node.errors import LimitError, WireError
from node.model import (
    Availability,
    Code,
    DeliveryAnswer,
    Demographics,
    DocumentEntry,
    DocumentType,
    PatientId,
    PersonName,
    RegistryError,
    ResponseStatus,
    Severity,
)
from node.records.entries import source_patient_info
from node.wire.deviations import ContentDeviation as D
from node.wire.mtom import Attached, Inline
from node.wire.names import LCM, RIM, RS, XDSB
from node.wire.source_patient import read_source_patient
from node.wire.submission_check import check_content, check_submission
from node.wire.submission_set import SubmissionSet
from node.wire.xcdr import (
    parse_delivery_answer,
    parse_submission,
    write_delivery_answer,
    write_submission,
)
from node.wire.xml import parse

OWN = "urn:oid:2.999.1"
REPOSITORY = "2.999.1.2"
LOINC = "2.16.840.1.113883.6.1"
CODE = Code(code="34133-9", scheme=LOINC, display="Summary")
ALICE = PatientId(assigning_authority="2.999.1.1", id="alice")
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:00000000-0000-4000-8000-00000000000a",
    unique_id="2.999.5.1",
    repository_unique_id=REPOSITORY,
    home_community_id=None,
    patient_id=ALICE,
    class_code=CODE,
    type_code=CODE,
    format_code=CODE,
    confidentiality=(CODE,),
    facility_type=CODE,
    practice_setting=CODE,
    language="en-US",
    creation_time="20261101",
    hash="a" * 40,
    size=3,
    source_patient_id=PatientId(assigning_authority="2.999.2.1", id="7"),
)
SET = SubmissionSet(
    entry_uuid="urn:uuid:00000000-0000-4000-8000-00000000000b",
    unique_id="2.999.5.2",
    source_id="2.999.2",
    submission_time="20261101120000",
    patient_id=ALICE,
)
SUBMISSION_NODE = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"


def read(body: bytes):
    return parse_submission(parse(body), repository=REPOSITORY)


def submitted(*entries: DocumentEntry, target: str = OWN, own_set: SubmissionSet = SET):
    found, _ = read(
        write_submission(
            target, own_set, [(e, f"d{n}@x") for n, e in enumerate(entries or [ENTRY])]
        )
    )
    return found


def checked(submission) -> list[str]:
    return [error.code for error in check_submission(submission, OWN)]


# --- round trip ---------------------------------------------------------------------------------

submission_sets = st.builds(
    SubmissionSet,
    entry_uuid=uuids,
    unique_id=oids,
    source_id=oids,
    submission_time=maybe(full_times),
    patient_id=maybe(patient_ids),
    content_type=maybe(codes),
    authors=several(authors, max_size=2),
    intended_recipients=several(texts()),
    title=maybe(texts()),
    comments=maybe(texts()),
    is_limited=st.booleans(),
)


def as_submitted(entry: DocumentEntry) -> DocumentEntry:
    """What the recipient reads: community, repository and status are its own to give."""
    return replace(
        entry,
        home_community_id=None,
        repository_unique_id=REPOSITORY,
        status=Availability.APPROVED,
    )


@settings(max_examples=40, deadline=None)
@given(
    homes,
    submission_sets,
    st.lists(document_entries, min_size=1, max_size=2, unique_by=lambda entry: entry.entry_uuid),
)
def test_a_submission_is_read_as_it_was_written(target, own_set, entries):
    parts = [(entry, f"part-{place}@node") for place, entry in enumerate(entries)]
    found, _ = read(write_submission(target, own_set, parts))
    assert found.target == target
    assert found.submission_set == own_set
    assert found.documents == tuple(map(as_submitted, entries))
    assert found.contents == {e.entry_uuid: Attached(content_id=p) for e, p in parts}
    assert found.members == {entry.entry_uuid for entry in entries}
    assert found.problems == ()


@settings(max_examples=40, deadline=None)
@given(several(registry_errors))
def test_an_answer_is_read_as_it_was_written(errors):
    failed = any(error.severity is Severity.ERROR for error in errors)
    status = ResponseStatus.FAILURE if failed else ResponseStatus.SUCCESS
    answer = DeliveryAnswer(status=status, errors=errors)
    found, _ = parse_delivery_answer(parse(write_delivery_answer(answer, home=OWN)))
    assert found == answer


def test_what_we_write_has_no_deviation():
    _, deviations = read(write_submission(OWN, SET, [(ENTRY, "d@x")]))
    assert deviations == ()


def test_a_source_names_no_community_no_repository_and_no_status():
    root = parse(write_submission(OWN, SET, [(ENTRY, "d@x")]))
    (entry,) = root.iter(f"{{{RIM}}}ExtrinsicObject")
    assert entry.get("home") is None
    assert entry.get("status") is None
    assert [s.get("name") for s in entry.iter(f"{{{RIM}}}Slot")].count("repositoryUniqueId") == 0


def test_a_success_that_carries_an_error_is_not_taken_as_one():
    body = (
        f'<r:RegistryResponse xmlns:r="{RS}" status="{ResponseStatus.SUCCESS}">'
        '<r:RegistryErrorList><r:RegistryError errorCode="XDSRepositoryError"'
        f' severity="{Severity.ERROR}"/>'
        "</r:RegistryErrorList></r:RegistryResponse>"
    )
    answer, deviations = parse_delivery_answer(parse(body.encode()))
    assert answer.status is ResponseStatus.FAILURE
    assert D.STATUS_CONFLICT in deviations


@pytest.mark.parametrize("body", [b"<x/>", f'<x xmlns="{XDSB}"/>'.encode()])
def test_another_body_is_no_submission_and_no_answer(body):
    with pytest.raises(WireError, match="ProvideAndRegister"):
        read(body)
    with pytest.raises(WireError, match="RegistryResponse"):
        parse_delivery_answer(parse(body))


def test_a_submission_of_too_many_objects_is_refused():
    many = f'<rim:Association xmlns:rim="{RIM}"/>' * 5001
    body = (
        f'<p:ProvideAndRegisterDocumentSetRequest xmlns:p="{XDSB}"><l:SubmitObjectsRequest'
        f' xmlns:l="{LCM}"><rim:RegistryObjectList xmlns:rim="{RIM}">{many}'
        "</rim:RegistryObjectList></l:SubmitObjectsRequest>"
        "</p:ProvideAndRegisterDocumentSetRequest>"
    )
    with pytest.raises(LimitError, match="5000 objects"):
        read(body.encode())


def test_a_submission_of_another_product_is_read(shared_data: Path):
    """One that IPF ships, with ids that are names, classifications beside and documents inline."""
    file = shared_data / "ihe-soap/gateways/ipf__iti41-provide-and-register.xml"
    found, deviations = read(file.read_bytes())
    assert found.target is None
    assert found.submission_set is not None
    assert found.submission_set.unique_id == "1.3.6.1.4.1.21367.2005.3.9999.33"
    assert found.documents[0].entry_uuid == "Document01"
    assert found.documents[0].patient_id == found.submission_set.patient_id
    assert found.contents.keys() >= {"Document01"}
    assert all(isinstance(content, Inline) for content in found.contents.values())
    assert D.DOCUMENT_INLINE in deviations


# --- what is taken ------------------------------------------------------------------------------


def test_a_good_submission_has_nothing_wrong():
    assert checked(submitted()) == []


def test_a_missing_home_community_id_is_xds_missing_home_community_id():
    body = write_submission(OWN, SET, [(ENTRY, "d@x")]).replace(
        b'Slot name="homeCommunityId"', b'Slot name="other"'
    )
    assert checked(read(body)[0]) == ["XDSMissingHomeCommunityId"]


def test_another_community_is_xds_unavailable_community():
    assert checked(submitted(target="urn:oid:2.999.9")) == ["XDSUnavailableCommunity"]


def test_metadata_without_the_document_is_xds_missing_document():
    body = write_submission(OWN, SET, [(ENTRY, "d@x")])
    start, end = body.index(b"<ihe:Document "), body.index(b"</ihe:Provide")
    assert checked(read(body[:start] + body[end:])[0]) == ["XDSMissingDocument"]


def test_a_document_without_metadata_is_xds_missing_document_metadata():
    body = write_submission(OWN, SET, [(ENTRY, "d@x")]).replace(
        b"</ihe:Provide", b'<ihe:Document id="x">YQ==</ihe:Document></ihe:Provide'
    )
    assert checked(read(body)[0]) == ["XDSMissingDocumentMetadata"]


OTHER = replace(
    ENTRY, entry_uuid="urn:uuid:00000000-0000-4000-8000-00000000000c", unique_id="2.999.5.3"
)


@pytest.mark.parametrize(
    ("entries", "own_set"),
    [
        ([ENTRY, replace(OTHER, patient_id=replace(ALICE, id="bob"))], SET),
        ([ENTRY], replace(SET, patient_id=replace(ALICE, id="bob"))),
        (
            [
                ENTRY,
                replace(
                    OTHER, source_patient_id=PatientId(assigning_authority="2.999.2.1", id="8")
                ),
            ],
            SET,
        ),
    ],
    ids=["two entries", "entry and set", "two ids of one source"],
)
def test_two_patients_are_xds_patient_id_does_not_match(entries, own_set):
    assert checked(submitted(*entries, own_set=own_set)) == ["XDSPatientIdDoesNotMatch"]


def test_a_patient_id_is_optional():
    assert checked(submitted(replace(ENTRY, patient_id=None))) == []


def test_one_unique_id_for_two_documents_is_a_duplicate_in_the_message():
    twice = replace(OTHER, unique_id=ENTRY.unique_id)
    assert checked(submitted(ENTRY, twice)) == ["XDSRepositoryDuplicateUniqueIdInMessage"]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("class_code", None),
        ("confidentiality", ()),
        ("creation_time", None),
        ("format_code", None),
        ("facility_type", None),
        ("language", None),
        ("practice_setting", None),
        ("source_patient_id", None),
        ("type_code", None),
    ],
)
def test_a_missing_attribute_is_a_metadata_error_unless_labelled_limited(attribute, value):
    lacking = replace(ENTRY, **{attribute: value})
    (error,) = check_submission(submitted(lacking), OWN)
    assert error.code == "XDSRegistryMetadataError"
    assert "lacks" in error.context
    label = (
        f'<rim:Classification classifiedObject="{ENTRY.entry_uuid}" id="l" '
        'classificationNode="urn:uuid:ab9b591b-83ab-4d03-8f5d-f93b1fb92e85"/>'
        "</rim:RegistryObjectList>"
    )
    body = write_submission(OWN, replace(SET, is_limited=True), [(lacking, "d@x")])
    labelled, _ = read(body.replace(b"</rim:RegistryObjectList>", label.encode()))
    assert checked(labelled) == []


def test_an_entry_outside_the_submission_set_is_a_metadata_error():
    body = write_submission(OWN, SET, [(ENTRY, "d@x")]).replace(b":HasMember", b":Other")
    assert checked(read(body)[0]) == ["XDSRegistryMetadataError"]


def test_a_submission_without_a_submission_set_is_a_metadata_error():
    body = write_submission(OWN, SET, [(ENTRY, "d@x")]).replace(SUBMISSION_NODE.encode(), b"x")
    assert checked(read(body)[0]) == ["XDSRegistryMetadataError"]


def test_an_entry_without_unique_id_is_a_metadata_error():
    body = write_submission(OWN, SET, [(ENTRY, "d@x")]).replace(b'value="2.999.5.1"', b'value=""')
    assert "XDSRegistryMetadataError" in checked(read(body)[0])


def test_an_entry_of_an_on_demand_document_is_a_metadata_error():
    entry = replace(ENTRY, type=DocumentType.ON_DEMAND)
    assert checked(submitted(entry)) == ["XDSRegistryMetadataError"]


@pytest.mark.parametrize(
    ("kind", "warning"),
    [
        ("RPLC", "PartialReplaceContentNotProcessed"),
        ("APND", "PartialAppendContentNotProcessed"),
        ("XFRM", "PartialTransformNotProcessed"),
        ("XFRM_RPLC", "PartialTransformReplaceNotProcessed"),
        ("signs", "PartialRelationshipNotProcessed"),
    ],
)
def test_a_relation_that_is_not_kept_is_a_warning(kind, warning):
    relation = (
        f'<rim:Association id="r" associationType="urn:ihe:iti:2007:AssociationType:{kind}"'
        ' sourceObject="a" targetObject="b"/></rim:RegistryObjectList>'
    )
    body = write_submission(OWN, SET, [(ENTRY, "d@x")])
    found, _ = read(body.replace(b"</rim:RegistryObjectList>", relation.encode()))
    assert [(w.code, w.severity) for w in found.warnings] == [(warning, Severity.WARNING)]
    assert checked(found) == []


def test_a_folder_and_extra_metadata_are_warnings():
    folder = (
        '<rim:RegistryPackage id="f"><rim:Classification id="c" classifiedObject="f" '
        'classificationNode="urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2"/></rim:RegistryPackage>'
        "</rim:RegistryObjectList>"
    )
    entry = replace(ENTRY, extra_slots=(("urn:x", ("1",)),))
    body = write_submission(OWN, SET, [(entry, "d@x")])
    found, _ = read(body.replace(b"</rim:RegistryObjectList>", folder.encode()))
    assert {w.code for w in found.warnings} == {
        "PartialFolderContentNotProcessed",
        "XDSExtraMetadataNotSaved",
    }


@pytest.mark.parametrize(
    ("size", "sha1", "names"),
    [(3, "a" * 40, []), (4, "a" * 40, ["size"]), (3, "b" * 40, ["hash"])],
)
def test_a_wrong_hash_or_size_is_a_repository_metadata_error(size, sha1, names):
    errors = check_content(1, ENTRY, size=size, sha1=sha1)
    assert errors == tuple(
        RegistryError(
            code="XDSRepositoryMetadataError",
            context=f"The {name} of document 1 is not that of its entry.",
        )
        for name in names
    )


def test_an_error_names_no_person():
    bad = replace(ENTRY, patient_id=replace(ALICE, id="Canary"), class_code=None)
    for error in check_submission(submitted(ENTRY, replace(bad, entry_uuid="x")), OWN):
        assert "Canary" not in error.context


# --- whom a document is about -------------------------------------------------------------------


def test_source_patient_info_is_read_as_we_write_it():
    person = Demographics(
        names=(PersonName(family="O^Hara & Sons", given=("Ann", "B", "C")),),
        birth_date="19700501",
        sex="F",
        identifiers=(ALICE,),
    )
    assert read_source_patient(source_patient_info(person)) == person


def test_source_patient_info_that_cannot_be_read_is_left_out():
    found = read_source_patient(
        ("PID-3|nonsense", "PID-5|", "PID-7|May", "PID-8|X", "PID-11|^^", "what"), ALICE
    )
    assert found == Demographics(identifiers=(ALICE,))
