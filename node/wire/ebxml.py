"""ebXML RIM building blocks: slots, localized names, classifications, external identifiers.

Source: OASIS ebRIM 3.0; ITI TF-3 4.2.1.4, 4.2.3.1; facts ihe-wire 3.3.
"""

from __future__ import annotations

import tomllib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from lxml import etree

from node.errors import LimitError
from node.model import Code
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import MAX_TEXT, add, first, grouped, limited
from node.wire.names import RIM
from node.wire.xml import text

__all__ = [
    "RegistryTerms",
    "build_classification",
    "build_coded",
    "build_external_identifier",
    "build_localized",
    "build_slot",
    "code_in",
    "localized",
    "registry_terms",
    "rim",
    "slots_of",
]

_MAX_SLOTS = 200
_MAX_VALUES = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTerms:
    """Identifiers of ``data/ebxml.toml`` by the names of the model's attributes.

    Attributes:
        schemes: classification scheme by attribute, ``attributes`` the reverse.
        identifications: (scheme, name) of an external identifier by attribute.
        object_types: objectType of classification and external_identifier.
        reference_ids: slot name of the referenceIdList.
    """

    schemes: Mapping[str, str]
    attributes: Mapping[str, str]
    identifications: Mapping[str, tuple[str, str]]
    object_types: Mapping[str, str]
    reference_ids: str


@lru_cache(maxsize=1)
def registry_terms() -> RegistryTerms:
    """The identifiers shipped with this version of the node."""
    source = resources.files("node.wire").joinpath("data/ebxml.toml").read_text("utf-8")
    table = tomllib.loads(source)
    schemes: dict[str, str] = table["classification"]
    return RegistryTerms(
        schemes=schemes,
        attributes={scheme: attribute for attribute, scheme in schemes.items()},
        identifications={
            attribute: (row["scheme"], row["name"])
            for attribute, row in table["identification"].items()
        },
        object_types=table["object_type"],
        reference_ids=table["slot"]["reference_ids"],
    )


def rim(name: str) -> str:
    """The Clark name of a RIM element."""
    return f"{{{RIM}}}{name}"


# --- writing ----------------------------------------------------------------------------------


def build_slot(parent: etree._Element, name: str, values: Sequence[str]) -> None:
    """Append a slot with its values in order."""
    slot = add(parent, rim("Slot"), name=name)
    value_list = add(slot, rim("ValueList"))
    for value in values:
        add(value_list, rim("Value"), value)


def build_localized(parent: etree._Element, name: str, value: str | None) -> None:
    """Append a Name or Description with one LocalizedString, nothing for ``None``."""
    if value is not None:
        add(add(parent, rim(name)), rim("LocalizedString"), value=value)


def build_classification(
    parent: etree._Element, owner: str, scheme: str, node: str, position: int
) -> etree._Element:
    """Append a Classification; its id follows from owner, scheme and position."""
    return add(
        parent,
        rim("Classification"),
        id=_derived_id(owner, f"{scheme}#{position}"),
        objectType=registry_terms().object_types["classification"],
        classificationScheme=scheme,
        classifiedObject=owner,
        nodeRepresentation=node,
    )


def build_coded(
    parent: etree._Element, owner: str, scheme: str, code: Code, position: int = 0
) -> None:
    """Append a Classification that carries a code."""
    element = build_classification(parent, owner, scheme, code.code, position)
    if code.scheme:
        build_slot(element, "codingScheme", (code.scheme,))
    build_localized(element, "Name", code.display)


def build_external_identifier(
    parent: etree._Element, owner: str, attribute: str, value: str
) -> None:
    """Append an ExternalIdentifier for ``patient_id`` or ``unique_id``."""
    terms = registry_terms()
    scheme, name = terms.identifications[attribute]
    element = add(
        parent,
        rim("ExternalIdentifier"),
        id=_derived_id(owner, scheme),
        objectType=terms.object_types["external_identifier"],
        registryObject=owner,
        identificationScheme=scheme,
        value=value,
    )
    build_localized(element, "Name", name)


def _derived_id(owner: str, what: str) -> str:
    # RIM wants an id on every part; nobody refers to these, so they follow from what they are.
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{owner}/{what}").urn


# --- reading ----------------------------------------------------------------------------------


def slots_of(parts: Sequence[etree._Element]) -> dict[str, tuple[str, ...]]:
    """Slot elements by name; a slot that stands twice gets all values. Empty values are left out.

    Raises:
        LimitError: ``too-many-values`` past 200 slots or 5,000 values, ``value-too-long``.
    """
    slots: dict[str, tuple[str, ...]] = {}
    total = 0
    for slot in parts:
        name = limited(slot.get("name") or "", "Slot/@name")
        value_list = first(grouped(slot), "ValueList")
        elements = grouped(value_list).get("Value", ())
        total += len(elements)
        values = tuple(
            value for element in elements if (value := limited(text(element) or "", "Slot/Value"))
        )
        slots[name] = slots.get(name, ()) + values
    if len(slots) > _MAX_SLOTS or total > _MAX_VALUES:
        raise LimitError("too-many-values", "A registry object has too many slots.", where="Slot")
    return slots


def localized(element: etree._Element | None) -> str | None:
    """The first non-empty LocalizedString of a Name or Description."""
    for string in grouped(element).get("LocalizedString", ()):
        value = string.get("value")
        if value and len(value) <= MAX_TEXT and value.strip():
            return value.strip()
        if value and len(value) > MAX_TEXT:
            return limited(value, "LocalizedString")
    return None


def code_in(element: etree._Element, deviations: Deviations) -> Code | None:
    """The code of a Classification, or ``None`` when it has neither code nor display name."""
    parts = grouped(element)
    node = limited(element.get("nodeRepresentation") or "", "nodeRepresentation")
    display = localized(first(parts, "Name"))
    schemes = slots_of(parts.get("Slot", ())).get("codingScheme", ())
    if not node:
        deviations.add(ContentDeviation.CODE_EMPTY)
        if display is None:
            return None
    if not schemes:
        deviations.add(ContentDeviation.CODING_SCHEME_MISSING)
    return Code(code=node or (display or ""), scheme=schemes[0] if schemes else "", display=display)
