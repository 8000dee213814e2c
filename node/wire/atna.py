"""``AuditEvent`` → DICOM audit messages of IHE ATNA (DICOM PS3.15 A.5, facts: ihe-wire 9).

Codes are ``csd-code``, ``codeSystemName``, ``originalText`` (DICOM since 2016). An event is one
message, a retrieve up to two: documents that came and documents that did not (CP-493). A message is
one line of UTF-8 without declaration: line ends in values are character references.

What DICOM has no place for stands in the object ``ledger-entry`` as details (base64, as DICOM wants
it): the entry's own bytes among them, so that a receiver can prove the message against the log.
``schema/audit-message.xsd`` is the schema that we hold ourselves to.
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import replace
from urllib.parse import urlsplit

from lxml import etree

from node.model import Code, PatientId
from node.wire.audit_codes import AuditCodes, Occasion, audit_codes
from node.wire.audit_event import AuditEvent, Document, Machine, Part, Person, Query
from node.wire.elements import add, new_root
from node.wire.printable import printable
from node.wire.xml import serialize

_HOST_NAME, _IP_ADDRESS = "1", "2"
_UNKNOWN = "unknown"
_LEFT_OUT = (("question",), ("question", "leaf"), ("question", "leaf", "objects"))
_Element = etree._Element  # noqa: SLF001 - lxml has no public name for the type


def write_audit_messages(event: AuditEvent, *, limit: int | None = None) -> tuple[bytes, ...]:
    """The messages of an event, each a whole AuditMessage in UTF-8 on one line.

    A message longer than ``limit`` bytes loses its question, then the entry's bytes, then its
    objects; its detail ``left-out`` says which. What is left then is a few kilobytes.
    """
    total = len(event.parts)
    return tuple(
        _within(event, part, f"{number}/{total}", limit)
        for number, part in enumerate(event.parts, 1)
    )


def _within(event: AuditEvent, part: Part, number: str, limit: int | None) -> bytes:
    codes = audit_codes()
    whole = event.details
    data = serialize(_message(event, part, codes, number))
    for left_out in _LEFT_OUT:
        if limit is None or len(data) <= limit:
            break
        event = replace(event, details={**whole, "left-out": ",".join(left_out)})
        if "question" in left_out and event.query is not None:
            event = replace(event, query=replace(event.query, raw=b""))
        if "leaf" in left_out:
            event = replace(event, leaf=b"")
        if "objects" in left_out:
            event = replace(event, patients=(), explanation=None)
            part = replace(part, documents=())
        data = serialize(_message(event, part, codes, number))
    return data.replace(b"\n", b"&#10;")


def _message(event: AuditEvent, part: Part, codes: AuditCodes, number: str) -> _Element:
    occasion = codes.of(event.occasion)
    root = new_root("AuditMessage", {})
    _identification(root, event, part, codes, occasion)
    _participants(root, event, codes)
    source = add(
        root,
        "AuditSourceIdentification",
        AuditEnterpriseSiteID=_bare(event.own.home_community_id or _UNKNOWN),
        AuditSourceID=printable(event.own.name or event.own.home_community_id or _UNKNOWN),
    )
    kind = codes.code["source_type"], codes.dicom_system["dcm"], codes.text["source_type"]
    _coded(source, "AuditSourceTypeCode", *kind)
    if occasion.patients:
        for patient in event.patients:
            _patient(root, patient, codes)
    if event.query is not None:
        _query(root, event, event.query, codes)
    for document in part.documents:
        _document(root, document, codes)
    if event.submission is not None:
        text = codes.text
        kind = text["submission"], text["submission_system"], text["submission_display"]
        _object(root, event.submission, codes, "system_object/submission", kind)
    own = codes.dicom_system["own"]
    if event.subject is not None:
        _object(root, event.subject, codes, "organization", ("organization", own, "Organization"))
    if event.trace is not None:
        name = codes.text["traceparent"]
        _object(root, event.trace, codes, "other/processing_element", (name, own, name))
    _ledger_entry(root, event, codes, number)
    return root


def _participants(root: _Element, event: AuditEvent, codes: AuditCodes) -> None:
    moved = (event.source, "source"), (event.destination, "destination")
    for machine, role in moved:
        if machine is not None:
            _machine(root, machine, codes.code[role], codes, requestor=event.requester == role)
    if event.source is None and event.destination is None:
        alone = event.person is None
        _machine(root, event.own, codes.code["application"], codes, requestor=alone)
    if event.person is not None:
        _person(root, event.person)


def _identification(
    root: _Element, event: AuditEvent, part: Part, codes: AuditCodes, occasion: Occasion
) -> None:
    element = add(
        root,
        "EventIdentification",
        EventActionCode=occasion.action,
        EventDateTime=event.recorded,
        EventOutcomeIndicator=codes.outcome[part.outcome],
    )
    dcm = codes.dicom_system["dcm"]
    _coded(element, "EventID", occasion.event, dcm, codes.display[occasion.event])
    if occasion.kind is not None:
        _coded(element, "EventTypeCode", occasion.kind, dcm, codes.display[occasion.kind])
    system = codes.dicom_system["transaction" if occasion.pattern or occasion.ihe else "own"]
    _coded(element, "EventTypeCode", event.type, system, event.type_name)
    if said := event.said:
        add(element, "EventOutcomeDescription", printable(said))
    if event.purpose is not None:
        _code(element, "PurposeOfUse", event.purpose)


def _machine(
    root: _Element, machine: Machine, role: str, codes: AuditCodes, *, requestor: bool
) -> None:
    host = urlsplit(machine.address).hostname if machine.address else None
    element = add(
        root,
        "ActiveParticipant",
        UserID=printable(machine.address or machine.home_community_id or _UNKNOWN),
        UserName=printable(machine.name) if machine.name else None,
        UserIsRequestor=_boolean(value=requestor),
        NetworkAccessPointID=printable(host) if host else None,
        NetworkAccessPointTypeCode=_access_point(host) if host else None,
    )
    _coded(element, "RoleIDCode", role, codes.dicom_system["dcm"], codes.display[role])


def _person(root: _Element, person: Person) -> None:
    """``alias<NameID@Issuer>``; an alias (SPProvidedID) is asserted by nobody here."""
    asserted = f"<{person.user_id}@{person.issuer}>" if person.issuer else person.user_id
    element = add(
        root,
        "ActiveParticipant",
        UserID=printable(asserted),
        AlternativeUserID=printable(person.npi) if person.npi else None,
        UserName=printable(person.name) if person.name else None,
        UserIsRequestor=_boolean(value=True),
    )
    if person.role is not None:
        _code(element, "RoleIDCode", person.role)


def _patient(root: _Element, patient: PatientId, codes: AuditCodes) -> None:
    text = codes.text
    kind = text["patient_number"], codes.dicom_system["object_id"], text["patient_number_display"]
    name = patient.cx if patient.assigning_authority else patient.id
    _object(root, name, codes, "person/patient", kind)


def _query(root: _Element, event: AuditEvent, query: Query, codes: AuditCodes) -> None:
    kind = event.type, codes.dicom_system["transaction"], event.type_name
    element = _object(root, query.id, codes, "system_object/query", kind)
    if query.raw:
        add(element, "ParticipantObjectQuery", _base64(query.raw))
        _detail(element, codes.text["encoding_detail"], "UTF-8")
    if query.home_community_id:
        name = codes.text[
            "document_community_detail" if event.type == "ITI-55" else "query_community_detail"
        ]
        _detail(element, name, _bare(query.home_community_id))


def _document(root: _Element, document: Document, codes: AuditCodes) -> None:
    text = codes.text
    kind = text["report_number"], codes.dicom_system["object_id"], text["report_number_display"]
    element = _object(root, document.id, codes, "system_object/report", kind)
    if document.repository:
        _detail(element, text["repository_detail"], document.repository)
    if document.home_community_id:
        _detail(element, text["document_community_detail"], _bare(document.home_community_id))
    if document.sha256:
        _detail(element, "sha256", document.sha256)


def _ledger_entry(root: _Element, event: AuditEvent, codes: AuditCodes, number: str) -> None:
    name = codes.text["ledger_entry"]
    kind = name, codes.dicom_system["own"], "Entry of the exchange log"
    element = _object(root, event.entry_id, codes, "system_object/security_resource", kind)
    _detail(element, "part", number)
    for key, value in _without_place(event):
        if value:
            _detail(element, key, value)
    for key, value in event.details.items():
        _detail(element, key, value)
    if event.leaf:
        add(element, "ParticipantObjectDetail", type="leaf", value=_base64(event.leaf))


def _without_place(event: AuditEvent) -> tuple[tuple[str, str | None], ...]:
    """What FHIR has an element for and DICOM none."""
    person = event.person
    always = ("message-id", event.message_id), ("ended", event.ended)
    if person is None:
        return always
    return (
        *always,
        ("assertion-id", person.assertion_id),
        ("user-organization", person.organization),
        ("user-organization-id", person.organization_id),
        ("user-home-community-id", person.home_community_id),
    )


def _object(
    root: _Element, value: str, codes: AuditCodes, what: str, id_type: tuple[str, str, str]
) -> _Element:
    """An object; ``what`` is its type, and after a slash its role."""
    kind, _, role = what.partition("/")
    element = add(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=printable(value),
        ParticipantObjectTypeCode=codes.code[kind],
        ParticipantObjectTypeCodeRole=codes.code[role] if role else None,
    )
    _coded(element, "ParticipantObjectIDTypeCode", *id_type)
    return element


def _detail(element: _Element, name: str, value: str) -> None:
    add(element, "ParticipantObjectDetail", type=name, value=_base64(value.encode()))


def _code(element: _Element, tag: str, code: Code) -> None:
    _coded(element, tag, code.code, code.scheme, code.display or code.code)


def _coded(element: _Element, tag: str, code: str, system: str, text: str) -> None:
    """The attribute ``csd-code`` is no Python name, hence the two steps."""
    made = add(element, tag)
    made.set("csd-code", printable(code))
    made.set("codeSystemName", printable(system))
    made.set("originalText", printable(text))


def _boolean(*, value: bool) -> str:
    return "true" if value else "false"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bare(home_community_id: str) -> str:
    return home_community_id.removeprefix("urn:oid:")


def _access_point(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST_NAME
    return _IP_ADDRESS
