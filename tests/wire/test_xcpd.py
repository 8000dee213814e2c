from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree
from strategies import ASKS, discovery_answers, discovery_requests

from node.errors import LimitError, OurFault, WireError
from node.model import (
    Address,
    Code,
    Demographics,
    DiscoveryAnswer,
    Match,
    MatchStatus,
    PatientId,
    PatientQuery,
    PersonName,
    Telecom,
)
from node.wire.deviations import ContentDeviation as D
from node.wire.hl7v3 import InstanceId, hl7
from node.wire.xcpd_message import DiscoveryRequest, problem_answer, unsupported_mode
from node.wire.xcpd_request import build_discovery_request, parse_discovery_request
from node.wire.xcpd_response import parse_discovery_response, write_discovery_response
from node.wire.xml import parse, serialize

slow = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

PERSON = Demographics(
    names=(
        PersonName(family="O'Neill", given=("Ann", "Bea"), use="L"),
        PersonName(family="Oneill", given=("Annie",)),
    ),
    birth_date="19800203",
    sex="F",
    addresses=(
        Address(lines=("1 Main St", "Apt 2"), city="Troy", state="NY", postal_code="12180"),
        Address(city="Albany"),
    ),
    telecoms=(Telecom(value="tel:+1-518-555-0100", use="HP"), Telecom(value="mailto:a@b.example")),
    identifiers=(
        PatientId(assigning_authority="2.16.840.1.113883.4.1", id="999-00-1111"),
        PatientId(assigning_authority="2.999.7", id="MRN1"),
    ),
    mothers_maiden_name=PersonName(family="Gray"),
    birth_place=Address(city="Utica", country="US"),
)
REQUEST = DiscoveryRequest(
    message_id=InstanceId(root="2.999.1", extension="m1"),
    query_id=InstanceId(root="2.999.1", extension="q1"),
    creation_time="20260101120000",
    sender_device="2.999.1.9",
    sender="urn:oid:2.999.1",
    receiver_device="2.999.2.9",
    receiver="urn:oid:2.999.2",
    query=PatientQuery(demographics=PERSON, target="urn:oid:2.999.2"),
    author_assigning_authority="2.999.7",
)
HELD = Demographics(
    names=(PersonName(family="Oneil", given=("Ann",)),), birth_date="19800203", sex="F"
)
MATCH = Match(
    patient_id=PatientId(assigning_authority="2.999.2.5", id="77"),
    home_community_id="urn:oid:2.999.2",
    demographics=HELD,
    score=97,
    organization_name="Clinic",
)
FOUND = DiscoveryAnswer(status=MatchStatus.OK, matches=(MATCH,))
ECHO = "2.999.1.777"


def wire(element):
    """The element as the other side gets it."""
    return parse(serialize(element))


def respond(answer, request=None):
    request = request or parse_discovery_request(wire(build_discovery_request(REQUEST)))[0]
    return parse(
        write_discovery_response(
            request,
            answer,
            message_id=InstanceId(root="2.999.2", extension="r1"),
            creation_time="20260101120001",
            home_community_id="urn:oid:2.999.2",
            organization="Responder",
        )
    )


def at(element, path):
    found = element.find("/".join(hl7(step) for step in path.split("/")))
    assert found is not None, path
    return found


def names_of(element):
    return [etree.QName(child).localname for child in element]


# --- request ----------------------------------------------------------------------------------


@slow
@given(discovery_requests())
def test_a_request_is_read_as_it_was_built(request_value):
    parsed, deviations = parse_discovery_request(wire(build_discovery_request(request_value)))
    assert replace(parsed, query_by_parameter=None) == request_value
    assert deviations == ()


def test_the_request_stands_in_schema_order():
    element = wire(build_discovery_request(replace(REQUEST, priority="D", respond_to="https://x")))
    assert names_of(element) == [
        "id",
        "creationTime",
        "interactionId",
        "processingCode",
        "processingModeCode",
        "acceptAckCode",
        "receiver",
        "respondTo",
        "sender",
        "controlActProcess",
    ]
    parameters = at(element, "controlActProcess/queryByParameter/parameterList")
    assert names_of(parameters) == [
        "livingSubjectAdministrativeGender",
        "livingSubjectBirthPlaceAddress",
        "livingSubjectBirthTime",
        "livingSubjectId",
        "livingSubjectId",
        "livingSubjectName",
        "livingSubjectName",
        "mothersMaidenName",
        "patientAddress",
        "patientTelecom",
    ]
    assert all(names_of(parameter)[-1] == "semanticsText" for parameter in parameters)
    assert at(element, "creationTime").get("value") == "20260101120000+0000"


