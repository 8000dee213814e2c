"""FHIR AuditEvents of ledger entries (IHE BALP 1.1.4; facts: fhir-and-udap 4)."""

from __future__ import annotations

import base64
import copy
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent as R4BAuditEvent

from node.ledger import leaf
from node.ledger.audit import audit_event
from node.ledger.trust_change import Step, acts
from node.model import Authorization, Direction, Interaction, Outcome, PrivateFacts, Transaction
from node.wire.atna import write_audit_messages
from node.wire.audit_codes import audit_codes
from node.wire.audit_event import AuditEvent
from node.wire.balp import build_audit_events, write_audit_events
from tests.fhir_profiles import Definitions, members
from tests.ledger.audit_world import (
    ASSERTION,
    NETWORK,
    ORSOLYA,
    QUESTIONS,
    SITE,
    TWIN,
    asked_over_fhir,
    change,
    exchange,
    exchange_parts,
    facts,
    plain,
)
from tests.ledger.records import PEER

BASE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
DCM = "http://dicom.nema.org/resources/ontology/DCM"
ROLES = "http://terminology.hl7.org/CodeSystem/object-role"
ASKED = [
    (i, d) for i in QUESTIONS for d in Direction if i not in NETWORK or d is Direction.RESPONDING
]
"""FHIR questions, and from which side."""

ALL = list(product(Transaction, Direction, Outcome))


@pytest.fixture(scope="module")
def balp(request: pytest.FixtureRequest) -> Definitions:
    shared = request.getfixturevalue("shared_data")
    return Definitions(members(shared / "fhir/ig/ihe.iti.balp-1.1.4-definitions.tar.gz"))


