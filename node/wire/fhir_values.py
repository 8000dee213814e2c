"""Safe reading of decoded FHIR JSON: every value may be absent or of the wrong shape.

A resource of a peer or an EHR is never passed through a schema (DESIGN section 4): what has another
shape than FHIR R4 says reads as absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from node.model import Code, PatientId
from node.wire import document_codes
from node.wire.timestamps import parse_time

MAX_REPEATS = 64
_MAX_TEXT = 256

Json = dict[str, Any]


def text(value: object, limit: int = _MAX_TEXT) -> str | None:
    """A non-empty string with white space collapsed, cut at ``limit``; controls are left out.

    JSON can carry characters that neither XML nor a database can.
    """
    if not isinstance(value, str):
        return None
    found = "".join(c for c in " ".join(value.split()) if c.isprintable())
    return found[:limit].strip() or None


def objects(value: object) -> Iterator[Json]:
    """The objects of a list (or the one object), at most ``MAX_REPEATS``."""
    items = value if isinstance(value, list) else [value]
    for item in items[:MAX_REPEATS]:
        if isinstance(item, dict):
            yield item


def strings(value: object) -> tuple[str, ...]:
    """The usable strings of a list."""
    items = value if isinstance(value, list) else []
    return tuple(s for s in (text(item) for item in items[:MAX_REPEATS]) if s is not None)


def child(value: object, name: str) -> Json:
    """The object under a name (the first of a list), or an empty one."""
    found = value.get(name) if isinstance(value, dict) else None
    return next(objects(found), {})


def time(value: object) -> str | None:
    """A dateTime or instant as HL7 digits in UTC, or ``None``."""
    return parse_time(value) if isinstance(value, str) else None


def identifier(value: Json) -> PatientId | None:
    """An Identifier with system and value; the system becomes an OID."""
    system, found = text(value.get("system")), text(value.get("value"))
    if system is None or found is None:
        return None
    return PatientId(assigning_authority=document_codes.fhir_system(system), id=found)


def codes(concept: object) -> tuple[Code, ...]:
    """The codings of one CodeableConcept, or of a list of them, or of a list of Codings."""
    found: list[Code] = []
    for item in objects(concept):
        for coding in objects(item.get("coding", item)):
            code, system = text(coding.get("code")), text(coding.get("system"))
            if code and system:
                found.append(
                    Code(
                        code=code,
                        scheme=document_codes.fhir_system(system),
                        display=text(coding.get("display")) or text(item.get("text")),
                    )
                )
    return tuple(dict.fromkeys(found))
