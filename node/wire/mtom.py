"""MTOM messages: one SOAP part and its attachments, streamed through in constant memory.

``MtomParser`` (``mtom_parser``) takes bytes as they come and gives events; ``MtomWriter``
(``mtom_writer``) gives the bytes around a root part and its attachments. This module holds what
both share: the events, the limits, content ids, and how an element carries its binary content (by
``xop:Include``, as inline base64, or, against the rules, as plain text or XML).

Sources: W3C XOP 1.0 and SOAP MTOM 1.0, RFC 2387 (multipart/related), RFC 2392 (cid), RFC 2046.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from lxml import etree

from node.errors import WireError
from node.wire.names import XOP, Deviation
from node.wire.xml import canonical, children, text

_INCLUDE = f"{{{XOP}}}Include"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MtomLimits:
    """What one MTOM message may cost; sizes in bytes.

    Attributes:
        root_bytes: the SOAP part, which is the only one held in memory.
        part_bytes: one attachment, after decoding.
        total_bytes: the whole body as received.
        parts: number of parts, the root included.
        header_bytes: all headers of one part.
        headers: number of headers of one part.
        surroundings_bytes: text before the first and after the last part, each.
    """

    root_bytes: int = 16 * _MIB
    part_bytes: int = 1024 * _MIB
    total_bytes: int = 4096 * _MIB
    parts: int = 1000
    header_bytes: int = 16 * 1024
    headers: int = 32
    surroundings_bytes: int = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RootPart:
    """The SOAP part, whole. ``headers`` have lower-case names."""

    data: bytes
    content_id: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartBegin:
    """An attachment starts; ``content_id`` is without angle brackets, ``None`` if it has none."""

    content_id: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartData:
    """The next bytes of the attachment that started last."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEnd:
    """The attachment that started last is complete: ``size`` bytes after decoding."""

    content_id: str | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The message is complete; ``deviations`` are those the parser tolerated."""

    deviations: tuple[str, ...] = ()


Event = RootPart | PartBegin | PartData | PartEnd | End


def content_id_of(href: str) -> str:
    """The content id that a ``cid:`` URL names, percent-decoded (RFC 2392).

    Raises:
        WireError: ``mtom-malformed`` for any other kind of URL: nothing is ever fetched.
    """
    stripped = href.strip()
    if stripped[:4].lower() != "cid:" or len(stripped) == len("cid:"):
        raise WireError("mtom-malformed", "An xop:Include does not name a part of the message.")
    return unquote(stripped[4:])


def same_content_id(one: str | None, other: str | None) -> bool:
    """Whether two content ids are equal, as written or percent-decoded."""
    return (
        one is not None and other is not None and (one == other or unquote(one) == unquote(other))
    )


def find_part(content_id: str, known: Collection[str]) -> str:
    """Which of the parts seen is meant by a content id of ``content_id_of``.

    Some stacks write the Content-ID header percent-encoded as well, so an equal decoded form is
    accepted where no part has the exact id.

    Raises:
        WireError: ``mtom-part-missing`` when there is none.
    """
    if content_id in known:
        return content_id
    for one in known:
        if same_content_id(one, content_id):
            return one
    raise WireError("mtom-part-missing", "The message refers to a part that it does not have.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """Binary content that travels as the part with this content id (percent-decoded)."""

    content_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """Binary content found inside the root part, decoded, with what was tolerated."""

    data: bytes
    deviations: tuple[str, ...] = (Deviation.DOCUMENT_INLINE,)


def binary_content(element: etree._Element) -> Attached | Inline:
    """How an element of type base64Binary carries its content.

    Accepted, in this order: ``xop:Include``; base64 text (white space and missing padding are
    allowed); XML or text that was not encoded at all, which is taken as UTF-8 (facts: ihe-wire 1,
    tolerated shapes a to c). An empty element is empty content.

    Raises:
        WireError: ``mtom-malformed`` when an ``xop:Include`` has company or no ``cid:`` URL.
    """
    inside = list(children(element))
    if inside and inside[0].tag == _INCLUDE:
        if len(inside) > 1 or text(element):
            raise WireError("mtom-malformed", "An xop:Include is not alone in its element.")
        return Attached(content_id=content_id_of(inside[0].get("href", "")))
    if inside:
        return _unencoded(b"".join(canonical(child) for child in inside))
    raw = text(element) or ""
    try:
        packed = "".join(raw.split()).encode("ascii")
        return Inline(data=_base64(packed))
    except (UnicodeEncodeError, binascii.Error):
        return _unencoded(raw.encode())


def _base64(packed: bytes) -> bytes:
    missing = -len(packed) % 4
    padding = b"" if missing == 3 else b"=" * missing  # noqa: PLR2004 - one sign alone is no byte
    return base64.b64decode(packed + padding, validate=True)


def _unencoded(data: bytes) -> Inline:
    return Inline(data=data, deviations=(Deviation.DOCUMENT_INLINE, Deviation.DOCUMENT_UNENCODED))