def test_all_known_demographics_are_sent_qtf_709():
    parsed, _ = parse_discovery_request(wire(build_discovery_request(REQUEST)))
    assert parsed.query.demographics == PERSON


def test_a_directed_query_names_the_node_as_bare_oid_qtf_710():
    element = wire(build_discovery_request(replace(REQUEST, receiver=None)))
    root = at(element, "receiver/device/asAgent/representedOrganization/id").get("root")
    assert root == "2.999.2"
    undirected = replace(REQUEST, receiver=None, query=PatientQuery(demographics=PERSON))
    element = wire(build_discovery_request(undirected))
    assert element.find(f".//{hl7('receiver')}//{hl7('representedOrganization')}") is None


def test_the_body_uses_no_prefix_for_hl7():
    assert build_discovery_request(REQUEST).prefix is None


@pytest.mark.parametrize(
    "broken",
    [
        replace(REQUEST, sender=None),
        replace(REQUEST, creation_time=None),
        replace(REQUEST, query=PatientQuery(demographics=Demographics())),
        replace(REQUEST, query=PatientQuery(demographics=Demographics(names=PERSON.names))),
    ],
)
def test_an_incomplete_request_is_not_sent(broken):
    with pytest.raises(OurFault) as caught:
        build_discovery_request(broken)
    assert caught.value.code == "discovery-incomplete"


LEGACY = """
<PRPA_IN201305UV02 xmlns="urn:hl7-org:v3">
 <id root="2.999.1" extension="m1"/><creationTime>2024-04-07T15:05:44.236Z</creationTime>
 <interactionId root="2.16.840.1.113883.1.6" extension="PRPA_IN201305UV02"/>
 <controlActProcess><queryByParameter>
  <queryId root="2.999.1" extension="q1"/>
  <parameterList>
   &lt;0&gt;
   <livingSubjectName><value><family>Smith</family><given>Ann</given></value></livingSubjectName>
   <livingSubjectBirthTime><value value="1980-02-03"/></livingSubjectBirthTime>
   <patientAddress><value>&lt;0&gt;<city>Troy</city></value></patientAddress>
   <livingSubjectAdministrativeGender><value code="female"/></livingSubjectAdministrativeGender>
   <principalCareProviderId><value root="2.16.840.1.113883.4.6" extension="1"/>
   </principalCareProviderId>
  </parameterList></queryByParameter></controlActProcess>
</PRPA_IN201305UV02>"""


def test_a_legacy_request_of_a_partner_is_understood_and_each_deviation_named():
    request, deviations = parse_discovery_request(parse(LEGACY.encode()))
    assert request.problems == ()
    assert request.query.demographics == Demographics(
        names=(PersonName(family="Smith", given=("Ann",)),),
        birth_date="19800203",
        sex="F",
        addresses=(Address(city="Troy"),),
    )
    assert request.creation_time == "20240407150544"
    assert request.priority == "I"
    assert set(deviations) == {
        D.ITS_VERSION_MISSING,
        D.SENDER_MISSING,
        D.RECEIVER_MISSING,
        D.VALUE_AS_TEXT,
        D.TIME_ISO,
        D.PRIORITY_MISSING,
        D.ELEMENT_ORDER,
        D.STRAY_TEXT,
        D.GENDER_WORD,
    }


def changed(edit):
    """A good request after an edit of its tree."""
    element = wire(build_discovery_request(REQUEST))
    edit(element)
    return parse_discovery_request(element)[0]


def add_to(path, xml):
    def edit(element):
        child = parse(f'<r xmlns="urn:hl7-org:v3">{xml}</r>'.encode())[0]
        at(element, path).append(child)

    return edit


