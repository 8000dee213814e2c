"""FHIR clients of the ecosystem, unmodified, over TLS: fhirpy and fhirclient ask the network.

Two communities hold documents, one is slow, one refuses, one breaks.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from fhirclient import client as smart_client
from fhirclient.models.bundle import Bundle
from fhirclient.models.documentreference import DocumentReference
from fhirclient.models.patient import Patient
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome
from network_fhir_world import network_fhir_world
from tls_network import network_ca

from node.errors import NetworkFault
from tests.sim.network import ALICE, SimPeer, document, hcid
from trust.tls import TlsIdentity, browser_context

TEXT = b"<ClinicalDocument>A real document</ClinicalDocument>"
PERSON = {"family": "Canary-Newman", "given": "Alice", "birthdate": "1970-05-01"}
BODY = {
    "resourceType": "Patient",
    "name": [{"family": "Canary-Newman", "given": ["Alice"]}],
    "birthDate": "1970-05-01",
}


def holder(number: int, *names: str) -> SimPeer:
    return SimPeer(
        number,
        says=ALICE,
        documents=dict.fromkeys(names, TEXT),
        entries=tuple(document(number, name, TEXT) for name in names),
    )


@pytest.fixture
async def world(tmp_path: Path, us, them):
    peers = [
        holder(2, "a", "b", "c"),
        holder(3, "d", "e"),
        SimPeer(4, hang=True),
        SimPeer(5, declines=True),
        SimPeer(6, discovery_fault=lambda: NetworkFault("connect-failed", "Nobody listens.")),
    ]
    # as the FHIR listener: a certificate of ours, none of the client
    ours = browser_context(TlsIdentity(certificate_file=us.path, key_file=us.path))
    async with network_fhir_world(tmp_path, us, them, *peers, seconds=1.0, server=ours) as running:
        yield running


@pytest.fixture
def anchors(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(network_ca().certificate.public_bytes(Encoding.PEM))
    return str(path)


async def test_fhirpy_searches_pages_matches_and_reads_a_document(world, anchors):
    token = world.token()
    fhir = AsyncFHIRClient(
        world.base,
        authorization=f"Bearer {token}",
        aiohttp_config={"ssl": ssl.create_default_context(cafile=anchors)},
    )
    found = await fhir.resources("Patient").search(**PERSON).fetch()
    patient = found[0]
    assert {i["system"] for i in patient["identifier"]} == {
        "urn:oid:2.999.2.1", "urn:oid:2.999.3.1"
    }  # fmt: skip
    assert (await fhir.reference("Patient", patient.id).to_resource()).id == patient.id
    search = fhir.resources("DocumentReference").search(patient=patient.id, status="current")
    every = await search.limit(2).fetch_all()
    assert len({each.id for each in every}) == 5
    assert {each["meta"]["source"] for each in every} == {hcid(2), hcid(3)}
    matched = await fhir.execute("Patient/$match", "POST", data=BODY)
    grades = [
        each["search"]["extension"][0]["valueCode"]
        for each in matched["entry"]
        if each["search"]["mode"] == "match"
    ]
    assert grades == ["certain"]
    (outcome,) = [e["resource"] for e in matched["entry"] if e["search"]["mode"] == "outcome"]
    ends = {issue["details"]["coding"][0]["code"] for issue in outcome["issue"]}
    assert ends == {"timed-out", "declined", "failed"}
    url = every[0]["content"][0]["attachment"]["url"]
    got = await world.get(url, token=token)
    assert got.body == TEXT
    with pytest.raises(OperationOutcome):
        await fhir.resources("DocumentReference").search(status="current").fetch()


async def test_fhirclient_reads_everything_strictly(world, anchors):
    token = world.token()

    def ask() -> tuple[Bundle, list[DocumentReference], bytes]:
        smart = smart_client.FHIRClient(settings={"app_id": "ehr", "api_base": world.base})
        smart.server.session.trust_env = False  # the environment may name other anchors
        smart.server.session.verify = anchors
        assert smart.prepare()  # reads our CapabilityStatement, strictly
        smart.server.session.headers["Authorization"] = f"Bearer {token}"
        people = next(Patient.where(PERSON).perform_iter(smart.server))
        person = people.entry[0].resource
        where = {"patient": person.id, "status": "current", "_count": "2"}
        documents = list(DocumentReference.where(where).perform_resources_iter(smart.server))
        address = documents[0].content[0].attachment.url
        content = smart.server.request_data(address, headers={"Accept": "*/*"})
        return people, documents, content

    people, documents, content = await asyncio.to_thread(ask)
    assert people.total == 1
    assert len(documents) == 5
    assert content == TEXT
    digest = documents[0].content[0].attachment.hash
    assert digest == b64encode(hashlib.sha1(TEXT).digest()).decode()
