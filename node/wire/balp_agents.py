"""Who took part, as agents of a FHIR AuditEvent (facts: fhir-and-udap 4, 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from node.model import Code
from node.wire.audit_codes import AuditCodes
from node.wire.audit_event import AuditEvent, Machine, Person
from node.wire.identifiers import is_oid
from node.wire.printable import printable

Json = dict[str, Any]
_URI = "5"
_URI_SIGNS = ":/?#[]@!$&'()*+,;=%~-._"


def coding(system: str, code: str, display: str | None = None) -> Json:
    """A Coding."""
    made = {"system": system, "code": printable(code)}
    if display:
        made["display"] = printable(display)
    return made


def concept(*codings: Json) -> Json:
    """A CodeableConcept."""
    return {"coding": list(codings)}


def coded(code: Code) -> Json:
    """A coded value as a CodeableConcept; an OID as code system becomes ``urn:oid:``."""
    scheme = f"urn:oid:{code.scheme}" if is_oid(code.scheme) else code.scheme
    return concept(coding(scheme, code.code, code.display))


def observer(machine: Machine, codes: AuditCodes) -> Json:
    """A machine as a reference; of this node it is the same as agent and as observer."""
    made: Json = {}
    if machine.home_community_id:
        made["identifier"] = {
            "system": codes.fhir_system["uri"],
            "value": machine.home_community_id,
        }
    name = machine.name or (None if made else machine.address or "unknown")
    if name:
        made["display"] = printable(name)
    return made


def machine_agents(event: AuditEvent, codes: AuditCodes) -> Iterator[Json]:
    """Source and destination, or this node where nothing was moved; none of them is requestor."""
    dcm = codes.fhir_system["dcm"]
    present = [
        (machine, codes.code[role])
        for machine, role in ((event.source, "source"), (event.destination, "destination"))
        if machine is not None
    ]
    for machine, role in present or [(event.own, codes.code["application"])]:
        yield {
            "type": concept(coding(dcm, role, codes.display[role])),
            "who": observer(machine, codes),
            "requestor": not present and event.person is None,
            "network": {
                "address": printable(machine.address or machine.home_community_id or "unknown"),
                "type": _URI,
            },
        }


def person_agents(person: Person, purpose: Code | None, codes: AuditCodes) -> Iterator[Json]:
    """The user with the assertion they came with, their organisation, their community."""
    systems, code = codes.fhir_system, codes.code
    kinds = [coding(systems["participation"], code["recipient"], "information recipient")]
    policy = person.assertion_id or person.grant
    if policy:
        agent = "saml_user" if person.assertion_id else "oauth_user"
        kinds.append(coding(systems["user_agent"], code[agent]))
    identifier = {"value": printable(person.user_id)}
    if person.issuer:
        identifier["system"] = _issuer_uri(person.issuer)
    made: Json = {
        "type": concept(*kinds),
        "who": {"identifier": identifier},
        "requestor": True,
    }
    if others := list(_other_ids(person, codes)):
        made["extension"] = others
    if person.name:
        made["name"] = printable(person.name)
    if person.role:
        made["role"] = [coded(person.role)]
    if policy:
        made["policy"] = [printable(policy)]
    if purpose:
        made["purposeOfUse"] = [coded(purpose)]
    yield made
    if person.organization and person.organization_id:
        yield {
            "type": concept(coding(systems["role_class"], code["provider"], "healthcare provider")),
            "who": {
                "identifier": {"value": printable(person.organization_id)},
                "display": printable(person.organization),
            },
            "requestor": False,
        }
    if person.home_community_id:
        kind = concept(coding(systems["community"], code["community"]))
        yield {
            "type": kind,
            "who": {"identifier": {"type": kind, "value": person.home_community_id}},
            "requestor": False,
        }


def _other_ids(person: Person, codes: AuditCodes) -> Iterator[Json]:
    """The subject id and the NPI, which BALP has beside the user's own id."""
    for system, kind, value in (
        ("other_id", "saml_subject", person.name if person.assertion_id else None),
        ("identifier", "npi", person.npi),
    ):
        if value:
            yield {
                "url": codes.profile["other_id"],
                "valueIdentifier": {
                    "type": concept(coding(codes.fhir_system[system], codes.code[kind])),
                    "value": printable(value),
                },
            }


def _issuer_uri(issuer: str) -> str:
    """An Issuer as the URI that ``system`` must be; a subject name as in BALP's examples."""
    if ":" in issuer.partition("=")[0]:
        return quote(issuer, safe=_URI_SIGNS)
    return f"ldap:///{quote(issuer, safe='')}"