QUERY = "controlActProcess/queryByParameter"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (QUERY, "responseElementGroupId"),
        (QUERY, "modifyCode"),
        (QUERY, "executionAndDeliveryTime"),
        (QUERY, "initialQuantity"),
        (QUERY, "initialQuantityCode"),
        (QUERY, "sortControl"),
        (f"{QUERY}/parameterList", "id"),
        (f"{QUERY}/parameterList", "patientStatusCode"),
        (f"{QUERY}/parameterList", "livingSubjectDeceasedTime"),
        (f"{QUERY}/parameterList", "otherIDsScopingOrganization"),
    ],
)
def test_a_forbidden_parameter_is_a_problem_syn113(path, name):
    (problem,) = changed(add_to(path, f"<{name}/>")).problems
    assert problem.code == "SYN113"
    assert problem.location == f"{path}/{name}"


@pytest.mark.parametrize("name", ["id", "matchWeight"])
def test_a_forbidden_match_criterion_is_a_problem_syn113(name):
    edit = add_to(QUERY, f"<matchCriterionList><{name}/></matchCriterionList>")
    assert [problem.code for problem in changed(edit).problems] == ["SYN113"]


def test_a_request_with_id_only_is_good():
    only = Demographics(identifiers=PERSON.identifiers)
    built = build_discovery_request(replace(REQUEST, query=PatientQuery(demographics=only)))
    assert parse_discovery_request(wire(built))[0].problems == ()


@pytest.mark.parametrize(
    ("drop", "missing"),
    [
        ({"livingSubjectId", "livingSubjectName"}, 1),
        ({"livingSubjectId", "livingSubjectBirthTime"}, 1),
        ({"livingSubjectId", "livingSubjectBirthTime", "livingSubjectName"}, 2),
        ({"livingSubjectName", "livingSubjectBirthTime"}, 0),
    ],
)
def test_without_an_id_both_name_and_birth_time_are_needed(drop, missing):
    def edit(element):
        parameters = at(element, f"{QUERY}/parameterList")
        for child in list(parameters):
            if etree.QName(child).localname in drop:
                parameters.remove(child)

    assert [problem.code for problem in changed(edit).problems] == ["SYN105"] * missing


def test_problems_hold_no_value_of_the_request():
    def edit(element):
        at(element, f"{QUERY}/parameterList/livingSubjectBirthTime/value").set("value", "Canary")
        at(element, f"{QUERY}/responsePriorityCode").set("code", "Canary")
        place = "receiver/device/asAgent/representedOrganization/id"
        at(element, place).set("root", "Canary")

    request = changed(edit)
    assert [problem.code for problem in request.problems] == ["SYN113"] * 3
    assert "Canary" not in str(request.problems)
    assert request.query.target is None


def test_a_second_birth_time_is_a_problem():
    edit = add_to(
        f"{QUERY}/parameterList",
        '<livingSubjectBirthTime><value value="1981"/></livingSubjectBirthTime>',
    )
    assert [problem.code for problem in changed(edit).problems] == ["SYN113"]


@pytest.mark.parametrize("degree", ["101", "-1", "x", "٣"])
def test_a_degree_of_match_out_of_range_is_a_problem(degree):
    value = f'<minimumDegreeMatch><value value="{degree}"/></minimumDegreeMatch>'
    xml = f"<matchCriterionList>{value}</matchCriterionList>"
    request = changed(add_to(QUERY, xml))
    assert [problem.code for problem in request.problems] == ["SYN113"]
    assert request.query.minimum_degree_match is None


def test_a_deferred_request_without_address_is_a_problem_syn105():
    def edit(element):
        at(element, f"{QUERY}/responsePriorityCode").set("code", "D")

    request = changed(edit)
    assert request.priority == "D"
    assert [problem.code for problem in request.problems] == ["SYN105"]
    assert unsupported_mode().code == "NS250"


def test_a_query_without_parameters_is_answered_not_raised():
    def edit(element):
        process = at(element, "controlActProcess")
        process.remove(at(process, "queryByParameter"))

    request = changed(edit)
    assert request.problems
    assert request.query_by_parameter is None
    answer, _ = parse_discovery_response(respond(problem_answer(request.problems[0]), request))
    assert answer.status is MatchStatus.QE


def test_another_body_is_refused():
    for xml in (
        '<PRPA_IN201306UV02 xmlns="urn:hl7-org:v3"/>',
        "<PRPA_IN201305UV02/>",
        '<PRPA_IN201305UV02 xmlns="urn:hl7-org:v3"/>',
    ):
        with pytest.raises(WireError) as caught:
            parse_discovery_request(parse(xml.encode()))
        assert caught.value.code == "discovery-invalid"


