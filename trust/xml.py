"""The one hardened XML parser, and canonical bytes. Nothing else decides how hostile XML is met.

Rules, each with a test:

* A document type declaration is refused, whatever it holds and in whatever encoding it is hidden:
  the bytes are brought to UTF-8 first (UTF-8, UTF-16 and four single-byte encodings are known, all
  others are refused), then the prolog is read up to the first start tag. ``resolve_entities=False``
  alone would silently blank text (DESIGN, section 4), and a bomb would already be in memory.
* Size, element, attribute and namespace counts are limited *before* parsing by counting bytes that
  every such item needs; depth is limited *while* parsing (libxml2 stops at 256) and again after it.
* Comments are dropped while parsing. Canonical XML without comments drops them too, so
  ``admin<!-- -->.example`` reads as one text everywhere, signed or not: a comment can never cut a
  signed value in two. Processing instructions stay (canonical XML keeps them);
  read text with :func:`text`, which joins what they separate.
* libxml2 keeps every distinct element and attribute name of a thread for as long as the thread
  lives (about 40 bytes each, measured). No limit per document bounds that sum: a process that
  serves strangers should parse in threads that it replaces from time to time, or watch its memory.
* No network, no external entity, no XInclude, no style sheet is ever followed.

Example::

    root = parse(body, limits=XmlLimits(max_bytes=1 << 20))
    digest = sha256(canonical(root)).digest()
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree

from trust.errors import TrustError

__all__ = [
    "DEFAULT",
    "XmlLimits",
    "canonical",
    "first_named",
    "named",
    "parse",
    "parse_canonical",
    "serialize",
    "text",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlLimits:
    """What one document may cost.

    Attributes:
        max_bytes: size of the document as received (and again as UTF-8).
        max_depth: element nesting; at most 256, where libxml2 stops by itself.
        max_elements: number of elements.
        max_attributes: number of attributes and namespace declarations in the whole document,
            counted as ``=`` signs, so a long text full of them counts too.
        max_element_attributes: attributes on any one element.
        max_namespaces: namespace declarations in the whole document.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_depth: int = 200
    max_elements: int = 1_000_000
    max_attributes: int = 1_000_000
    max_element_attributes: int = 256
    max_namespaces: int = 50_000


DEFAULT = XmlLimits()
"""Room for a large clinical document; a SOAP envelope deserves less."""

# libxml2 writes namespace names into canonical XML as they are: an ampersand in one gives octets
# that are no XML, or that mean another name. In canonical XML namespaces stand first in a tag.
_UNESCAPED = re.compile(
    rb"""<[^\s<>]++(?: xmlns(?::[^=<>\s]++)?="[^"<&]*+")*+ xmlns(?::[^=<>\s]++)?="[^"<&]*+&"""
)

