"""Changes to DER that keep its lengths right, and to the PEM around it.

Whole elements are repeated, dropped, swapped, retagged or taken from another original; the lengths
of everything around them are written anew, so that a change deep inside reaches the reader.
"""

from __future__ import annotations

import base64
import binascii
import re
from random import Random

from tests.fuzz.target import MutateBytes, originals

Tree = tuple[int, "bytes | list[Tree]"]

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]*)-----END \1-----\s*")
_TAGS = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x16, 0x17, 0x18, 0x30, 0x31, 0xA0, 0xA3)
_MAX_DEPTH = 20


def mutate_der(data: bytes, random: Random, byte_mutate: MutateBytes, size: int = 1 << 16) -> bytes:
    """The input with one to three changes; PEM stays PEM."""
    if random.random() < 0.2:
        return byte_mutate(data, size)
    blocks = list(_BLOCK.finditer(data))
    if blocks:
        return _pem(data, blocks, random)
    return _changed(data, random) or byte_mutate(data, size)


def _pem(data: bytes, blocks: list[re.Match[bytes]], random: Random) -> bytes:
    block = random.choice(blocks)
    label, chance = block.group(1), random.random()
    try:
        der = base64.b64decode(block.group(2))
    except binascii.Error:
        return data + data[: block.end()]
    if chance < 0.1:
        return data + block.group(0)
    if chance < 0.15:
        return data[: block.start()] + data[block.end() :]
    if chance < 0.2:
        label = random.choice((b"CERTIFICATE", b"X509 CRL", b"PUBLIC KEY", b"CERTIFICATE REQUEST"))
    der = _changed(der, random)
    text = base64.encodebytes(der)
    new = b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, text, label)
    return data[: block.start()] + new + data[block.end() :]


def _changed(der: bytes, random: Random) -> bytes:
    trees = read(der)
    if trees is None:
        return random.choice(originals("*.der"))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        lists = [trees, *_lists(trees)]
        _change(random.choice([each for each in lists if each] or [trees]), random)
    return write(trees)


def _change(siblings: list[Tree], random: Random) -> None:
    if not siblings:
        return
    place = random.randrange(len(siblings))
    tag, content = siblings[place]
    match random.randrange(8):
        case 0:
            siblings.insert(random.randrange(len(siblings) + 1), (tag, content))
        case 1:
            del siblings[place]
        case 2:
            other = random.randrange(len(siblings))
            siblings[place], siblings[other] = siblings[other], siblings[place]
        case 3:
            siblings[place] = (random.choice((*_TAGS, random.randrange(256))), content)
        case 4:
            siblings[place] = (tag, random.randbytes(random.choice((0, 1, 2, 20, 21, 200))))
        case 5:
            given = read(random.choice(originals("*.der"))) or []
            every = [tree for each in (given, *_lists(given)) for tree in each]
            siblings[place] = random.choice(every or [(tag, content)])
        case _:
            _change_value(siblings, place, random)


def _change_value(siblings: list[Tree], place: int, random: Random) -> None:
    tag, content = siblings[place]
    if isinstance(content, list):
        _change(content, random)
        return
    value = bytearray(content or b"\0")
    value[random.randrange(len(value))] ^= 1 << random.randrange(8)
    siblings[place] = (tag, bytes(value))


def _lists(trees: list[Tree]) -> list[list[Tree]]:
    found: list[list[Tree]] = []
    for _, content in trees:
        if isinstance(content, list):
            found += [content, *_lists(content)]
    return found


def read(der: bytes, depth: int = 0) -> list[Tree] | None:
    """The elements one after the other, or ``None`` when the bytes are no DER."""
    trees: list[Tree] = []
    place = 0
    while place < len(der):
        if place + 2 > len(der):
            return None
        tag, size = der[place], der[place + 1]
        place += 2
        if size & 0x80:
            count = size & 0x7F
            if count == 0 or count > 4 or place + count > len(der):
                return None
            size = int.from_bytes(der[place : place + count], "big")
            place += count
        if place + size > len(der):
            return None
        value = der[place : place + size]
        place += size
        # constructed, or an octet string that wraps DER as extensions do
        inner = read(value, depth + 1) if tag & 0x20 or tag == 0x04 else None
        trees.append((tag, inner if inner and depth < _MAX_DEPTH else value))
    return trees


def write(trees: list[Tree]) -> bytes:
    """The elements as DER."""
    parts = []
    for tag, content in trees:
        value = write(content) if isinstance(content, list) else content
        size = len(value)
        if size < 0x80:
            length = bytes([size])
        else:
            digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
            length = bytes([0x80 | len(digits)]) + digits
        parts.append(bytes([tag]) + length + value)
    return b"".join(parts)
