"""Building and reading element trees quickly: the two habits that all codecs of this package share.

Building goes through ``add``, which writes into the tree directly (no detached elements that lxml
must move and re-namespace), or, for the messages that are many or long, through text whose values
are ``escaped``; reading goes through ``grouped``, one pass over the children by local
name, because what partners do to namespaces and order is not worth a refusal.
"""

from __future__ import annotations

from lxml import etree

from node.errors import LimitError, OurFault, WireError
from node.wire.xml import escape, text

__all__ = [
    "MAX_TEXT",
    "Group",
    "add",
    "escaped",
    "fill",
    "first",
    "grouped",
    "limited",
    "new_root",
    "value_of",
]

MAX_TEXT = 4096
"""Characters of one value; longer ones are refused (law 7). The longest real ones are URIs."""

Group = dict[str, list[etree._Element]]  # noqa: SLF001 - lxml has no public name for the type
"""Child elements by local name, in document order within a name."""


def new_root(tag: str, nsmap: dict[str | None, str]) -> etree._Element:
    """A root element that declares all prefixes of its tree."""
    return etree.Element(tag, nsmap=nsmap)  # type: ignore[arg-type]  # None is the default namespace


def add(
    parent: etree._Element, tag: str, content: str | None = None, **attributes: str | None
) -> etree._Element:
    """Append a child; attributes of ``None`` are left out.

    Raises:
        OurFault: ``text-not-xml`` when a value has a character that XML cannot carry.
    """
    return fill(etree.SubElement(parent, tag), content, **attributes)


def fill(
    element: etree._Element, content: str | None = None, **attributes: str | None
) -> etree._Element:
    """Set attributes and text of an element, those that are not ``None``, and return it.

    Raises:
        OurFault: ``text-not-xml`` when a value has a character that XML cannot carry.
    """
    try:
        for name, value in attributes.items():
            if value is not None:
                element.set(name, value)
        if content is not None:
            element.text = content
    except ValueError:
        raise OurFault(
            "text-not-xml",
            "A value to be sent has a character that XML cannot carry.",
            where=str(element.tag).rpartition("}")[2],
        ) from None
    return element


def escaped(value: str, where: str) -> str:
    """A value as character data or inside a double-quoted attribute, for codecs that write text.

    Raises:
        OurFault: ``text-not-xml`` when it has a character that XML cannot carry.
    """
    if value.isprintable() and not ("&" in value or "<" in value or ">" in value or '"' in value):
        return value  # nearly all are; five scans in C cost less than one regular expression
    try:
        written = escape(value)
    except WireError:
        raise OurFault(
            "text-not-xml",
            "A value to be sent has a character that XML cannot carry.",
            where=where,
        ) from None
    # an attribute would be read with spaces in their place
    return written.replace("\n", "&#10;").replace("\t", "&#9;")


def grouped(element: etree._Element | None) -> Group:
    """The children by local name; processing instructions and comments are passed over."""
    groups: Group = {}
    if element is None:
        return groups
    for child in element:
        tag = child.tag
        if isinstance(tag, str):
            groups.setdefault(tag.rpartition("}")[2], []).append(child)
    return groups


def first(group: Group, name: str) -> etree._Element | None:
    """The first child of a name."""
    found = group.get(name)
    return found[0] if found else None


def limited(value: str, where: str) -> str:
    """The value, stripped.

    Raises:
        LimitError: ``value-too-long`` past ``MAX_TEXT`` characters.
    """
    if len(value) > MAX_TEXT:
        raise LimitError(
            "value-too-long", f"A value is longer than {MAX_TEXT} characters.", where=where
        )
    return value.strip()


def value_of(element: etree._Element | None) -> str | None:
    """The element's stripped text within the limit, ``None`` when empty or absent."""
    if element is None:
        return None
    content = text(element)
    return limited(content, str(element.tag).rpartition("}")[2]) if content else None
