from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import stored_queries

from node.errors import LimitError, OurFault, WireError
from node.model import ReturnType, StoredQuery
from node.wire.deviations import ContentDeviation as D
from node.wire.deviations import Deviations
from node.wire.names import QUERY
from node.wire.stored_query import (
    build_adhoc_query,
    check_stored_query,
    parse_adhoc_query,
    target_communities,
)
from node.wire.stored_query_catalogue import catalogue
from node.wire.stored_query_values import decode, encode_list, encode_single
from node.wire.xml import parse, serialize

OWN = "urn:oid:2.999.1"
OTHER = "urn:oid:2.999.2"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
PATIENT = "$XDSDocumentEntryPatientId"
STATUS = "$XDSDocumentEntryStatus"
FIND = catalogue().named("FindDocuments").id
GET = catalogue().named("GetDocuments").id
GOOD = StoredQuery(id=FIND, parameters=((PATIENT, ("77^^^&2.999.7&ISO",)), (STATUS, (APPROVED,))))


def wire(element):
    return parse(serialize(element))


def values_of(element, slot):
    return [
        [value.text for value in found.iter("{*}Value")]
        for found in element.iter("{*}Slot")
        if found.get("name") == slot
    ]


def extended(*parameters, query=GOOD):
    return replace(query, parameters=(*query.parameters, *parameters))


def codes(query, homes=(OWN,)):
    return [error.code for error in check_stored_query(query, homes)]


# --- value coding -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values", "unquoted"),
    [
        ("'a'", ("a",), False),
        ("'O''Neill'", ("O'Neill",), False),
        ("''", ("",), False),
        ("''''", ("'",), False),
        ("('a','b')", ("a", "b"), False),
        ("( 'a' , 'b' )", ("a", "b"), False),
        ("('a,b)','c(')", ("a,b)", "c("), False),
        ("('it''s','x')", ("it's", "x"), False),
        ("123", ("123",), False),
        ("(1,2)", ("1", "2"), False),
        ("('a')", ("a",), False),
        ("()", (), False),
        ("", (), False),
        (f"({APPROVED})", (APPROVED,), True),
        (APPROVED, (APPROVED,), True),
        ("(urn:uuid:a,'b')", ("urn:uuid:a", "b"), True),
        ("77^^^&2.999.7&ISO", ("77^^^&2.999.7&ISO",), True),
        ("  'a'\n", ("a",), False),
    ],
)
def test_values_are_decoded(text, values, unquoted):
    seen = Deviations()
    assert decode([text], "$x", seen) == values
    assert (seen.seen() == (D.VALUE_UNQUOTED,)) is unquoted


@pytest.mark.parametrize(
    "text",
    [
        "'a",
        "('a'",
        "('a',)",
        "('a' 'b')",
        "('a')x",
        "'a'b",
        "'a''",
        "(,)",
        "('a','b'",
        "a'b",
        "(a'b)",
        "a)",
        "'593603^^^&2.16&ISO''%20and%20611%3d611--%20",
    ],
)
def test_quotes_and_parentheses_that_do_not_match_are_refused_without_quoting_them(text):
    with pytest.raises(WireError) as caught:
        decode([text], "$slot", Deviations())
    assert caught.value.code == "stored-query-value"
    assert caught.value.where == "$slot"
    assert text not in str(caught.value)


def test_several_values_in_one_slot_continue_one_list():
    assert decode(["('a','b')", "('c')", "'d'"], "$x", Deviations()) == ("a", "b", "c", "d")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=30))
def test_a_list_is_read_as_written_in_values_of_at_most_256_characters(values):
    texts = encode_list(values)
    assert all(len(text) <= 256 for text in texts)
    assert decode(texts, "$x", Deviations()) == tuple(values)


def test_a_long_list_fills_each_value_element():
    texts = encode_list(["x" * 40] * 20)
    assert len(texts) == 4
    assert texts[0].count(",") == 4
    assert [len(text) for text in encode_list(["x" * 125, "y" * 124])] == [256]
    assert [len(text) for text in encode_list(["x" * 125, "y" * 125])] == [129, 129]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_no_text_breaks_the_value_parser(text):
    try:
        values = decode([text], "$x", Deviations())
    except WireError:
        return
    assert all(isinstance(value, str) for value in values)


