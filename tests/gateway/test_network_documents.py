"""Documents of the network for our own systems: MHD over HTTPS, answered from XCA."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from network_fhir_world import KEY, network_fhir_world
from sqlalchemy import select

from node.errors import AnswerError, NetworkFault
from node.exchange.network_handles import DocumentHandle, DocumentHandles
from node.model import Code, RegistryError
from node.storage.network_tables import KEPT
from tests.sim.network import ALICE, PURPOSE, SimPeer, document, hcid

PERSON = {"family": "Canary-Newman", "given": "Alice", "birthdate": "1970-05-01"}
LOINC = "2.16.840.1.113883.6.1"
CCD = Code(code="34133-9", scheme=LOINC)
NOTE = Code(code="11506-3", scheme=LOINC)
TEXT = b"<ClinicalDocument>Canary text</ClinicalDocument>"


def named(number: int, name: str, **changes):
    return replace(document(number, name, TEXT), **{"type_code": CCD, **changes})


def peers():
    same = {"unique_id": "2.999.77.1^shared", "hash": hashlib.sha1(TEXT).hexdigest()}
    return [
        SimPeer(
            2,
            says=ALICE,
            documents={"a": TEXT, "b": TEXT, "shared": TEXT, "lost": TEXT},
            loses=frozenset({"lost"}),
            entries=(
                named(2, "a", creation_time="20240101120000"),
                named(2, "b", creation_time="20250101120000", type_code=NOTE),
                named(2, "shared", creation_time="20230101", **same),
                named(2, "lost", creation_time="20220101"),
            ),
        ),
        SimPeer(
            3,
            says=ALICE,
            documents={"shared": TEXT},
            entries=(named(3, "shared", creation_time="20230101", **same),),
        ),
        SimPeer(
            4, says=ALICE, errors=(RegistryError(code="XDSRegistryBusy", context="Canary Alice"),)
        ),
        SimPeer(5, says=ALICE),
    ]


@pytest.fixture
async def world(tmp_path: Path, us, them):
    async with network_fhir_world(tmp_path, us, them, *peers()) as running:
        yield running


def _nobody_listens():
    return NetworkFault("connect-failed", "Nobody listens.")


async def patient_of(world, token: str) -> str:
    (found,) = (await world.get("Patient", PERSON, token=token)).ids
    return found


async def documents(world, token: str, *query, **headers):
    patient = await patient_of(world, token)
    world.peers.by_home[hcid(5)].fault = _nobody_listens
    return await world.get(
        "DocumentReference", [("patient", patient), *query], token=token, **headers
    )


async def test_documents_of_all_communities_come_newest_first_with_their_origin(world):
    found = await documents(world, world.token(), ("status", "current"))
    Bundle.model_validate_json(found.body)
    resources = found.resources("match")
    assert found.json["total"] == len(resources) == 5
    times = [r["content"][0]["attachment"]["creation"] for r in resources]
    assert times == sorted(times, reverse=True)
    assert [r["meta"]["source"] for r in resources] == [hcid(2)] * 2 + [hcid(2), hcid(3), hcid(2)]
    assert {r["extension"][0]["valueOid"] for r in resources} == {hcid(2), hcid(3)}


async def test_a_document_that_two_communities_name_is_shown_twice_and_says_so(world):
    resources = (await documents(world, world.token())).resources("match")
    tagged = [r for r in resources if r["meta"].get("tag")]
    assert {r["meta"]["source"] for r in tagged} == {hcid(2), hcid(3)}
    assert len({r["id"] for r in tagged}) == 2
    assert {r["masterIdentifier"]["value"] for r in tagged} == {"shared"}


async def test_each_community_that_gave_nothing_has_its_issue_without_its_words(world):
    found = await documents(world, world.token())
    (outcome,) = found.resources("outcome")
    said = {(i["code"], i["details"]["coding"][-1]["code"]) for i in outcome["issue"]}
    assert said == {("throttled", "XDSRegistryBusy"), ("transient", "connect-failed")}
    assert b"Canary Alice" not in found.body


async def test_the_request_is_one_exchange_with_the_queries_it_led_to(world):
    await documents(world, world.token())
    entries = world.entries()
    last = entries[-1]
    assert (last["txn"], last["outcome"], last["docs"]) == ("ITI-67", "partial", 5)
    legs = [e for e in entries if e["exch"] == last["exch"]]
    assert sorted(e["txn"] for e in legs) == ["ITI-38"] * 5 + ["ITI-67"]  # one was tried again
    assert world.private("patient")[-1]["ids"]


async def test_what_a_registry_can_be_asked_is_asked_and_applied(world):
    token = world.token()
    found = await documents(world, token, ("type", "http://loinc.org|11506-3"))
    assert [r["content"][0]["attachment"]["creation"][:4] for r in found.resources("match")] == [
        "2025"
    ]
    slots = dict(world.peers.queries[0].parameters)
    assert slots["$XDSDocumentEntryTypeCode"] == (f"11506-3^^{LOINC}",)


async def test_target_communities_are_asked_alone(world):
    token = world.token()
    before = len(world.peers.queries)
    found = await documents(world, token, ("targetCommunityIdList", hcid(3)))
    assert len(world.peers.queries) - before == 1
    assert {r["meta"]["source"] for r in found.resources("match")} == {hcid(3)}


async def test_a_patient_by_identifier_is_discovered_on_the_way(world):
    query = {"patient.identifier": "urn:oid:2.999.2.1|Canary-MRN-7", "status": "current"}
    found = await world.get("DocumentReference", query, token=world.token())
    assert found.json["total"] == 5
    entries = world.entries()
    assert {e["txn"] for e in entries} == {"ITI-55", "ITI-38", "ITI-67"}
    assert len({e["exch"] for e in entries}) == 1
    unknown = {"patient.identifier": "urn:oid:2.999.99|nobody"}
    nobody = await world.get("DocumentReference", unknown, token=world.token())
    assert (nobody.status, nobody.json["total"]) == (200, 0)
    issues = nobody.resources("outcome")[0]["issue"]
    assert "multiple-matches" in {each["code"] for each in issues}


async def test_pages_are_of_one_moment_and_of_one_client(world):
    token = world.token()
    first = await documents(world, token, ("_count", "2"))
    asked = len(world.peers.queries)
    seen, page = list(first.ids), first
    while (following := page.link("next")) is not None:
        page = await world.get(following, token=token)
        assert page.status == 200, page.body
        assert page.json["total"] == 5
        assert page.resources("outcome")  # whoever reads one page alone has to know
        seen += page.ids
    assert len(seen) == len(set(seen)) == 5
    assert len(world.peers.queries) == asked  # nobody was asked again
    assert (await world.get(page.link("previous"), token=token)).ids == seen[2:4]
    assert (await world.get(page.link("first"), token=token)).ids == seen[:2]
    other = await world.get(first.link("next"), token=world.token(user="bob@asker.example"))
    assert (other.status, other.issue[1]) == (410, "fhir-page-invalid")
    changed = first.link("next")[:-2] + "AA"
    assert (await world.get(changed, token=token)).issue[1] == "fhir-page-invalid"


async def test_docref_gives_the_current_summary_and_all_of_a_time(world):
    token = world.token()
    patient = (await patient_of(world, token)).removeprefix("Patient/")
    latest = await world.get("DocumentReference/$docref", {"patient": patient}, token=token)
    assert len(latest.ids) == 1
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueId": patient},
            {"name": "start", "valueDate": "2020-01-01"},
        ],
    }
    every = await world.post("DocumentReference/$docref", body, token=token)
    assert len(every.ids) == 4  # those of type 34133-9
    assert world.entries()[-1]["txn"] == "FHIR-DOCREF"


@pytest.mark.parametrize(
    ("query", "status", "issue"),
    [
        ({"status": "current"}, 400, "fhir-question-incomplete"),
        ({"patient": "nobody-of-ours"}, 404, "fhir-not-found"),
        ({"patient": "x/y z"}, 400, "fhir-value-invalid"),
        ({"patient": "x", "author.qualification": "y"}, 400, "fhir-parameter-unsupported"),
    ],
)
async def test_a_search_that_cannot_be_meant_asks_nobody(world, query, status, issue):
    answer = await world.get("DocumentReference", query, token=world.token())
    assert (answer.status, answer.issue[1]) == (status, issue)
    assert world.peers.calls == []
    last = world.entries()[-1]
    assert last["txn"] == "ITI-67"
    assert last.get("reason") == (issue if status == 400 else None)  # not held is no refusal


async def test_provenance_is_there_when_asked_for(world):
    found = await documents(world, world.token(), ("_revinclude", "Provenance:target"))
    proofs = found.resources("include")
    assert {p["agent"][0]["who"]["identifier"]["value"] for p in proofs} == {hcid(2), hcid(3)}
    targets = {t["reference"] for p in proofs for t in p["target"]}
    assert targets == {e["fullUrl"] for e in found.json["entry"] if e["search"]["mode"] == "match"}


async def test_the_capability_statement_is_true_of_documents(world):
    answer = await world.get("metadata")
    CapabilityStatement.model_validate_json(answer.body)
    token = world.token()
    for resource in answer.json["rest"][0]["resource"]:
        values = {"token": "http://loinc.org|x", "string": "x", "date": "2020-01-02",
                  "reference": "Patient/x", "uri": "urn:oid:2.999.2"}  # fmt: skip
        for parameter in resource["searchParam"]:
            value = {"active": "true", "gender": "male"}.get(
                parameter["name"], values[parameter["type"]]
            )
            found = await world.get(
                resource["type"], {parameter["name"]: value}, token=token,
                prefer="handling=strict",
            )  # fmt: skip
            unknown = found.status == 400 and found.issue[1] == "fhir-parameter-unknown"
            assert not unknown, parameter


# --- the document itself ------------------------------------------------------------------------


async def url_of(world, token: str, place: int) -> str:
    resources = (await documents(world, token)).resources("match")
    return resources[place]["content"][0]["attachment"]["url"]


async def test_a_document_is_fetched_byte_for_byte_in_its_type(world):
    token = world.token()
    url = await url_of(world, token, 0)
    assert "2.999" not in url
    assert "Canary" not in url
    got = await world.get(url, token=token)
    assert (got.status, got.body) == (200, TEXT)
    assert got.headers["content-type"] == "text/xml"
    assert got.headers["content-length"] == str(len(TEXT))
    assert got.headers["cache-control"] == "no-store"
    entry = world.entries()[-1]
    assert (entry["txn"], entry["outcome"], entry["docs"]) == ("ITI-68", "ok", 1)
    legs = {e["txn"] for e in world.entries() if e["exch"] == entry["exch"]}
    assert legs == {"ITI-39", "ITI-68"}
    for _ in range(1000):  # nothing stays, once the last byte is out
        if not list(world.spool.iterdir()):
            break
        await asyncio.sleep(0.01)
    assert list(world.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("accept", "status"),
    [("*/*", 200), ("text/xml", 200), ("text/*", 200), ("application/pdf", 406),
     ("application/fhir+json", 406)],
)  # fmt: skip
async def test_a_type_that_is_not_taken_is_refused_before_the_peer_is_asked(world, accept, status):
    token = world.token()
    url = await url_of(world, token, 0)
    asked = len(world.peers.refs)
    got = await world.get(url, token=token, accept=accept)
    assert got.status == status
    assert len(world.peers.refs) - asked == (status == 200)


async def test_a_link_is_for_who_got_it_and_cannot_be_changed(world):
    token = world.token()
    url = await url_of(world, token, 0)
    asked = len(world.peers.refs)
    stranger = await world.get(url, token=world.token(user="bob@asker.example"))
    assert (stranger.status, stranger.issue[1]) == (404, "fhir-not-found")
    for changed in (url[:-1] + ("A" if url[-1] != "A" else "B"), url + "A", url[:-20], url + "%00"):
        assert (await world.get(changed, token=token)).status in (400, 404)
    assert (await world.get(url)).status == 401
    no_scope = await world.get(url, token=world.token("system/Patient.rs"))
    assert (no_scope.status, no_scope.issue[1]) == (403, "fhir-scope-missing")
    assert len(world.peers.refs) == asked


async def test_a_link_ends(world):
    token = world.token()
    entry = document(2, "a", TEXT)
    handles = DocumentHandles(KEY.page_key, timedelta(hours=8))
    handle = DocumentHandle(ref=entry.ref, patient_id=None, mime_type="text/xml")
    old = handles.sealed(handle, world.grants.tokens[token], datetime.now(UTC) - timedelta(hours=9))
    answer = await world.get(f"document/{old}", token=token)
    assert (answer.status, answer.issue) == (410, ("expired", "fhir-document-link-expired"))


@pytest.mark.parametrize(
    ("fault", "status", "issue"),
    [
        (_nobody_listens, 502, "fhir-peer-unreachable"),
        (lambda: NetworkFault("timeout", "No answer in time."), 504, "fhir-peer-late"),
        (lambda: AnswerError("peer-refused-identity", "No."), 403, "fhir-peer-declined"),
    ],
)
async def test_a_document_that_does_not_come_says_why(world, fault, status, issue):
    token = world.token()
    url = await url_of(world, token, 0)
    world.peers.by_home[hcid(2)].fault = fault
    answer = await world.get(url, token=token)
    assert (answer.status, answer.issue[1]) == (status, issue)
    assert list(world.spool.iterdir()) == []


async def test_a_document_that_the_community_does_not_give_is_an_error(world):
    token = world.token()
    url = await url_of(world, token, 4)
    answer = await world.get(url, token=token)
    assert (answer.status, answer.issue[1]) == (502, "fhir-peer-unreachable")


# --- what is kept -------------------------------------------------------------------------------


async def test_nothing_of_a_person_is_readable_in_what_is_kept(world):
    await documents(world, world.token(), ("_count", "1"))
    with world.engine.connect() as connection:
        rows = connection.execute(select(KEPT)).all()
    assert rows
    plain = b"".join(str(v).encode() if not isinstance(v, bytes) else v for r in rows for v in r)
    assert b"Canary" not in plain
    assert b"Alice" not in plain


async def test_another_purpose_sees_nothing_of_it(world):
    token = world.token()
    patient = await patient_of(world, token)
    grant = world.grants.tokens[token]
    other = replace(PURPOSE, code="T-OTHER")
    world.grants.tokens[token] = replace(grant, principal=replace(grant.principal, purpose=other))
    assert (await world.get(patient, token=token)).status == 403  # we may not ask for it at all
