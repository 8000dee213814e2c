"""DICOM audit messages of ledger entries (IHE ATNA; facts: ihe-wire 9)."""

from __future__ import annotations

import base64
import json
from importlib import resources
from itertools import product
from xml.etree import ElementTree as ET

import pytest
from fhir.resources.R4B.auditevent import AuditEvent as R4BAuditEvent
from lxml import etree

from node.ledger import leaf
from node.ledger.audit import audit_event
from node.ledger.trust_change import Step, acts
from node.model import Authorization, Direction, Interaction, Outcome, Peer, Transaction
from node.wire.atna import write_audit_messages
from node.wire.audit_codes import audit_codes
from node.wire.audit_event import AuditEvent
from node.wire.balp import build_audit_events
from tests.ledger.audit_world import (
    ASSERTION,
    FIND_DOCUMENTS,
    ISSUER,
    ORSOLYA,
    SITE,
    SUBMISSION,
    TWIN,
    change,
    exchange,
    exchange_parts,
    facts,
    parsed,
    plain,
)
from tests.ledger.records import PEER

SCHEMA = etree.XMLSchema(
    etree.fromstring(resources.files("node.wire").joinpath("schema/audit-message.xsd").read_bytes())
)
ALL = list(product(Transaction, Direction, Outcome))


def messages(event: AuditEvent) -> list[ET.Element]:
    """The messages, each valid and on one line."""
    found = write_audit_messages(event)
    for message in found:
        SCHEMA.assertValid(etree.fromstring(message))
        assert b"\n" not in message
    return [parsed(message) for message in found]


def only(event: AuditEvent) -> ET.Element:
    (message,) = messages(event)
    return message


def code(element: ET.Element | None) -> tuple[str | None, str | None]:
    assert element is not None
    return element.get("csd-code"), element.get("codeSystemName")


def objects(message: ET.Element, kind: str, role: str) -> list[ET.Element]:
    return [
        each
        for each in message.iter("ParticipantObjectIdentification")
        if each.get("ParticipantObjectTypeCode") == kind
        and each.get("ParticipantObjectTypeCodeRole") == role
    ]


def details(element: ET.Element) -> dict[str, bytes]:
    return {
        each.get("type", ""): base64.b64decode(each.get("value", ""), validate=True)
        for each in element.iter("ParticipantObjectDetail")
    }


def participant(message: ET.Element, role: str) -> ET.Element:
    (found,) = [
        each
        for each in message.iter("ActiveParticipant")
        if (kind := each.find("RoleIDCode")) is not None and kind.get("csd-code") == role
    ]
    return found


@pytest.mark.parametrize(("transaction", "direction", "outcome"), ALL)
@pytest.mark.parametrize("without", [(), ("who", "patient", "query", "docs", "wire")])
def test_every_transaction_on_both_sides_and_however_it_ended_keeps_the_schema(
    transaction: Transaction, direction: Direction, outcome: Outcome, without: tuple[str, ...]
) -> None:
    assert messages(exchange(transaction, direction, outcome, without=without))


@pytest.mark.parametrize(
    ("transaction", "direction", "event", "action"),
    [
        (Transaction.ITI_55, Direction.INITIATING, "110112", "E"),
        (Transaction.ITI_55, Direction.RESPONDING, "110112", "E"),
        (Transaction.ITI_38, Direction.INITIATING, "110112", "E"),
        (Transaction.ITI_38, Direction.RESPONDING, "110112", "E"),
        (Transaction.ITI_39, Direction.INITIATING, "110107", "C"),
        (Transaction.ITI_39, Direction.RESPONDING, "110106", "R"),
        (Transaction.ITI_80, Direction.INITIATING, "110106", "R"),
        (Transaction.ITI_80, Direction.RESPONDING, "110107", "C"),
    ],
)
def test_event_id_action_and_type_are_those_of_the_table(
    transaction: Transaction, direction: Direction, event: str, action: str
) -> None:
    told = only(exchange(transaction, direction)).find("EventIdentification")
    assert told is not None
    assert code(told.find("EventID")) == (event, "DCM")
    assert told.get("EventActionCode") == action
    assert code(told.find("EventTypeCode")) == (transaction, "IHE Transactions")
    assert told.get("EventDateTime") == "2026-11-01T12:00:00.123Z"
    assert told.get("EventOutcomeIndicator") == "0"


