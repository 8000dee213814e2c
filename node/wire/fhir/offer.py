"""What another FHIR server says that it does, as far as we do the same. Pure.

The CapabilityStatement of a gateway is true only where both sides can: a type that both read, a
parameter that both know by the same name and kind, an include that both have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from node.wire.fhir.catalogue import Parameter, ResourceType, resource_types
from node.wire.fhir.problem import FhirProblem

_R4 = "4.0."
_OF_ITSELF = frozenset({"Patient", "Provenance", "Binary"})
"""Types about patients that are not narrowed by a parameter named ``patient``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """One type in a statement."""

    interactions: frozenset[str]
    parameters: Mapping[str, str]
    includes: frozenset[tuple[str, ...]]
    revincludes: frozenset[tuple[str, ...]]


def offered(statement: bytes) -> dict[str, ResourceType]:
    """The types of the catalogue that a CapabilityStatement offers, each cut to what it offers.

    Raises:
        FhirProblem: ``fhir-upstream-invalid`` when it is no statement of a FHIR R4 server.
    """
    try:
        content = orjson.loads(statement)
    except orjson.JSONDecodeError:
        raise _invalid("The answer of its metadata is not JSON.") from None
    if not isinstance(content, dict) or content.get("resourceType") != "CapabilityStatement":
        raise _invalid("The answer of its metadata is no CapabilityStatement.")
    if not str(content.get("fhirVersion")).startswith(_R4):
        raise _invalid("It is no server of FHIR R4.")
    stated, for_all = _stated(content)
    found = {}
    for name, type_ in resource_types().items():
        if name in stated and "read" in stated[name].interactions:
            found[name] = _cut(type_, stated[name], for_all, stated)
    return found


def is_same(a: ResourceType, b: ResourceType) -> bool:
    """Whether two types are offered alike."""
    return a == b and dict(a.parameters) == dict(b.parameters)


def _cut(
    type_: ResourceType, stated: _Stated, for_all: Mapping[str, str], others: Mapping[str, _Stated]
) -> ResourceType:
    known = {**for_all, **stated.parameters}
    parameters = {
        name: _chained(p, others)
        for name, p in type_.parameters.items()
        if known.get(name) == p.kind
    }
    asked_by = tuple(name for name in type_.asked_by if name in parameters)
    can_narrow = not type_.of_patient or type_.name in _OF_ITSELF or "patient" in parameters
    is_searched = (
        type_.search
        and "search-type" in stated.interactions
        and can_narrow
        # a type that must not be searched at large is not searched without what narrows it
        and bool(asked_by) == bool(type_.asked_by)
    )
    return replace(
        type_,
        parameters=parameters if is_searched else {},
        search=is_searched,
        updated=known.get("_lastUpdated") == "date",
        asked_by=asked_by,
        include=_both(type_.include, stated.includes),
        revinclude=_both(type_.revinclude, stated.revincludes),
        combinations=tuple(c for c in type_.combinations if all(p in parameters for p in c.of)),
    )


def _chained(parameter: Parameter, others: Mapping[str, _Stated]) -> Parameter:
    target = others.get(parameter.target or "")
    known = target.parameters if target is not None else {}
    return replace(parameter, chain=tuple(name for name in parameter.chain if name in known))


def _both(ours: Iterable[str], theirs: frozenset[tuple[str, ...]]) -> tuple[str, ...]:
    """Includes that they have: written alike, or without the type that we narrow them to."""
    named = [(each, tuple(each.split(":"))) for each in ours]
    return tuple(each for each, parts in named if theirs & {parts, parts[:2], ("*",)})


def _stated(
    content: Mapping[str, Any],
) -> tuple[dict[str, _Stated], dict[str, str]]:
    found: dict[str, _Stated] = {}
    for_all: dict[str, str] = {}
    for rest in _objects(content.get("rest")):
        if rest.get("mode") != "server":
            continue
        for_all |= _parameters(rest)
        for resource in _objects(rest.get("resource")):
            codes = (i.get("code") for i in _objects(resource.get("interaction")))
            found[str(resource.get("type"))] = _Stated(
                interactions=frozenset(str(code) for code in codes),
                parameters=_parameters(resource),
                includes=_includes(resource.get("searchInclude")),
                revincludes=_includes(resource.get("searchRevInclude")),
            )
    return found, for_all


def _parameters(element: Mapping[str, Any]) -> dict[str, str]:
    found = _objects(element.get("searchParam"))
    return {str(each.get("name")): str(each.get("type")) for each in found}


def _includes(value: object) -> frozenset[tuple[str, ...]]:
    texts = value if isinstance(value, list) else []
    return frozenset(tuple(text.split(":")) for text in texts if isinstance(text, str))


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _invalid(what: str) -> FhirProblem:
    return FhirProblem(
        "fhir-upstream-invalid", f"The health system's FHIR server cannot be used. {what}"
    )