def test_more_values_than_the_limit_are_refused():
    value = "<livingSubjectName><value><family>a</family></value></livingSubjectName>"

    def edit(element):
        for _ in range(101):
            add_to(f"{QUERY}/parameterList", value)(element)

    with pytest.raises(LimitError) as caught:
        changed(edit)
    assert caught.value.code == "too-many-values"


# --- answer: the five cases -------------------------------------------------------------------


@slow
@given(discovery_requests(), discovery_answers)
def test_an_answer_is_read_as_it_was_built(request_value, answer):
    request, _ = parse_discovery_request(wire(build_discovery_request(request_value)))
    parsed, deviations = parse_discovery_response(respond(answer, request), request)
    assert parsed == answer
    assert set(deviations) <= {
        D.SEVERAL_IDENTITIES,
        D.SEVERAL_HOME_COMMUNITIES,
        D.PROBLEM_CODE_SYSTEM,
    }


def codes(element):
    process = at(element, "controlActProcess")
    return (
        at(element, "acknowledgement/typeCode").get("code"),
        at(process, "queryAck/queryResponseCode").get("code"),
        at(process, "queryAck/statusCode").get("code"),
        names_of(process),
    )


def test_case_1_one_match():
    element = respond(FOUND)
    assert codes(element) == (
        "AA",
        "OK",
        "deliveredResponse",
        ["code", "subject", "queryAck", "queryByParameter"],
    )
    assert parse_discovery_response(element) == (FOUND, ())


def test_case_2_several_matches():
    other = replace(MATCH, home_community_id="urn:oid:2.999.3")
    answer = DiscoveryAnswer(status=MatchStatus.OK, matches=(MATCH, other))
    element = respond(answer)
    assert codes(element)[3] == ["code", "subject", "subject", "queryAck", "queryByParameter"]
    assert parse_discovery_response(element) == (answer, (D.SEVERAL_HOME_COMMUNITIES,))


def test_two_identities_of_one_node_are_counted_qtf_1503():
    other = replace(MATCH, patient_id=PatientId(assigning_authority="2.999.2.5", id="78"))
    answer = DiscoveryAnswer(status=MatchStatus.OK, matches=(MATCH, other))
    assert parse_discovery_response(respond(answer)) == (answer, (D.SEVERAL_IDENTITIES,))


def test_case_3_more_attributes_are_asked_for():
    answer = DiscoveryAnswer(status=MatchStatus.OK, asks=ASKS)
    element = respond(answer)
    assert codes(element) == (
        "AA",
        "OK",
        "deliveredResponse",
        ["code", "reasonOf", "queryAck", "queryByParameter"],
    )
    event = at(element, "controlActProcess/reasonOf/detectedIssueEvent")
    assert names_of(event) == ["code"] + ["triggerFor"] * len(ASKS)
    code = at(event, "triggerFor/actOrderRequired/code")
    assert code.get("codeSystem") == "1.3.6.1.4.1.19376.1.2.27.1"
    assert parse_discovery_response(element) == (answer, ())


def test_case_4_no_match():
    answer = DiscoveryAnswer(status=MatchStatus.NF)
    element = respond(answer)
    assert codes(element) == (
        "AA",
        "NF",
        "deliveredResponse",
        ["code", "queryAck", "queryByParameter"],
    )
    assert parse_discovery_response(element) == (answer, ())


def test_case_5_cannot_answer():
    answer = DiscoveryAnswer(
        status=MatchStatus.AE,
        problem=Code(code="ResponderBusy", scheme="1.3.6.1.4.1.19376.1.2.27.3"),
    )
    element = respond(answer)
    assert codes(element) == (
        "AE",
        "AE",
        "aborted",
        ["code", "reasonOf", "queryAck", "queryByParameter"],
    )
    path = "controlActProcess/reasonOf/detectedIssueEvent/mitigatedBy/detectedIssueManagement/code"
    assert at(element, path).get("code") == "ResponderBusy"
    assert parse_discovery_response(element) == (answer, ())