def test_values_that_cannot_be_sent():
    for value, bare in (("x" * 300, False), ("'" * 128, False), ("2026-01", True), ("", True)):
        with pytest.raises(OurFault) as caught:
            encode_single(value, bare=bare)
        assert caught.value.code == "query-value-invalid"
    with pytest.raises(OurFault):
        encode_list(["x" * 300])


def test_a_value_past_the_limit_is_refused():
    with pytest.raises(LimitError):
        decode(["'" + "x" * 70_000 + "'"], "$x", Deviations())


# --- the message ------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(stored_queries)
def test_a_query_is_read_as_it_was_built(query):
    assert parse_adhoc_query(wire(build_adhoc_query(query))) == (query, ())


def test_the_coding_of_each_kind_of_parameter():
    query = extended(
        ("$XDSDocumentEntryCreationTimeFrom", ("20250101",)),
        ("$XDSDocumentEntryClassCode", ("34133-9^^2.16.840.1.113883.6.1",)),
        ("$MetadataLevel", ("1",)),
    )
    element = wire(build_adhoc_query(query))
    assert values_of(element, PATIENT) == [["'77^^^&2.999.7&ISO'"]]
    assert values_of(element, STATUS) == [[f"('{APPROVED}')"]]
    assert values_of(element, "$XDSDocumentEntryCreationTimeFrom") == [["20250101"]]
    assert values_of(element, "$XDSDocumentEntryClassCode") == [
        ["('34133-9^^2.16.840.1.113883.6.1')"]
    ]
    assert values_of(element, "$MetadataLevel") == [["1"]]
    option, adhoc = element
    assert option.attrib == {"returnComposedObjects": "true", "returnType": "LeafClass"}
    assert adhoc.attrib == {"id": FIND}


def test_a_repeated_slot_stays_two_occurrences():
    events = "$XDSDocumentEntryEventCodeList"
    query = extended((events, ("a^^s", "b^^s")), (events, ("c^^s",)))
    parsed, _ = parse_adhoc_query(wire(build_adhoc_query(query)))
    assert parsed.occurrences(events) == (("a^^s", "b^^s"), ("c^^s",))
    assert codes(parsed) == []


PARTNER = f"""
<q:AdhocQueryRequest xmlns:q="{QUERY}" federated="false" maxResults="-1" startIndex="0">
 <q:ResponseOption returnType="objectref"/>
 <AdhocQuery xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0" home="2.999.1"
   id="14D4DEBF-8F97-4251-9A74-A90016B0AF0D" lid="x" objectType="y" status="z">
  <Slot name="{PATIENT}"><ValueList><Value>
     '77^^^&amp;2.999.7&amp;ISO'
  </Value></ValueList></Slot>
  <Slot name="{STATUS}"><ValueList><Value>('{APPROVED}')</Value></ValueList></Slot>
  <Slot name="$XDSDocumentEntryType"><ValueList>
   <Value>(urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1,urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248)</Value>
  </ValueList></Slot>
 </AdhocQuery></q:AdhocQueryRequest>"""


def test_a_partners_query_is_understood_and_each_deviation_named():
    query, deviations = parse_adhoc_query(parse(PARTNER.encode()))
    assert query == replace(
        extended(
            (
                "$XDSDocumentEntryType",
                (
                    "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
                    "urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248",
                ),
            )
        ),
        home=OWN,
        return_type=ReturnType.OBJECT_REF,
    )
    assert set(deviations) == {
        D.QUERY_ID_FORM,
        D.RETURN_TYPE,
        D.VALUE_UNQUOTED,
        D.HOME_COMMUNITY_FORM,
    }
    assert codes(query) == []


@pytest.mark.parametrize(
    "xml",
    [
        f'<q:AdhocQueryResponse xmlns:q="{QUERY}"/>',
        f'<q:AdhocQueryRequest xmlns:q="{QUERY}"/>',
        f'<q:AdhocQueryRequest xmlns:q="{QUERY}"><AdhocQuery/></q:AdhocQueryRequest>',
        "<AdhocQueryRequest/>",
    ],
)
def test_another_body_is_refused(xml):
    with pytest.raises(WireError) as caught:
        parse_adhoc_query(parse(xml.encode()))
    assert caught.value.code == "stored-query-invalid"


