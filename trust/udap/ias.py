"""The ``tefca_ias`` extension object: a person who asks for their own records (tefca 8, table 4).

Its form alone is checked here: version, purpose, the two FHIR resources, that there is an id_token.
Whether the id_token is true is another question.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trust.errors import TrustError
from trust.udap.strict_json import JsonObject

KEY = "tefca_ias"
MISSPELT = "tefca-ias"
VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ias:
    """The parts of the object; both resources are about people and go to no log."""

    user: JsonObject = field(repr=False)
    patient: JsonObject = field(repr=False)
    id_token: str = field(repr=False)


def read_ias(value: object, *, purpose: str) -> Ias:
    """Checks the form of a ``tefca_ias`` object.

    Raises:
        TrustError: ``ias-missing``, ``ias-field`` (the field's name is ``where``).
    """
    if value is None:
        raise TrustError("ias-missing", f"The token request has no {KEY} object.", where=KEY)
    if not isinstance(value, dict):
        raise _field(KEY, "is not an object")
    if value.get("version") != VERSION:
        raise _field("version", f'must be "{VERSION}"')
    if value.get("purpose_of_use") != purpose:
        raise _field("purpose_of_use", f"must be the text {purpose}")
    token = value.get("id_token")
    if not isinstance(token, str) or not token:
        raise _field("id_token", "is required")
    return Ias(
        user=_resource(value, "user_information", "RelatedPerson"),
        patient=_resource(value, "patient_information", "Patient"),
        id_token=token,
    )


def _resource(value: JsonObject, name: str, kind: str) -> dict[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict) or found.get("resourceType") != kind:
        raise _field(name, f"must be a {kind} resource")
    return found


def _field(name: str, rule: str) -> TrustError:
    return TrustError("ias-field", f"The {KEY} object's {name} {rule}.", where=name)
