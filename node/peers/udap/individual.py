"""The ``tefca_ias`` object of our token request for an individual (tefca 8, table 4)."""

from __future__ import annotations

from typing import Any

from node.policy.individual import of_person
from node.wire.fhir.authored import patient_resource
from trust.udap.ias import VERSION
from trust.udap.id_token import told_person
from trust.udap.jwt import unproved_claim

_ROLES = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_ONESELF = "ONESELF"


def ias_object(id_token: str, purpose: str) -> dict[str, Any]:
    """The object for a person who asks for their own records.

    Patient and user are the one whom the id_token names, since the server holds them against it.

    Raises:
        TrustError: ``jwt-*`` when the id_token cannot be read or lacks a claim.
    """
    person = of_person(told_person(id_token))
    proof = id_token.encode("utf-8", "surrogateescape")
    known = {"system": unproved_claim(proof, "iss"), "value": unproved_claim(proof, "sub")}
    # US Core demands an identifier and a gender; a proof of identity may not tell the gender
    patient: dict[str, Any] = {
        **patient_resource(None, person, None), "identifier": [known], "gender": "unknown"
    }  # fmt: skip
    user: dict[str, Any] = {
        "resourceType": "RelatedPerson",
        "patient": {"display": "the person who asks"},
        "relationship": [{"coding": [{"system": _ROLES, "code": _ONESELF}]}],
    }
    user |= {name: patient[name] for name in ("name", "birthDate", "address") if name in patient}
    return {
        "version": VERSION,
        "purpose_of_use": purpose,
        "user_information": user,
        "patient_information": patient,
        "id_token": id_token,
    }
