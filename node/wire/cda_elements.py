"""Small readers for HL7 v3 data types inside a CDA header: II, CD, ST, ON, TEL, AD, PN.

Liberal by rule: absent, ``nullFlavor`` and unusable all read as ``None``; counts and lengths are
bounded; white space is collapsed. Sources: HL7 v3 data types R1; facts ihe-wire 7 (XCN, XON).
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from node.model import Address, Code, PatientId, PersonName, Telecom
from node.wire.identifiers import Institution, build_xon, is_oid
from node.wire.names import HL7
from node.wire.xml import children, local_name

MAX_REPEATS = 16
_MAX_TEXT = 256
_HL7 = {"h": HL7}
_XCN_ESCAPES = str.maketrans(
    {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
)


def one(element: etree._Element | None, path: str) -> etree._Element | None:
    """The first element at a path of HL7 v3 names (``a/b``), or ``None``."""
    if element is None:
        return None
    return element.find("/".join(f"h:{step}" for step in path.split("/")), namespaces=_HL7)


def several(element: etree._Element | None, path: str) -> list[etree._Element]:
    """All elements at a path, at most ``MAX_REPEATS``."""
    if element is None:
        return []
    steps = "/".join(f"h:{step}" for step in path.split("/"))
    return element.findall(steps, namespaces=_HL7)[:MAX_REPEATS]


def plain(element: etree._Element | None, limit: int = _MAX_TEXT) -> str | None:
    """All text below an element, white space collapsed, at most ``limit`` characters."""
    if element is None:
        return None
    found = " ".join("".join(str(t) for t in element.itertext()).split())
    return found[:limit].rstrip() or None


def attribute(element: etree._Element | None, name: str) -> str | None:
    """An attribute's value, stripped, or ``None`` when absent, empty or too long."""
    value = (element.get(name) or "").strip() if element is not None else ""
    return value if 0 < len(value) <= _MAX_TEXT else None


def code(element: etree._Element | None) -> Code | None:
    """A CD or CE with code and code system; the first translation stands in for a null one."""
    if element is None:
        return None
    value, scheme = attribute(element, "code"), attribute(element, "codeSystem")
    if value is None or scheme is None:
        translation = one(element, "translation")
        return code(translation) if translation is not None else None
    return Code(code=value, scheme=scheme, display=attribute(element, "displayName"))


def identifier(element: etree._Element) -> PatientId | None:
    """An II with an OID as root and an extension, or ``None``."""
    root, extension = attribute(element, "root"), attribute(element, "extension")
    if root is None or extension is None or element.get("nullFlavor") or not is_oid(root):
        return None
    return PatientId(assigning_authority=root, id=extension)


def identifiers(element: etree._Element | None) -> tuple[PatientId, ...]:
    """The usable ids of an element, in order, without repeats."""
    found = (identifier(i) for i in several(element, "id"))
    return tuple(dict.fromkeys(i for i in found if i is not None))


def _parts(element: etree._Element, name: str) -> Iterator[str]:
    for child in children(element):
        if local_name(child) == name and not child.get("nullFlavor"):
            value = plain(child)
            if value is not None:
                yield value


def person_name(element: etree._Element) -> PersonName | None:
    """A PN with parts; a name that is one text becomes family (last word) and given names."""
    if element.get("nullFlavor"):
        return None
    family = " ".join(_parts(element, "family")) or None
    given = tuple(_parts(element, "given"))[:MAX_REPEATS]
    if family is None and not given:
        words = (plain(element) or "").split() if len(element) == 0 else []
        if not words:
            return None
        family, given = words[-1], tuple(words[:-1])
    return PersonName(
        family=family,
        given=given,
        prefix=" ".join(_parts(element, "prefix")) or None,
        suffix=" ".join(_parts(element, "suffix")) or None,
        use=attribute(element, "use"),
    )


def address(element: etree._Element) -> Address | None:
    """An AD with parts, or ``None`` when it says nothing."""
    if element.get("nullFlavor"):
        return None
    lines = tuple(_parts(element, "streetAddressLine"))[:MAX_REPEATS]
    found = Address(
        lines=lines,
        city=next(_parts(element, "city"), None),
        state=next(_parts(element, "state"), None),
        postal_code=next(_parts(element, "postalCode"), None),
        country=next(_parts(element, "country"), None),
        use=attribute(element, "use"),
    )
    said = found.lines or found.city or found.state or found.postal_code or found.country
    return found if said else None


def telecom(element: etree._Element) -> Telecom | None:
    """A TEL as URI; a bare number or mail address gets its scheme."""
    value = attribute(element, "value")
    if value is None or element.get("nullFlavor"):
        return None
    if ":" not in value:
        value = f"mailto:{value}" if "@" in value else f"tel:{value}"
    return Telecom(value=value, use=attribute(element, "use")) if value[-1] != ":" else None


def xcn(name: PersonName | None, ids: tuple[PatientId, ...], preferred: str) -> str | None:
    """A person as XCN ``id^Family^Given^Middle^Suffix^Prefix^^^&oid&ISO``.

    ``preferred`` is the authority (NPI) whose id goes first where there are several.
    """
    chosen = next((i for i in ids if i.assigning_authority == preferred), ids[0] if ids else None)
    if name is None and chosen is None:
        return None
    parts = [""] * 9
    if name is not None:
        parts[1] = name.family or ""
        parts[2] = name.given[0] if name.given else ""
        parts[3] = " ".join(name.given[1:])
        parts[4] = name.suffix or ""
        parts[5] = name.prefix or ""
    parts[0] = chosen.id if chosen else ""
    text = [part.translate(_XCN_ESCAPES) for part in parts]
    text[8] = f"&{chosen.assigning_authority}&ISO" if chosen else ""
    return "^".join(text).rstrip("^")


def xon(element: etree._Element | None) -> str | None:
    """An organisation as XON, or ``None`` when it has no name."""
    name = plain(one(element, "name"))
    if name is None:
        return None
    ids = identifiers(element)
    if ids:
        return build_xon(
            Institution(name=name, id=ids[0].id, assigning_authority=ids[0].assigning_authority)
        )
    root = next((r for i in several(element, "id") for r in [attribute(i, "root")] if r), None)
    return build_xon(Institution(name=name, id=root if root and is_oid(root) else None))
