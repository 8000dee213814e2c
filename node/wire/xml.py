"""XML for the codecs: the hardened parser behind one boundary, and small aids to read and build.

``trust.xml`` decides how hostile XML is met; here its ``TrustError`` becomes the ``WireError`` or
``LimitError`` that a codec raises, so that a codec's caller meets one family. Codecs read with
``text``, ``local_name``, ``children`` and build with ``E``::

    E(RS, "RegistryResponse", {"status": status}, E(RS, "RegistryErrorList", {}))

Prefixes are ours on output (``names.PREFIXES``) and meaningless on input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape as _escape

from lxml import etree

from node.errors import LimitError, WireError
from node.wire.names import PREFIXES
from trust import xml as trusted
from trust.errors import TrustError
from trust.xml import XmlLimits

__all__ = [
    "DEFAULT_LIMITS",
    "E",
    "XmlLimits",
    "canonical",
    "children",
    "escape",
    "local_name",
    "namespace",
    "parse",
    "serialize",
    "text",
]

DEFAULT_LIMITS = trusted.DEFAULT
_NOT_XML = re.compile("[^\\t\\n\\r -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What the ``Char`` production of XML 1.0 leaves out."""
_PREFIX_OF = {uri: prefix for prefix, uri in PREFIXES.items()}


def parse(data: bytes, *, limits: XmlLimits = DEFAULT_LIMITS) -> etree._Element:
    """Parse a document with the hardened parser.

    Raises:
        LimitError: ``xml-limit`` past a limit (size, depth, elements, attributes).
        WireError: ``xml-doctype`` for any DOCTYPE, ``xml-malformed`` for what is not well-formed.
    """
    try:
        return trusted.parse(data, limits=limits)
    except TrustError as error:
        family = LimitError if error.code == "xml-limit" else WireError
        raise family(error.code, error.sentence, detail=error.detail, where=error.where) from error


def canonical(element: etree._Element, inclusive_prefixes: tuple[str, ...] = ()) -> bytes:
    """Exclusive canonical XML of an element without comments.

    Args:
        element: the element.
        inclusive_prefixes: prefixes to declare although no name uses them.

    Raises:
        WireError: ``xml-malformed`` when it has no canonical form (a relative namespace).
    """
    try:
        return trusted.canonical(element, inclusive_prefixes)
    except TrustError as error:
        raise WireError(error.code, error.sentence, detail=error.detail) from error


def serialize(element: etree._Element) -> bytes:
    """The element as UTF-8 without declaration, with the namespaces it stands in, without tail."""
    return trusted.serialize(element)


def text(element: etree._Element | None) -> str | None:
    """The element's own text, stripped; ``None`` when there is no element or no text."""
    if element is None:
        return None
    return trusted.text(element) or None


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def namespace(element: etree._Element) -> str:
    """The element's namespace, empty when it has none."""
    return str(element.tag).rpartition("}")[0][1:]


def children(element: etree._Element) -> Iterator[etree._Element]:
    """The child elements; comments and processing instructions are left out."""
    return element.iterchildren("*")


def escape(value: str) -> str:
    """A text as character data or inside a double-quoted attribute.

    Raises:
        WireError: ``xml-malformed`` when it has a character that XML cannot carry.
    """
    if _NOT_XML.search(value):
        raise WireError("xml-malformed", "A value has a character that XML cannot carry.")
    return _escape(value, {'"': "&quot;", "\r": "&#13;"})


def E(  # noqa: N802 - the name lxml users know for an element builder
    uri: str,
    name: str,
    attributes: Mapping[str, str | None] | None = None,
    *content: etree._Element | str | None,
) -> etree._Element:
    """Build an element.

    Args:
        uri: its namespace; the prefix is ours, or a default declaration for HL7 v3, whose partners
            demand it (facts: ihe-wire 12).
        name: its local name.
        attributes: by name (Clark notation for qualified ones); those of ``None`` are left out.
        content: child elements and text in order; ``None`` is left out.

    Raises:
        WireError: ``xml-malformed`` when a text has a character that XML cannot carry.
    """
    prefix = _PREFIX_OF.get(uri)
    nsmap: dict[str | None, str] | None = (
        {None if prefix == "hl7" else prefix: uri} if uri else None
    )
    tag = f"{{{uri}}}{name}" if uri else name
    try:
        element = etree.Element(tag, nsmap=nsmap)  # type: ignore[arg-type]  # None is the default namespace
        for key, value in (attributes or {}).items():
            if value is not None:
                element.set(key, value)
        for part in content:
            if part is None:
                continue
            if not isinstance(part, str):
                element.append(part)
            elif len(element):
                element[-1].tail = (element[-1].tail or "") + part
            else:
                element.text = (element.text or "") + part
    except ValueError:
        raise WireError("xml-malformed", "A value has a character that XML cannot carry.") from None
    return element
