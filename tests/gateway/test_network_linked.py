"""Communities with a FHIR server alone at the network's address: their documents, by our links."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from network_fhir_world import KEY, network_fhir_world
from test_network_documents import PERSON, peers

from node.errors import NetworkFault, TheirFault
from node.exchange.fhir_paging import holder_of
from node.exchange.fhir_ports import Grant
from node.exchange.network_handles import DocumentHandles
from node.exchange.sealed_token import SealedTokens
from node.policy.scopes import parse_scopes
from tests.sim.fhir_peers import SimFhirServer
from tests.sim.network import PURPOSE, SimPeer, entry, hcid

HELD = {
    "resourceType": "DocumentReference",
    "id": "there",
    "status": "current",
    "type": {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]},
    "date": "2026-01-01T00:00:00Z",
    "subject": {"reference": "Patient/x"},
    "content": [{"attachment": {"url": "Binary/1"}}],
}


@pytest.fixture
async def mixed(tmp_path: Path, us, them):
    """Two communities by IHE, one by FHIR alone, and one of those that is broken."""
    alone = SimFhirServer(8, "x", holds=[HELD], alone=True)
    broken = SimFhirServer(
        9, "y", alone=True, fault=NetworkFault("connect-failed", "Nobody listens.")
    )
    async with network_fhir_world(
        tmp_path, us, them, *peers()[:2], SimPeer(8), SimPeer(9), fhir=[alone, broken]
    ) as running:
        # their entries have no address for XCPD
        running.directory.entries[-2:] = [entry(n, addresses={}) for n in (8, 9)]
        running.alone = alone
        yield running


async def test_a_community_with_fhir_alone_is_a_part_of_the_person_and_of_the_answer(mixed):
    token = mixed.token()
    found = await mixed.get("Patient", PERSON, token=token)
    (person,) = found.resources("match")
    sources = {r["meta"]["source"] for r in found.resources("include")}
    assert sources == {hcid(2), hcid(3), hcid(8)}
    (outcome,) = found.resources("outcome")
    assert [i["details"]["coding"][0]["code"] for i in outcome["issue"]] == ["failed"]
    documents = await mixed.get(
        "DocumentReference",
        {"patient": person["id"], "status": "current", "_revinclude": "Provenance:target"},
        token=token,
    )
    resources = documents.resources("match")
    attachment = resources[0]["content"][0]["attachment"]
    assert attachment.pop("url").startswith(f"{mixed.base}/document/")
    assert resources[0] == HELD | {"content": [{"attachment": {}}]}  # the newest, else as it came
    assert len(resources) == 6
    full_urls = [e["fullUrl"] for e in documents.json["entry"]]
    assert full_urls[0] == "https://peer8.example/fhir/DocumentReference/there"
    proof = next(
        r for r in documents.resources("include")
        if r["agent"][0]["who"]["identifier"]["value"] == hcid(8)
    )  # fmt: skip
    assert proof["target"] == [{"reference": full_urls[0]}]
    entries = mixed.entries()
    assert len({e["exch"] for e in entries if e["txn"] in ("ITI-78", "ITI-55", "FHIR-MATCH")}) == 1


async def test_what_a_fhir_server_does_not_take_is_not_asked_of_it(mixed):
    token = mixed.token()
    (patient,) = (await mixed.get("Patient", PERSON, token=token)).ids[:1]
    before = len(mixed.alone.asked)
    found = await mixed.get("DocumentReference", {"patient": patient, "setting": "x"}, token=token)
    assert len(mixed.alone.asked) == before
    issues = found.resources("outcome")[0]["issue"]
    assert "setting" in next(i["diagnostics"] for i in issues if i["code"] == "not-supported")


PDF = b"%PDF-1.7 Canary pages"


async def linked(mixed, token: str, **attachment) -> str:
    """Where the document of the community with FHIR alone is, as our own system is told."""
    held = HELD | {"content": [{"attachment": {"url": "Binary/1", **attachment}}]}
    mixed.alone.holds[:] = [held]
    (patient,) = (await mixed.get("Patient", PERSON, token=token)).ids[:1]
    found = await mixed.get("DocumentReference", {"patient": patient}, token=token)
    return next(
        r["content"][0]["attachment"]["url"]
        for r in found.resources("match")
        if r["id"] == HELD["id"]
    )


@pytest.mark.parametrize("said", [{"contentType": "application/pdf"}, {}])
async def test_a_document_of_a_fhir_server_alone_comes_through_the_node(mixed, said):
    token = mixed.token()
    mixed.alone.files["Binary/1"] = PDF
    url = await linked(mixed, token, **said)
    for secret in ("peer8", "Binary", "Canary", "2.999"):
        assert secret not in url
    got = await mixed.get(url, token=token)
    assert (got.status, got.body) == (200, PDF)
    expected = said.get("contentType", "application/octet-stream")
    assert got.headers["content-type"] == expected
    assert got.headers["content-length"] == str(len(PDF))
    entry = mixed.entries()[-1]
    assert (entry["txn"], entry["outcome"], entry["docs"]) == ("ITI-68", "ok", 1)
    legs = [e for e in mixed.entries() if e["exch"] == entry["exch"]]
    assert [(e["txn"], e["peer"]) for e in legs[:-1]] == [("FHIR-READ", hcid(8))]
    digest = hashlib.sha256(PDF).hexdigest()
    assert [group[0]["sha256"] for group in mixed.private("docs")[-2:]] == [digest, digest]
    stranger = await mixed.get(url, token=mixed.token(user="bob@asker.example"))
    assert stranger.status == 404
    unsuited = await mixed.get(url, token=token, accept="text/plain")
    assert unsuited.status == 406


@pytest.mark.parametrize(
    ("fault", "status", "issue"),
    [
        (NetworkFault("connect-failed", "Nobody listens."), 502, "fhir-peer-unreachable"),
        (NetworkFault("timeout", "No answer in time."), 504, "fhir-peer-late"),
        (TheirFault("fhir-attachment-absent", "It is not there."), 404, "fhir-not-found"),
        (TheirFault("fhir-attachment-changed", "Another one."), 502, "fhir-peer-unreachable"),
    ],
)
async def test_a_document_of_a_fhir_server_that_does_not_come_says_why(mixed, fault, status, issue):
    token = mixed.token()
    mixed.alone.files["Binary/1"] = fault
    url = await linked(mixed, token, contentType="application/pdf")
    answer = await mixed.get(url, token=token)
    assert (answer.status, answer.issue[1]) == (status, issue)
    assert list(mixed.spool.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/Binary/1",
        "//elsewhere.example/x",
        "https://peer8.example/fhirx/1",
    ],
)
async def test_a_link_to_another_server_than_its_own_is_left_as_it_is(mixed, url):
    assert await linked(mixed, mixed.token(), url=url) == url


async def test_an_absolute_link_to_its_own_server_comes_through_the_node(mixed):
    token = mixed.token()
    there = "https://peer8.example/fhir/Binary/1"
    mixed.alone.files[there] = PDF
    url = await linked(mixed, token, url=there)
    assert (await mixed.get(url, token=token)).body == PDF


def test_a_link_of_before_still_opens():
    grant = Grant(
        client_id="c",
        entry=entry(1),
        purpose=PURPOSE,
        scopes=parse_scopes(("system/*.rs",)),
        token=b"t" * 32,
    )
    handles, now = DocumentHandles(KEY.page_key, timedelta(hours=8)), datetime.now(UTC)
    until = int((now + timedelta(hours=1)).timestamp())
    old = orjson.dumps([hcid(2), "2.999.2.5", "a", None, "text/xml", until])
    key = hmac.digest(KEY.page_key, b"tefca-node network documents v1", "sha256")
    opened = handles.opened(SealedTokens(key).sealed(old, holder_of(grant)), grant, now)
    assert (opened.ref.document_unique_id, opened.attachment, opened.patients) == ("a", None, ())
