"""The FHIR server over HTTPS: bytes, formats, tokens, refusals, the log, operations, documents."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.documentreference import DocumentReference
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.patient import Patient
from fhir_world import NOW, PURPOSE, FhirWorld, Records, bundle, fhir_world, open_records
from orjson import OPT_SORT_KEYS, dumps

from node.errors import OurFault
from node.gateway.fhir.app import FhirLimits
from node.ledger.audit import Site, audit_event
from node.ledger.ledger import ExchangeLedger
from node.policy.opt_out import OptOuts
from node.policy.scopes import own_offer
from node.records.fhir.index import NewResource
from node.records.fhir.source import FhirLimits as Costs
from node.records.fhir.source import LocalFhir
from node.wire.atna import write_audit_messages
from node.wire.balp import write_audit_events
from node.wire.fhir.bundle_reader import BundleResource
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir_patient import read_patient

CDA = Path(__file__).resolve().parents[2] / "examples" / "records"
FORM = "application/x-www-form-urlencoded"
# decimals, unknown elements, odd white space, escapes: a server that writes it again changes it
RAW = (
    b'{ "resourceType":"Observation" , "id": "raw", "status":"final",\n'
    b'  "subject":{"reference":"Patient/ann"}, "code":{"coding":[{"system":"http://loinc.org",'
    b'"code":"718-7","display":"H\\u00e4moglobin"}]},'
    b' "effectiveDateTime":"2020-02-03T04:05:06.70Z",'
    b'"valueQuantity":{"value":1.00,"unit":"g/dL","extension":[{"url":"urn:x","valueDecimal":'
    b'12345678901234567890.120}]},"unheardOf":{"a":[1.10,1e2,{}]},\t"note":[] }'
)
ANN = {
    "resourceType": "Patient",
    "id": "ann",
    "identifier": [{"system": "urn:oid:2.999.5", "value": "MRN-1"}],
    "name": [{"family": "Ärden", "given": ["Ann", "Mary"]}],
    "birthDate": "1980-01-02",
    "gender": "female",
    "address": [{"line": ["1 High Street"], "city": "Salem", "state": "OR", "postalCode": "97301"}],
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    folder = tmp_path_factory.mktemp("server")
    made = open_records(f"sqlite:///{folder / 'node.db'}", folder)
    shutil.copytree(CDA, folder / "in")
    (folder / "in" / "ann.json").write_bytes(bundle(ANN, RAW))
    assert made.load(folder / "in").failures == ()
    yield made
    made.engine.dispose()


@pytest.fixture
async def world(records: Records, us, them) -> AsyncIterator[FhirWorld]:
    async with fhir_world(records, us, them) as running:
        yield running


# --- resources --------------------------------------------------------------------------------


async def test_a_resource_is_served_byte_for_byte(world: FhirWorld):
    token = world.token()
    read = await world.get("Observation/raw", token=token)
    assert read.body == RAW
    assert read.headers["content-type"].startswith("application/fhir+json")
    assert read.headers["etag"] == 'W/"1"'
    assert read.headers["cache-control"] == "no-store"
    found = await world.get("Observation", {"patient": "ann"}, token=token)
    assert b'"resource":' + RAW + b',"search":' in found.body


async def test_what_we_author_is_what_the_standard_says(world: FhirWorld):
    token = world.token()
    found = await world.get("Patient", {"name": "ann", "nonsense": "1"}, token=token)
    Bundle.model_validate_json(found.body)
    assert found.json["total"] == 1
    assert found.json["entry"][0]["fullUrl"] == f"{world.base}/Patient/ann"
    refused = await world.get("Nonsense/1", token=token)
    OperationOutcome.model_validate_json(refused.body)


async def test_the_capability_statement_needs_no_token_and_says_what_is_true(world: FhirWorld):
    answer = await world.get("metadata")
    assert answer.status == 200
    CapabilityStatement.model_validate_json(answer.body)
    statement = answer.json
    assert (statement["fhirVersion"], statement["kind"]) == ("4.0.1", "instance")
    for resource in statement["rest"][0]["resource"]:
        type_ = resource["type"]
        of_log = type_ == "AuditEvent"
        token = world.own_token(rights=["exchanges"]) if of_log else world.token()
        codes = {i["code"] for i in resource["interaction"]}
        assert (await world.get(f"{type_}/none", token=token)).issue[1] == "fhir-not-found"
        for parameter in resource.get("searchParam", ()):
            value = {"token": "x", "string": "x", "date": "2020", "reference": "Patient/x"}
            query = {parameter["name"]: value[parameter["type"]]}
            if not of_log:
                query = {"_id": "none"} | query
            found = await world.get(type_, query, token=token, prefer="handling=strict")
            assert (found.status, found.ids) == (200, []), (type_, parameter)
        for kind in ("searchInclude", "searchRevInclude"):
            for include in resource.get(kind, ()):
                query = {
                    "_id": "none",
                    "_include" if kind == "searchInclude" else "_revinclude": include,
                }
                found = await world.get(type_, query, token=token, prefer="handling=strict")
                assert found.status == 200, include
        if "search-type" not in codes:
            assert (await world.get(type_, token=token)).status == 404
    assert {r["type"] for r in statement["rest"][0]["resource"]} == {
        *resource_types(), "AuditEvent",
    }  # fmt: skip
    assert {
        o["name"] for r in statement["rest"][0]["resource"] for o in r.get("operation", ())
    } == {
        "match",
        "docref",
    }


def test_every_scope_on_offer_is_for_a_type_that_is_served():
    assert set(own_offer().types) <= set(resource_types())


# --- who may ask ------------------------------------------------------------------------------


async def test_without_a_token_there_is_401_and_how_to_get_one(world: FhirWorld):
    answer = await world.get("Patient/ann")
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="FHIR"'
    assert answer.issue == ("login", "fhir-token-missing")
    wrong = await world.get("Patient/ann", token="made-up")
    assert wrong.headers["www-authenticate"] == 'Bearer realm="FHIR", error="invalid_token"'
    basic = await world.get("Patient/ann", authorization="Basic YTpi")
    assert basic.issue == ("login", "fhir-token-missing")


async def test_nobody_without_a_token_learns_what_there_is(world: FhirWorld):
    bodies = set()
    for path in (
        "Patient/ann",
        "Patient/none",
        "Nonsense/1",
        "Patient?name=x&name=y",
        "$x",
        "a/b/c",
    ):
        answer = await world.get(path)
        bodies.add((answer.status, answer.body))
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("scopes", "path", "status"),
    [
        (("system/Patient.rs",), "Observation/raw", 403),
        (("system/Observation.s",), "Observation/raw", 403),
        (("system/Observation.r",), "Observation?patient=ann", 403),
        (("system/Observation.s",), "Observation?patient=ann", 200),
        (("system/Observation.read",), "Observation/raw", 200),
        (("system/*.cud",), "Observation/raw", 403),
        (("openid", "nonsense"), "Observation/raw", 403),
    ],
)
async def test_a_scope_decides_type_and_operation(scopes, path, status, world: FhirWorld):
    answer = await world.get(path, token=world.token(*scopes))
    assert answer.status == status
    if status == 403:
        assert answer.issue == ("forbidden", "fhir-scope-missing")
        assert "insufficient_scope" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ("system/Observation.rs?code=718-7", ["Observation/raw"]),
        ("system/Observation.rs?code=other", []),
        (
            "system/Observation.rs?code=other system/Observation.rs?status=final",
            ["Observation/raw"],
        ),
    ],
)
async def test_a_granular_scope_narrows_search_and_read(scope, found, world: FhirWorld):
    token = world.token(*scope.split())
    assert (await world.get("Observation", {"patient": "ann"}, token=token)).ids == found
    assert (await world.get("Observation/raw", token=token)).status == (200 if found else 404)


@pytest.mark.parametrize("query", ["unheard=1", "patient.name=x", "_count=1", "code=a&nonsense=b"])
async def test_a_granular_scope_that_is_not_understood_gives_nothing(query, world: FhirWorld):
    token = world.token(f"system/Observation.rs?{query}")
    assert (await world.get("Observation", {"patient": "ann"}, token=token)).status == 403


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"suspended": True}, "peer-suspended"),
        ({"active": False}, "peer-inactive"),
        ({"initiates": frozenset()}, "purpose-not-listed"),
        ({"unsigned_refused": True}, "unsigned-entry"),
    ],
)
async def test_policy_is_asked_anew_for_every_request(entry, reason, world: FhirWorld):
    answer = await world.get("Observation/raw", token=world.token(**entry))
    assert (answer.status, answer.issue[1]) == (403, "fhir-policy-denied")
    assert world.entries()[-1]["reason"] == reason
    assert world.entries()[-1]["outcome"] == "declined"


# --- the log ----------------------------------------------------------------------------------


async def test_every_answer_is_an_entry_without_a_trace_of_the_patient(world: FhirWorld):
    token = world.token()
    before = len(world.entries())
    asked = "0190a7c4-0000-7000-8000-000000000001"
    await world.get("Observation/raw", token=token, x_request_id=asked)
    await world.get("Observation", {"patient": "ann"}, token=token)
    await world.get("Observation/none", token=token)
    await world.get("Observation", {"patient.name": "Ärden"}, token=token)
    await world.get("Patient/ann")
    entries = world.entries()[before:]
    assert [(e["txn"], e["outcome"]) for e in entries] == [
        ("FHIR-READ", "ok"),
        ("FHIR-SEARCH", "ok"),
        ("FHIR-READ", "ok-empty"),
        ("FHIR-SEARCH", "declined"),
        ("FHIR-READ", "declined"),
    ]
    read = entries[0]
    assert (read["peer"], read["org"], read["purpose"]) == ("urn:oid:2.999.8", "north-1", PURPOSE)
    assert (read["msg"], read["bind"], read["docs"]) == (f"urn:uuid:{asked}", "token", 1)
    assert read.keys() >= {"c_req", "c_res", "c_who", "c_patient", "c_query", "c_docs", "pol"}
    assert entries[4]["reason"] == "fhir-token-missing"
    assert "purpose" not in entries[4]
    text = json.dumps(entries)
    assert "ann" not in text.lower().replace("declined", "")
    assert "raw" not in text


async def test_both_forms_of_audit_records_can_be_made_of_its_entries(world: FhirWorld):
    token = world.token()
    await world.get("Observation/raw", token=token)
    await world.get("Observation", {"patient": "ann"}, token=token)
    await world.post(
        "Patient/$match", match_body(), token=token, content_type="application/fhir+json"
    )
    await world.get("DocumentReference/$docref", {"patient": "ann"}, token=token)
    await world.get("$nothing", token=token)
    site = Site(name="Seven Health", home_community_id="urn:oid:2.999.7")
    for leaf in world.entries()[-5:]:
        data = dumps(leaf, option=OPT_SORT_KEYS)
        event = audit_event(data, leaf, {}, site)
        assert leaf["txn"].encode() in b"".join(write_audit_messages(event))
        assert leaf["txn"].encode() in b"".join(write_audit_events(event))


async def test_the_entry_is_durable_before_the_answer_leaves(world: FhirWorld, monkeypatch):
    token = world.token()
    before = len(world.entries())
    await world.get("Observation/raw", token=token)
    assert len(world.entries()) == before + 1

    async def broken(self, record):
        raise OurFault("internal-error", "The log is full.")

    monkeypatch.setattr(ExchangeLedger, "append", broken)
    answer = await world.get("Observation/raw", token=token)
    assert (answer.status, answer.issue[1]) == (500, "fhir-unavailable")
    assert RAW not in answer.body


async def test_strangers_cannot_fill_the_log(records: Records, us, them):
    left = [2]

    def may_cost(_address: str) -> bool:
        left[0] -= 1
        return left[0] >= 0

    async with fhir_world(records, us, them, may_cost=may_cost) as world:
        before = len(world.entries())
        for _ in range(5):
            assert (await world.get("Patient/ann")).status == 401
        assert len(world.entries()) == before + 2


async def test_nothing_of_a_request_stands_in_the_servers_own_log(world: FhirWorld, capsys):
    token = world.token()
    for path in (
        "Patient?name=Secretperson",
        "Patient/Secretperson",
        "Patient?_has:x=Secretperson",
    ):
        await world.get(path, token=token)
        await world.get(path)
    shown = capsys.readouterr()
    assert "Secretperson" not in shown.out + shown.err


# --- formats and methods ----------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/html", "application/xml;q=1"])
async def test_another_format_is_not_acceptable(accept: str, world: FhirWorld):
    answer = await world.get("Observation/raw", token=world.token(), accept=accept)
    assert (answer.status, answer.issue) == (406, ("not-supported", "fhir-format-unsupported"))


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"_format": "json"}, 200),
        ({"_format": "application/fhir+json"}, 200),
        ({"_format": "xml"}, 406),
        ({"_format": "html", "_pretty": "true"}, 406),
    ],
)
async def test_the_format_parameter_wins(query, status: int, world: FhirWorld):
    answer = await world.get("Observation/raw", query, token=world.token(), accept="text/html")
    assert answer.status == status


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("Patient/_search", "application/json"), ("Patient/$match", FORM), ("Patient/$match", "")],
)
async def test_another_media_type_is_not_taken(path, content_type, world: FhirWorld):
    answer = await world.post(path, b"{}", token=world.token(), content_type=content_type or "x/y")
    assert (answer.status, answer.issue[1]) == (415, "fhir-content-type-unsupported")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_nothing_is_written(method: str, world: FhirWorld):
    async with world.http.request(
        method,
        f"{world.base}/Observation/raw",
        headers={"authorization": f"Bearer {world.token()}"},
    ) as answer:
        assert answer.status == 405


async def test_a_resource_that_is_posted_is_not_taken(world: FhirWorld):
    for path in ("Observation", "Observation/raw"):
        answer = await world.post(path, RAW, token=world.token(), content_type="application/json")
        assert (answer.status, answer.issue[1]) == (405, "fhir-method-unsupported")


# --- bad searches -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"unheard": "1"}, 200, None),
        ({"patient": "ann", "code:text": "x"}, 400, "fhir-parameter-unsupported"),
        ({"patient": "ann", "code:in": "x"}, 400, "fhir-parameter-unsupported"),
        ({"patient": "ann", "date": "yesterday"}, 400, "fhir-value-invalid"),
        ({"patient": "ann", "date": "2020-13-01"}, 400, "fhir-value-invalid"),
        ({"patient": "ann", "date": "xx2020"}, 400, "fhir-value-invalid"),
        ({"patient": "ann", "_count": "-1"}, 400, "fhir-value-invalid"),
        ({"patient": "ann", "_count": "many"}, 400, "fhir-value-invalid"),
        ({"patient": "ann", "_count": "9" * 30}, 400, "fhir-value-invalid"),
        ({"patient": "a b"}, 400, "fhir-value-invalid"),
        ({"patient": "x" * 65}, 400, "fhir-value-invalid"),
        ({"patient": "../../etc/passwd"}, 400, "fhir-value-invalid"),
        ({"patient": ",".join(f"p{n}" for n in range(300))}, 400, "fhir-search-limit"),
        ({"patient": "a" * 9000}, 400, "fhir-search-limit"),
        ([("patient", "ann")] * 60, 400, "fhir-search-limit"),
        ([("patient", "ann")] * 200, 400, "fhir-search-limit"),
        ({"code": "718-7"}, 400, "fhir-search-too-broad"),
        ({}, 400, "fhir-search-too-broad"),
        ({"patient:missing": "true"}, 400, "fhir-search-too-broad"),
        ({"_id:not": "x"}, 400, "fhir-search-too-broad"),
        ({"patient": "ann", "_filter": "x eq 1"}, 400, "fhir-parameter-unsupported"),
        ({"_page": "x"}, 410, "fhir-page-invalid"),
        ({"_page": "x" * 40_0}, 410, "fhir-page-invalid"),
        ({"patient": "ann\0"}, 400, "fhir-value-invalid"),
    ],
)
async def test_a_bad_search_is_refused_precisely(query, status, code, world: FhirWorld):
    if query == {"unheard": "1"}:
        query = {"unheard": "1", "patient": "ann"}
    answer = await world.get("Observation", query, token=world.token())
    assert answer.status == status
    if code is not None:
        assert answer.issue[1] == code
        assert "ann" not in json.dumps(answer.json["issue"])


async def test_an_unknown_parameter_is_ignored_and_said_so_or_refused(world: FhirWorld):
    token, query = world.token(), {"patient": "ann", "unheard": "1", "_elements": "id"}
    lenient = await world.get("Observation", query, token=token)
    assert lenient.ids == ["Observation/raw"]
    issues = lenient.resources("outcome")[0]["issue"]
    assert [i["severity"] for i in issues] == ["warning", "warning"]
    assert "unheard" in issues[0]["diagnostics"]
    assert lenient.link("self") == f"{world.base}/Observation?patient=ann"
    strict = await world.get("Observation", query, token=token, prefer="handling=strict")
    assert (strict.status, strict.issue[1]) == (400, "fhir-parameter-unknown")


async def test_a_huge_count_is_cut_to_ours(world: FhirWorld):
    answer = await world.get(
        "Observation", {"patient": "ann", "_count": "999999"}, token=world.token()
    )
    assert answer.status == 200
    assert "_count=200" in (answer.link("self") or "")


@pytest.mark.parametrize(
    "value",
    [
        "'; DROP TABLE fhir_resource; --",
        '" OR 1=1 --',
        "%",
        "_",
        "\\",
        "\\,",
        "a|b'--",
        "*",
        "\U0010ffff",
    ],
)
async def test_sql_in_a_value_is_a_value(value: str, world: FhirWorld):
    token = world.token()
    for name in ("name", "name:contains", "name:exact", "identifier", "_id", "family"):
        answer = await world.get("Patient", {name: value}, token=token)
        assert answer.status in (200, 400), name
        if answer.status == 200 and not (name == "name:contains" and value == "_"):
            assert "Patient/ann" not in answer.ids, (name, value)
    assert (await world.get("Patient/ann", token=token)).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "Observation/a_b", "Observation/" + "x" * 65, "Observation/raw/extra", "Observation/raw/$x",
        "observation/raw", "Observation//", "/", "", "$everything", "Patient/$nothing",
        "Observation/%00", "Observation/..%2f..%2fetc", "Claim/1", "Observation/_history",
    ],
)  # fmt: skip
async def test_an_odd_address_is_refused_precisely(path: str, world: FhirWorld):
    answer = await world.get(path, token=world.token())
    assert answer.status in (400, 404)
    OperationOutcome.model_validate_json(answer.body)


async def test_a_form_and_a_query_string_are_one_search(world: FhirWorld):
    answer = await world.post(
        "Observation/_search?code=718-7", "patient=ann", token=world.token(), content_type=FORM
    )
    assert answer.ids == ["Observation/raw"]


async def test_a_large_body_and_a_slow_one_are_refused(records: Records, us, them):
    limits = FhirLimits(body_bytes=100, body_seconds=0.3)
    async with fhir_world(records, us, them, request_limits=limits) as world:
        token = world.token()
        large = await world.post("Patient/_search", "a" * 1000, token=token, content_type=FORM)
        assert (large.status, large.issue[1]) == (413, "message-too-large")

        async def trickle():
            yield b"name="
            await asyncio.sleep(5)
            yield b"x"

        slow = await world.post("Patient/_search", trickle(), token=token, content_type=FORM)
        assert (slow.status, slow.issue[1]) == (408, "request-slow")


async def test_a_search_that_costs_too_much_ends(records: Records, us, them, monkeypatch):
    slow = LocalFhir(records.engine, records.index, records.store, Costs(seconds=0))
    monkeypatch.setattr(Records, "source", lambda _self: slow)
    # enough rows to walk through for SQLite to look at the clock
    many = [{**ANN, "id": f"many-{n}", "name": [{"family": f"Many{n}"}]} for n in range(300)]
    async with fhir_world(records, us, them) as world:
        records.fhir.add([made(each) for each in many], NOW)
        answer = await world.get("Patient", {"name:contains": "many9"}, token=world.token())
        assert (answer.status, answer.issue[1]) == (503, "fhir-too-slow")
        records.fhir.remove([("Patient", each["id"]) for each in many])


def made(content: dict) -> NewResource:
    resource = BundleResource(
        type=content["resourceType"],
        id=content["id"],
        data=dumps(content),
        content=content,
        patients=frozenset([content["id"]]),
    )
    return NewResource(resource=resource)


# --- operations -------------------------------------------------------------------------------


def match_body(**options) -> bytes:
    patient = {k: v for k, v in ANN.items() if k != "id"} | options.pop("patient", {})
    parameters = [{"name": "resource", "resource": patient}]
    for name, value in options.items():
        kind = "valueBoolean" if isinstance(value, bool) else "valueInteger"
        parameters.append({"name": name, kind: value})
    return dumps({"resourceType": "Parameters", "parameter": parameters})


async def test_a_certain_match_is_graded_and_scored(world: FhirWorld):
    answer = await world.post(
        "Patient/$match", match_body(onlyCertainMatches=True, count=1),
        token=world.token(), content_type="application/fhir+json",
    )  # fmt: skip
    Bundle.model_validate_json(answer.body)
    search = answer.json["entry"][0]["search"]
    assert answer.ids == ["Patient/ann"]
    assert 0.9 <= search["score"] <= 1
    assert search["extension"] == [
        {"url": "http://hl7.org/fhir/StructureDefinition/match-grade", "valueCode": "certain"}
    ]
    assert world.entries()[-1]["txn"] == "FHIR-MATCH"


async def test_nobody_who_is_only_possible_is_a_certain_match(world: FhirWorld):
    other = {"birthDate": "1980-07-23", "identifier": [], "address": []}
    answer = await world.post(
        "Patient/$match", match_body(onlyCertainMatches=True, patient=other),
        token=world.token(), content_type="application/fhir+json",
    )  # fmt: skip
    assert (answer.status, answer.json["total"], answer.ids) == (200, 0, [])


async def test_a_patient_is_found_by_the_identifier_that_we_gave_the_person(world: FhirWorld):
    """As our answer to ITI-55 says it, though the resource, which is as it came, has none."""
    index, token = world.records.index, world.token()
    (ours,) = index.match(read_patient(ANN)[0])
    given = ours.patient_id
    assert given.id not in dumps(ANN).decode()
    system = f"urn:oid:{given.assigning_authority}"
    for asked, found in (
        (f"{system}|{given.id}", ["Patient/ann"]),
        (f"other|1,{system}|{given.id}", ["Patient/ann"]),
        (given.id, ["Patient/ann"]),
        (f"|{given.id}", []),
        (f"urn:oid:2.999.5|{given.id}", []),
        (f"{system}|nobody", []),
        ("urn:oid:2.999.5|MRN-1", ["Patient/ann"]),
    ):
        answer = await world.get("Patient", {"identifier": asked}, token=token)
        assert (answer.status, answer.ids) == (200, found), asked
        form = urlencode({"identifier": asked, "gender": "female"})
        answer = await world.post("Patient/_search", form, token=token, content_type=FORM)
        assert (answer.status, answer.ids) == (200, found), asked
    bound = world.token(patient="somebody")
    query = {"identifier": f"{system}|{given.id}"}
    assert (await world.get("Patient", query, token=bound)).ids == []
    world.opt_outs = OptOuts(identifiers=frozenset([given]))
    assert (await world.get("Patient", query, token=token)).ids == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"resourceType":"Observation"}',
        b'{"resourceType":"Parameters","parameter":[{"name":"resource"}]}',
        b'{"resourceType":"Parameters","parameter":[7]}',
        b'{"resourceType":"Patient"}', b'{"resourceType":"Patient","name":[{}]}',
        match_body(count=0), match_body(surprise=True), b"[" * 10_000,
    ],
)  # fmt: skip
async def test_a_bad_match_is_refused_precisely(body: bytes, world: FhirWorld):
    answer = await world.post(
        "Patient/$match", body, token=world.token(), content_type="application/fhir+json"
    )
    assert answer.status == 400
    OperationOutcome.model_validate_json(answer.body)


# --- documents --------------------------------------------------------------------------------


async def cda_reference(world: FhirWorld, token: str) -> dict:
    document = world.records.index.documents()[0]
    matched = await world.get(
        "DocumentReference",
        {"_id": hashlib.sha256(
            f"urn:oid:2.999.7|2.999.7.2|{document.entry.unique_id}".encode()).hexdigest()},
        token=token,
    )  # fmt: skip
    return matched.resources("match")[0]


async def test_a_c_cda_document_is_a_document_reference_and_its_bytes(world: FhirWorld):
    token = world.token()
    reference = await cda_reference(world, token)
    DocumentReference.model_validate(reference)
    attachment = reference["content"][0]["attachment"]
    raw = await world.get(attachment["url"], token=token, accept="*/*")
    assert raw.headers["content-type"].startswith("text/xml")
    assert "sandbox" in raw.headers["content-security-policy"]
    assert raw.body == next(CDA.rglob("*.xml")).read_bytes()
    assert hashlib.sha1(raw.body).digest() == b64decode(attachment["hash"])
    assert len(raw.body) == attachment["size"]
    entry = world.entries()[-1]
    assert (entry["txn"], entry["docs"]) == ("FHIR-READ", 1)
    assert "c_res" in entry
    as_resource = await world.get(attachment["url"], token=token, accept="application/fhir+json")
    assert b64decode(as_resource.json["data"]) == raw.body
    refused = await world.get(attachment["url"], token=token, accept="application/pdf")
    assert (refused.status, refused.issue[1]) == (406, "fhir-format-unsupported")


async def test_a_person_of_a_c_cda_document_is_a_patient(world: FhirWorld):
    token = world.token()
    reference = await cda_reference(world, token)
    patient = await world.get(reference["subject"]["reference"], token=token)
    Patient.model_validate_json(patient.body)
    asked = {"resourceType": "Patient", "name": patient.json["name"],
             "birthDate": patient.json["birthDate"], "gender": patient.json["gender"],
             "identifier": patient.json["identifier"]}  # fmt: skip
    matched = await world.post(
        "Patient/$match", dumps(asked), token=token, content_type="application/fhir+json"
    )
    assert matched.ids == [reference["subject"]["reference"]]
    docref = await world.get(
        "DocumentReference/$docref", {"patient": patient.json["id"]}, token=token
    )
    assert docref.status == 200
    assert set(docref.ids) <= {f"DocumentReference/{reference['id']}"}


@pytest.mark.parametrize(
    "query",
    [{}, {"patient": "ann", "surprise": "1"}, {"patient": "ann", "on-demand": "true"},
     {"patient": "ann", "start": "soon"}, [("patient", "a"), ("patient", "b")]],
)  # fmt: skip
async def test_a_bad_docref_is_refused_precisely(query, world: FhirWorld):
    answer = await world.get("DocumentReference/$docref", query, token=world.token())
    assert answer.status == 400
    OperationOutcome.model_validate_json(answer.body)
