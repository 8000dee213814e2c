from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree
from strategies import query_answers

from node.errors import LimitError, WireError
from node.model import (
    DocumentEntry,
    ObjectRef,
    PatientId,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
)
from node.wire.deviations import ContentDeviation as D
from node.wire.ebxml import rim
from node.wire.names import QUERY, RIM
from node.wire.xca import parse_query_answer, write_query_answer
from node.wire.xml import parse, serialize

OWN = "urn:oid:2.999.1"
ASKED = "urn:oid:2.999.9"
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001",
    unique_id="2.999.5",
    repository_unique_id="2.999.6",
    home_community_id=OWN,
    patient_id=PatientId(assigning_authority="2.999.7", id="77"),
)
REF = ObjectRef(id=ENTRY.entry_uuid, home_community_id=OWN)
ERROR = RegistryError(code="XDSRegistryError", context="broken", location=OWN)


def wire(answer):
    return parse(write_query_answer(answer, home=OWN))


def read(element):
    answer, deviations = parse_query_answer(element, ASKED)
    return answer, set(deviations)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(query_answers())
def test_an_answer_is_read_as_it_was_built(answer):
    parsed, deviations = read(wire(answer))
    assert parsed == answer
    assert deviations <= {D.UNIQUE_ID_FORM, D.ERROR_CODE_UNKNOWN}


def test_no_documents_is_success_with_an_empty_list():
    element = wire(QueryAnswer())
    assert element.get("status") == ResponseStatus.SUCCESS.value
    assert [child.tag for child in element] == [rim("RegistryObjectList")]
    assert read(element) == (QueryAnswer(), set())


def test_errors_stand_before_objects_and_partial_success_has_the_ihe_prefix():
    answer = QueryAnswer(status=ResponseStatus.PARTIAL_SUCCESS, documents=(ENTRY,), errors=(ERROR,))
    element = wire(answer)
    assert element.get("status") == "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess"
    assert [etree.QName(child).localname for child in element] == [
        "RegistryErrorList",
        "RegistryObjectList",
    ]


def test_home_and_location_stand_on_everything():
    answer = QueryAnswer(
        status=ResponseStatus.PARTIAL_SUCCESS,
        documents=(replace(ENTRY, home_community_id=None),),
        refs=(ObjectRef(id="urn:uuid:1"),),
        errors=(replace(ERROR, location=None),),
    )
    element = wire(answer)
    assert [child.get("home") for child in element[1]] == [OWN, OWN]
    assert element[0][0].get("location") == OWN


def test_the_patient_of_an_object_ref_does_not_travel():
    ref = replace(REF, patient_id=PatientId(assigning_authority="2.999.7", id="Canary"))
    assert b"Canary" not in serialize(wire(QueryAnswer(refs=(ref,))))


def test_objects_without_home_are_kept_and_recorded_naming_the_responder():
    element = wire(QueryAnswer(documents=(ENTRY,), refs=(REF,)))
    for child in element[0]:
        child.attrib.pop("home")
    answer, deviations = read(element)
    assert answer.status is ResponseStatus.PARTIAL_SUCCESS
    assert answer.documents == (replace(ENTRY, home_community_id=None),)
    assert answer.refs == (ObjectRef(id=REF.id),)
    (error,) = answer.errors
    assert (error.code, error.location) == ("XDSMissingHomeCommunityId", ASKED)
    assert ENTRY.entry_uuid in error.context
    assert deviations == {D.HOME_MISSING}


def test_an_entry_that_cannot_be_retrieved_becomes_an_error_and_the_rest_stays():
    element = wire(QueryAnswer(documents=(ENTRY, ENTRY)))
    element[0][0].attrib.pop("id")
    answer, deviations = read(element)
    assert answer.documents == (ENTRY,)
    assert answer.status is ResponseStatus.PARTIAL_SUCCESS
    assert [(error.code, error.location) for error in answer.errors] == [
        ("XDSRegistryMetadataError", ASKED)
    ]
    assert deviations == {D.ENTRY_UNUSABLE}


def test_folders_sets_and_associations_are_passed_over_and_counted():
    element = wire(QueryAnswer(documents=(ENTRY,)))
    for name in ("RegistryPackage", "Association", "Classification"):
        etree.SubElement(element[0], rim(name))
    assert read(element) == (QueryAnswer(documents=(ENTRY,)), {D.OBJECT_IGNORED})