def test_an_error_names_only_slots_of_the_catalogue():
    broken = PARTNER.replace(PATIENT, "Canary").replace("77^^^", "'")
    with pytest.raises(WireError) as caught:
        parse_adhoc_query(parse(broken.encode()))
    assert (caught.value.code, caught.value.where) == ("stored-query-value", "Slot")


def test_more_slots_than_the_limit_are_refused():
    query = StoredQuery(id=FIND, parameters=tuple((f"$x{n}", ("a",)) for n in range(201)))
    with pytest.raises(LimitError):
        parse_adhoc_query(build_adhoc_query(query))


# --- the rules --------------------------------------------------------------------------------


def sample(query):
    """A query of the catalogue with everything it needs."""
    kinds = {"patient": "77^^^&2.999.7&ISO", "text": "urn:uuid:1", "code": "a^^s", "time": "2026"}
    names = [*query.required, *query.one_of[:1]]
    return StoredQuery(
        id=query.id,
        parameters=tuple((name, (kinds[catalogue().parameters[name].kind],)) for name in names),
        home=OWN,
    )


ALL = sorted(catalogue().queries.values(), key=lambda query: query.name)
BY_NAME = pytest.mark.parametrize("query", ALL, ids=lambda query: query.name)


def test_there_are_fourteen_queries():
    assert len(ALL) == 14
    assert [query.name for query in ALL if not query.home] == [
        "FindDocuments",
        "FindDocumentsByReferenceId",
        "FindFolders",
        "FindSubmissionSets",
        "GetAll",
    ]
    named = {name for query in ALL for name in (*query.required, *query.one_of)}
    assert named <= set(catalogue().parameters)


@BY_NAME
def test_each_query_with_all_it_needs_is_good(query):
    assert codes(sample(query)) == []


@BY_NAME
def test_each_missing_parameter_is_named(query):
    good = sample(query)
    for name, _ in good.parameters:
        rest = tuple(pair for pair in good.parameters if pair[0] != name)
        errors = check_stored_query(replace(good, parameters=rest), (OWN,))
        assert [error.code for error in errors] == ["XDSStoredQueryMissingParam"]
        assert name in errors[0].context


@BY_NAME
def test_home_is_needed_by_queries_by_id_only_and_must_be_ours_15815(query):
    good = sample(query)
    needed = ["XDSMissingHomeCommunityId"] if query.home else []
    assert codes(replace(good, home=None)) == needed
    assert codes(replace(good, home=OTHER)) == ["XDSUnknownCommunity"]
    assert codes(replace(good, home="nonsense")) == ["XDSUnknownCommunity"]
    assert codes(replace(good, home=OTHER), homes=(OWN, OTHER)) == []


@BY_NAME
def test_exactly_one_way_to_name_the_object(query):
    if len(query.one_of) > 1:
        both = extended((query.one_of[1], ("x",)), query=sample(query))
        assert codes(both) == ["XDSStoredQueryParamNumber"]


def test_an_unknown_query_is_named_so():
    for query_id in ("urn:uuid:3d1bdb10-39a2-11de-89c2-2f44d94eaa9f", "x"):
        assert codes(replace(GOOD, id=query_id)) == ["XDSUnknownStoredQuery"]


@pytest.mark.parametrize(
    "extra",
    [
        ((STATUS, (APPROVED,)),),
        ((PATIENT, ("78^^^&2.999.7&ISO",)),),
        (("$XDSDocumentEntryClassCode", ("a^^s",)), ("$XDSDocumentEntryClassCode", ("b^^s",))),
        (("$XDSDocumentEntryCreationTimeFrom", ("2025", "2026")),),
        (("$XDSDocumentEntryClassCode", ("a^^s", "b^^")),),
        (("$XDSDocumentEntryClassCode", ("a",)), ("$XDSDocumentEntryClassCodeScheme", ("s",))),
    ],
)
def test_wrong_numbers_and_codes_without_scheme(extra):
    assert codes(extended(*extra)) == ["XDSStoredQueryParamNumber"]


