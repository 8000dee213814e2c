"""Entries for the tests of audit records, written through the ledger's own pure steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import orjson

from node.exchange import private
from node.ledger import leaf
from node.ledger.audit import Site, audit_event
from node.ledger.record import ENTROPY, draft
from node.ledger.trust_change import Step, TrustChange, draft_change
from node.ledger.trust_log import operator
from node.model import (
    Code,
    Demographics,
    Direction,
    DocumentRef,
    HomeCommunityId,
    Interaction,
    Outcome,
    PatientId,
    PersonName,
    Principal,
    PrivateFacts,
    StoredQuery,
    Transaction,
)
from node.policy.purposes import purpose_register
from node.wire.audit_event import AuditEvent
from node.wire.submission_set import SubmissionSet
from tests.ledger.records import OWN, PEER, START, new_id, record

SITE = Site(
    name="Lake Hospital",
    home_community_id=OWN,
    address="https://lake.example",
    addresses={t: f"https://lake.example/{t.lower()}" for t in Transaction},
)
ISSUER = "CN=saml.lake.example,O=Lake Hospital"
ASSERTION = "_assertion-1"
PURPOSE = purpose_register().by_code("T-TRTMNT")
assert PURPOSE is not None
PRINCIPAL = Principal(
    subject_id="Ida Sample, MD",
    user_id="isample@lake.example",
    organization="Lake Hospital",
    organization_id="lake-hospital",
    home_community_id=OWN,
    role=Code(code="59058001", scheme="2.16.840.1.113883.6.96", display="General physician"),
    purpose=PURPOSE.code,
    npi="1234567893",
)
ORSOLYA = PatientId(assigning_authority="2.999.2.1", id="MRN-1")
TWIN = PatientId(assigning_authority="2.999.2.1", id="MRN-2")
SUBMISSION = SubmissionSet(
    entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000080",
    unique_id="2.25.8080",
    source_id="2.999.1",
)
FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"


def facts(
    transaction: Transaction,
    *,
    patients: tuple[PatientId, ...] = (ORSOLYA,),
    asked: tuple[str, ...] = ("1.2.3.1", "1.2.3.2"),
    came: tuple[str, ...] = ("1.2.3.1", "1.2.3.2"),
) -> PrivateFacts:
    """The private facts of a leg, made by the product's own functions."""
    home = HomeCommunityId(PEER.home_community_id)
    refs = [
        DocumentRef(home_community_id=home, repository_unique_id="2.999.2.5", document_unique_id=d)
        for d in asked
    ]
    match transaction:
        case Transaction.ITI_55:
            query = private.of_demographics(
                Demographics(
                    names=(PersonName(family="Brightwater", given=("Orsolya",)),),
                    birth_date="19810709",
                    identifiers=(PatientId(assigning_authority="2.999.1.1", id="L-7"),),
                )
            )
        case Transaction.ITI_38:
            query = private.of_stored_query(
                StoredQuery(
                    id=FIND_DOCUMENTS,
                    parameters=(
                        ("$XDSDocumentEntryPatientId", (ORSOLYA.cx,)),
                        ("$XDSDocumentEntryStatus",
                         ("urn:oasis:names:tc:ebxml-regrep:StatusType:Approved",)),
                    ),
                )
            )  # fmt: skip
        case Transaction.ITI_80:
            query = private.of_submission(SUBMISSION)
        case _:
            query = private.of_refs(refs)
    return PrivateFacts(
        who=private.of_principal(PRINCIPAL),
        patient=private.of_patients(patients),
        query=query,
        docs=[{"id": name, "repository": "2.999.2.5", "size": 7} for name in came]
        if transaction in (Transaction.ITI_39, Transaction.ITI_80)
        else [],
    )