_PROLOG = re.compile(rb"(?s)(?:[ \t\r\n]++|<\?.*?\?>|<!--.*?-->)*+")
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""")

# Encodings brought to UTF-8 by Python. XML 1.0 (4.3.3) demands the UTF ones; real clinical
# documents also come in the others. UTF-7 and EBCDIC could hide markup, and nobody needs them.
_SINGLE_BYTE = {
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}


def parse(data: bytes, *, limits: XmlLimits = DEFAULT) -> etree._Element:
    """Parse a document and return its root element.

    Args:
        data: the document's bytes.
        limits: what the document may cost.

    Raises:
        TrustError: ``xml-limit`` past a limit, ``xml-doctype`` for any document type declaration,
            ``xml-malformed`` for everything that is not well-formed XML in a known encoding.
    """
    _limit(len(data), limits.max_bytes, "bytes")
    data = _utf8(data)
    _limit(len(data), limits.max_bytes, "bytes")
    _refuse_doctype(data)
    elements = data.count(b"<") - data.count(b"</")
    attributes = data.count(b"=")
    _limit(elements, limits.max_elements, "elements")
    _limit(attributes, limits.max_attributes, "attributes")
    _limit(data.count(b"xmlns"), limits.max_namespaces, "namespace declarations")
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        raise _refusal(error) from None
    if root.getroottree().docinfo.internalDTD is not None:  # the prolog was read: cannot happen
        raise TrustError("xml-doctype", "The document has a document type declaration.")
    # A document with fewer elements cannot be that deep, nor one with fewer attributes that wide.
    if elements > limits.max_depth and _deeper_than(limits.max_depth)(root):
        raise TrustError("xml-limit", f"The XML is nested deeper than {limits.max_depth} elements.")
    widest = limits.max_element_attributes
    if attributes > widest and _wider_than(widest)(root):
        raise TrustError(
            "xml-limit",
            f"An element of the XML has more than {limits.max_element_attributes} attributes.",
        )
    return root


def parse_canonical(octets: bytes) -> etree._Element:
    """Parse canonical octets that were made from a tree of :func:`parse`.

    They are within its limits already, so only well-formedness is left to the parser.

    Raises:
        TrustError: ``xml-malformed`` (cannot happen for octets of :func:`canonical`).
    """
    try:
        return etree.fromstring(octets, _parser())
    except etree.XMLSyntaxError as error:
        raise _refusal(error) from None


def canonical(element: etree._Element, inclusive_prefixes: tuple[str, ...] = ()) -> bytes:
    """Exclusive canonical XML 1.0 of an element, without comments.

    Args:
        element: the element; what surrounds it does not count, except for namespaces in use.
        inclusive_prefixes: the InclusiveNamespaces PrefixList without ``#default``, which lxml
            silently leaves out.

    Raises:
        TrustError: ``xml-malformed`` when the element uses a relative namespace URI or one with an
            ampersand, or the list holds ``#default``.
    """
    if "#default" in inclusive_prefixes:
        raise TrustError(
            "xml-malformed", "The XML is to be canonicalised in a form that is not accepted."
        )
    try:
        octets = etree.tostring(
            element,
            method="c14n",
            exclusive=True,
            with_comments=False,
            with_tail=False,
            inclusive_ns_prefixes=list(inclusive_prefixes) or None,
        )
    except (etree.C14NError, ValueError) as error:
        raise TrustError(
            "xml-malformed", "The XML has no canonical form.", detail=type(error).__name__
        ) from None
    if b"&" in octets and _UNESCAPED.search(octets):
        raise TrustError(
            "xml-malformed", "The XML has no canonical form.", detail="& in a namespace name"
        )
    return octets


def serialize(element: etree._Element) -> bytes:
    """The element as UTF-8 bytes without declaration, with all namespaces it stands in."""
    return etree.tostring(element, encoding="UTF-8", xml_declaration=False, with_tail=False)


def text(element: etree._Element) -> str:
    """The element's own character data, stripped; what a processing instruction cuts is joined.

    Child elements' text is not included.
    """
    if len(element) == 0:
        return (element.text or "").strip()
    parts = [element.text or "", *(child.tail or "" for child in element)]
    return "".join(parts).strip()


def named(element: etree._Element, tag: str) -> list[etree._Element]:
    """The children of a name; ``findall`` without the cost of its path language."""
    return list(element.iterchildren(tag))


def first_named(element: etree._Element, tag: str) -> etree._Element | None:
    """The first child of a name."""
    return next(element.iterchildren(tag), None)


def _utf8(data: bytes) -> bytes:
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    elif data.startswith(
        (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff", b"\x00\x00\x00<", b"<\x00\x00\x00")
    ):
        raise _encoding("UTF-32")
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _transcode(data, "utf-16")
    elif data.startswith(b"<\x00"):
        return _transcode(data, "utf-16-le")
    elif data.startswith(b"\x00<"):
        return _transcode(data, "utf-16-be")
    declared = _DECLARED.match(data)
    if declared is None:
        return data
    name = declared.group(1).decode("ascii", "replace").strip().lower()
    if name in ("utf-8", "utf8"):
        return data
    if name not in _SINGLE_BYTE:
        raise _encoding(name)
    return _transcode(data, _SINGLE_BYTE[name])


def _transcode(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode("utf-8")
    except UnicodeError:
        raise TrustError(
            "xml-malformed", "The XML holds bytes that its encoding does not have."
        ) from None


def _encoding(name: str) -> TrustError:
    return TrustError(
        "xml-malformed",
        "The XML is in an encoding that is not accepted.",
        detail=f"declared encoding {name[:40]!r}",
    )


def _refuse_doctype(data: bytes) -> None:
    start = _PROLOG.match(data)
    if start is not None and data.startswith(b"<!", start.end()):
        raise TrustError("xml-doctype", "The document has a document type declaration.")


def _limit(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise TrustError("xml-limit", f"The XML has more than {limit} {what}.")


def _refusal(error: etree.XMLSyntaxError) -> TrustError:
    # libxml2's own text may quote the document: only its error number and place are kept.
    line, column = error.position
    kinds = etree.ErrorTypes
    code = getattr(error, "code", 0)  # lxml sets it; its stubs do not say so
    limited = code in (
        kinds.ERR_INTERNAL_ERROR,
        kinds.ERR_RESOURCE_LIMIT,
        kinds.ERR_ENTITY_LOOP,
        kinds.ERR_NAME_TOO_LONG,
    )
    return TrustError(
        "xml-limit" if limited else "xml-malformed",
        "The XML exceeds a limit of the parser." if limited else "The XML is not well-formed.",
        detail=f"libxml2 error {code}",
        where=f"line {line}, column {column}",
    )


@lru_cache(maxsize=1)
def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",  # overrides the declaration: the bytes have been transcoded
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=False,
        strip_cdata=True,
        recover=False,
        collect_ids=False,
    )


@lru_cache(maxsize=16)
def _deeper_than(depth: int) -> etree.XPath:
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


@lru_cache(maxsize=16)
def _wider_than(count: int) -> etree.XPath:
    return etree.XPath(f"boolean(//*[@*[{count + 1}]])")