def test_one_partners_failure_is_understood():
    # Error list behind the objects, in the query namespace, with an OID as code.
    xml = f"""
    <q:AdhocQueryResponse xmlns:q="{QUERY}"
      status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure">
     <RegistryObjectList xmlns="{RIM}"/>
     <q:RegistryErrorList><q:RegistryError errorCode="1.3.6.1.4.1.19376.1.2.27.1"
       codeContext="why" severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"/>
     </q:RegistryErrorList></q:AdhocQueryResponse>"""
    answer, deviations = read(parse(xml.encode()))
    assert answer == QueryAnswer(
        status=ResponseStatus.FAILURE,
        errors=(RegistryError(code="1.3.6.1.4.1.19376.1.2.27.1", context="why"),),
    )
    assert deviations == {
        D.ERROR_LIST_NAMESPACE,
        D.ERROR_LIST_ORDER,
        D.ERROR_CODE_UNKNOWN,
        D.ERROR_LOCATION,
    }


def test_an_answer_without_object_list_or_status_is_understood():
    answer, deviations = read(parse(f'<q:AdhocQueryResponse xmlns:q="{QUERY}"/>'.encode()))
    assert answer == QueryAnswer()
    assert deviations == {D.OBJECT_LIST_MISSING, D.STATUS_MISSING}


def test_another_body_is_refused():
    with pytest.raises(WireError) as caught:
        parse_query_answer(parse(b"<AdhocQueryResponse/>"), ASKED)
    assert caught.value.code == "query-answer-invalid"


def test_more_objects_than_the_limit_are_refused():
    xml = (
        f'<q:AdhocQueryResponse xmlns:q="{QUERY}" xmlns:r="{RIM}"><r:RegistryObjectList>'
        f"{'<r:ObjectRef/>' * 20_001}</r:RegistryObjectList></q:AdhocQueryResponse>"
    )
    with pytest.raises(LimitError):
        parse_query_answer(parse(xml.encode()), ASKED)


@pytest.mark.shared
def test_every_shared_answer_is_understood(shared_data):
    answers = {}
    for path in sorted((shared_data / "ihe-soap").rglob("*.xml")):
        try:
            root = parse(path.read_bytes())
        except WireError:
            continue
        for element in root.iter(f"{{{QUERY}}}AdhocQueryResponse"):
            answers[path.name] = parse_query_answer(element, ASKED)[0]
    assert len(answers) >= 13
    counts = {
        name: (found.status, len(found.documents), len(found.refs), len(found.errors))
        for name, found in answers.items()
    }
    success, partial = ResponseStatus.SUCCESS, ResponseStatus.PARTIAL_SUCCESS
    expected = {
        "connect__dq_response_many.xml": (success, 3, 0, 0),
        "connect__dq_error_XDSRegistryBusy.xml": (ResponseStatus.FAILURE, 0, 0, 1),
        "epr__ITI-18_response_raw.xml": (success, 1, 0, 0),
        "metriport__dq_empty.xml": (success, 0, 0, 0),
        "metriport__dq_error.xml": (partial, 0, 0, 1),
        "nist__soap-xcq-resp.xml": (success, 2, 0, 0),
        "nist__soap-xcq-resp-error.xml": (partial, 2, 0, 1),
        "nist__sq-resp-objectref.xml": (partial, 0, 6, 1),
    }
    assert counts.items() >= expected.items()
    entry = answers["epr__ITI-18_response_raw.xml"].documents[0]
    assert entry.home_community_id == "urn:oid:1.1.4567334.1.6"
    assert entry.repository_unique_id == "1.1.4567332.1.75"
    assert (entry.size, entry.language) == (5375, "en")
    assert entry.hash == "a72f1824ea1d57af00faf5dd5ccb9aea0b0ce390"
    assert entry.title == "Vaccination - FSME-Immun 0.25 ml Junior"
    assert entry.authors[0].person == "^Max^Mustermann^^^Dr.Med"
    assert entry.class_code is not None
    assert entry.class_code.code == "184216000"
    assert [name for name, _ in entry.extra_slots] == [
        "urn:e-health-suisse:2020:originalProviderRole"
    ]
    nist = answers["nist__soap-xcq-resp.xml"].documents[0]
    assert nist.authors[0].institutions == ("Cleveland Clinic", "Parma Community")
    assert len(nist.authors) == 2
    for found in answers.values():  # what we read, we can send, and it reads the same
        again = parse_query_answer(parse(write_query_answer(found, home=ASKED)), ASKED)[0]
        assert len(again.documents) == len(found.documents)