def test_the_purpose_of_use_is_copied_from_the_assertion() -> None:
    purpose = only(exchange()).find("EventIdentification/PurposeOfUse")
    assert code(purpose) == ("T-TRTMNT", "2.16.840.1.113883.3.7204.1.5.2.1")
    bare = only(exchange(without=("who",))).find("EventIdentification/PurposeOfUse")
    assert code(bare) == code(purpose)


def test_a_delivery_names_its_submission_set_its_documents_and_the_patient() -> None:
    (message,) = messages(exchange(Transaction.ITI_80))
    (submission,) = message.findall(".//*[@ParticipantObjectTypeCodeRole='20']")
    assert submission.get("ParticipantObjectTypeCode") == "2"
    assert submission.get("ParticipantObjectID") == SUBMISSION.unique_id
    assert code(submission.find("ParticipantObjectIDTypeCode")) == (
        "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd",
        "IHE XDS Metadata",
    )
    assert len(message.findall(".//*[@ParticipantObjectTypeCodeRole='3']")) == 2
    assert len(message.findall(".//*[@ParticipantObjectTypeCode='1']")) == 1


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("transaction", Transaction)
def test_of_a_retrieve_source_and_destination_are_those_of_the_document(
    transaction: Transaction, direction: Direction
) -> None:
    message = only(exchange(transaction, direction))
    source, destination = participant(message, "110153"), participant(message, "110152")
    ours = f"https://lake.example/{transaction.lower()}"
    asks = ours if direction is Direction.INITIATING else PEER.address
    expected = destination if transaction is Transaction.ITI_39 else source
    assert expected.get("UserID") == asks
    assert expected.get("UserIsRequestor") == "true"
    other = source if expected is destination else destination
    assert {ours, PEER.address} == {source.get("UserID"), destination.get("UserID")}
    assert other.get("UserIsRequestor") == "false"
    assert source.get("NetworkAccessPointTypeCode") == "1"


def test_an_address_that_is_a_number_is_an_ip_address() -> None:
    peer = Peer(
        organization_id="o", home_community_id=PEER.home_community_id, name="x",
        address="https://192.0.2.7:8443/xcpd",
    )  # fmt: skip
    found = participant(only(exchange(peer=peer)), "110152")
    assert found.get("NetworkAccessPointID") == "192.0.2.7"
    assert found.get("NetworkAccessPointTypeCode") == "2"


def test_the_human_requestor_is_alias_name_id_at_issuer() -> None:
    (person,) = [
        each
        for each in only(exchange()).iter("ActiveParticipant")
        if code(each.find("RoleIDCode"))[1] != "DCM"
    ]
    assert person.get("UserID") == f"<isample@lake.example@{ISSUER}>"
    assert person.get("UserName") == "Ida Sample, MD"
    assert person.get("UserIsRequestor") == "true"
    assert code(person.find("RoleIDCode")) == ("59058001", "2.16.840.1.113883.6.96")


def test_the_patients_of_a_discovery_are_named_by_the_responder_alone() -> None:
    held = facts(Transaction.ITI_55, patients=(ORSOLYA, TWIN))
    asked = only(exchange(Transaction.ITI_55, Direction.INITIATING, held=held))
    assert objects(asked, "1", "1") == []
    answered = objects(
        only(exchange(Transaction.ITI_55, Direction.RESPONDING, held=held)), "1", "1"
    )
    assert [each.get("ParticipantObjectID") for each in answered] == [ORSOLYA.cx, TWIN.cx]
    assert code(answered[0].find("ParticipantObjectIDTypeCode")) == ("2", "RFC-3881")


