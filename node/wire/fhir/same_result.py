"""How the same result is recognised in what several servers hold: pure.

By a business identifier, and else, for an Observation, by its code, its value and its time. Either
way the codes must agree, because a laboratory gives one number to all results of an order. The
patient is not compared: every server was asked about its own record of one person, and what is
about anybody else was put aside when it was read.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.wire.fhir.head import Concept, Head, Identifier, Measured

MAX_KEYS: Final = 16
"""Identifiers, codes and components of one resource that are looked at."""

_NEVER: Final = frozenset({"entered-in-error", "cancelled"})

Coding = tuple[str, str]
Value = tuple[object, ...]


class ResultKey(msgspec.Struct, frozen=True, gc=False):
    """What a result is recognised by.

    Attributes:
        identifiers: system and value of each identifier that has both.
        codings: system and code of each coding of its code.
        value: its value, or those of its components; ``None`` where it has none or is none.
        time: when it was measured, as written.
    """

    identifiers: tuple[Coding, ...]
    codings: tuple[Coding, ...]
    value: Value | None
    time: str | None


def result_key(head: Head) -> ResultKey | None:
    """The key of a resource, or ``None`` where it could not be recognised anywhere."""
    if head.status in _NEVER or head.resourceType == "Patient":
        return None
    identifiers = _identifiers(head.identifier)
    codings = _codings(head.code)
    value, time = None, None
    if codings and head.resourceType == "Observation":
        time = head.effectiveDateTime or head.effectiveInstant or head.issued
        value = _value(head) or _components(head.component)
    if not identifiers and (value is None or time is None):
        return None
    return ResultKey(identifiers, codings, value, time)


def _identifiers(found: list[Identifier] | Identifier | None) -> tuple[Coding, ...]:
    if found is None:
        return ()
    items = found[:MAX_KEYS] if isinstance(found, list) else [found]
    return tuple([(i.system, i.value) for i in items if i.system and i.value])


def _codings(concept: Concept | None) -> tuple[Coding, ...]:
    if concept is None:
        return ()
    return tuple([(c.system, c.code) for c in concept.coding[:MAX_KEYS] if c.system and c.code])


def _value(measured: Measured) -> Value | None:
    quantity, concept = measured.valueQuantity, measured.valueCodeableConcept
    if quantity is not None:
        unit = quantity.code or quantity.unit
        return None if quantity.value is None else (quantity.value, unit, quantity.comparator)
    if concept is not None:
        codings = _codings(concept)
        if codings:
            return ("concept", *sorted(codings))
        return ("text", concept.text) if concept.text else None
    for name in ("valueString", "valueInteger", "valueBoolean", "valueDateTime"):
        plain = getattr(measured, name)
        if plain is not None:
            return (name, plain)
    return None


def _components(components: list[Measured]) -> Value | None:
    """Codes and values of components, in the order of their codes (a blood pressure)."""
    if not 0 < len(components) <= MAX_KEYS:
        return None
    found = []
    for component in components:
        codings, value = _codings(component.code), _value(component)
        if not codings or value is None:
            return None
        found.append((codings[0], value))
    return ("components", *sorted(found, key=repr))
