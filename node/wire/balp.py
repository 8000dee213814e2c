"""``AuditEvent`` → FHIR R4 AuditEvents after IHE BALP 1.1.4 (facts: fhir-and-udap 4).

* A question follows the pattern Query, a retrieve the pattern Read: the SOAP transactions are the
  twins of those that IHE derives from these patterns (ITI-67, ITI-68), and ``subtype`` says which.
  **In both the source is where the question or the document comes from**, so that source and
  destination swap between them.
* One resource for each patient of a question, and for each document of a retrieve.
* A profile is claimed only by a resource that keeps it: the patterns pin outcome 0, so what failed
  has the same shape, an OperationOutcome, and no claim.
* The user is as the SAML assertion says, after the pattern SAMLaccessTokenUse: Comprehensive where
  the organisation is known, Minimal where only assertion, issuer and user are.
* A FHIR client is an OAuth user agent, but claims no OAuth pattern: our tokens are opaque, and the
  pattern for those wants their last 32 characters, which would be most of what keeps them secret.

The resources are Python dictionaries in FHIR's JSON shape; ``write_audit_events`` gives them as
bytes, one line each.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson

from node.model import PatientId
from node.wire.audit_codes import AuditCodes, Occasion, Pattern, audit_codes
from node.wire.audit_event import AuditEvent, Document, Part
from node.wire.balp_agents import coded, coding, machine_agents, observer, person_agents
from node.wire.printable import printable

Json = dict[str, Any]


def write_audit_events(event: AuditEvent) -> tuple[bytes, ...]:
    """The AuditEvents of an event, each as one line of JSON without line end."""
    return tuple(orjson.dumps(resource) for resource in build_audit_events(event))


def build_audit_events(event: AuditEvent) -> tuple[Json, ...]:
    """The AuditEvents of an event, at least one."""
    codes = audit_codes()
    occasion = codes.of(event.occasion)
    made = list(_each(event, occasion))
    return tuple(
        _resource(event, part, patients, document, codes, number=number, total=len(made))
        for number, (part, patients, document) in enumerate(made, 1)
    )


def _each(
    event: AuditEvent, occasion: Occasion
) -> Iterator[tuple[Part, tuple[PatientId, ...], Document | None]]:
    """What is told in a resource of its own."""
    for part in event.parts:
        if occasion.pattern == "query" and event.patients:
            yield from ((part, (patient,), None) for patient in event.patients)
        elif part.documents:
            yield from ((part, event.patients, document) for document in part.documents)
        else:
            yield part, event.patients, None


def _resource(
    event: AuditEvent,
    part: Part,
    patients: tuple[PatientId, ...],
    document: Document | None,
    codes: AuditCodes,
    *,
    number: int,
    total: int,
) -> Json:
    occasion = codes.of(event.occasion)
    pattern = codes.pattern[occasion.pattern] if occasion.pattern else None
    outcome = codes.outcome[part.outcome]
    failed = outcome != codes.outcome["ok"]
    kept = not failed and (event.query is not None or document is not None)
    made: Json = {"resourceType": "AuditEvent"}
    if profiles := _profiles(event, pattern, patients, codes, kept=kept):
        made["meta"] = {"profile": profiles}
    if failed:
        made["contained"] = [_outcome(event, part, codes)]
    made |= _what(event, occasion, pattern, codes)
    if event.ended:
        made["period"] = {"start": event.recorded, "end": event.ended}
    made |= {"recorded": event.recorded, "outcome": outcome}
    if said := event.said:
        made["outcomeDesc"] = printable(said)
    if event.purpose:
        made["purposeOfEvent"] = [coded(event.purpose)]
    made["agent"] = [
        *machine_agents(event, codes),
        *(person_agents(event.person, event.purpose, codes) if event.person else ()),
    ]
    made["source"] = _source(event, codes)
    made["entity"] = [
        *_data(event, document, codes),
        *(_patient(patient, codes) for patient in patients),
        *_others(event, codes),
        *([_failure(codes)] if failed else ()),
        _ledger_entry(event, f"{number}/{total}", codes),
    ]
    return made


def _what(
    event: AuditEvent, occasion: Occasion, pattern: Pattern | None, codes: AuditCodes
) -> Json:
    systems = codes.fhir_system
    if pattern is not None:
        return {
            "type": coding(systems["event"], "rest", "Restful Operation"),
            "subtype": [
                coding(systems["interaction"], pattern.interaction, pattern.interaction),
                coding(systems["transaction"], event.type, event.type_name),
            ],
            "action": pattern.action,
        }
    kind = "transaction" if occasion.ihe else "own"
    subtypes = [coding(systems[kind], event.type, event.type_name)]
    if occasion.kind is not None:
        subtypes.insert(0, coding(systems["dcm"], occasion.kind, codes.display[occasion.kind]))
    return {
        "type": coding(systems["dcm"], occasion.event, codes.display[occasion.event]),
        "subtype": subtypes,
        "action": occasion.action,
    }


def _profiles(
    event: AuditEvent,
    pattern: Pattern | None,
    patients: tuple[PatientId, ...],
    codes: AuditCodes,
    *,
    kept: bool,
) -> list[str]:
    """The profiles that the resource keeps; ``kept``: it has what the pattern demands."""
    base = codes.profile["base"]
    found = []
    if pattern is not None and kept and len(patients) <= 1:
        found.append(base + (pattern.with_patient if patients else pattern.profile))
    person = event.person
    if person is not None and person.assertion_id:
        whole = person.organization and person.organization_id
        found.append(base + codes.profile["saml_comprehensive" if whole else "saml_minimal"])
    return found


def _source(event: AuditEvent, codes: AuditCodes) -> Json:
    site = event.own.home_community_id or event.own.name
    kind = coding(codes.fhir_system["source"], codes.code["source_type"], "Application Server")
    made: Json = {"observer": observer(event.own, codes), "type": [kind]}
    if site:
        made["site"] = printable(site)
    return made


def _patient(patient: PatientId, codes: AuditCodes) -> Json:
    """A person by identifier; one known as a peer's Patient alone (no authority) by reference."""
    named: Json = {"reference": printable(patient.id)}
    if patient.assigning_authority:
        system = f"urn:oid:{patient.assigning_authority}"
        named = {"identifier": {"system": system, "value": printable(patient.id)}}
    return {
        "what": named,
        "type": coding(codes.fhir_system["entity"], codes.code["person"], "Person"),
        "role": coding(codes.fhir_system["role"], codes.code["patient"], "Patient"),
    }