@pytest.mark.parametrize(
    "name",
    [
        "$XDSDocumentEntryEventCodeList",
        "$XDSDocumentEntryConfidentialityCode",
        "$XDSDocumentEntryReferenceIdList",
    ],
)
def test_slots_that_may_repeat(name):
    assert codes(extended((name, ("a^^s",)), (name, ("b^^s",)))) == []


def test_unknown_parameters_are_ignored():
    assert codes(extended(("$vendorSpecific", ("x", "y")), ("$vendorSpecific", ("z",)))) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("$XDSDocumentEntryCreationTimeFrom", "2026-01-01"),
        ("$XDSDocumentEntryServiceStopTimeTo", "20261301"),
    ],
)
def test_times_in_a_wrong_form(name, value):
    errors = check_stored_query(extended((name, (value,))), (OWN,))
    assert [error.code for error in errors] == ["XDSRegistryError"]
    assert value not in errors[0].context


def test_a_patient_id_in_a_wrong_form_is_refused_and_not_repeated():
    query = replace(GOOD, parameters=((PATIENT, ("Canary",)), (STATUS, (APPROVED,))))
    errors = check_stored_query(query, (OWN,))
    assert [error.code for error in errors] == ["XDSRegistryError"]
    assert "Canary" not in errors[0].context


# --- $targetCommunityIdList -------------------------------------------------------------------


def targets(*values):
    query = extended(("$targetCommunityIdList", values)) if values else GOOD
    return target_communities(query, (OWN, OTHER))


def test_no_target_means_all_of_ours():
    assert targets().homes == (OWN, OTHER)
    empty = target_communities(extended(("$targetCommunityIdList", ())), (OWN,))
    assert (empty.homes, empty.errors, empty.query) == ((OWN,), (), GOOD)


def test_targets_of_ours_and_unknown_ones():
    found = targets("2.999.2", "urn:oid:2.999.3")
    assert found.homes == (OTHER,)
    assert [error.code for error in found.errors] == ["XDSUnknownCommunity"]
    assert found.query == GOOD


def test_quoted_targets_are_read_by_the_normal_rules():
    query = extended(("$targetCommunityIdList", (OWN, OTHER)))
    element = wire(build_adhoc_query(query))
    assert values_of(element, "$targetCommunityIdList") == [[f"('{OWN}','{OTHER}')"]]
    assert target_communities(parse_adhoc_query(element)[0], (OTHER,)).homes == (OTHER,)


# --- messages of other products ---------------------------------------------------------------


@pytest.mark.shared
def test_every_shared_query_is_understood_or_refused_by_name(shared_data):
    queries, refused = {}, {}
    for path in sorted((shared_data / "ihe-soap").rglob("*.xml")):
        try:
            root = parse(path.read_bytes())
        except WireError:
            continue
        for element in root.iter(f"{{{QUERY}}}AdhocQueryRequest"):
            try:
                queries[path.name] = parse_adhoc_query(element)[0]
            except WireError as error:
                refused[path.name] = (error.code, error.where)
    assert len(queries) >= 15
    assert refused == {"ipf__iti18request.xml": ("stored-query-value", PATIENT)}
    nist = queries["nist__sq-req.xml"]
    assert nist.values("$XDSDocumentEntryClassCode") == ("value^^scheme",)
    assert codes(nist) == []
    assert codes(queries["nist__sq-req-missing-stat.xml"]) == ["XDSStoredQueryMissingParam"]
    for name in ("nist__sq-req-bad-stat-format1.xml", "nist__sq-req-bad-stat-format2.xml"):
        assert queries[name].values(STATUS) == (APPROVED,)
    assert codes(queries["connect__entity_sq_GetAll.xml"]) == []
    assert codes(queries["connect__entity_sq_GetDocumentsTest.xml"]) == [
        "XDSMissingHomeCommunityId"
    ]
    assert queries["epr__ITI-18_request_raw.xml"].return_type is ReturnType.OBJECT_REF
    assert codes(queries["ipf__iti51request.xml"]) == ["XDSUnknownStoredQuery"]