def test_a_failed_validation_is_answered_with_qe_and_its_detail():
    request = changed(add_to(QUERY, "<sortControl/>"))
    element = respond(problem_answer(request.problems[0]), request)
    assert codes(element)[:3] == ("AE", "QE", "aborted")
    detail = at(element, "acknowledgement/acknowledgementDetail")
    assert names_of(detail) == ["code", "text", "location"]
    assert at(detail, "code").attrib == {"code": "SYN113", "codeSystem": "2.16.840.1.113883.5.1100"}
    assert at(detail, "location").text == f"{QUERY}/sortControl"
    answer, deviations = parse_discovery_response(element)
    assert answer.problem == Code(code="SYN113", scheme="2.16.840.1.113883.5.1100")
    assert deviations == ()


@pytest.mark.parametrize(
    "answer",
    [
        DiscoveryAnswer(status=MatchStatus.OK),
        DiscoveryAnswer(status=MatchStatus.NF, matches=(MATCH,)),
        DiscoveryAnswer(status=MatchStatus.AE),
        DiscoveryAnswer(status=MatchStatus.OK, matches=(MATCH,), asks=ASKS),
    ],
)
def test_an_answer_that_contradicts_itself_is_not_sent(answer):
    with pytest.raises(OurFault) as caught:
        respond(answer)
    assert caught.value.code == "discovery-answer-inconsistent"


# --- answer: what TEFCA asks ------------------------------------------------------------------


def test_a_match_has_one_id_its_community_bare_and_no_locator_qtf_713_714():
    event = at(respond(FOUND), "controlActProcess/subject/registrationEvent")
    patient = at(event, "subject1/patient")
    assert [part.attrib for part in patient.findall(hl7("id"))] == [
        {"root": "2.999.2.5", "extension": "77"}
    ]
    entity = at(event, "custodian/assignedEntity")
    assert at(entity, "id").attrib == {"root": "2.999.2"}
    assert at(entity, "code").attrib == {
        "code": "NotHealthDataLocator",
        "codeSystem": "1.3.6.1.4.1.19376.1.2.27.2",
    }
    assert names_of(event) == ["id", "statusCode", "subject1", "custodian"]
    assert names_of(patient) == [
        "id",
        "statusCode",
        "patientPerson",
        "providerOrganization",
        "subjectOf1",
    ]


def test_the_patient_id_is_not_written_again_among_the_other_ids():
    held = replace(HELD, identifiers=(MATCH.patient_id,))
    element = respond(replace(FOUND, matches=(replace(MATCH, demographics=held),)))
    assert element.find(f".//{hl7('asOtherIDs')}") is None


def test_a_person_is_written_in_schema_order_ssn_as_citizen_id():
    element = respond(replace(FOUND, matches=(replace(MATCH, demographics=PERSON),)))
    person = at(
        element, "controlActProcess/subject/registrationEvent/subject1/patient/patientPerson"
    )
    assert names_of(person) == [
        "name",
        "name",
        "telecom",
        "telecom",
        "administrativeGenderCode",
        "birthTime",
        "addr",
        "addr",
        "asOtherIDs",
        "asOtherIDs",
        "personalRelationship",
        "birthPlace",
    ]
    assert [part.get("classCode") for part in person.findall(hl7("asOtherIDs"))] == ["CIT", "PAT"]


def test_the_answer_repeats_nothing_of_the_question_as_the_patients_own_qtf_716():
    element = respond(FOUND)
    subject = at(element, "controlActProcess/subject")
    for asked in ("O'Neill", "Oneill", "Annie", "Troy", "555-0100", "999-00-1111", "Gray"):
        assert asked in serialize(element).decode()  # in the echo of the query
        assert asked not in serialize(subject).decode()


def test_ids_of_the_request_are_repeated():
    element = respond(FOUND)
    assert at(element, "acknowledgement/targetMessage/id").get("extension") == "m1"
    assert at(element, "controlActProcess/queryAck/queryId").get("extension") == "q1"
    assert at(element, "receiver/device/id").get("root") == "2.999.1.9"
    organization = "device/asAgent/representedOrganization/id"
    assert at(element, f"receiver/{organization}").get("root") == "2.999.1"
    assert at(element, f"sender/{organization}").get("root") == "2.999.2"