def _data(event: AuditEvent, document: Document | None, codes: AuditCodes) -> Iterator[Json]:
    systems, code = codes.fhir_system, codes.code
    if event.query is not None:
        yield {
            "type": coding(systems["entity"], code["system_object"], "System Object"),
            "role": coding(systems["role"], code["query"], "Query"),
            "description": printable(f"{event.type} {event.query.id}"),
            "query": base64.b64encode(event.query.raw).decode("ascii"),
        }
    if document is not None:
        role = ("resource", "Domain Resource") if document.is_resource else ("report", "Report")
        entity: Json = {
            "what": {"reference": document.id}
            if document.is_resource
            else {"identifier": _document_id(document)},
            "type": coding(systems["entity"], code["system_object"], "System Object"),
            "role": coding(systems["role"], code[role[0]], role[1]),
        }
        if document.sha256:
            entity["detail"] = [{"type": "sha256", "valueString": document.sha256}]
        yield entity


def _others(event: AuditEvent, codes: AuditCodes) -> Iterator[Json]:
    systems, code = codes.fhir_system, codes.code
    if event.submission is not None:
        value = {"system": systems["uri"], "value": f"urn:oid:{printable(event.submission)}"}
        yield {
            "what": {"identifier": value},
            "type": coding(systems["entity"], code["system_object"], "System Object"),
            "role": coding(systems["role"], code["submission"], "Job"),
        }
    if event.subject is not None:
        yield {
            "what": {"identifier": {"value": printable(event.subject)}},
            "type": coding(systems["entity"], code["organization"], "Organization"),
        }
    if event.message_id is not None:
        yield {
            "what": {"identifier": {"value": printable(event.message_id)}},
            "type": coding(systems["basic_entity"], code["request_id"]),
        }


def _document_id(document: Document) -> Json:
    """The unique id; the repository, an OID, is its system."""
    made: Json = {"value": printable(document.id)}
    if document.repository:
        made["system"] = f"urn:oid:{document.repository.removeprefix('urn:oid:')}"
    if document.home_community_id:
        made["assigner"] = {"identifier": {"value": document.home_community_id}}
    return made


def _outcome(event: AuditEvent, part: Part, codes: AuditCodes) -> Json:
    issue: Json = {"severity": "error", "code": codes.issue[part.outcome]}
    if event.reason:
        issue["details"] = {"text": printable(event.reason)}
    if event.explanation:
        issue["diagnostics"] = printable(event.explanation)
    return {"resourceType": codes.code["outcome"], "id": "outcome", "issue": [issue]}


def _failure(codes: AuditCodes) -> Json:
    name = codes.code["outcome"]
    return {
        "what": {"reference": "#outcome"},
        "type": coding(codes.fhir_system["resource"], name, name),
    }


def _ledger_entry(event: AuditEvent, number: str, codes: AuditCodes) -> Json:
    """The ledger entry; its type is our own, so that no pattern takes it for its data."""
    details = [{"type": "part", "valueString": number}]
    if event.trace:
        details.append({"type": codes.text["traceparent"], "valueString": event.trace})
    details.extend(
        {"type": name, "valueString": printable(value)} for name, value in event.details.items()
    )
    if event.leaf:
        leaf = base64.b64encode(event.leaf).decode("ascii")
        details.append({"type": "leaf", "valueBase64Binary": leaf})
    return {
        "what": {"identifier": {"system": codes.fhir_system["own"], "value": event.entry_id}},
        "type": coding(codes.fhir_system["own"], codes.text["ledger_entry"]),
        "role": coding(
            codes.fhir_system["role"], codes.code["security_resource"], "Security Resource"
        ),
        "detail": details,
    }
