"""FHIR XML → the JSON of the same resource (FHIR R4 2.6.1, 2.7), for the reader. Pure.

Which elements repeat and which are true or false stands nowhere in the XML: the types of R4 say it,
as ``fhir.resources`` has them. Nothing is validated: an element that a type does not have is taken
as it stands. Extensions of primitive values are left out, as the reader does with JSON's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, get_args

from lxml import etree

from node.wire.reader.xhtml import NAMESPACE as XHTML
from node.wire.xml import children, local_name, namespace, serialize

NAMESPACE: Final = "http://hl7.org/fhir"
_RESOURCE: Final = "Resource"
_MOST_TYPES: Final = 1024


class _Field(NamedTuple):
    """An element of a type; ``of`` is its own type, empty for a primitive one."""

    repeats: bool
    is_boolean: bool
    of: str


def resource_of(element: etree._Element) -> dict[str, Any]:
    """The resource that an element is."""
    kind = local_name(element)
    return {"resourceType": kind, **_object(element, kind)}


def _object(element: etree._Element, type_: str) -> dict[str, Any]:
    fields = _fields(type_)
    found: dict[str, Any] = {n: v for n in ("id", "url") if (v := element.get(n)) is not None}
    inside = [child for child in children(element) if namespace(child) in (NAMESPACE, XHTML)]
    often = Counter(map(local_name, inside))
    for child in inside:
        name = local_name(child)
        if namespace(child) == XHTML:
            found.setdefault(name, serialize(child).decode())
            continue
        field = fields.get(name)
        value = _value(child, field)
        if field.repeats if field else often[name] > 1:
            found.setdefault(name, []).append(value)
        elif value is not None:
            found.setdefault(name, value)
    return found


def _value(element: etree._Element, field: _Field | None) -> Any:
    if field is not None and field.of == _RESOURCE:
        inner = next(iter(children(element)), None)
        return None if inner is None else resource_of(inner)
    stated = element.get("value")
    if field is not None and field.of:
        return _object(element, field.of)
    if field is None and stated is None:
        return _object(element, "")
    if field is not None and field.is_boolean:
        return {"true": True, "false": False}.get(stated or "", stated)
    return stated


@lru_cache(_MOST_TYPES)
def _fields(type_: str) -> Mapping[str, _Field]:
    """The elements of a type by their names; none of a type that is not known."""
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - half a second, seldom
    from fhir_core.utils import is_list_type, is_primitive_type  # noqa: PLC0415

    try:
        model = get_fhir_model_class(type_)
    except ValueError:
        return {}
    fields = model.model_fields
    return {
        alias: _Field(
            is_list_type(fields[name]),
            bool in _parts(fields[name].annotation),
            "" if is_primitive_type(fields[name]) else _type_of(fields[name].annotation),
        )
        for alias, name in model.get_alias_mapping().items()
    }


def _type_of(annotation: Any) -> str:
    names = (getattr(part, "__name__", "") for part in _parts(annotation))
    return next((name.removesuffix("Type") for name in names if name.endswith("Type")), "")


def _parts(annotation: Any) -> list[Any]:
    """An annotation with all that is inside of it, the innermost first."""
    return [p for inner in get_args(annotation) for p in _parts(inner)] + [annotation]