def test_a_discovery_has_its_question_with_the_message_id_and_the_community() -> None:
    event = exchange(Transaction.ITI_55)
    (query,) = objects(only(event), "2", "24")
    assert query.get("ParticipantObjectID") == event.message_id
    assert code(query.find("ParticipantObjectIDTypeCode")) == ("ITI-55", "IHE Transactions")
    xml = ET.fromstring(base64.b64decode(query.findtext("ParticipantObjectQuery", "")))
    assert xml.tag == "{urn:hl7-org:v3}queryByParameter"
    assert [e.text for e in xml.iter("{urn:hl7-org:v3}family")] == ["Brightwater"]
    assert [e.get("value") for e in xml.iter("{urn:hl7-org:v3}value") if e.get("value")] == [
        "19810709"
    ]
    assert details(query) == {"QueryEncoding": b"UTF-8", "ihe:homeCommunityID": b"2.999.2"}


def test_a_stored_query_has_its_uuid_itself_and_the_community() -> None:
    message = only(exchange(Transaction.ITI_38, Direction.RESPONDING))
    (query,) = objects(message, "2", "24")
    assert query.get("ParticipantObjectID") == FIND_DOCUMENTS
    xml = base64.b64decode(query.findtext("ParticipantObjectQuery", "")).decode()
    assert "AdhocQueryRequest" in xml
    assert ORSOLYA.cx.replace("&", "&amp;") in xml
    assert details(query)["urn:ihe:iti:xca:2010:homeCommunityId"] == b"2.999.1"
    assert [o.get("ParticipantObjectID") for o in objects(message, "1", "1")] == [ORSOLYA.cx]


def test_a_stored_query_without_answer_is_still_about_the_patient_it_names() -> None:
    held = facts(Transaction.ITI_38, patients=())
    message = only(exchange(Transaction.ITI_38, outcome=Outcome.TIMED_OUT, held=held))
    assert [o.get("ParticipantObjectID") for o in objects(message, "1", "1")] == [ORSOLYA.cx]


def test_a_stored_query_that_we_would_not_send_is_shown_without_its_values() -> None:
    held = facts(Transaction.ITI_38)
    held.query["parameters"].append(["$XDSDocumentEntryCreationTimeFrom", ["not a time"]])  # type: ignore[attr-defined]
    (query,) = objects(only(exchange(Transaction.ITI_38, held=held)), "2", "24")
    assert query.get("ParticipantObjectID") == FIND_DOCUMENTS


def test_cp_493_documents_that_came_and_those_that_did_not_are_messages_of_their_own() -> None:
    held = facts(Transaction.ITI_39, asked=("1.1", "1.2", "1.3"), came=("1.1", "1.3"))
    came, missed = messages(exchange(Transaction.ITI_39, outcome=Outcome.PARTIAL, held=held))
    for message, outcome, ids in ((came, "0", ["1.1", "1.3"]), (missed, "8", ["1.2"])):
        told = message.find("EventIdentification")
        assert told is not None
        assert told.get("EventOutcomeIndicator") == outcome
        found = objects(message, "2", "3")
        assert [each.get("ParticipantObjectID") for each in found] == ids
        assert code(found[0].find("ParticipantObjectIDTypeCode")) == ("9", "RFC-3881")
        assert len(objects(message, "1", "1")) == 1
    assert details(objects(came, "2", "3")[0]) == {
        "Repository Unique Id": b"2.999.2.5",
        "ihe:homeCommunityID": b"2.999.2",
    }
    refused = facts(Transaction.ITI_39, came=())
    (all_missed,) = messages(exchange(Transaction.ITI_39, outcome=Outcome.DECLINED, held=refused))
    assert len(objects(all_missed, "2", "3")) == 2


def test_the_documents_that_a_query_found_are_not_recorded() -> None:
    held = facts(Transaction.ITI_38)
    held.docs.append({"id": "1.2.3.99", "repository": "2.999.2.5"})
    (message,) = write_audit_messages(exchange(Transaction.ITI_38, held=held))
    assert b"1.2.3.99" not in message


