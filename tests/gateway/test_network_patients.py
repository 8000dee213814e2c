"""Patients of the network for our own systems: PDQm and PIXm over HTTPS, answered from XCPD."""

from __future__ import annotations

from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.parameters import Parameters
from fhir.resources.R4B.patient import Patient
from network_fhir_world import network_fhir_world

from node.errors import NetworkFault
from tests.sim.network import ALICE as ALICIA
from tests.sim.network import SimPeer, hcid

ALICE = {"family": "Canary-Newman", "given": "Alice", "birthdate": "1970-05-01", "gender": "female"}
BODY = {
    "resourceType": "Patient",
    "name": [{"family": "Canary-Newman", "given": ["Alice"]}],
    "birthDate": "1970-05-01",
    "gender": "female",
}


@pytest.fixture
async def world(tmp_path: Path, us, them):
    peers = [
        SimPeer(2, says=ALICIA),
        SimPeer(3, says=ALICIA),
        SimPeer(4, knows=False),
        SimPeer(5, declines=True),
        SimPeer(6, discovery_fault=lambda: NetworkFault("connect-failed", "Nobody listens.")),
    ]
    async with network_fhir_world(tmp_path, us, them, *peers) as running:
        yield running


async def test_a_person_known_at_two_communities_is_one_match_with_its_parts(world):
    found = await world.get("Patient", ALICE, token=world.token())
    assert found.status == 200
    Bundle.model_validate_json(found.body)
    (person,) = found.resources("match")
    parts = found.resources("include")
    assert found.json["total"] == 1
    assert {link["other"]["reference"] for link in person["link"]} == {
        f"Patient/{each['id']}" for each in parts
    }
    assert {each["meta"]["source"] for each in parts} == {hcid(2), hcid(3)}
    assert {(i["system"], i["value"]) for i in person["identifier"]} == {
        ("urn:oid:2.999.2.1", "Canary-MRN-7"),
        ("urn:oid:2.999.3.1", "Canary-MRN-7"),
    }
    assert all(entry["fullUrl"] for entry in found.json["entry"])


async def test_every_peer_that_did_not_answer_has_an_issue_and_why(world):
    found = await world.get("Patient", ALICE, token=world.token())
    (outcome,) = found.resources("outcome")
    said = {(i["severity"], i["code"], i["details"]["coding"][0]["code"]) for i in outcome["issue"]}
    assert said == {
        ("warning", "suppressed", "declined"),
        ("warning", "transient", "failed"),
        ("information", "informational", "ok-empty"),
    }
    assert "opted out" not in found.body.decode()  # a peer's own text may be about the patient


async def test_where_nobody_answers_the_answer_is_not_that_nothing_is_held(tmp_path, us, them):
    broken = SimPeer(6, discovery_fault=lambda: NetworkFault("connect-failed", "Nobody listens."))
    async with network_fhir_world(tmp_path, us, them, broken) as world:
        answer = await world.get("Patient", ALICE, token=world.token())
        assert answer.status == 502
        assert answer.json["issue"][0]["severity"] == "error"
        slow = SimPeer(7, hang=True)
    (tmp_path / "b").mkdir()
    async with network_fhir_world(tmp_path / "b", us, them, slow, seconds=0.05) as world:
        assert (await world.get("Patient", ALICE, token=world.token())).status == 504


async def test_the_same_search_again_gives_the_same_id_and_it_can_be_read(world):
    token = world.token()
    first = (await world.get("Patient", ALICE, token=token)).ids
    again = await world.get("Patient", ALICE, token=token)
    assert again.ids == first
    read = await world.get(first[0], token=token)
    Patient.model_validate_json(read.body)
    assert (read.status, read.json["id"]) == (200, first[0].removeprefix("Patient/"))
    assert (await world.get("Patient", {"_id": read.json["id"]}, token=token)).ids == first


async def test_nobody_reads_the_patient_of_another_user(world):
    mine = (await world.get("Patient", ALICE, token=world.token())).ids
    other = await world.get(mine[0], token=world.token(user="bob@asker.example"))
    assert (other.status, other.issue[1]) == (404, "fhir-not-found")


