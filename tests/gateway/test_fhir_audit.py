"""The log as AuditEvents over HTTPS: who may, what is found, paging, erasure (ITI-81)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent as R4BAuditEvent
from fhir.resources.R4B.bundle import Bundle
from fhir_world import OWN, FhirWorld, Records, bundle, fhir_world, open_records

from node.ledger.audit_sorts import sorts
from node.ledger.erasure import Eraser, Order
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange, acts
from node.ledger.trust_log import TrustLog, operator
from node.model import Direction, Outcome, Transaction
from node.users.roles import role_table
from tests.fhir_profiles import Definitions, members
from tests.ledger.audit_world import ORSOLYA, TWIN, facts
from tests.ledger.records import PEER, START, record

EVERYTHING = ("exchanges", "access-log", "trust", "reveal")
ANN = {
    "resourceType": "Patient",
    "id": "ann",
    "identifier": [{"system": "urn:oid:2.999.5", "value": "MRN-1"}],
    "name": [{"family": "Lee", "given": ["Ann"]}],
    "birthDate": "1980-01-02",
    "gender": "female",
}
OBSERVATION = {
    "resourceType": "Observation", "id": "raw", "status": "final",
    "subject": {"reference": "Patient/ann"}, "code": {"text": "a thing"},
}  # fmt: skip
TYPES = "http://terminology.hl7.org/CodeSystem/audit-event-type"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
IHE = "urn:ihe:event-type-code"
REST = "http://hl7.org/fhir/restful-interaction"


async def legs(engine: Any) -> None:
    """Legs of every question of IHE and direction, and changes of trust."""
    ledger = ExchangeLedger(engine, LedgerKey(bytes(range(32))))
    place = 0
    for transaction in (Transaction.ITI_55, Transaction.ITI_38, Transaction.ITI_39):
        for direction in Direction:
            for outcome in (Outcome.OK, Outcome.DECLINED):
                place += 1
                is_ok = outcome is Outcome.OK
                held = facts(transaction) if is_ok else facts(transaction, patients=(), came=())
                if is_ok and transaction is not Transaction.ITI_39:
                    held = facts(transaction, patients=(ORSOLYA, TWIN))
                await ledger.append(
                    record(
                        facts=held,
                        transaction=transaction,
                        direction=direction,
                        outcome=outcome,
                        started=START + timedelta(seconds=place),
                    )
                )
    ledger.close()
    log = TrustLog(
        engine, lambda: LedgerKey(bytes(range(32))), own=OWN,
        author=Author(by="operator", who={"user_id": "root"}), now=lambda: START,
    )  # fmt: skip
    for act in ("anchor-add", "page-view", "log-export"):
        log.fact(TrustChange(act=act))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    folder = tmp_path_factory.mktemp("audit")
    made = open_records(f"sqlite:///{folder / 'node.db'}", folder)
    (folder / "in").mkdir()
    (folder / "in" / "ann.json").write_bytes(bundle(ANN, OBSERVATION))
    assert made.load(folder / "in").failures == ()
    asyncio.run(legs(made.engine))
    yield made
    made.engine.dispose()


@pytest.fixture
async def world(records: Records, us, them) -> AsyncIterator[FhirWorld]:
    async with fhir_world(records, us, them) as running:
        yield running


async def found(world: FhirWorld, query: Any, *, count: int = 200, now: bool = False) -> list[Any]:
    """What a search finds among the legs above, or (``now``) in the whole log."""
    token = world.own_token("system/AuditEvent.rs", rights=EVERYTHING)
    pairs = [*(query.items() if isinstance(query, dict) else query), ("_count", str(count))]
    if not now and "_id" not in query and "entity" not in query:
        pairs.append(("date", "lt2026-11-02"))
    answer = await world.get("AuditEvent", pairs, token=token, prefer="handling=strict")
    events: list[Any] = []
    for _ in range(100):
        assert answer.status == 200, answer.body
        assert len(answer.resources("match")) <= count
        events += answer.resources("match")
        following = answer.link("next")
        if following is None:
            return events
        answer = await world.get(following, token=token)
    raise AssertionError("the pages do not end")


def codes(event: Any) -> set[str]:
    return {each["code"] for each in event["subtype"]}


# --- who may --------------------------------------------------------------------------------------


async def test_a_peers_token_never_reads_the_log_whatever_its_scopes(world: FhirWorld):
    for scope in ("system/*.rs", "system/AuditEvent.rs", "user/*.rs"):
        for path in ("AuditEvent", "AuditEvent/x.1"):
            answer = await world.get(path, token=world.token(scope))
            assert (answer.status, answer.issue[1]) == (403, "fhir-audit-forbidden")
    last = world.entries()[-1]
    assert (last["txn"], last["outcome"], last["reason"]) == (
        "FHIR-AUDIT", "declined", "fhir-audit-forbidden",
    )  # fmt: skip
    assert last["peer"] == "urn:oid:2.999.8"


async def test_without_a_token_there_is_nothing(world: FhirWorld):
    assert (await world.get("AuditEvent")).status == 401


@pytest.mark.parametrize("scope", ["system/Patient.rs", "patient/AuditEvent.rs"])
async def test_one_of_ours_needs_a_scope_for_audit_events(world: FhirWorld, scope: str):
    token = world.own_token(scope, rights=EVERYTHING, patient="ann")
    answer = await world.get("AuditEvent", token=token)
    assert (answer.status, answer.issue[1]) == (403, "fhir-scope-missing")


async def test_reading_and_searching_are_two_scopes(world: FhirWorld):
    (event, *_) = await found(world, {})
    reader = world.own_token("user/AuditEvent.r", rights=EVERYTHING)
    assert (await world.get(f"AuditEvent/{event['id']}", token=reader)).status == 200
    assert (await world.get("AuditEvent", token=reader)).status == 403


@pytest.mark.parametrize("role", role_table().roles)
async def test_a_role_opens_what_it_opens_on_the_console(world: FhirWorld, role: str):
    rights = role_table().roles[role].rights
    token = world.own_token("system/AuditEvent.rs", rights=rights)
    answer = await world.get("AuditEvent", {"_count": "200"}, token=token)
    if "exchanges" not in rights:
        assert (answer.status, answer.issue[1]) == (403, "fhir-audit-forbidden")
        return
    seen = {code for each in answer.resources("match") for code in codes(each)}
    assert "ITI-55" in seen
    assert ("page-view" in seen) == ("access-log" in rights)
    assert ("anchor-add" in seen) == ("trust" in rights)
    patients = [
        e for each in answer.resources("match") for e in each["entity"]
        if e.get("role", {}).get("code") in ("1", "24", "3")
    ]  # fmt: skip
    assert bool(patients) == ("reveal" in rights)
    assert (ORSOLYA.id.encode() in answer.body) == ("reveal" in rights)


async def test_every_access_is_an_entry_of_the_log_with_what_was_asked(world: FhirWorld):
    before = len(world.entries())
    await found(world, {"date": "ge2026-11-01"})
    (entry,) = world.entries()[before:]
    assert (entry["kind"], entry["txn"], entry["dir"]) == ("exchange", "FHIR-AUDIT", "responding")
    (event, *_) = await found(world, {"subtype": "FHIR-AUDIT"}, now=True)
    assert event["type"]["code"] == "110101"  # Audit Log Used
    assert event["action"] == "R"


# --- what is found --------------------------------------------------------------------------------


async def test_the_answers_are_what_the_standard_says(world: FhirWorld):
    token = world.own_token("system/AuditEvent.rs", rights=EVERYTHING)
    answer = await world.get("AuditEvent", {"_count": "10"}, token=token)
    Bundle.model_validate_json(answer.body)
    for entry in answer.json["entry"]:
        R4BAuditEvent.model_validate(entry["resource"])
        read = await world.get(f"AuditEvent/{entry['resource']['id']}", token=token)
        assert read.status == 200
        assert json.loads(read.body) == entry["resource"]
        assert entry["fullUrl"] == f"{world.base}/AuditEvent/{entry['resource']['id']}"


@pytest.mark.shared
async def test_what_is_served_keeps_every_profile_that_it_claims(world: FhirWorld, shared_data):
    known = Definitions(members(shared_data / "fhir/ig/ihe.iti.balp-1.1.4-definitions.tar.gz"))
    token = world.token()
    await world.get("Observation/raw", token=token)
    await world.get("Observation", {"patient": "ann"}, token=token)
    claimed = 0
    for event in await found(world, {}, now=True):
        for url in event["meta"].get("profile", ()):
            claimed += 1
            assert known.problems(event, url) == [], (event["subtype"], url)
    assert claimed > 20


async def test_patient_query_is_one_event_per_patient_and_read_one_per_document(world: FhirWorld):
    for transaction in ("ITI-55", "ITI-38"):
        events = await found(world, {"subtype": f"{IHE}|{transaction}", "outcome": "0"})
        assert len(events) == 2 * 2  # directions, patients
    events = await found(world, {"subtype": "ITI-39", "outcome": "0"})
    assert len(events) == 2 * 2  # directions, documents


@pytest.mark.parametrize("count", [1, 3, 7])
async def test_pages_give_every_event_once_whatever_their_size(world: FhirWorld, count: int):
    query = {"date": "lt2026-11-02"}
    whole = [e["id"] for e in await found(world, query)]
    assert [e["id"] for e in await found(world, query, count=count)] == whole
    assert len(set(whole)) == len(whole) > 20


async def test_a_page_is_for_whom_it_was_given(world: FhirWorld):
    token = world.own_token("system/AuditEvent.rs", rights=EVERYTHING)
    following = (await world.get("AuditEvent", {"_count": "1"}, token=token)).link("next")
    assert following is not None
    other = world.own_token("system/AuditEvent.rs", rights=EVERYTHING, client="client-2")
    assert (await world.get(following, token=other)).issue[1] == "fhir-page-invalid"
    peer = world.token("system/*.rs")
    assert (await world.get(following, token=peer)).status == 403


async def test_patient_by_identifier_and_by_reference(world: FhirWorld):
    token = world.token()
    await world.get("Observation/raw", token=token)
    ours = await found(world, {"patient": "Patient/ann"}, now=True)
    assert codes(ours[0]) == {"read", "FHIR-READ"}
    for name in ("patient.identifier", "patient:identifier"):
        given = f"urn:oid:{ORSOLYA.assigning_authority}|{ORSOLYA.id}"
        events = await found(world, {name: given})
        # two queries twice, each document of two retrieves, the two queries that were declined
        assert len(events) == 4 + 4 + 2
        assert all(ORSOLYA.id in json.dumps(e["entity"]) for e in events)
    assert await found(world, {"patient": "Patient/nobody"}) == []


async def test_of_a_query_about_two_only_the_event_of_the_one_asked_for_comes(world: FhirWorld):
    given = f"urn:oid:{ORSOLYA.assigning_authority}|{ORSOLYA.id}"
    for event in await found(world, {"patient.identifier": given, "subtype": f"{REST}|search"}):
        assert TWIN.id not in json.dumps(event["entity"])


async def test_agent_is_a_user_or_a_community(world: FhirWorld):
    for value in ("isample@lake.example", "ldap:///CN%3Dnobody|isample@lake.example"):
        events = await found(world, {"agent.identifier": value})
        assert bool(events) == ("|" not in value)  # of another issuer there is none
    peers = await found(world, {"agent": f"urn:ietf:rfc:3986|{PEER.home_community_id}"})
    assert len(peers) == len(await found(world, {"type": "rest"}))
    assert await found(world, {"agent": "urn:oid:2.999.77"}) == []
    assert len(await found(world, {"agent": str(OWN), "source": str(OWN)})) == len(peers) + 3
    assert await found(world, {"source.identifier": "urn:oid:2.999.77"}) == []


async def test_entity_is_a_document_a_message_a_resource_or_an_entry(world: FhirWorld):
    documents = await found(world, {"entity.identifier": "1.2.3.1"})
    assert len(documents) == 2
    assert all("1.2.3.2" not in json.dumps(e["entity"]) for e in documents)
    messages = {
        e["what"]["identifier"]["value"]
        for each in documents for e in each["entity"] if e["type"].get("code") == "XrequestId"
    }  # fmt: skip
    for message in messages:
        assert len(await found(world, {"entity": message})) == 2  # of two documents
    await world.get("Observation/raw", token=world.token())
    assert await found(world, {"entity": "Observation/raw"})
    entry_id = documents[0]["id"].partition(".")[0]
    whole = await found(world, {"entity": f"{own_system(documents[0])}|{entry_id}"})
    assert {e["id"].partition(".")[0] for e in whole} == {entry_id}
    assert [e["id"] for e in await found(world, {"_id": documents[0]["id"]})] == [
        documents[0]["id"]
    ]


def own_system(event: Any) -> str:
    return event["entity"][-1]["type"]["system"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"type": "rest"}, {"ITI-55", "ITI-38", "ITI-39"}),
        ({"type": f"{TYPES}|rest", "subtype": f"{REST}|read"}, {"ITI-39"}),
        ({"subtype": "ITI-55,ITI-38"}, {"ITI-55", "ITI-38"}),
        ({"type": f"{DCM}|110113"}, {"anchor-add", "page-view"}),
        ({"type": f"{DCM}|110101"}, {"log-export"}),
        ({"type": f"{DCM}|110101,{TYPES}|rest", "subtype": "ITI-55,log-export"},
         {"ITI-55", "log-export"}),
        ({"subtype": "110129"}, {"anchor-add"}),
        ({"type": "nonsense"}, set()),
        ({"type": "urn:other|rest"}, set()),
    ],
)  # fmt: skip
async def test_type_and_subtype(world: FhirWorld, query: dict[str, str], wanted: set[str]):
    events = await found(world, query)
    assert {each["subtype"][-1]["code"] for each in events} == wanted


async def test_outcome(world: FhirWorld):
    assert {e["outcome"] for e in await found(world, {"outcome": "0"})} == {"0"}
    bad = await found(world, {"outcome": "8"})
    assert {e["outcome"] for e in bad} == {"8"}
    assert {e["subtype"][-1]["code"] for e in bad} == {"ITI-55", "ITI-38", "ITI-39"}
    changes = await found(world, {"outcome": "0", "type": "110113,110101"})
    assert len(changes) == 3  # what is no exchange has an outcome too
    assert len(await found(world, {"outcome": "0,8"})) == len(await found(world, {}))
    assert await found(world, {"outcome": "12"}) == []


async def test_date(world: FhirWorld):
    moment = (START + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%S.123Z")
    at = await found(world, {"date": moment})
    assert {e["recorded"] for e in at} == {moment}
    below = await found(world, {"date": f"lt{moment}"})
    above = await found(world, {"date": f"gt{moment}"})
    assert len(below) + len(at) + len(above) == len(await found(world, {"date": "2026"}))
    assert at == await found(world, [("date", f"ge{moment}"), ("date", f"le{moment}")])
    assert at == await found(world, {"_lastUpdated": moment})
    times = [e["recorded"] for e in above]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        {"_sort": "date"},
        {"date": "ne2020"},
        {"outcome:not": "0"},
        {"_summary": "count"},
        {"agent:missing": "true"},
        {"agent.name": "x"},
        {"_has:Patient:x": "y"},
        {"agent": "jdoe,urn:oid:2.999.1"},
        {"patient.identifier": "x"},
        {"policy": "x"},
    ],
)
async def test_what_cannot_be_searched_is_said(world: FhirWorld, query: dict[str, str]):
    token = world.own_token("system/AuditEvent.rs", rights=EVERYTHING)
    answer = await world.get("AuditEvent", query, token=token, prefer="handling=strict")
    assert answer.status == 400
    assert answer.issue[1].startswith("fhir-")


async def test_an_unknown_parameter_is_left_out_aloud(world: FhirWorld):
    token = world.own_token("system/AuditEvent.rs", rights=EVERYTHING)
    answer = await world.get("AuditEvent", {"policy": "x", "_count": "1"}, token=token)
    assert answer.status == 200
    assert "policy" in answer.resources("outcome")[0]["issue"][0]["diagnostics"]


async def test_there_are_no_versions_and_nothing_is_written(world: FhirWorld):
    token = world.own_token("system/AuditEvent.cruds", rights=EVERYTHING)
    (event, *_) = await found(world, {})
    answer = await world.get(f"AuditEvent/{event['id']}/_history/1", token=token)
    assert answer.status == 404
    assert (await world.post("AuditEvent", b"{}", token=token)).status == 405
    for id_ in ("none", f"{event['id']}9", event["id"].partition(".")[0]):
        answer = await world.get(f"AuditEvent/{id_}", token=token)
        assert (answer.status, answer.issue[1]) == (404, "fhir-not-found")


async def test_an_erased_group_is_said_and_the_rest_stays(world: FhirWorld):
    events = await found(world, {"subtype": "ITI-38", "outcome": "0"})
    entry_id = events[0]["id"].partition(".")[0]
    details = {d["type"]: d.get("valueString") for d in events[0]["entity"][-1]["detail"]}
    parts = ("who", "patient", "query")
    Eraser(
        world.records.engine, world.key, own=OWN, author=operator(), now=lambda: START,
    ).run(
        Order(
            authority="patient", reason="person-request", parts=parts, seqs=(int(details["seq"]),)
        )
    )  # fmt: skip
    (left,) = await found(world, {"_id": f"{entry_id}.1"})
    details = {d["type"]: d.get("valueString") for d in left["entity"][-1]["detail"]}
    assert details["erased"] == "who, patient, query"
    assert ORSOLYA.id not in json.dumps(left)
    assert "isample" not in json.dumps(left)
    assert codes(left) == {"search", "ITI-38"}
    token = world.own_token("system/AuditEvent.rs", rights=EVERYTHING)
    assert (await world.get(f"AuditEvent/{entry_id}.2", token=token)).status == 404


def test_every_act_and_step_has_a_type_by_which_it_is_found():
    assert {row.value for row in sorts() if row.name == "act"} == set(acts())
    by_value: dict[str, set[Any]] = {}
    for row in sorts():
        by_value.setdefault(row.value, set()).add(row)
    delivered = by_value.pop("ITI-80")
    assert all(len(rows) == 1 for rows in by_value.values())  # both directions alike
    assert {(row.direction, row.types, row.subtypes) for row in delivered} == {
        ("initiating", frozenset({(DCM, "110106")}), frozenset({(IHE, "ITI-80")})),
        ("responding", frozenset({(DCM, "110107")}), frozenset({(IHE, "ITI-80")})),
    }
