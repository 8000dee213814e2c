"""The hardened XML parser: what it accepts is what its canonical form says, and within the limits.

Where expat reads the same bytes too (UTF-8 without declaration), both see the same elements,
attributes and text: two readers of one signed document must not disagree.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from random import Random

from lxml import etree

from tests.fuzz.target import MutateBytes, Target, hold, originals
from tests.fuzz.xml_mutation import mutate_xml
from trust.errors import TrustError
from trust.xml import XmlLimits, canonical, parse, parse_canonical, serialize, text

LIMITS = XmlLimits(
    max_bytes=1 << 15,
    max_depth=60,
    max_elements=500,
    max_attributes=700,
    max_element_attributes=40,
    max_namespaces=60,
)
_CODES = {"xml-malformed", "xml-doctype", "xml-limit"}
Node = tuple[str, tuple[tuple[str, str], ...], str, str]


def check_document(data: bytes) -> str:
    """Parse, write canonically, parse again."""
    try:
        root = parse(data, limits=LIMITS)
    except TrustError as error:
        hold(error.code in _CODES, f"the parser refuses by {error.code}")
        return error.code
    elements = list(root.iter("*"))
    hold(len(elements) <= LIMITS.max_elements, "more elements than allowed")
    hold(all(len(e.attrib) <= LIMITS.max_element_attributes for e in elements), "too wide")
    hold(_depth(root) <= LIMITS.max_depth, "too deep")
    hold(root.getroottree().docinfo.internalDTD is None, "a document type came through")
    hold(not list(root.iter(etree.Comment, etree.Entity)), "a comment or entity came through")
    for each in elements:
        text(each)
    _check_expat(data, root)
    again = parse(serialize(root), limits=XmlLimits())
    try:
        octets = canonical(root)
    except TrustError as error:
        hold(error.code == "xml-malformed", "no canonical form, but another code")
        return "no-canonical-form"
    hold(canonical(again) == octets, "writing and reading changed the canonical form")
    hold(canonical(parse_canonical(octets)) == octets, "the canonical form is not canonical")
    hold(canonical(parse(octets, limits=XmlLimits())) == octets, "the strict reading differs")
    return "accepted"


def _depth(root: etree._Element) -> int:
    deepest, stack = 0, [(root, 1)]
    while stack:
        element, depth = stack.pop()
        deepest = max(deepest, depth)
        stack.extend((child, depth + 1) for child in element.iterchildren("*"))
    return deepest


def _check_expat(data: bytes, root: etree._Element) -> None:
    if b"encoding" in data[:200] or data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        return
    try:
        other = ET.fromstring(data)
    except (ET.ParseError, ValueError):
        return
    hold(list(_expat_nodes(other)) == list(_our_nodes(root)), "expat reads another document")


def _expat_nodes(root: ET.Element) -> Iterator[Node]:
    for each in root.iter():
        yield each.tag, tuple(sorted(each.attrib.items())), each.text or "", each.tail or ""


def _our_nodes(root: etree._Element) -> Iterator[Node]:
    """As expat's tree has it: processing instructions are dropped and what they cut is joined."""
    for each in root.iter("*"):
        own, after = each.text or "", each.tail or ""
        for child in each:
            if isinstance(child.tag, str):
                break
            own += child.tail or ""
        for sibling in each.itersiblings():
            if isinstance(sibling.tag, str):
                break
            after += sibling.tail or ""
        attributes = tuple(sorted((str(k), str(v)) for k, v in each.attrib.items()))
        yield str(each.tag), attributes, own, after if each is not root else ""


def _seeds() -> Iterable[bytes]:
    yield from originals("signature-*.xml")
    yield b"<a/>"
    yield b'<?xml version="1.0" encoding="iso-8859-1"?><a b="\xe9">\xe9<![CDATA[<x>]]></a>'
    yield "<?xml version='1.0' encoding='UTF-16'?><a>\u00e9</a>".encode("utf-16")
    yield b"\xef\xbb\xbf<!-- c --><?p i?><a xmlns:x='u:x' x:y='&#13;&lt;'><x:b/>&amp;</a>"
    yield b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>"
    yield b"<a>" * 61 + b"</a>" * 61


def _mutate(data: bytes, random: Random, byte_mutate: MutateBytes) -> bytes:
    # The parser is met by raw bytes more often than the verifier behind it.
    if random.random() < 0.4:
        return byte_mutate(data, 1 << 15)
    return mutate_xml(data, random, byte_mutate, 1 << 15)


XML = Target(
    name="xml",
    check=check_document,
    seeds=_seeds,
    mutate=_mutate,
    max_bytes=8 * 1024,
    weight=2,
)