def exchange_parts(
    transaction: Transaction = Transaction.ITI_55,
    direction: Direction = Direction.INITIATING,
    outcome: Outcome = Outcome.OK,
    *,
    held: PrivateFacts | None = None,
    **changes: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The leaf's fields and the private groups of a leg, as the ledger writes them."""
    made = record(
        facts=held if held is not None else facts(transaction),
        transaction=transaction,
        direction=direction,
        outcome=outcome,
        **{
            "purpose": "T-TRTMNT",
            "assertion_id": ASSERTION,
            "issuer": ISSUER,
            "started": START,
            **changes,
        },
    )
    drafted = draft(made, purposes={"T-TRTMNT"}, entropy=bytes(ENTROPY))
    commitments = {f"c_{name}": leaf.from_bytes(bytes(32)) for name in drafted.groups}
    return drafted.fields | {"seq": 41} | commitments, orjson.loads(orjson.dumps(drafted.groups))


def exchange(
    transaction: Transaction = Transaction.ITI_55,
    direction: Direction = Direction.INITIATING,
    outcome: Outcome = Outcome.OK,
    *,
    without: tuple[str, ...] = (),
    **changes: Any,
) -> AuditEvent:
    """What an audit record says of a leg; ``without`` are private groups that are not open."""
    plain_ending = {"errors": (), "sentence": None}
    fields, groups = exchange_parts(transaction, direction, outcome, **(plain_ending | changes))
    open_groups = {name: group for name, group in groups.items() if name not in without}
    return audit_event(leaf.encode(fields), fields, open_groups, SITE)


def change(act: str, *, step: Step = Step.DONE, **what: Any) -> AuditEvent:
    """What an audit record says of a change of trust or an act on the log."""
    drafted = draft_change(
        TrustChange(act=act, **what),
        step=step,
        begun=None,
        author=replace(operator(), who={"user_id": "root", "uid": 0}),
        own=OWN,
        entry_id=new_id(),
        now=START,
    )
    data = leaf.encode(drafted.fields)
    groups = orjson.loads(orjson.dumps(drafted.groups))
    return audit_event(data, leaf.decode(data), groups, SITE)


def plain(kind: str, **fields: Any) -> AuditEvent:
    """What an audit record says of a heartbeat or an erasure."""
    data = leaf.encode(
        {"v": 1, "kind": kind, "id": new_id(), "t": leaf.from_time(START), "seq": 5, "own": OWN}
        | fields
    )
    return audit_event(data, leaf.decode(data), {}, SITE)


def parsed(message: bytes) -> ET.Element:
    """A message as a tree, by another parser than the one that wrote it."""
    return ET.fromstring(message)


CLIENT = {
    "client_id": "client-1",
    "organization": "Lake Hospital",
    "organization_id": "lake-hospital",
    "scopes": ["system/*.rs"],
    "token": "00" * 32,
    "granted_by": "0190a000-0000-7000-8000-000000000001",
}
NETWORK = (
    Interaction.NETWORK_PATIENTS,
    Interaction.NETWORK_MATCH,
    Interaction.NETWORK_IDENTIFIERS,
    Interaction.NETWORK_DOCUMENTS,
)
"""Questions to the network, which we are asked and never ask."""

QUESTIONS: dict[Interaction, dict[str, object]] = {
    Interaction.READ: {"type": "Observation", "id": "raw"},
    Interaction.SEARCH: {
        "type": "Observation",
        "parameters": [["patient", "ann"], ["code", "http://loinc.org|718-7"]],
    },
    Interaction.MATCH: {"type": "Patient"},
    Interaction.DOCREF: {"type": "DocumentReference", "parameters": [["patient", "ann"]]},
    Interaction.NETWORK_PATIENTS: {"type": "Patient", "parameters": [["family", "Lee"]]},
    Interaction.NETWORK_MATCH: {"type": "Patient"},
    Interaction.NETWORK_IDENTIFIERS: {
        "type": "Patient",
        "parameters": [["sourceIdentifier", "urn:oid:2.999|1"]],
    },
    Interaction.NETWORK_DOCUMENTS: {
        "type": "DocumentReference",
        "parameters": [["patient.identifier", "urn:oid:2.999|1"]],
    },
}


def asked_over_fhir(
    interaction: Interaction,
    direction: Direction,
    outcome: Outcome = Outcome.OK,
    *,
    patients: tuple[PatientId, ...] = (ORSOLYA,),
    **changes: Any,
) -> AuditEvent:
    """What an audit record says of a FHIR request."""
    held = PrivateFacts(
        who=dict(CLIENT),
        patient=private.of_patients(patients),
        query=QUESTIONS.get(interaction, {}),
        docs=[{"id": "1.2.3.1", "repository": "2.999.2.5", "sha256": "ab" * 32}]
        if interaction is Interaction.NETWORK_DOCUMENT
        else [],
    )
    return exchange(interaction, direction, outcome, held=held, **changes)  # type: ignore[arg-type]