def test_query_by_parameter_is_the_requests_own_nodes():
    xml = f"""
    <v3:PRPA_IN201305UV02 xmlns:v3="urn:hl7-org:v3" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"
      xmlns:junk="urn:junk" xmlns:ext="urn:ext">
     <v3:id root="2.999.1"/>
     <v3:controlActProcess><v3:queryByParameter>
      <v3:queryId root="{ECHO}"/>
      <v3:matchCriterionList><v3:matchAlgorithm>
       <v3:value i:type="v3:ST">hund</v3:value></v3:matchAlgorithm></v3:matchCriterionList>
      <v3:parameterList ext:mark="1"><v3:livingSubjectId>
       <v3:value root="2.999" extension="1"/></v3:livingSubjectId>
       <ext:unknown>kept</ext:unknown></v3:parameterList>
     </v3:queryByParameter></v3:controlActProcess></v3:PRPA_IN201305UV02>"""
    original = parse(xml.encode())
    request, _ = parse_discovery_request(original)
    before = serialize(original)
    copy = at(respond(FOUND, request), "controlActProcess/queryByParameter")

    def facts(element):
        return [
            (child.tag, dict(child.attrib), (child.text or "").strip()) for child in element.iter()
        ]

    assert facts(copy) == facts(at(original, "controlActProcess/queryByParameter"))
    typed = at(copy, "matchCriterionList/matchAlgorithm/value")
    prefix = typed.get("{http://www.w3.org/2001/XMLSchema-instance}type").partition(":")[0]
    assert typed.nsmap[prefix] == "urn:hl7-org:v3"
    assert serialize(original) == before


def test_query_by_parameter_is_repeated_also_with_a_namespace_that_is_no_absolute_uri():
    element = wire(build_discovery_request(REQUEST))
    mark = parse(b'<x:mark xmlns:x="relative">kept</x:mark>')
    at(element, f"{QUERY}/parameterList").append(mark)
    request, _ = parse_discovery_request(element)
    copy = at(respond(FOUND, request), f"{QUERY}/parameterList")
    assert copy[-1].tag == "{relative}mark"
    assert copy[-1].text == "kept"


def test_markup_in_an_id_or_a_problem_stays_a_value():
    awkward = "a<b>&\"c'd]]>\n\t\u00e9"
    request = replace(
        REQUEST,
        message_id=InstanceId(root="2.999", extension=awkward),
        query_id=InstanceId(root="2.999", extension=awkward),
    )
    problem = Code(code=awkward, scheme="2.999.3", display=awkward)
    answer = DiscoveryAnswer(status=MatchStatus.AE, problem=problem, problem_text=awkward)
    element = respond(answer, request)
    assert at(element, "acknowledgement/targetMessage/id").get("extension") == awkward
    assert at(element, "acknowledgement/acknowledgementDetail/text").text == awkward
    assert at(element, "controlActProcess/queryAck/queryId").get("extension") == awkward
    path = "controlActProcess/reasonOf/detectedIssueEvent/mitigatedBy/detectedIssueManagement/code"
    assert at(element, path).get("code") == awkward
    assert at(element, path).get("displayName") == awkward


# --- answer: what partners really send --------------------------------------------------------


def edited(answer, *edits):
    element = respond(answer)
    for edit in edits:
        edit(element)
    return parse_discovery_response(wire(element))


def remove(path):
    def edit(element):
        found = at(element, path)
        found.getparent().remove(found)

    return edit


def put(path, name, value):
    return lambda element: at(element, path).set(name, value)


def as_text(path, name):
    def edit(element):
        found = at(element, path)
        found.text = found.attrib.pop(name)

    return edit


def echo_first(element):
    process = at(element, "controlActProcess")
    echo = at(process, "queryByParameter")
    process.insert(list(process).index(at(process, "queryAck")), echo)


EVENT = "controlActProcess/subject/registrationEvent"
PATIENT = f"{EVENT}/subject1/patient"