@pytest.fixture(scope="module")
def examples(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    shared: Path = request.getfixturevalue("shared_data")
    return members(shared / "fhir/ig/ihe.iti.balp-1.1.4-examples.tar.gz")


def built(event: AuditEvent) -> list[dict[str, Any]]:
    """The resources, each readable as R4B and the same in its bytes."""
    found = [json.loads(line) for line in write_audit_events(event)]
    for resource in found:
        R4BAuditEvent.model_validate(resource)
    assert tuple(found) == build_audit_events(event)
    return found


def only(event: AuditEvent) -> dict[str, Any]:
    (resource,) = built(event)
    return resource


def profiles(resource: dict[str, Any]) -> set[str]:
    return {url.removeprefix(BASE) for url in resource.get("meta", {}).get("profile", [])}


def agents(resource: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The agents by the first code of their type."""
    return {each["type"]["coding"][0]["code"]: each for each in resource["agent"]}


def entities(resource: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entities by their role, or else by their type."""
    return {(each.get("role") or each["type"])["code"]: each for each in resource["entity"]}


@pytest.mark.parametrize(("transaction", "direction", "outcome"), ALL)
@pytest.mark.parametrize("without", [(), ("who", "patient", "query", "docs", "wire")])
@pytest.mark.shared
def test_every_profile_that_is_claimed_is_kept(
    balp: Definitions,
    transaction: Transaction,
    direction: Direction,
    outcome: Outcome,
    without: tuple[str, ...],
) -> None:
    for resource in built(exchange(transaction, direction, outcome, without=without)):
        for url in resource.get("meta", {}).get("profile", []):
            assert balp.problems(resource, url) == [], url


@pytest.mark.shared
def test_the_check_itself_passes_what_ihe_gives_as_examples_and_sees_what_is_wrong(
    balp: Definitions, examples: dict[str, dict[str, Any]]
) -> None:
    claimed = {"Query", "PatientQuery", "Read", "PatientRead"}
    claimed |= {"SAMLaccessTokenUse.Minimal", "SAMLaccessTokenUse.Comprehensive"}
    checked = [
        (name, url, resource)
        for name, resource in examples.items()
        for url in resource.get("meta", {}).get("profile", [])
        if url.removeprefix(BASE) in claimed
    ]
    assert len(checked) >= 9
    for name, url, resource in checked:
        assert balp.problems(resource, url) == [], name
    swapped = copy.deepcopy(only(exchange(Transaction.ITI_38)))
    for resource, url in ((swapped, f"{BASE}PatientRead"), (swapped, f"{BASE}Create")):
        assert balp.problems(resource, url)
    for broken in ("agent", "entity", "outcome", "subtype"):
        less = copy.deepcopy(swapped)
        less[broken] = "8" if broken == "outcome" else []
        assert balp.problems(less, f"{BASE}PatientQuery"), broken


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(
    ("transaction", "source_asks"),
    [(Transaction.ITI_55, True), (Transaction.ITI_38, True), (Transaction.ITI_39, False)],
)
def test_source_and_destination_swap_between_query_and_read(
    transaction: Transaction, source_asks: bool, direction: Direction
) -> None:
    found = agents(built(exchange(transaction, direction))[0])
    ours = (direction is Direction.INITIATING) == source_asks
    own, other = ("110153", "110152") if ours else ("110152", "110153")
    assert found[own]["network"] == {
        "address": f"https://lake.example/{transaction.lower()}", "type": "5",
    }  # fmt: skip
    assert found[other]["network"]["address"] == PEER.address
    assert not any(found[role]["requestor"] for role in (own, other))


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("transaction", Transaction)
def test_val_audit_source_the_recording_agent_is_the_observer(
    transaction: Transaction, direction: Direction
) -> None:
    resource = built(exchange(transaction, direction))[0]
    own = [a for a in resource["agent"] if a["who"] == resource["source"]["observer"]]
    assert len(own) == 1
    assert own[0]["who"]["identifier"]["value"] == SITE.home_community_id


@pytest.mark.parametrize("transaction", [Transaction.ITI_55, Transaction.ITI_38])
def test_patient_query_is_one_audit_event_for_each_patient_in_the_result(
    transaction: Transaction,
) -> None:
    held = facts(transaction, patients=(ORSOLYA, TWIN))
    found = built(exchange(transaction, held=held))
    assert [entities(each)["1"]["what"]["identifier"]["value"] for each in found] == [
        ORSOLYA.id, TWIN.id,
    ]  # fmt: skip
    assert all("PatientQuery" in profiles(each) for each in found)


def test_a_query_that_found_nobody_claims_query_without_patient() -> None:
    held = facts(Transaction.ITI_55, patients=())
    resource = only(exchange(Transaction.ITI_55, outcome=Outcome.OK_EMPTY, held=held))
    assert "Query" in profiles(resource)
    assert "1" not in entities(resource)


def test_of_the_query_entity_there_is_the_raw_question_and_nothing_that_is_forbidden() -> None:
    query = entities(only(exchange(Transaction.ITI_38)))["24"]
    assert b"AdhocQueryRequest" in base64.b64decode(query["query"])
    assert not {"what", "detail", "lifecycle"} & set(query)


def test_a_read_is_one_audit_event_for_each_document() -> None:
    found = built(exchange(Transaction.ITI_39, Direction.RESPONDING))
    assert len(found) == 2
    for resource, name in zip(found, ("1.2.3.1", "1.2.3.2"), strict=True):
        data = entities(resource)["3"]
        assert data["what"]["identifier"]["value"] == name
        assert data["what"]["identifier"]["system"] == "urn:oid:2.999.2.5"
        assert "PatientRead" in profiles(resource)
    several = facts(Transaction.ITI_39, patients=(ORSOLYA, TWIN))
    for resource in built(exchange(Transaction.ITI_39, held=several)):
        assert not {"PatientRead", "Read"} & profiles(resource)  # whose it is, the entry cannot say


@pytest.mark.parametrize("outcome", [o for o in Outcome if not o.startswith("ok")])
@pytest.mark.parametrize("transaction", Transaction)
def test_what_did_not_succeed_has_the_shape_without_the_claim_and_an_operation_outcome(
    transaction: Transaction, outcome: Outcome
) -> None:
    # a delivery names what was sent however it ended
    held = facts(transaction, **({} if transaction is Transaction.ITI_80 else {"came": ()}))
    good = built(exchange(transaction))[0]
    for resource in built(
        exchange(transaction, outcome=outcome, held=held, reason="patient-opted-out")
    ):
        assert resource["outcome"] in ("4", "8")
        assert profiles(resource) == {"SAMLaccessTokenUse.Comprehensive"}
        assert resource["agent"] == good["agent"]
        assert {"3", "24"} & set(entities(resource)) == {"3", "24"} & set(entities(good))
        assert entities(resource)["OperationOutcome"]["what"] == {"reference": "#outcome"}
        (contained,) = resource["contained"]
        assert contained["issue"][0]["details"]["text"] == "patient-opted-out"


def test_saml_minimal_the_policy_is_the_assertion_id_and_the_user_is_name_id_at_issuer() -> None:
    person = agents(only(exchange()))["IRCP"]
    assert person["policy"] == [ASSERTION]
    assert person["who"]["identifier"] == {
        "system": "ldap:///CN%3Dsaml.lake.example%2CO%3DLake%20Hospital",
        "value": "isample@lake.example",
    }
    assert person["requestor"] is True
    assert person["purposeOfUse"][0]["coding"][0]["code"] == "T-TRTMNT"
    assert [c["code"] for c in person["type"]["coding"]] == ["IRCP", "UserSamlAgent"]
    held = facts(Transaction.ITI_55)
    del held.who["organization_id"]
    assert "SAMLaccessTokenUse.Minimal" in profiles(only(exchange(held=held)))


def test_saml_comprehensive_adds_other_ids_role_organisation_and_home_community() -> None:
    resource = only(exchange())
    found = agents(resource)
    others = {
        each["valueIdentifier"]["type"]["coding"][0]["code"]: each["valueIdentifier"]["value"]
        for each in found["IRCP"]["extension"]
    }
    assert others == {"SAML-subject-id": "Ida Sample, MD", "NPI": "1234567893"}
    assert found["IRCP"]["role"][0]["coding"][0]["system"] == "urn:oid:2.16.840.1.113883.6.96"
    assert found["PROV"]["who"] == {
        "identifier": {"value": "lake-hospital"}, "display": "Lake Hospital",
    }  # fmt: skip
    community = found["homeCommunityId"]
    assert community["type"]["coding"] == [
        {"system": "urn:ihe:iti:xca:2010", "code": "homeCommunityId"}
    ]
    assert community["who"]["identifier"]["value"] == SITE.home_community_id


def test_the_transaction_entity_is_the_message_id() -> None:
    event = exchange()
    transaction = entities(only(event))["XrequestId"]
    assert transaction["what"]["identifier"]["value"] == event.message_id
    assert transaction["type"]["system"].endswith("/BasicAuditEntityType")


@pytest.mark.parametrize(
    ("example", "transaction"),
    [
        ("AuditEvent-ex-auditBasicQueryGetServer.json", Transaction.ITI_38),
        ("AuditEvent-ex-auditBasicReadServer.json", Transaction.ITI_39),
    ],
)
@pytest.mark.shared
def test_the_same_case_has_the_structure_of_the_published_example(
    examples: dict[str, dict[str, Any]], example: str, transaction: Transaction
) -> None:
    """What IHE's example has, ours has in the same places, with the same codes."""
    theirs = examples[example]
    ours = built(exchange(transaction, Direction.RESPONDING))[0]
    assert set(theirs) - {"id", "text"} <= set(ours)
    assert (theirs["type"], theirs["action"], theirs["outcome"]) == (
        ours["type"], ours["action"], ours["outcome"],
    )  # fmt: skip
    assert theirs["subtype"][0] == ours["subtype"][0]
    for role, agent in agents(theirs).items():
        mine = agents(ours)[role]
        assert agent["requestor"] == mine["requestor"]
        assert set(agent) <= set(mine)
    data = {"4": "3"}  # a resource in the example, a document here
    for role, entity in entities(theirs).items():
        mine = entities(ours)[data.get(role, role)]
        assert entity["type"].items() <= mine["type"].items() | {("display", "")}
        assert set(entity) - {"description"} <= set(mine)


@pytest.mark.shared
def test_the_user_has_the_structure_of_the_published_saml_example(
    examples: dict[str, dict[str, Any]],
) -> None:
    theirs = agents(examples["AuditEvent-ex-auditPoke-SAML-QDI-Comp.json"])
    ours = agents(only(exchange()))
    for role in ("IRCP", "PROV"):
        assert set(theirs[role]) <= set(ours[role])
        assert theirs[role]["type"] == ours[role]["type"]
    assert set(theirs["IRCP"]["who"]["identifier"]) == set(ours["IRCP"]["who"]["identifier"])


def test_what_is_no_exchange_is_of_dicoms_type_and_claims_nothing() -> None:
    events = [change(act, step=step, reason="made-up") for act in acts() for step in Step]
    erased = plain("erasure", target=3, part="who", authority="patient", reason="person-request")
    for event in (*events, erased, plain("heartbeat")):
        resource = only(event)
        assert resource["type"]["system"] == DCM
        assert profiles(resource) == set()
        assert len(agents(resource)) == (1 if event.person is None else 2)
        assert sum(agent["requestor"] for agent in resource["agent"]) == 1
        assert resource["subtype"][-1]["code"] == event.type


def test_the_ledger_entry_is_an_entity_that_no_pattern_takes_for_its_data() -> None:
    event = exchange()
    (entry,) = [e for e in only(event)["entity"] if e["type"]["code"] == "ledger-entry"]
    assert entry["type"]["system"].startswith("urn:uuid:")
    assert entry["role"] == {"system": ROLES, "code": "13", "display": "Security Resource"}
    held = {each["type"]: each for each in entry["detail"]}
    assert base64.b64decode(held["leaf"]["valueBase64Binary"]) == event.leaf
    assert held["traceparent"]["valueString"] == event.trace


# --- FHIR: the rows of facts fhir-and-udap 4 ------------------------------------------------------


@pytest.mark.parametrize(
    ("interaction", "direction", "outcome"), [(i, d, o) for i, d in ASKED for o in Outcome]
)
@pytest.mark.shared
def test_every_profile_that_a_fhir_event_claims_is_kept(
    balp: Definitions, interaction: Interaction, direction: Direction, outcome: Outcome
) -> None:
    for patients in ((), (ORSOLYA,), (ORSOLYA, TWIN)):
        for resource in built(asked_over_fhir(interaction, direction, outcome, patients=patients)):
            claimed = resource.get("meta", {}).get("profile", [])
            assert bool(claimed) == (
                outcome in (Outcome.OK, Outcome.OK_EMPTY)
                and not (interaction is Interaction.READ and len(patients) > 1)
            )
            for url in claimed:
                assert balp.problems(resource, url) == [], url


@pytest.mark.parametrize(
    ("interaction", "direction"), [each for each in ASKED if each[0] is not Interaction.READ]
)
def test_row_query_client_is_source_server_is_destination_action_e(
    interaction: Interaction, direction: Direction
) -> None:
    resource = only(asked_over_fhir(interaction, direction))
    assert resource["action"] == "E"
    assert resource["subtype"][0]["code"] == "search"
    assert resource["subtype"][1]["code"] == interaction
    assert profiles(resource) == {"PatientQuery"}
    own = "110153" if direction is Direction.INITIATING else "110152"
    assert agents(resource)[own]["who"] == resource["source"]["observer"]
    query = entities(resource)["24"]
    assert not {"what", "detail", "lifecycle"} & set(query)
    assert query["type"]["code"] == "2"


@pytest.mark.parametrize("direction", Direction)
def test_row_read_client_is_destination_server_is_source_action_r(direction: Direction) -> None:
    resource = only(asked_over_fhir(Interaction.READ, direction))
    assert resource["action"] == "R"
    assert resource["subtype"][0]["code"] == "read"
    assert profiles(resource) == {"PatientRead"}
    own = "110152" if direction is Direction.INITIATING else "110153"
    assert agents(resource)[own]["who"] == resource["source"]["observer"]
    data = entities(resource)["4"]
    assert data["what"] == {"reference": "Observation/raw"}
    assert data["type"]["code"] == "2"


def test_the_query_is_the_request_behind_the_base_address_with_the_parameters_of_a_form() -> None:
    raw = {
        each: base64.b64decode(
            entities(only(asked_over_fhir(each, Direction.RESPONDING)))["24"]["query"]
        ).decode()
        for each in QUESTIONS
        if each is not Interaction.READ
    }
    assert raw == {
        Interaction.SEARCH: "Observation?patient=ann&code=http%3A%2F%2Floinc.org%7C718-7",
        Interaction.MATCH: "Patient/$match",
        Interaction.DOCREF: "DocumentReference/$docref?patient=ann",
        Interaction.NETWORK_PATIENTS: "Patient?family=Lee",
        Interaction.NETWORK_MATCH: "Patient/$match",
        Interaction.NETWORK_IDENTIFIERS: "Patient/$ihe-pix?sourceIdentifier=urn%3Aoid%3A2.999%7C1",
        Interaction.NETWORK_DOCUMENTS: (
            "DocumentReference?patient.identifier=urn%3Aoid%3A2.999%7C1"
        ),
    }


def test_patient_query_over_fhir_is_one_event_for_each_patient_in_the_result() -> None:
    found = built(
        asked_over_fhir(Interaction.SEARCH, Direction.RESPONDING, patients=(ORSOLYA, TWIN))
    )
    assert [entities(each)["1"]["what"]["identifier"]["value"] for each in found] == [
        ORSOLYA.id, TWIN.id,
    ]  # fmt: skip


def test_a_client_is_named_by_its_id_its_token_by_a_digest_and_no_oauth_pattern_is_claimed() -> (
    None
):
    event = asked_over_fhir(Interaction.SEARCH, Direction.RESPONDING)
    person = agents(only(event))["IRCP"]
    assert [c["code"] for c in person["type"]["coding"]] == ["IRCP", "UserOauthAgent"]
    assert person["who"]["identifier"]["value"] == "client-1"
    assert person["policy"] == [f"ni:///sha-256;{'A' * 43}"]
    assert person["purposeOfUse"]
    assert not any("oauth" in each.lower() for each in profiles(only(event)))


@pytest.mark.parametrize(
    ("step", "direction"),
    [(s, d) for s in Authorization for d in Direction if f"{s}/{d}" in audit_codes().occasion],
)
def test_authorization_steps_are_dicom_events_of_their_own_on_both_sides(
    step: Authorization, direction: Direction
) -> None:
    held = PrivateFacts(who={"client_id": "client-1"}, query={"asked": "system/*.rs"})
    resource = only(exchange(step, direction, held=held))  # type: ignore[arg-type]
    kind = {"UDAP-REG": "110113"}.get(step, "110114")  # a security alert; an authentication
    assert resource["type"] == {
        "system": DCM, "code": kind, "display": resource["type"]["display"],
    }  # fmt: skip
    assert resource["subtype"][-1]["code"] == step
    assert sum(agent["requestor"] for agent in resource["agent"]) == 1


@pytest.mark.parametrize(("interaction", "direction"), ASKED)
def test_a_fhir_request_that_failed_has_the_shape_and_an_operation_outcome(
    interaction: Interaction, direction: Direction
) -> None:
    good = only(asked_over_fhir(interaction, direction))
    bad = only(
        asked_over_fhir(interaction, direction, Outcome.DECLINED, reason="fhir-scope-missing")
    )
    assert profiles(bad) == set()
    assert bad["agent"] == good["agent"]
    assert entities(bad)["OperationOutcome"]["what"] == {"reference": "#outcome"}


def test_what_was_erased_is_said() -> None:
    fields, groups = exchange_parts(Transaction.ITI_38)
    del groups["who"], groups["patient"]
    event = audit_event(leaf.encode(fields), fields, groups, SITE, erased=("who", "patient"))
    details = {d["type"]: d.get("valueString") for d in only(event)["entity"][-1]["detail"]}
    assert details["erased"] == "who, patient"


@pytest.mark.shared
def test_a_document_of_the_network_is_a_read_the_server_its_source(balp: Definitions) -> None:
    event = asked_over_fhir(Interaction.NETWORK_DOCUMENT, Direction.RESPONDING)
    resource = only(event)
    assert agents(resource)["110153"]["who"] == resource["source"]["observer"]
    assert entities(resource)["3"]["what"]["identifier"]["value"] == "1.2.3.1"
    assert profiles(resource) == {"PatientRead"}
    assert balp.problems(resource, f"{BASE}PatientRead") == []
    assert [c["code"] for c in resource["subtype"]] == ["read", "ITI-68"]


def test_a_peers_patient_is_named_by_reference_as_no_identifier_is_known() -> None:
    fields, groups = exchange_parts(Interaction.SEARCH, held=facts(Transaction.ITI_55))  # type: ignore[arg-type]
    groups |= {"patient": {"ids": ["Patient/their-7"]}, "query": QUESTIONS[Interaction.SEARCH]}
    event = audit_event(leaf.encode(fields), fields, groups, SITE)
    resource = only(event)
    assert entities(resource)["1"]["what"] == {"reference": "Patient/their-7"}
    assert "PatientQuery" in profiles(resource)
    assert b"Patient/their-7" in b"".join(write_audit_messages(event))


def test_a_match_that_was_sent_is_a_question_about_a_patient() -> None:
    fields, groups = exchange_parts(Interaction.MATCH, held=facts(Transaction.ITI_55))  # type: ignore[arg-type]
    query = entities(only(audit_event(leaf.encode(fields), fields, groups, SITE)))["24"]
    assert base64.b64decode(query["query"]) == b"Patient/$match"


def test_every_step_that_the_node_takes_has_a_row_of_its_own() -> None:
    """What is entered on a side must be told as what it is, not as "other"."""
    rows = audit_codes().occasion
    asked_of_us = (*Interaction, *Authorization, *Transaction)
    assert [s for s in asked_of_us if f"{s}/{Direction.RESPONDING}" not in rows] == []
    we_ask = {*Transaction, Interaction.SEARCH, Interaction.READ, Interaction.MATCH}
    we_ask |= {Authorization.REGISTRATION, Authorization.TOKEN}
    assert [s for s in we_ask if f"{s}/{Direction.INITIATING}" not in rows] == []
