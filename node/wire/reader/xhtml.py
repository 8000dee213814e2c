"""The narrative of a FHIR resource (``text.div``) as an element that the narrative's reader reads.

It is XHTML inside a JSON string (FHIR R4 2.4). HTML's named characters have no meaning in XML
without a document type, so that they are put in as what they stand for. Pure.
"""

from __future__ import annotations

import html
import re
from typing import Final

from lxml import etree

from node.errors import NodeError
from node.wire.xml import XmlLimits, parse

NAMESPACE: Final = "http://www.w3.org/1999/xhtml"
_NAMED: Final = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,30});", re.ASCII)
_OF_XML: Final = frozenset({"lt", "gt", "amp", "quot", "apos"})


def element_of(div: object, limits: XmlLimits) -> etree._Element | None:
    """The element with its ids where CDA has them; ``None`` where it is damaged."""
    if not isinstance(div, str):
        return None
    text = _NAMED.sub(_character, div.strip())
    try:
        root = parse(text.encode("utf-8", errors="replace"), limits=limits)
    except NodeError:
        return None
    for element in root.iter("*"):
        name = element.get("id") or element.get("name")
        if name:
            element.set("ID", name)
    return root


def _character(found: re.Match[str]) -> str:
    if found[1] in _OF_XML:
        return found[0]
    stands_for = html.unescape(found[0])
    return "&amp;" + found[0][1:] if stands_for == found[0] else stands_for
