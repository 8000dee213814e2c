"""The node as a gateway in front of a FHIR server: bytes, links, narrowing, documents, matching."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir_world import FhirWorld, Records, bundle, fhir_world, open_records
from orjson import dumps
from upstream_world import BadServer, Gateway, bad_server, gateway, reply, through_a_gateway

from node.peers.upstream.credentials import Nobody
from node.wire.fhir.capability import capability_statement

RAW = (
    b'{ "resourceType":"Observation" , "id": "raw", "status":"final",\n'
    b'  "subject":{"reference":"Patient/ann"}, "code":{"coding":[{"system":"http://loinc.org",'
    b'"code":"718-7","display":"H\\u00e4moglobin"}]},"category":[{"coding":[{"code":"laboratory"}]}],'
    b'"valueQuantity":{"value":1.00},"unheardOf":{"a":[1.10,1e2,{}]},\t"note":[] }'
)
DOCUMENT = b"A document. " * 200_000


def patient(id_: str, family: str, born: str = "1980-01-02", given: str = "Ann") -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id_,
        "identifier": [{"system": "urn:oid:2.999.7.1", "value": f"MRN-{id_}"}],
        "name": [{"family": family, "given": [given]}],
        "birthDate": born,
        "gender": "female",
        "address": [{"line": ["1 High Street"], "city": "Salem", "postalCode": "97301"}],
    }


def observation(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number:03}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1234-5"}]},
        "category": [{"coding": [{"code": "vital-signs"}]}],
        "subject": {"reference": "Patient/ann"},
        "effectiveDateTime": f"2026-01-{number % 28 + 1:02}",
    }


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    folder = tmp_path_factory.mktemp("upstream")
    made = open_records(f"sqlite:///{folder / 'node.db'}", folder)
    (folder / "in").mkdir()
    resources = [
        patient("ann", "Arden"),
        patient("ben", "Birch", "1975-06-07", "Ben"),
        RAW,
        *(observation(number) for number in range(60)),
        {
            "resourceType": "DocumentReference",
            "id": "doc",
            "status": "current",
            "subject": {"reference": "Patient/ann"},
            "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/large"}}],
        },
    ]
    (folder / "in" / "all.json").write_bytes(bundle(*resources))
    assert made.load(folder / "in").failures == ()
    yield made
    made.engine.dispose()


@pytest.fixture
async def there(records: Records, us, them) -> AsyncIterator[FhirWorld]:
    async with fhir_world(records, us, them) as running:
        yield running


@pytest.fixture
async def here(there: FhirWorld, us, them, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with through_a_gateway(there, us, them, tmp_path) as running:
        yield running


# --- resources and pages ----------------------------------------------------------------------


async def test_a_resource_goes_through_byte_for_byte(here: Gateway):
    token = here.world.token()
    read = await here.world.get("Observation/raw", token=token)
    assert read.body == RAW
    found = await here.world.get("Observation", {"code": "718-7", "patient": "ann"}, token=token)
    assert b'"resource":' + RAW + b',"search":' in found.body


async def test_every_address_is_ours_and_none_is_upstreams(here: Gateway, there: FhirWorld):
    token = here.world.token()
    query = {"patient": "ann", "code": "1234-5", "_count": "10"}
    first = await here.world.get("Observation", query, token=token)
    assert first.json["entry"][0]["fullUrl"].startswith(f"{here.world.base}/Observation/")
    Bundle.model_validate_json(first.body)
    assert (first.link("next") or "").startswith(f"{here.world.base}/Observation?_page=")
    for answer in (first, await here.world.get("metadata")):
        assert there.base.encode() not in answer.body


async def test_pages_lead_to_all_of_it_each_once(here: Gateway):
    query = {"patient": "ann", "code": "1234-5", "_count": "7", "_sort": "date"}
    found = await here.world.everything("Observation", query, token=here.world.token())
    assert sorted(found) == [f"Observation/o{number:03}" for number in range(60)]
    assert not here.withheld


async def test_the_token_of_a_page_is_for_its_holder_and_says_nothing(here: Gateway):
    first = await here.world.get(
        "Observation", {"patient": "ann", "_count": "5"}, token=here.world.token()
    )
    following = first.link("next")
    assert following is not None
    assert "ann" not in following.partition("?")[2]
    other = await here.world.get(following, token=here.world.token(client="another"))
    assert (other.status, other.issue[1]) == (410, "fhir-page-invalid")


async def test_the_statement_says_what_both_sides_do(here: Gateway):
    stated = (await here.world.get("metadata")).json
    whole = json.loads(
        capability_statement(base_url=here.world.base, name="Seven Health", version="0")
    )
    assert stated == whole


async def test_a_count_is_made_of_what_may_be_seen(here: Gateway):
    query = {"patient": "ann", "_summary": "count"}
    everything = await here.world.get("Observation", query, token=here.world.token())
    assert everything.json["total"] == 61
    narrow = here.world.token("system/Observation.rs?category=laboratory")
    assert (await here.world.get("Observation", query, token=narrow)).json["total"] == 1


async def test_a_granular_scope_holds_for_what_upstream_gives(here: Gateway):
    one = here.world.token("system/Observation.rs?category=laboratory")
    assert (await here.world.get("Observation", {"patient": "ann"}, token=one)).ids == [
        "Observation/raw"
    ]
    assert (await here.world.get("Observation/o001", token=one)).status == 404
    two = here.world.token(
        "system/Observation.rs?category=laboratory", "system/Observation.rs?code=other"
    )
    assert (await here.world.get("Observation", {"patient": "ann"}, token=two)).ids == [
        "Observation/raw"
    ]


async def test_every_answer_is_an_entry_with_the_patients_own_identifier(here: Gateway):
    await here.world.get("Observation/raw", token=here.world.token())
    (entry,) = here.world.entries()
    assert (entry["txn"], entry["outcome"]) == ("FHIR-READ", "ok")
    assert "MRN-ann" not in json.dumps(entry)


# --- matching ---------------------------------------------------------------------------------


async def asked(here: Gateway, who: dict[str, Any], *, certain: bool = False) -> Any:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": {k: v for k, v in who.items() if k != "id"}},
            {"name": "onlyCertainMatches", "valueBoolean": certain},
        ],
    }
    return await here.world.post(
        "Patient/$match", dumps(body), token=here.world.token(),
        content_type="application/fhir+json",
    )  # fmt: skip


async def test_who_is_who_is_decided_by_our_own_rules(here: Gateway):
    found = await asked(here, patient("x", "Arden"), certain=True)
    assert found.ids == ["Patient/ann"]
    assert found.json["entry"][0]["search"]["extension"][0]["valueCode"] == "certain"
    stranger = {**patient("x", "Arden", "1950-01-01", "Zoe"), "identifier": [], "address": []}
    assert (await asked(here, stranger, certain=True)).ids == []


# --- documents --------------------------------------------------------------------------------


class Documents:
    """Answers like a server that sends what a Binary holds."""

    def __init__(self, server: BadServer, **headers: str) -> None:
        self.headers = headers
        self.kind = "text/plain"
        self.body = DOCUMENT
        self.statement = capability_statement(base_url=server.base, name="x", version="0")
        self.found = bundle(type_="searchset")
        server.answer = self.answer

    def answer(self, asked):
        path = asked.target.removeprefix("/fhir")
        if path == "/metadata":
            return reply(200, self.statement)
        if path == "/Binary/large":
            return reply(200, self.body, kind=self.kind, **self.headers)
        if path == "/Patient/ann":
            return reply(200, dumps(patient("ann", "Arden")))
        return reply(200, self.found) if path.endswith("/_search") else reply(404, b"")


def nothing_left(folder: Path) -> bool:
    return not any(path.name.startswith("tmp") for path in folder.iterdir())


async def test_a_document_is_streamed_and_the_log_has_its_digest(us, them, tmp_path: Path):
    async with (
        bad_server(us) as server,
        gateway(server.base, Nobody(), us, them, tmp_path) as here,
    ):
        Documents(server)
        answer = await here.world.get("Binary/large", token=here.world.token(), accept="text/plain")
        assert answer.body == DOCUMENT
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["content-length"] == str(len(DOCUMENT))
        assert answer.headers["content-security-policy"].startswith("sandbox")
        (entry,) = here.world.entries()
        assert (entry["outcome"], entry["docs"]) == ("ok", 1)
        assert "c_res" in entry
        assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_security_context": "Patient/ann"}, 200),
        ({"x_security_context": "Patient/ben"}, 404),
        ({"x_security_context": "https://elsewhere.example/Patient/ann"}, 404),
        ({}, 404),
    ],
)
async def test_a_document_is_for_whom_its_context_names(headers, status, us, them, tmp_path: Path):
    async with (
        bad_server(us) as server,
        gateway(server.base, Nobody(), us, them, tmp_path) as here,
    ):
        Documents(server, **headers)
        bound = here.world.token(patient="ann")
        answer = await here.world.get("Binary/large", token=bound, accept="text/plain")
        assert answer.status == status


@pytest.mark.parametrize(("subject", "status"), [("Patient/ann", 200), ("Patient/ben", 404)])
async def test_a_document_without_context_is_for_whose_reference_names_it(
    subject, status, us, them, tmp_path: Path
):
    async with (
        bad_server(us) as server,
        gateway(server.base, Nobody(), us, them, tmp_path) as here,
    ):
        documents = Documents(server)
        documents.found = bundle(
            {
                "resourceType": "DocumentReference",
                "id": "d",
                "subject": {"reference": subject},
                "content": [{"attachment": {"url": f"{server.base}/Binary/large"}}],
            },
            type_="searchset",
        )
        bound = here.world.token(patient="ann")
        answer = await here.world.get("Binary/large", token=bound, accept="text/plain")
        assert answer.status == status


async def test_a_binary_is_a_resource_where_that_is_asked(us, them, tmp_path: Path):
    raw = b'{ "resourceType":"Binary","id":"large","contentType":"text/plain", "data":"QW5u" }'
    async with (
        bad_server(us) as server,
        gateway(server.base, Nobody(), us, them, tmp_path) as here,
    ):
        documents = Documents(server)
        documents.body, documents.kind = raw, "application/fhir+json"
        token = here.world.token()
        as_resource = await here.world.get(
            "Binary/large", token=token, accept="application/fhir+json"
        )
        assert as_resource.body == raw
        # a server that has nothing but resources is understood as well
        assert (
            await here.world.get("Binary/large", token=token, accept="text/plain")
        ).body == b"Ann"
