"""What is looked at of a peer's resource: decoded in one pass that builds nothing else.

A resource whose elements have another shape than FHIR R4 gives them has a head without them: it is
passed on, and recognised by nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson


class Coding(msgspec.Struct, gc=False):
    """A Coding; or of an Identifier the system."""

    system: str | None = None
    code: str | None = None


class Concept(msgspec.Struct, gc=False):
    """A CodeableConcept."""

    coding: list[Coding] = []
    text: str | None = None


class Identifier(msgspec.Struct, gc=False):
    """An Identifier."""

    system: str | None = None
    value: str | None = None


class Quantity(msgspec.Struct, gc=False):
    """A Quantity; a decimal as a number is good enough to compare."""

    value: float | None = None
    unit: str | None = None
    code: str | None = None
    comparator: str | None = None


class Reference(msgspec.Struct, gc=False):
    """A Reference."""

    reference: str | None = None


class Measured(msgspec.Struct, gc=False):
    """What has a code and a value: an Observation, or a component of one."""

    code: Concept | None = None
    valueQuantity: Quantity | None = None  # noqa: N815 - as FHIR writes it
    valueCodeableConcept: Concept | None = None  # noqa: N815
    valueString: str | None = None  # noqa: N815
    valueInteger: int | None = None  # noqa: N815
    valueBoolean: bool | None = None  # noqa: N815
    valueDateTime: str | None = None  # noqa: N815


class Head(Measured, gc=False):
    """The head of a resource."""

    resourceType: str = ""  # noqa: N815
    id: str | None = None
    status: str | None = None
    identifier: list[Identifier] | Identifier | None = None
    subject: Reference | None = None
    patient: Reference | None = None
    beneficiary: Reference | None = None
    effectiveDateTime: str | None = None  # noqa: N815
    effectiveInstant: str | None = None  # noqa: N815
    issued: str | None = None
    component: list[Measured] = []


_decoder = msgspec.json.Decoder(Head)


def read_head(raw: bytes) -> Head | None:
    """The head of a resource; ``None`` when it is no JSON object with a resourceType."""
    try:
        head = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _bare(raw)
    return head if head.resourceType else None


def _bare(raw: bytes) -> Head | None:
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    kind = content.get("resourceType") if isinstance(content, dict) else None
    if not isinstance(kind, str) or not kind:
        return None
    return Head(
        resourceType=kind,
        id=_text(content.get("id")),
        subject=_reference(content.get("subject")),
        patient=_reference(content.get("patient")),
        beneficiary=_reference(content.get("beneficiary")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _reference(value: Any) -> Reference | None:
    return Reference(_text(value.get("reference"))) if isinstance(value, dict) else None
