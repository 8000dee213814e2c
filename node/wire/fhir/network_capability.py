"""The CapabilityStatement of the network's FHIR address: what it does, and no more."""

from __future__ import annotations

from typing import Any, Final

import orjson

from node.wire.fhir import mhd_reference, mhd_search, pdqm
from node.wire.fhir.catalogue import asked_of_network, is_asked_of_network, resource_types

_SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_DATE = "2026-11-27"
_IHE = "https://profiles.ihe.net/ITI"
_KINDS: Final = {
    "_id": "token",
    "active": "token",
    "birthdate": "date",
    "gender": "token",
    "identifier": "token",
    "telecom": "token",
}
_DOCUMENT_KINDS: Final = {
    "patient": "reference",
    "related": "reference",
    "author.given": "string",
    "author.family": "string",
    "creation": "date",
    "period": "date",
    "date": "date",
    "targetCommunityIdList": "uri",
}
_CONTROL = ("_count", "_revinclude", "_sort")
GUIDES: Final = (
    f"{_IHE}/MHD/ImplementationGuide/ihe.iti.mhd|4.2.3",
    f"{_IHE}/PDQm/ImplementationGuide/ihe.iti.pdqm|3.2.0",
    f"{_IHE}/PIXm/ImplementationGuide/ihe.iti.pixm|3.1.0",
)
"""What is followed. No ``instantiates``: each of their actors has to speak XML too."""

_DOCUMENTATION = (
    "The whole network, asked for our own users and systems: every search and operation asks "
    "communities, and an answer holds what came within the time, with one OperationOutcome about "
    "those that did not answer. Actors of IHE: PDQm Patient Demographics Supplier, and PIXm "
    "Patient Identifier Cross-reference Manager without its feed, and MHD Document Responder "
    "without lists (ITI-66) and reading one DocumentReference; all in JSON alone. Patients, and "
    "links to documents, last some hours, for who asked. Chained and reverse chained parameters "
    "are refused, but for those of MHD."
)
_PUBLISHING = (
    "ITI-65 (MHD Document Recipient): a Provide Document Bundle is taken whole or not at all, into "
    "our own records, from which communities that ask are answered. Where the submission set has "
    "an intendedRecipient that is an Organization (by its home community id, or of the directory), "
    "the documents are sent to that community instead, and not held here. "
    "Needs the scope DocumentReference.c. Folders, relations and FHIR documents are not taken."
)


def network_capability(*, base_url: str, name: str, version: str) -> bytes:
    """The statement at a base address, that of an organisation."""
    rest: dict[str, Any] = {
        "mode": "server",
        "documentation": _DOCUMENTATION,
        "security": {
            "cors": False,
            "service": [{"coding": [{"system": _SECURITY, "code": "OAuth"}]}],
            "description": "Bearer tokens of our own users and systems.",
        },
        "resource": [_documents(), _patient(), *_searched()],
        "interaction": [{"code": "transaction", "documentation": _PUBLISHING}],
    }
    return orjson.dumps(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": _DATE,
            "publisher": name,
            "kind": "instance",
            "software": {"name": "tefca-node", "version": version},
            "implementation": {"description": f"The network, by {name}", "url": base_url},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json"],
            "implementationGuide": list(GUIDES),
            "rest": [rest],
        }
    )


def _documents() -> dict[str, Any]:
    return {
        "type": "DocumentReference",
        "supportedProfile": [mhd_reference.COMPREHENSIVE, mhd_reference.MINIMAL],
        "documentation": (
            "A search names patient (one of the network's) or patient.identifier. Of dates, ge and "
            "lt are asked of communities; every condition is applied to what comes back. A "
            "document's attachment.url can be fetched for some hours, by who searched (ITI-68)."
        ),
        "interaction": [{"code": "search-type"}],
        "searchRevInclude": ["Provenance:target"],
        "searchParam": [
            {"name": each, "type": _DOCUMENT_KINDS.get(each, "token")}
            for each in mhd_search.PARAMETERS
            if each not in _CONTROL and ":" not in each
        ],
        "operation": [
            {
                "name": "docref",
                "definition": "http://hl7.org/fhir/us/core/OperationDefinition/docref",
            }
        ],
    }


def _searched() -> list[dict[str, Any]]:
    """The types that are searched at the FHIR servers of the communities."""
    return [
        {
            "type": type_.name,
            "documentation": (
                "Needs patient, a Patient of this address. Answers are merged as they come from "
                "the communities' own servers, under their own addresses; what refers to one "
                "server alone (_id, references, chains, _sort) is refused."
            ),
            "interaction": [{"code": "search-type"}],
            "searchInclude": list(type_.include),
            "searchRevInclude": list(type_.revinclude),
            "searchParam": [
                {"name": each.name, "type": each.kind.value} for each in asked_of_network(type_)
            ],
        }
        for type_ in resource_types().values()
        if is_asked_of_network(type_) and type_.name not in _OWN
    ]


_OWN: Final = ("Patient", "DocumentReference")
"""Types that the network's address has use cases of its own for."""


def _patient() -> dict[str, Any]:
    return {
        "type": "Patient",
        "supportedProfile": [f"{_IHE}/PDQm/StructureDefinition/IHE.PDQm.Patient"],
        "documentation": (
            "A search needs an identifier (system|value), or a name and a date of birth, or _id: "
            "XCPD asks by no less. Names are compared by each community's own matching; :exact is "
            "applied to what comes back. A Patient whom several communities know stands for "
            "theirs, which are included and linked."
        ),
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchRevInclude": ["Provenance:target"],
        "searchParam": [
            {"name": each, "type": _KINDS.get(each, "string")}
            for each in pdqm.PARAMETERS
            if each not in _CONTROL
        ],
        "operation": [
            {
                "name": "match",
                "definition": f"{_IHE}/PDQm/OperationDefinition/PDQmMatch",
            },
            {
                "name": "ihe-pix",
                "definition": f"{_IHE}/PIXm/OperationDefinition/IHE.PIXm.pix",
            },
        ],
    }
