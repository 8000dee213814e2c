"""The ``hl7-b2b`` extension object: who asks, for whom, and why (fhir-and-udap 1.6; tefca 8).

Its TEFCA rules: ``organization_id`` is ``Organization/<directory id>``, ``organization_name`` is
required, ``purpose_of_use`` has exactly one code of the exchange purposes. Which codes exist is the
caller's data.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from trust.errors import TrustError
from trust.udap.strict_json import JsonObject

KEY = "hl7-b2b"
VERSION = "1"
MAX_TEXT = 512
_MAX_LIST = 20
_DIRECTORY_ID = re.compile(r"Organization/([A-Za-z0-9.-]{1,64})", re.ASCII)
_KNOWN = (
    "version",
    "subject_name",
    "subject_id",
    "subject_role",
    "organization_name",
    "organization_id",
    "purpose_of_use",
    "consent_policy",
    "consent_reference",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class B2b:
    """A checked ``hl7-b2b`` object.

    Attributes:
        organization_id: the directory id, without ``Organization/``.
        purpose: the code of the one purpose, without its code system.
        consent_policies, consent_references: as they stand.
        unknown: names of further fields, which are ignored.
    """

    organization_id: str
    organization_name: str
    purpose: str
    subject_name: str | None = None
    subject_id: str | None = None
    subject_role: str | None = None
    consent_policies: tuple[str, ...] = ()
    consent_references: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def read_b2b(value: object, *, system: str, codes: Collection[str]) -> B2b:
    """Checks an ``hl7-b2b`` object.

    Args:
        value: what stands under the key.
        system: OID of the purposes' code system.
        codes: the purposes in force.

    Raises:
        TrustError: ``b2b-missing``, ``b2b-field`` (the field's name is ``where``),
            ``b2b-purpose``.
    """
    if value is None:
        raise TrustError("b2b-missing", f"The token request has no {KEY} object.", where=KEY)
    if not isinstance(value, dict):
        raise _field(KEY, "is not an object")
    if value.get("version") != VERSION:
        raise _field("version", f'must be "{VERSION}"')
    organization = _DIRECTORY_ID.fullmatch(_text(value, "organization_id") or "")
    if organization is None:
        raise _field("organization_id", "must be Organization/ and the id of a directory entry")
    name = _text(value, "organization_name")
    if name is None:
        raise _field("organization_name", "is required")
    policies = _uris(value, "consent_policy")
    references = _uris(value, "consent_reference")
    if references and not policies:
        raise _field("consent_reference", "must be left out without consent_policy")
    if not all(each.startswith("https://") for each in references):
        raise _field("consent_reference", "must be absolute https addresses")
    subject_id, role = _text(value, "subject_id"), _text(value, "subject_role")
    subject_name = _text(value, "subject_name")
    if (subject_id or role) and not subject_name:
        raise _field("subject_name", "is required where the subject is a person")
    return B2b(
        organization_id=organization[1],
        organization_name=name,
        purpose=_purpose(value.get("purpose_of_use"), system, codes),
        subject_name=subject_name,
        subject_id=subject_id,
        subject_role=role,
        consent_policies=policies,
        consent_references=references,
        unknown=tuple(sorted(each for each in value if each not in _KNOWN)),
    )


def coded(system: str, code: str) -> str:
    """A purpose as the object spells it: ``urn:oid:<system>#<code>``."""
    return f"urn:oid:{system}#{code}"


def _purpose(value: object, system: str, codes: Collection[str]) -> str:
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], str):
        raise TrustError(
            "b2b-purpose", "purpose_of_use must be an array with one code.", where="purpose_of_use"
        )
    prefix, _, code = value[0].partition("#")
    if prefix != f"urn:oid:{system}" or code not in codes:
        raise TrustError(
            "b2b-purpose",
            "purpose_of_use is not one of the exchange purposes in force.",
            where="purpose_of_use",
        )
    return code


def _text(value: JsonObject, name: str) -> str | None:
    found = value.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= MAX_TEXT:
        raise _field(name, f"must be text of 1 to {MAX_TEXT} characters")
    return found


def _uris(value: JsonObject, name: str) -> tuple[str, ...]:
    found = value.get(name, [])
    if not isinstance(found, list) or len(found) > _MAX_LIST:
        raise _field(name, f"must be an array of at most {_MAX_LIST} URIs")
    if not all(isinstance(u, str) and 0 < len(u) <= MAX_TEXT and ":" in u for u in found):
        raise _field(name, "must have URIs only")
    return tuple(found)


def _field(name: str, rule: str) -> TrustError:
    return TrustError("b2b-field", f"The {KEY} object's {name} {rule}.", where=name)