async def test_the_request_and_its_legs_are_one_exchange_in_the_log(world):
    await world.get("Patient", ALICE, token=world.token())
    entries = world.entries()
    assert len({each["exch"] for each in entries}) == 1
    assert [each["txn"] for each in entries] == ["ITI-55"] * 5 + ["ITI-78"]
    assert entries[-1]["outcome"] == "partial"
    assert world.private("who")[-1]["user_id"] == "ada@asker.example"
    assert world.private("patient")[-1]["ids"] == [
        "Canary-MRN-7^^^&2.999.2.1&ISO",
        "Canary-MRN-7^^^&2.999.3.1&ISO",
    ]


@pytest.mark.parametrize(
    ("options", "issue"),
    [
        ({"own": False}, "fhir-network-denied"),
        ({"patient": "p1"}, "fhir-network-denied"),
        ({"scopes": ("system/Observation.rs",)}, "fhir-scope-missing"),
        ({"scopes": ("patient/Patient.rs",)}, "fhir-scope-missing"),
    ],
)
async def test_who_may_not_ask_the_network_asks_nobody(world, options, issue):
    scopes = options.pop("scopes", ())
    answer = await world.get("Patient", ALICE, token=world.token(*scopes, **options))
    assert (answer.status, answer.issue) == (403, ("forbidden", issue))
    assert world.peers.calls == []
    (entry,) = world.entries()
    assert (entry["txn"], entry["outcome"], entry["reason"]) == ("ITI-78", "declined", issue)


async def test_without_a_token_nothing_is_asked(world):
    answer = await world.get("Patient", ALICE)
    assert (answer.status, answer.issue[1]) == (401, "fhir-token-missing")
    assert (await world.get("metadata")).status == 200


@pytest.mark.parametrize(
    ("query", "status", "issue"),
    [
        ({"family": "Canary-Newman", "gender": "female"}, 400, "fhir-question-incomplete"),
        ({**ALICE, "identifier": "only-a-value"}, 400, "fhir-value-invalid"),
        ({**ALICE, "family": "a,b"}, 400, "fhir-parameter-unsupported"),
        ({**ALICE, "family:contains": "a"}, 400, "fhir-parameter-unsupported"),
        ({**ALICE, "_has:Observation:patient:code": "1"}, 400, "fhir-parameter-unsupported"),
        ({**ALICE, "general-practitioner.name": "x"}, 400, "fhir-parameter-unsupported"),
        ({**ALICE, "birthdate": "1970-13-01"}, 400, "fhir-value-invalid"),
        ({**ALICE, "identifier": "urn:oid:2.999.77|"}, 404, "fhir-domain-unknown"),
        ({**ALICE, "family": "x" * 6000}, 400, "fhir-value-invalid"),
    ],
)
async def test_a_search_that_cannot_be_meant_is_refused_and_why(world, query, status, issue):
    answer = await world.get("Patient", query, token=world.token())
    assert (answer.status, answer.issue[1]) == (status, issue)
    assert world.entries()[-1]["reason"] == issue


async def test_what_is_not_known_is_left_out_of_the_self_link_or_refused_if_strict(world):
    token = world.token()
    query = {**ALICE, "nonsense": "1"}
    found = await world.get("Patient", query, token=token)
    assert "nonsense" not in found.link("self")
    issues = found.resources("outcome")[0]["issue"]
    assert "not-supported" in {each["code"] for each in issues}
    strict = await world.get("Patient", query, token=token, prefer="handling=strict")
    assert (strict.status, strict.issue[1]) == (400, "fhir-parameter-unknown")


@pytest.mark.parametrize(
    ("extra", "is_found"),
    [
        ({"family:exact": "Canary-Newman"}, True),
        ({"family:exact": "canary-newman"}, False),
        ({"active": "false"}, False),
        ({"active": "true"}, True),
        ({"birthdate": "gt1971-01-01"}, False),
        ({"identifier": "urn:oid:2.999.2.1|"}, True),
    ],
)
async def test_what_xcpd_cannot_carry_is_applied_to_what_comes_back(world, extra, is_found):
    query = [*ALICE.items(), *extra.items()]
    if "family:exact" in extra:
        query = [(n, v) for n, v in query if n != "family"]
    found = await world.get("Patient", query, token=world.token())
    assert (found.status, bool(found.ids)) == (200, is_found)


async def test_a_search_by_form_says_the_same(world):
    token = world.token()
    form = "&".join(f"{name}={value}" for name, value in ALICE.items())
    posted = await world.post(
        "Patient/_search", form, token=token, content_type="application/x-www-form-urlencoded"
    )
    assert posted.ids == (await world.get("Patient", ALICE, token=token)).ids


