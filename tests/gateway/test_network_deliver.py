"""Sending documents of our own systems to other communities: ITI-65 with an intended recipient."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from network_fhir_world import network_fhir_world
from test_network_publish import NOBODY, NOTE, SUBMISSION, binary, entry, publish, reference

from node.errors import NetworkFault
from node.model import RegistryError
from tests.sim.network import SimPeer, hcid

EXTENSION = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-intendedRecipient"


def to_home(home: str):
    identifier = {"system": "urn:ietf:rfc:3986", "value": home}
    return {"url": EXTENSION, "valueReference": {"identifier": identifier}}


def to_reference(name: str):
    return {"url": EXTENSION, "valueReference": {"reference": name}}


def sent(*recipients, document=None, **changes):
    made = copy.deepcopy(SUBMISSION) | changes
    made["extension"] = list(recipients)
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [entry(made), entry(document or reference()), binary()],
    }


@pytest.fixture
async def world(tmp_path: Path, us, them):
    peers = (SimPeer(2), SimPeer(3))
    async with network_fhir_world(tmp_path, us, them, *peers, seconds=2.0) as running:
        yield running


def issues(answer):
    return answer.json["entry"][0]["response"]["outcome"]["issue"]


CONTAINED = [
    {
        "resourceType": "Organization",
        "id": "org",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": hcid(2)}],
    }
]


@pytest.mark.parametrize(
    "body",
    [
        sent(to_home(hcid(2))),
        sent(to_reference("Organization/org-2")),
        sent(to_reference("https://ehr.example/fhir/Organization/org-2")),
        sent(to_reference("#org"), contained=CONTAINED),
        sent(to_home(hcid(2)), to_reference("Organization/org-2")),
    ],
    ids=["identifier", "directory id", "absolute", "contained", "the same twice"],
)
async def test_a_bundle_is_sent_to_its_recipient_and_not_held_here(world, body):
    answer = await publish(world, body)
    assert answer.status == 200, answer.body
    Bundle.model_validate_json(answer.body)
    assert [e["response"]["status"] for e in answer.json["entry"]] == ["201 Created"] * 3
    assert "1 of 1" in issues(answer)[-1]["diagnostics"]
    assert world.peers.by_home[hcid(2)].documents == {"2.999.5.1": NOTE}
    assert world.records.index.counts().documents == 0
    (delivery,) = world.peers.deliveries
    (document,) = delivery.documents
    assert document.entry.source_patient_id.id == "MRN-9"
    assert "PID-5|Canary-Quill^Dora" in document.entry.source_patient_info
    assert document.entry.patient_id is None


async def test_the_request_and_its_legs_are_one_exchange_in_the_log(world):
    await publish(world, sent(to_home(hcid(2)), to_home(hcid(3))))
    leaves = world.entries()
    assert [(e["txn"], e["outcome"]) for e in leaves[-1:]] == [("ITI-65", "ok")]
    assert sorted(e["peer"] for e in leaves[:-1]) == [hcid(2), hcid(3)]
    assert {e["txn"] for e in leaves[:-1]} == {"ITI-80"}
    assert len({e["exch"] for e in leaves}) == 1
    assert "Canary" not in json.dumps(leaves)


async def test_the_submission_set_keeps_its_own_identifier(world):
    own = [{"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.5.100"}]
    for _ in range(2):
        await publish(world, sent(to_home(hcid(2)), identifier=own))
    assert {d.submission_set.unique_id for d in world.peers.deliveries} == {"2.999.5.100"}


async def test_a_recipient_that_refuses_has_an_issue_beside_one_that_took_it(world):
    refusal = RegistryError(code="XDSUnknownPatientId", context="Canary text of the peer")
    world.peers.by_home[hcid(3)].errors = (refusal,)
    answer = await publish(world, sent(to_home(hcid(2)), to_home(hcid(3))))
    assert answer.status == 200
    issue = issues(answer)[0]
    assert [c["code"] for c in issue["details"]["coding"]] == ["failed", "XDSUnknownPatientId"]
    assert hcid(3) in issue["diagnostics"]
    assert "1 of 2" in issues(answer)[-1]["diagnostics"]
    assert b"Canary" not in answer.body
    assert world.entries()[-1]["outcome"] == "partial"


async def test_where_nobody_takes_it_the_request_fails_with_an_issue_for_each(world):
    for number, code in ((2, "LocalPolicyRestrictionError"), (3, "XDSRepositoryError")):
        world.peers.by_home[hcid(number)].errors = (RegistryError(code=code),)
    answer = await publish(world, sent(to_home(hcid(2)), to_home(hcid(3))))
    assert answer.status == 502
    found = [i["details"]["coding"][-1]["code"] for i in answer.json["issue"]]
    assert sorted(found) == ["LocalPolicyRestrictionError", "XDSRepositoryError"]
    assert world.entries()[-1]["reason"] == "fhir-not-delivered"


async def test_a_recipient_that_is_not_reached_has_an_issue_and_is_asked_once(world):
    world.peers.by_home[hcid(2)].fault = lambda: NetworkFault("peer-unavailable", "Down.")
    answer = await publish(world, sent(to_home(hcid(2))))
    assert answer.status == 502
    assert len(world.peers.deliveries) == 1


async def test_a_recipient_that_is_late_is_a_gateway_timeout(world):
    world.peers.by_home[hcid(2)].hang = True
    async with asyncio.timeout(20):
        answer = await publish(world, sent(to_home(hcid(2))))
    assert (answer.status, answer.json["issue"][0]["code"]) == (504, "timeout")


@pytest.mark.parametrize(
    "recipient", [to_home("urn:oid:2.999.404"), to_reference("Organization/nobody")]
)
async def test_an_unknown_recipient_keeps_everything_from_being_sent(world, recipient):
    answer = await publish(world, sent(to_home(hcid(2)), recipient))
    assert (answer.status, answer.issue[1]) == (400, "fhir-recipient-unknown")
    assert world.peers.deliveries == []


async def test_a_recipient_that_is_a_person_is_a_warning_and_the_documents_are_held_here(world):
    answer = await publish(world, sent(to_reference("Practitioner/x")))
    assert answer.status == 200
    assert "UnknownRecipient" in json.dumps(issues(answer))
    assert world.records.index.counts().documents == 1
    assert world.peers.deliveries == []


@pytest.mark.parametrize(
    ("document", "status", "issue"),
    [
        (NOBODY, 400, "fhir-patient-unknown"),
        (reference(type=None), 400, "fhir-body-invalid"),
    ],
)
async def test_what_cannot_be_told_of_a_document_keeps_it_here(world, document, status, issue):
    answer = await publish(world, sent(to_home(hcid(2)), document=document))
    assert (answer.status, answer.issue[1]) == (status, issue)
    assert world.peers.deliveries == []


async def test_who_may_not_publish_may_not_send(world):
    answer = await publish(world, sent(to_home(hcid(2))), "system/*.rs")
    assert (answer.status, answer.issue[1]) == (403, "fhir-scope-missing")
    assert world.peers.deliveries == []
