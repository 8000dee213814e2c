"""ebXML RIM building blocks: slots, localized names, classifications, external identifiers.

Source: OASIS ebRIM 3.0; ITI TF-3 4.2.1.4, 4.2.3.1; facts ihe-wire 3.3.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib import resources

from lxml import etree

from node.errors import LimitError
from node.model import Code
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import MAX_TEXT, escaped, first, grouped, limited
from node.wire.names import RIM
from node.wire.xml import text

__all__ = [
    "Owner",
    "RegistryTerms",
    "code_in",
    "code_text",
    "localized",
    "localized_text",
    "registry_terms",
    "rim",
    "slot_text",
    "slots_of",
]

_MAX_SLOTS = 200
_MAX_VALUES = 5000
_MAX_CODES = 4096
"""Codes kept as written text; a community uses a few hundred."""
_MAX_MARKS = 1024
_NEXT_VALUE = "</rim:Value><rim:Value>"
_VERSION_5 = 5 << 76 | 2 << 62
_FREE_BITS = (1 << 128) - 1 ^ (0xF << 76 | 3 << 62)
_END = 12
"""Hexadecimal digits after the last hyphen of a UUID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTerms:
    """Identifiers of ``data/ebxml.toml`` by the names of the model's attributes.

    Attributes:
        schemes: classification scheme by attribute, ``attributes`` the reverse.
        identifications: (scheme, name) of an external identifier by attribute.
        object_types: objectType of classification and external_identifier.
        reference_ids: slot name of the referenceIdList.
        nodes: classificationNode by what it says of an object.
        associations: associationType by what it ties.
        relation_warnings: the code that says a relation was not kept, by the end of its type.
    """

    schemes: Mapping[str, str]
    attributes: Mapping[str, str]
    identifications: Mapping[str, tuple[str, str]]
    object_types: Mapping[str, str]
    reference_ids: str
    nodes: Mapping[str, str]
    associations: Mapping[str, str]
    relation_warnings: Mapping[str, str]


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
        nodes=table["node"],
        associations=table["association"],
        relation_warnings=table["relation_warning"],
    )


def rim(name: str) -> str:
    """The Clark name of a RIM element."""
    return f"{{{RIM}}}{name}"


# --- writing ----------------------------------------------------------------------------------
#
# Text, not trees: an answer may hold thousands of entries of sixty elements each, and an element
# made through lxml costs as much as a whole entry written like this. The prefix is ``rim``; who
# uses the text declares it.


def slot_text(name: str, values: Iterable[str]) -> str:
    """A slot with its values in order.

    Raises:
        OurFault: ``text-not-xml``, as all of these.
    """
    texts = [escaped(value, "Value") for value in values]
    held = f"<rim:Value>{_NEXT_VALUE.join(texts)}</rim:Value>" if texts else ""
    return f"{_slot_head(name)}{held}</rim:ValueList></rim:Slot>"


@lru_cache(maxsize=_MAX_MARKS)
def _slot_head(name: str) -> str:
    return f'<rim:Slot name="{escaped(name, "Slot")}"><rim:ValueList>'


def localized_text(name: str, value: str | None) -> str:
    """A Name or Description with one LocalizedString, nothing for ``None``."""
    if value is None:
        return ""
    return f'<rim:{name}><rim:LocalizedString value="{escaped(value, name)}"/></rim:{name}>'


class Owner:
    """A registry object as its parts name it; gives them their ids.

    RIM wants an id on every part; nobody refers to these, so they follow from what they are: the
    owner's own digest in front, the part's at the end, in the form of a name-based UUID (version
    5), which every partner's check lets pass.
    """

    __slots__ = ("_front", "id")

    def __init__(self, owner_id: str) -> None:
        """``owner_id`` is the id of the object."""
        self.id = escaped(owner_id, "id")
        digits = f"{_number(owner_id) & _FREE_BITS | _VERSION_5:032x}"
        self._front = f"urn:uuid:{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-"

    def classification(self, attribute: str, position: int, content: str) -> str:
        """A Classification; ``content`` is ``code_text`` or ``author_text``."""
        scheme, end = _classification_mark(attribute, position)
        return (
            f'<rim:Classification id="{self._front}{end}" objectType="{scheme}"'
            f' classifiedObject="{self.id}" {content}</rim:Classification>'
        )

    def external_identifier(self, attribute: str, value: str) -> str:
        """An ExternalIdentifier for ``patient_id``, ``unique_id`` and those of a submission set."""
        kind, scheme, name, end = _identifier_mark(attribute)
        return (
            f'<rim:ExternalIdentifier id="{self._front}{end}" objectType="{kind}"'
            f' registryObject="{self.id}" identificationScheme="{scheme}"'
            f' value="{escaped(value, "ExternalIdentifier")}">{name}</rim:ExternalIdentifier>'
        )

    def node(self, name: str) -> str:
        """A Classification that says by its node what the object is."""
        node = registry_terms().nodes[name]
        kind = registry_terms().object_types["classification"]
        return (
            f'<rim:Classification id="{self._front}{_end(node)}" objectType="{kind}"'
            f' classifiedObject="{self.id}" classificationNode="{node}"/>'
        )


@lru_cache(maxsize=_MAX_MARKS)
def _classification_mark(attribute: str, position: int) -> tuple[str, str]:
    """The fixed attributes of a Classification, and the end of its id."""
    terms = registry_terms()
    scheme = terms.schemes[attribute]
    kind = terms.object_types["classification"]
    return f'{kind}" classificationScheme="{scheme}', _end(f"{scheme}#{position}")


@lru_cache(maxsize=_MAX_MARKS)
def _identifier_mark(attribute: str) -> tuple[str, str, str, str]:
    """The fixed attributes of an ExternalIdentifier, its Name, and the end of its id."""
    terms = registry_terms()
    scheme, name = terms.identifications[attribute]
    kind = terms.object_types["external_identifier"]
    return kind, scheme, localized_text("Name", name), _end(scheme)


@lru_cache(maxsize=_MAX_MARKS)
def _end(what: str) -> str:
    return f"{_number(what):032x}"[-_END:]


def _number(text: str) -> int:
    """128 bits that follow from a text."""
    return int.from_bytes(sha256(text.encode()).digest()[:16])


@lru_cache(maxsize=_MAX_CODES)
def code_text(code: Code) -> str:
    """The end of a Classification that carries a code, after its ``classifiedObject``."""
    slot = slot_text("codingScheme", (code.scheme,)) if code.scheme else ""
    name = localized_text("Name", code.display)
    return f'nodeRepresentation="{escaped(code.code, "nodeRepresentation")}">{slot}{name}'


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