@pytest.mark.parametrize(
    ("edit", "deviation"),
    [
        (lambda element: element.attrib.pop("ITSVersion"), D.ITS_VERSION_MISSING),
        (remove("sender"), D.SENDER_MISSING),
        (remove("receiver"), D.RECEIVER_MISSING),
        (as_text("creationTime", "value"), D.VALUE_AS_TEXT),
        (as_text(f"{PATIENT}/statusCode", "code"), D.VALUE_AS_TEXT),
        (as_text(f"{PATIENT}/patientPerson/birthTime", "value"), D.VALUE_AS_TEXT),
        (put(f"{PATIENT}/patientPerson/birthTime", "value", "1980-02-03"), D.TIME_ISO),
        (
            put(f"{PATIENT}/patientPerson/administrativeGenderCode", "code", "female"),
            D.GENDER_WORD,
        ),
        (echo_first, D.ELEMENT_ORDER),
        (remove(f"{EVENT}/custodian/assignedEntity/code"), D.LOCATOR_CODE_MISSING),
        (
            put(f"{EVENT}/custodian/assignedEntity/code", "code", "SupportsHealthDataLocator"),
            D.HEALTH_DATA_LOCATOR,
        ),
        (
            put(f"{EVENT}/custodian/assignedEntity/id", "root", "urn:oid:2.999.2"),
            D.HOME_COMMUNITY_FORM,
        ),
        (remove(f"{EVENT}/custodian/assignedEntity/id"), D.HOME_COMMUNITY_FALLBACK),
        (put("interactionId", "extension", "PRPA_IN201306UV"), D.INTERACTION_ID),
        (remove("acknowledgement"), D.ACKNOWLEDGEMENT_MISSING),
        (remove("controlActProcess/queryAck/queryId"), D.QUERY_ID_MISSING),
        (remove("controlActProcess/queryAck/queryResponseCode"), D.RESPONSE_CODE_MISSING),
        (
            put("controlActProcess/queryAck/queryResponseCode", "code", "NF"),
            D.RESPONSE_CODE_CONFLICT,
        ),
    ],
)
def test_each_deviation_is_understood_and_named(edit, deviation):
    assert edited(FOUND, edit) == (FOUND, (deviation,))


def test_a_match_without_observation_has_no_score():
    answer, deviations = edited(FOUND, remove(f"{PATIENT}/subjectOf1"))
    assert answer.matches == (replace(MATCH, score=None),)
    assert deviations == (D.MATCH_OBSERVATION_MISSING,)


def test_a_match_without_patient_id_is_counted_not_invented():
    answer, deviations = edited(FOUND, remove(f"{PATIENT}/id"))
    assert answer == DiscoveryAnswer(status=MatchStatus.NF)
    assert set(deviations) == {D.MATCH_UNUSABLE, D.RESPONSE_CODE_CONFLICT}


def test_several_patient_ids_become_other_ids():
    def edit(element):
        add_to(PATIENT, '<id root="2.999.8" extension="other"/>')(element)

    answer, deviations = edited(FOUND, edit)
    assert answer.matches[0].patient_id == MATCH.patient_id
    assert answer.matches[0].demographics.identifiers == (
        PatientId(assigning_authority="2.999.8", id="other"),
    )
    assert deviations == (D.SEVERAL_PATIENT_IDS,)


ASKED = DiscoveryAnswer(status=MatchStatus.OK, asks=("PatientAddressRequested",))
ORDER = "controlActProcess/reasonOf/detectedIssueEvent/triggerFor/actOrderRequired/code"


def test_a_misspelt_ask_is_understood():
    assert edited(ASKED, put(ORDER, "code", "PatientAdressRequested")) == (ASKED, (D.ASK_MISSPELT,))


def test_an_unknown_ask_is_carried_through():
    answer, deviations = edited(ASKED, put(ORDER, "code", "ShoeSizeRequested"))
    assert answer.asks == ("ShoeSizeRequested",)
    assert deviations == (D.ASK_UNKNOWN,)


def test_a_problem_of_another_code_system_is_carried_through():
    answer = DiscoveryAnswer(
        status=MatchStatus.AE,
        problem=Code(code="InsufficientRights", scheme="1.3.6.1.4.1.12559.11.10.1.3.2.2.1"),
        problem_text="Not allowed",
    )
    assert parse_discovery_response(respond(answer)) == (answer, (D.PROBLEM_CODE_SYSTEM,))


def test_an_exception_name_as_code_system_is_carried_through():
    request = changed(add_to(QUERY, "<sortControl/>"))
    element = respond(problem_answer(request.problems[0]), request)
    code = "acknowledgement/acknowledgementDetail/code"
    put(code, "codeSystem", "XMLParseException")(element)
    answer, deviations = parse_discovery_response(element)
    assert answer.problem == Code(code="SYN113", scheme="XMLParseException")
    assert deviations == (D.DETAIL_CODE_SYSTEM,)


