"""Resources of the network for our own systems: a network patient's, from many FHIR servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from network_fhir_world import NetworkFhirWorld, network_fhir_world

from node.errors import NetworkFault
from tests.sim.fhir_peers import SimFhirServer
from tests.sim.network import ALICE as ALICIA
from tests.sim.network import SimPeer

ALICE = {"family": "Canary-Newman", "given": "Alice", "birthdate": "1970-05-01", "gender": "female"}


def lab(id_: str, patient: str, value: float = 13.5) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-01-05T10:00:00Z",
        "valueQuantity": {"value": value, "code": "g/dL"},
    }


@pytest.fixture
def servers() -> list[SimFhirServer]:
    return [
        SimFhirServer(2, "p2", [lab(f"o{n}", "p2", n) for n in range(5)]),
        SimFhirServer(3, "p3", [lab("x", "p3", 4)]),
    ]


@pytest.fixture
async def world(tmp_path: Path, us, them, servers):
    peers = [SimPeer(number, says=ALICIA) for number in (2, 3, 4)]
    async with network_fhir_world(tmp_path, us, them, *peers, fhir=servers) as running:
        yield running


async def alice(world: NetworkFhirWorld, token: str) -> str:
    (person,) = (await world.get("Patient", ALICE, token=token)).resources("match")
    return str(person["id"])


async def test_a_network_patients_labs_come_from_every_server_that_has_them(world, servers):
    token = world.token()
    query = {"patient": await alice(world, token), "category": "laboratory", "_count": "200"}
    found = await world.get("Observation", query, token=token)
    assert found.status == 200
    Bundle.model_validate_json(found.body)
    urls = [e["fullUrl"] for e in found.json["entry"] if e["search"]["mode"] == "match"]
    assert urls == [
        *(f"https://peer2.example/fhir/Observation/o{n}" for n in range(5)),
        "https://peer3.example/fhir/Observation/x",
    ]
    assert dict(servers[0].asked[-1])["patient"] == "p2"
    assert dict(servers[1].asked[-1])["patient"] == "p3"
    (outcome,) = found.resources("outcome")
    said = {i["code"] for i in outcome["issue"]}
    assert said == {"not-supported", "duplicate"}  # peer 4 has no server; one lab is at both
    assert "total" not in found.json


async def test_the_request_and_the_questions_to_peers_are_one_exchange(world):
    token = world.token()
    patient = await alice(world, token)
    before = len(world.entries())
    await world.post(
        "Observation/_search",
        f"patient=Patient/{patient}",
        token=token,
        content_type="application/x-www-form-urlencoded",
    )
    legs = world.entries()[before:]
    assert len({each["exch"] for each in legs}) == 1
    steps = [(each["dir"], each["txn"], each["outcome"]) for each in legs]
    assert steps[-1] == ("responding", "FHIR-SEARCH", "partial")
    assert steps.count(("initiating", "FHIR-SEARCH", "ok")) == 4  # who it is, and what they hold
    assert patient not in str(legs)


async def test_pages_are_cut_from_one_answer_and_ask_nobody_again(world, servers):
    token = world.token()
    query = {"patient": await alice(world, token), "_count": "4"}
    first = await world.get("Observation", query, token=token)
    asked = len(servers[0].asked)
    second = await world.get(first.link("next") or "", token=token)
    assert [len(page.resources("match")) for page in (first, second)] == [4, 2]
    assert (first.link("previous"), second.link("next")) == (None, None)
    assert len(servers[0].asked) == asked
    back = await world.get(second.link("previous") or "", token=token)
    assert back.ids == first.ids
    link = first.link("next") or ""
    assert query["patient"] not in link


async def test_a_page_is_for_who_got_it_and_of_its_type(world):
    token = world.token()
    query = {"patient": await alice(world, token), "_count": "4"}
    link = (await world.get("Observation", query, token=token)).link("next") or ""
    for path, who in (
        (link, world.token(user="otto@asker.example")),
        (link.replace("/Observation?", "/Condition?"), token),
        (link[:-4] + "AAAA", token),
    ):
        refused = await world.get(path, token=who)
        assert (refused.status, refused.issue[1]) == (410, "fhir-page-invalid")


async def test_when_nobody_answers_it_is_no_bundle(world, servers):
    token = world.token()
    patient = await alice(world, token)
    for server in servers:
        server.fault = NetworkFault("timeout", "The peer did not answer in time.")
    found = await world.get("Observation", {"patient": patient}, token=token)
    assert found.status == 502
    assert {i["severity"] for i in found.json["issue"]} == {"error"}


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("Observation", {}, 400, "fhir-search-too-broad"),
        ("Observation", {"patient": "nobody"}, 404, "fhir-not-found"),
        ("Observation", {"patient": "Group/1"}, 400, "fhir-value-invalid"),
        ("Observation", {"patient": "PATIENT", "subject": "PATIENT"}, 400, "fhir-search-too-broad"),
        ("Observation", {"patient": "PATIENT", "_id": "1"}, 400, "fhir-parameter-unsupported"),
        ("Observation", {"patient": "PATIENT", "x": "1"}, 400, "fhir-parameter-unknown"),
        ("Practitioner", {"patient": "PATIENT"}, 404, "fhir-type-unknown"),
        ("Observation/1", {}, 404, "fhir-type-unknown"),
    ],
)
async def test_what_cannot_be_asked_is_refused_and_entered(world, path, query, status, code):
    token = world.token()
    patient = await alice(world, token)
    query = {name: value.replace("PATIENT", patient) for name, value in query.items()}
    refused = await world.get(path, query, token=token)
    assert (refused.status, refused.issue[1]) == (status, code)
    assert world.entries()[-1]["dir"] == "responding"


async def test_another_users_patient_is_nobody(world):
    patient = await alice(world, world.token())
    other = world.token(user="otto@asker.example")
    found = await world.get("Observation", {"patient": patient}, token=other)
    assert found.status == 404


async def test_a_token_without_the_scope_asks_nobody(world, servers):
    patient = await alice(world, world.token())
    found = await world.get(
        "Observation", {"patient": patient}, token=world.token("system/Condition.rs")
    )
    assert (found.status, found.issue[1]) == (403, "fhir-scope-missing")
    assert servers[0].asked == []