@pytest.mark.parametrize("wrapped", [True, False])
async def test_match_grades_and_orders(world, wrapped):
    body = BODY
    if wrapped:
        body = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "resource", "resource": BODY},
                {"name": "onlyCertainMatches", "valueBoolean": True},
                {"name": "count", "valueInteger": 1},
            ],
        }
    found = await world.post("Patient/$match", body, token=world.token())
    assert found.status == 200
    Bundle.model_validate_json(found.body)
    (match,) = [e for e in found.json["entry"] if e["search"]["mode"] == "match"]
    assert match["search"]["extension"][0]["valueCode"] == "certain"
    assert 0.9 <= match["search"]["score"] <= 1
    assert world.entries()[-1]["txn"] == "ITI-119"


async def test_only_certain_matches_gives_nobody_rather_than_a_guess(world):
    twin = {
        **BODY,
        "name": [{"family": "Canary-Newman"}],  # no given name: agreement is not certain
    }
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": twin},
            {"name": "onlyCertainMatches", "valueBoolean": True},
        ],
    }
    found = await world.post("Patient/$match", body, token=world.token())
    assert (found.status, found.ids, found.json["total"]) == (200, [], 0)
    every = await world.post("Patient/$match", twin, token=world.token())
    assert len(every.ids) == 2  # nobody linked them


async def test_a_match_about_nobody_is_refused(world):
    empty = await world.post("Patient/$match", {"resourceType": "Patient"}, token=world.token())
    assert (empty.status, empty.issue[1]) == (400, "fhir-value-invalid")
    named = {"resourceType": "Patient", "name": [{"family": "x"}]}
    answer = await world.post("Patient/$match", named, token=world.token())
    assert answer.issue == ("required", "fhir-question-incomplete")


async def test_provenance_names_who_gave_it_and_who_carried_it(world):
    query = {**ALICE, "_revinclude": "Provenance:target"}
    found = await world.get("Patient", query, token=world.token())
    proofs = [r for r in found.resources("include") if r["resourceType"] == "Provenance"]
    authors = {p["agent"][0]["who"]["identifier"]["value"] for p in proofs}
    assert authors == {hcid(2), hcid(3)}
    assert {p["agent"][1]["who"]["display"] for p in proofs} == {"Asker Health"}
    messages = {each["msg"] for each in world.entries() if each.get("msg")}
    assert {p["entity"][0]["what"]["identifier"]["value"] for p in proofs} <= messages


# --- PIXm ---------------------------------------------------------------------------------------

SOURCE = "urn:oid:2.999.2.1|Canary-MRN-7"


async def test_pix_gives_the_other_identifiers_and_leaves_out_the_one_asked_with(world):
    token = world.token()
    found = await world.get("Patient/$ihe-pix", {"sourceIdentifier": SOURCE}, token=token)
    assert found.status == 200, found.body
    Parameters.model_validate_json(found.body)
    identifiers = [p["valueIdentifier"] for p in found.json["parameter"] if "valueIdentifier" in p]
    assert SOURCE not in {f"{i['system']}|{i['value']}" for i in identifiers}
    assert all(each["assigner"]["display"] for each in identifiers)
    (first, *_) = [p["valueReference"]["reference"] for p in found.json["parameter"][:1]]
    assert (await world.get(first, token=token)).status == 200
    assert world.entries()[-2]["txn"] == "ITI-83"


@pytest.mark.parametrize(
    ("query", "status", "issue"),
    [
        ({"sourceIdentifier": "urn:oid:2.999.99|nobody"}, 404, ("not-found", "fhir-not-found")),
        (
            {"sourceIdentifier": "http://nobody.example|1"},
            400,
            ("code-invalid", "fhir-source-unknown"),
        ),
        (
            {"sourceIdentifier": SOURCE, "targetSystem": "urn:oid:2.999.98"},
            403,
            ("code-invalid", "fhir-target-unknown"),
        ),
        ({}, 400, ("value", "fhir-value-invalid")),
        ({"sourceIdentifier": "alone"}, 400, ("value", "fhir-value-invalid")),
        (
            {"sourceIdentifier": SOURCE, "else": "1"},
            400,
            ("not-supported", "fhir-parameter-unknown"),
        ),
    ],
)
async def test_pix_fails_with_the_codes_of_the_profile(world, query, status, issue):
    answer = await world.get("Patient/$ihe-pix", query, token=world.token())
    assert (answer.status, answer.issue) == (status, issue)
