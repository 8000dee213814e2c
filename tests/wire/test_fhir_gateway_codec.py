"""What a FHIR gateway needs of the codec: searches said again, criteria on resources, pages cut."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_fhir_query import name, value

from node.errors import LimitError, WireError
from node.wire.fhir.capability import capability_statement
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.holding import holds
from node.wire.fhir.offer import offered
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import SearchLimits, parse_search
from node.wire.fhir.rebase import rebased
from node.wire.fhir.restate import restated
from node.wire.fhir.searchset import read_resource, read_searchset

NOW = datetime(2026, 11, 27, tzinfo=UTC)
BASE = "https://up.example/fhir"


def parsed(type_, pairs, *, strict=True, types=None):
    return parse_search(
        (types or resource_types())[type_], pairs, strict=strict, base_url="https://us.example",
        now=NOW, limits=SearchLimits(),
    )  # fmt: skip


# --- searches said again ----------------------------------------------------------------------


@given(st.sampled_from(sorted(resource_types())), st.lists(st.tuples(name, value), max_size=6))
@example("AllergyIntolerance", [("_id", "0"), ("_id", "0")])
def test_a_search_that_was_understood_is_the_same_search_when_said_again(type_, pairs):
    try:
        query = parsed(type_, pairs, strict=False)
    except FhirProblem:
        return
    if query.only_count:
        return
    again = parsed(type_, restated(query))
    kept = {"used": (), "ignored": ()}
    for field in ("criteria", "updated", "include", "revinclude"):  # said twice is said once
        kept[field] = tuple(dict.fromkeys(getattr(query, field)))
    assert replace(again, used=(), ignored=()) == replace(query, **kept)


def test_only_what_was_understood_is_said_again():
    pairs = [
        ("patient", "ann"),
        ("nonsense", "1"),
        ("code", "http://x|a\\,b,c"),
        ("_elements", "id"),
    ]
    assert restated(parsed("Observation", pairs, strict=False)) == [
        ("patient", "Patient/ann"),
        ("code", "http://x|a\\,b,c"),
        ("_count", "50"),
    ]


# --- criteria on a resource -------------------------------------------------------------------

LAB = {
    "resourceType": "Observation",
    "id": "1",
    "status": "final",
    "subject": {"reference": "Patient/ann"},
    "category": [{"coding": [{"system": "http://c", "code": "laboratory"}]}],
    "effectiveDateTime": "2026-05-04",
}


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("category", "laboratory"), True),
        (("category", "http://c|laboratory"), True),
        (("category", "http://d|laboratory"), False),
        (("category", "|laboratory"), False),
        (("category", "vital-signs,laboratory"), True),
        (("category:not", "laboratory"), False),
        (("category:not", "vital-signs"), True),
        (("category:missing", "true"), False),
        (("code:missing", "true"), True),
        (("patient", "ann"), True),
        (("patient", "Patient/bob"), False),
        (("_id", "1"), True),
        (("_id:not", "1"), False),
        (("date", "2026"), True),
        (("date", "ge2026-05-04"), True),
        (("date", "gt2026-05-04"), False),
        (("date", "lt2026-05-05"), True),
        (("date", "ne2026"), False),
        (("date", "sa2026-05-03"), True),
        (("date", "eb2026-05-04"), False),
        (("date", "ap2026-05"), True),
    ],
)
def test_a_criterion_holds_for_a_resource_as_for_its_row_of_the_index(pair, expected):
    (criterion,) = parsed("Observation", [pair]).criteria
    assert holds(criterion, LAB) is expected


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("name", "ard"), True),
        (("name:contains", "DEN"), True),
        (("name:exact", "Ärden"), True),
        (("name:exact", "ärden"), False),
        (("family", "nobody"), False),
    ],
)
def test_texts_are_compared_as_in_the_index(pair, expected):
    (criterion,) = parsed("Patient", [pair]).criteria
    assert holds(criterion, {"name": [{"family": "Ärden"}]}) is expected


def test_a_criterion_with_a_chain_never_holds():
    (criterion,) = parsed("PractitionerRole", [("practitioner.name", "x")]).criteria
    assert not holds(criterion, {"practitioner": {"reference": "Practitioner/x"}})


# --- pages of another server ------------------------------------------------------------------


def page(*entries: bytes, **rest) -> bytes:
    head = json.dumps({"resourceType": "Bundle", "type": "searchset", **rest})[:-1].encode()
    return head + b',"entry":[' + b",".join(entries) + b"]}"


def test_a_resource_is_cut_out_of_a_page_byte_for_byte():
    raw = b'{"resourceType" : "Observation", "id":"1","valueDecimal":1.100,\n "x":[1e2]}'
    found = read_searchset(page(b'{"fullUrl":"urn:x","resource": ' + raw + b"}", total=7))
    assert [each.data for each in found.found] == [raw]
    assert (found.total, found.following, found.unusable) == (7, None, 0)


def test_what_is_no_resource_is_counted_and_what_is_an_outcome_is_not_shown():
    entries = [
        b'{"resource":{"resourceType":"Patient"}}',
        b'{"resource":{"resourceType":"Patient","id":"../x"}}',
        b'{"resource":[1]}',
        b"{}",
        b'{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning"}]}}',
        b'{"resource":{"resourceType":"Patient","id":"1"},"search":{"mode":"include"}}',
    ]
    found = read_searchset(page(*entries))
    assert [(each.type, each.id, each.mode) for each in found.found] == [
        ("Patient", "1", "include")
    ]
    assert (found.unusable, found.doubts) == (4, True)


def test_an_outcome_that_only_informs_raises_no_doubts():
    outcome = (
        b'{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"information"}]}}'
    )
    assert not read_searchset(page(outcome)).doubts


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"<html></html>", WireError),
        (b"", WireError),
        (b'{"resourceType":"Patient","id":"1"}', WireError),
        (b'{"resourceType":"Bundle","type":"transaction"}', WireError),
        (b'{"resourceType":"Bundle","type":"searchset","entry":{}}', WireError),
        (page(b"{}")[:-1], WireError),
        (b'{"resourceType":"Bundle","type":"searchset","entry":' + b"[" * 5000, WireError),
        (page(*[b"{}"] * 11), LimitError),
        (page(link=[{"relation": "next", "url": "x" * 5000}]), LimitError),
        (page(link=[{"relation": "next", "url": 1}]), WireError),
    ],
)
def test_what_is_no_page_is_refused(data, error):
    with pytest.raises(error):
        read_searchset(data, most=10)


def test_a_resource_deeper_than_anything_is_looked_for_is_unusable():
    deep = b'{"resourceType":"Patient","id":"1","x":' + b"[" * 200 + b"]" * 200 + b"}"
    assert read_searchset(page(b'{"resource":' + deep + b"}")).unusable == 1
    with pytest.raises(WireError):
        read_resource(deep)


# --- addresses of another server --------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"reference":"https://up.example/fhir/Patient/1"}', '{"reference":"Patient/1"}'),
        (
            '{"reference" : "https://up.example/fhir/Foo/1/_history/2", "a": 1.0}',
            '{"reference" : "Foo/1/_history/2", "a": 1.0}',
        ),
        (
            '{"reference":"https:\\/\\/up.example\\/fhir\\/Patient\\/1"}',
            '{"reference":"Patient\\/1"}',
        ),
        ('{"url":"https://up.example/fhir/Binary/b"}', '{"url":"Binary/b"}'),
        # a definition, another server, another path, a text that only looks like it: all stay
        ('{"url":"https://up.example/fhir/StructureDefinition/b"}', None),
        ('{"reference":"https://up.example/fhir2/Patient/1"}', None),
        ('{"reference":"https://upXexample/fhir/Patient/1"}', None),
        ('{"reference":"http://up.example/fhir/Patient/1"}', None),
        ('{"reference":"https://up.example/fhir/Patient?name=x"}', None),
        ('{"div":"\\"reference\\":\\"https://up.example/fhir/Patient/1\\""}', None),
    ],
)
def test_references_into_the_other_server_become_relative(before, after):
    assert rebased(before.encode(), BASE, ["Binary"]) == (after or before).encode()


# --- what another server offers ---------------------------------------------------------------


def test_a_server_of_our_own_offers_everything():
    statement = capability_statement(base_url=BASE, name="x", version="0")
    assert offered(statement) == dict(resource_types())
    assert capability_statement(base_url=BASE, name="x", version="0", types=offered(statement)) == (
        statement
    )


def stated(*resources, **rest) -> bytes:
    return json.dumps(
        {
            "resourceType": "CapabilityStatement",
            "fhirVersion": "4.0.1",
            "rest": [{"mode": "server", "resource": list(resources)}],
            **rest,
        }
    ).encode()


def resource(type_, *parameters, interactions=("read", "search-type"), **more):
    return {
        "type": type_,
        "interaction": [{"code": code} for code in interactions],
        "searchParam": [{"name": n, "type": t} for n, t in parameters],
        **more,
    }


def test_what_is_offered_is_what_both_sides_have():
    found = offered(
        stated(
            resource(
                "Observation",
                ("patient", "reference"), ("category", "token"), ("own", "token"), ("code", "uri"),
                searchRevInclude=["Provenance:target"],
            ),
            resource("Condition", ("code", "token")),
            resource("Organization", interactions=["search-type"]),
            resource("Invented"),
            resource("Patient", ("birthdate", "date")),
            resource("Encounter", ("patient", "reference"), interactions=["read"]),
        )
    )  # fmt: skip
    assert set(found) == {"Observation", "Condition", "Patient", "Encounter"}
    lab = found["Observation"]
    assert set(lab.parameters) == {"patient", "category"}  # code is of another kind there
    assert (lab.revinclude, lab.updated) == (("Provenance:target",), False)
    assert {c.of for c in lab.combinations} == {("patient", "category")}
    # without what narrows it to a patient, a type is read and not searched
    assert not found["Condition"].search
    assert not found["Patient"].search
    assert not found["Encounter"].search


def test_what_upstream_does_not_know_is_unknown_here_too():
    types = offered(stated(resource("Observation", ("patient", "reference"))))
    for pair in [
        ("code", "x"),
        ("_lastUpdated", "2020"),
        ("_sort", "_lastUpdated"),
        ("_sort", "date"),
    ]:
        with pytest.raises(FhirProblem):
            parsed("Observation", [pair], types=types)
    said = json.loads(capability_statement(base_url=BASE, name="x", version="0", types=types))
    assert "searchParam" not in said["rest"][0]
    assert "practitioner.name" not in said["rest"][0]["documentation"]


@pytest.mark.parametrize(
    "statement",
    [b"<html>", b"[]", b'{"resourceType":"Patient"}', stated(fhirVersion="5.0.0")],
)
def test_what_is_no_statement_of_an_r4_server_is_refused(statement):
    with pytest.raises(FhirProblem) as refused:
        offered(statement)
    assert refused.value.code == "fhir-upstream-invalid"