def test_ids_that_are_not_ours_are_counted_only():
    element = respond(FOUND)
    put("acknowledgement/targetMessage/id", "extension", "urn:uuid:other")(element)
    put("controlActProcess/queryAck/queryId", "extension", "other")(element)
    assert parse_discovery_response(element, REQUEST) == (
        FOUND,
        (D.TARGET_MESSAGE_MISMATCH, D.QUERY_ID_MISMATCH),
    )


def test_another_answer_body_is_refused():
    with pytest.raises(WireError) as caught:
        parse_discovery_response(parse(b'<PRPA_IN201305UV02 xmlns="urn:hl7-org:v3"/>'))
    assert caught.value.code == "discovery-invalid"


def test_more_matches_than_the_limit_are_refused():
    element = respond(FOUND)
    process = at(element, "controlActProcess")
    subject = serialize(at(process, "subject"))
    for _ in range(500):
        process.append(parse(subject))
    with pytest.raises(LimitError):
        parse_discovery_response(element)


# --- messages of other products ---------------------------------------------------------------


def bodies(shared_data, name):
    for path in sorted((shared_data / "ihe-soap").rglob("*.xml")):
        try:
            root = parse(path.read_bytes())
        except WireError:
            continue
        for element in root.iter(hl7(name)):
            yield path.name, element


@pytest.mark.shared
def test_every_shared_answer_is_understood(shared_data):
    answers = {
        name: parse_discovery_response(element)[0]
        for name, element in bodies(shared_data, "PRPA_IN201306UV02")
    }
    assert len(answers) >= 16
    counts = {name: (answer.status.value, len(answer.matches)) for name, answer in answers.items()}
    expected = {
        "connect__pd_response_match.xml": ("OK", 1),
        "connect__pd_response_fanout_multi.xml": ("OK", 2),
        "metriport__xcpd_match.xml": ("OK", 1),
        "metriport__xcpd_no_match.xml": ("NF", 0),
        "metriport__xcpd_error.xml": ("AE", 0),
        "ipf__iti55-sample-response.xml": ("OK", 2),
        "ipf__PDQ_Response.xml": ("OK", 9),
    }
    assert counts.items() >= expected.items()
    multi = answers["connect__pd_response_fanout_multi.xml"].matches
    assert [match.home_community_id for match in multi] == ["urn:oid:1.1.1", "urn:oid:1.1.2"]
    assert [match.patient_id.id for match in multi] == ["3456.1", "3456.2"]
    assert multi[0].demographics.names == (PersonName(family="Evans", given=("Daniel", "Peter")),)
    error = answers["metriport__xcpd_error.xml"]
    assert error.problem == Code(code="InternalError", scheme="1.3.6.1.4.1.19376.1.2.27.3")
    assert error.problem_text == "No binding for namespace prefix urn"
    sample = answers["ipf__iti55-sample-response.xml"].matches[0]
    assert (sample.score, sample.organization_name) == (92, "Good Health Clinic")
    assert sample.demographics.identifiers[1].id == "999-88-6345"


@pytest.mark.shared
def test_every_shared_request_is_understood(shared_data):
    requests = {
        name: parse_discovery_request(element)[0]
        for name, element in bodies(shared_data, "PRPA_IN201305UV02")
    }
    assert len(requests) >= 10
    sample = requests["ipf__iti55-sample-request.xml"]
    assert sample.problems == ()
    assert sample.sender == "urn:oid:1.2.3.928.955"
    assert sample.author_assigning_authority == "1.2.840.114350.1.13.99997.2.3412"
    assert sample.query.minimum_degree_match == 100
    assert sample.query.demographics.names == (PersonName(family="Jones", given=("Jimmy",)),)
    assert [i.id for i in sample.query.demographics.identifiers] == ["1234", "58910"]
    deferred = requests["ipf__iti55-sample-request-deferred.xml"]
    assert deferred.priority == "D"
    assert deferred.respond_to
    assert {p.code for p in requests["ipf__01_PDQQuery1.xml"].problems} == {"SYN113"}