def test_a_message_names_its_ledger_entry_so_that_it_can_be_proved() -> None:
    event = exchange()
    (entry,) = objects(only(event), "2", "13")
    held = details(entry)
    fields = json.loads(held["leaf"])
    assert entry.get("ParticipantObjectID") == event.entry_id == fields["id"]
    assert held["leaf-hash"].decode() == leaf.from_bytes(leaf.leaf_hash(held["leaf"]))
    assert held["seq"] == str(fields["seq"]).encode() == b"41"
    assert held["assertion-id"].decode() == ASSERTION
    assert held["message-id"].decode() == fields["msg"]


def test_the_traceparent_is_one_for_an_exchange_and_one_for_a_leg() -> None:
    event = exchange()
    fields = json.loads(event.leaf)
    (trace,) = objects(only(event), "4", "26")
    version, trace_id, span, flags = str(trace.get("ParticipantObjectID")).split("-")
    assert (version, flags) == ("00", "00")
    assert trace_id == fields["exch"].replace("-", "")
    assert span == fields["id"].replace("-", "")[-16:]


STEPS = [*Transaction, *Interaction, *Authorization, "A-STEP-OF-TOMORROW"]


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize(("step", "direction"), list(product(STEPS, Direction)))
def test_every_step_of_the_log_has_a_message_and_a_resource_also_one_not_known_yet(
    step: str, direction: Direction, private: bool
) -> None:
    fields, groups = exchange_parts()
    fields |= {"txn": str(step), "dir": direction.value}
    event = audit_event(leaf.encode(fields), fields, groups if private else {}, SITE)
    for message in messages(event):
        kinds = [code(each)[0] for each in message.iter("EventTypeCode")]
        assert str(step) in kinds
    for resource in build_audit_events(event):
        R4BAuditEvent.model_validate(resource)
        assert resource["subtype"][-1]["code"] == str(step)


def test_every_kind_of_entry_has_its_row() -> None:
    assert {kind.value for kind in leaf.Kind} - {"exchange"} <= set(audit_codes().occasion)


def test_every_outcome_and_every_act_has_its_row() -> None:
    codes = audit_codes()
    assert set(codes.outcome) == {*Outcome, "begun", "done"}
    for act in acts():
        for step in Step:
            told = only(change(act, step=step, reason="made-up")).find("EventIdentification")
            assert told is not None
            event = "110101" if act == "log-export" else "110113"
            assert code(told.find("EventID")) == (event, "DCM")
            assert (act, "tefca-node") in [code(e) for e in told.iter("EventTypeCode")]
            failed = "8" if step is Step.FAILED else "0"
            assert told.get("EventOutcomeIndicator") == failed


def test_a_change_of_trust_is_a_security_alert_of_an_operator() -> None:
    message = only(change("key-pin", organization_id="hill-clinic", uses=("saml",)))
    told = message.find("EventIdentification")
    assert told is not None
    assert [code(e)[0] for e in told.iter("EventTypeCode")] == ["110129", "key-pin"]
    assert participant(message, "110150").get("UserIsRequestor") == "false"
    assert [p.get("UserID") for p in message.iter("ActiveParticipant")][-1] == "root"
    subject = [
        o.get("ParticipantObjectID")
        for o in message.iter("ParticipantObjectIdentification")
        if o.get("ParticipantObjectTypeCode") == "3"
    ]
    assert subject == ["hill-clinic"]


def test_an_erasure_and_a_heartbeat_have_messages_as_well() -> None:
    erased = only(
        plain("erasure", target=3, part="who", authority="patient", reason="person-request")
    )
    assert "group who of entry 3" in str(
        erased.findtext("EventIdentification/EventOutcomeDescription")
    )
    beat = only(plain("heartbeat")).find("EventIdentification")
    assert beat is not None
    assert code(beat.find("EventID")) == ("110100", "DCM")


def test_what_xml_cannot_carry_hides_nothing_else() -> None:
    held = facts(Transaction.ITI_55)
    held.who["subject_id"] = "Ida\x00\n<Sample>"
    held.query["demographics"]["names"] = [{"family": "Bright\x07water"}]  # type: ignore[index]
    message = only(exchange(held=held))
    names = [each.get("UserName") for each in message.iter("ActiveParticipant")]
    assert "Ida\ufffd <Sample>" in names
