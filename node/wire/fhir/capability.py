"""The CapabilityStatement: what this server does, from the table that it does it by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from node.wire.fhir.audit_names import BY_IDENTIFIER, PATIENT_IDENTIFIER
from node.wire.fhir.catalogue import ResourceType, audit_type, resource_types

_EXPECTATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation"
_COMBINATION = (
    "http://hl7.org/fhir/StructureDefinition/capabilitystatement-search-parameter-combination"
)
_SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_OAUTH = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_US_CORE = "http://hl7.org/fhir/us/core"
_DATE = "2026-11-27"
_OPERATIONS = {
    "Patient": ("match", "http://hl7.org/fhir/OperationDefinition/Patient-match"),
    "DocumentReference": ("docref", f"{_US_CORE}/OperationDefinition/docref"),
}
_CHAINS = ", but for PractitionerRole?practitioner.name and practitioner.identifier"
_FOR_ALL = ({"name": "_lastUpdated", "type": "date"},)


def capability_statement(
    *,
    base_url: str,
    name: str,
    version: str,
    types: Mapping[str, ResourceType] | None = None,
) -> bytes:
    """The statement of the server at a base address, that of an organisation.

    ``types`` are those that its source offers; without, the whole catalogue.
    """
    served = resource_types() if types is None else types
    can_chain = any(p.chain for type_ in served.values() for p in type_.parameters.values())
    rest: dict[str, Any] = {
        "mode": "server",
        "documentation": (
            "Reading and searching. A search about patients names one of them, or what the type's "
            "documentation lists. Chained and reverse chained parameters are refused"
            f"{_CHAINS if can_chain else ''}. Links to further pages last an hour and are for the "
            "client that got them."
        ),
        "security": {
            "cors": False,
            "extension": [_endpoints(base_url)],
            "service": [
                {"coding": [{"system": _SECURITY, "code": code}]}
                for code in ("OAuth", "SMART-on-FHIR")
            ],
            "description": (
                f"Bearer tokens by UDAP ({base_url}/.well-known/udap) and, for the operator's own "
                f"apps and systems, by SMART ({base_url}/.well-known/smart-configuration)."
            ),
        },
        "resource": sorted(
            [_audit(), *(_resource(type_) for type_ in served.values())],
            key=lambda each: str(each["type"]),
        ),
    }
    if all(type_.updated for type_ in served.values()):
        rest["searchParam"] = list(_FOR_ALL)
    return orjson.dumps(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": _DATE,
            "publisher": name,
            "kind": "instance",
            "software": {"name": "tefca-node", "version": version},
            "implementation": {"description": f"FHIR server of {name}", "url": base_url},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json"],
            "implementationGuide": [f"{_US_CORE}/ImplementationGuide/hl7.fhir.us.core|6.1.0"],
            "rest": [rest],
        }
    )


def _audit() -> dict[str, Any]:
    """The log as AuditEvents: what there is stays as it is, but for what is erased."""
    return {
        "type": "AuditEvent",
        "documentation": (
            "The log of this node, for its own users and systems with a role that may read it. "
            "agent, entity, source and patient are searched by identifier as well, as in "
            "agent.identifier=system|value."
        ),
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "readHistory": False,
        "searchParam": [
            {"name": p.name, "type": "reference" if p.name in BY_IDENTIFIER else p.kind.value}
            for name, p in sorted(audit_type().parameters.items())
            if name != PATIENT_IDENTIFIER
        ],
    }


def _endpoints(base_url: str) -> dict[str, Any]:
    """The endpoints of the authorization server (SMART App Launch, ``oauth-uris``)."""
    names = ("authorize", "token", "introspect", "revoke")
    return {
        "url": _OAUTH,
        "extension": [{"url": each, "valueUri": f"{base_url}/{each}"} for each in names],
    }


def _resource(type_: ResourceType) -> dict[str, Any]:
    found: dict[str, Any] = {"type": type_.name}
    if type_.combinations:
        found["extension"] = [
            {
                "url": _COMBINATION,
                "extension": [
                    {"url": _EXPECTATION, "valueCode": combination.us_core},
                    *({"url": "required", "valueString": name} for name in combination.of),
                ],
            }
            for combination in type_.combinations
        ]
    if type_.asked_by:
        found["documentation"] = (
            "A search that is not bound to a patient by its token names one of: "
            + ", ".join(type_.asked_by)
            + "."
        )
    codes = ["read", "vread", *(["search-type"] if type_.search else [])]
    found["interaction"] = [{"code": code} for code in codes]
    found["versioning"] = "versioned"
    found["readHistory"] = False
    if type_.include:
        found["searchInclude"] = list(type_.include)
    if type_.revinclude:
        found["searchRevInclude"] = list(type_.revinclude)
    if type_.search:
        found["searchParam"] = [
            {"name": p.name, "type": p.kind.value} for _, p in sorted(type_.parameters.items())
        ]
    if type_.name in _OPERATIONS and type_.search:
        operation, definition = _OPERATIONS[type_.name]
        found["operation"] = [{"name": operation, "definition": definition}]
    return found
