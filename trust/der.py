"""The few bytes of DER that ``cryptography`` does not read for us: lengths, children, OIDs.

Only definite, minimal lengths and one-byte tags exist here; whatever else comes is no DER.
"""

from __future__ import annotations

from collections.abc import Iterator

INTEGER = 0x02
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
OBJECT_IDENTIFIER = 0x06
VERSION_TAG = 0xA0

_LONG = 0x80
_MAX_LENGTH_BYTES = 4
_HIGH_TAG = 0x1F


def elements(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The elements that stand one after the other in ``data``: tag, content, the whole element.

    Raises:
        ValueError: when the bytes are not DER to their end.
    """
    start = 0
    while start < len(data):
        content, end = _bounds(data, start)
        yield data[start], data[content:end], data[start:end]
        start = end


def only(data: bytes, tag: int) -> bytes:
    """The content of ``data``, which must be exactly one element with this tag.

    Raises:
        ValueError: when it is anything else.
    """
    found = list(elements(data))
    if len(found) != 1 or found[0][0] != tag:
        raise ValueError("not one element of the expected kind")
    return found[0][1]


def dotted(content: bytes) -> str:
    """The dotted form of an OBJECT IDENTIFIER's content.

    Raises:
        ValueError: when it is not a well-formed identifier.
    """
    arcs: list[int] = []
    value = 0
    fresh = True
    for byte in content:
        if fresh and byte == _LONG:
            raise ValueError("an arc has a leading zero")
        value = value << 7 | byte & 0x7F
        fresh = not byte & _LONG
        if fresh:
            arcs.append(value)
            value = 0
    if not arcs or not fresh:
        raise ValueError("an object identifier is cut off")
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


def _bounds(data: bytes, start: int) -> tuple[int, int]:
    if len(data) - start < 2 or data[start] & _HIGH_TAG == _HIGH_TAG:  # noqa: PLR2004 - tag, length
        raise ValueError("an element is cut off, or its tag is too long")
    length = data[start + 1]
    content = start + 2
    if length & _LONG:
        size = length & 0x7F
        if not 0 < size <= _MAX_LENGTH_BYTES:
            raise ValueError("a length is indefinite or too long")
        raw = data[content : content + size]
        length = int.from_bytes(raw, "big")
        content += size
        if len(raw) != size or raw[0] == 0 or length < _LONG:
            raise ValueError("a length is not in its shortest form")
    end = content + length
    if end > len(data):
        raise ValueError("an element is longer than its bytes")
    return content, end
