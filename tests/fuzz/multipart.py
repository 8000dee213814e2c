"""The MTOM parser: the same message whichever way it is cut, in bounded memory.

An input is a Content-Type, a line feed and a body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle
from random import Random

from node.errors import WireError
from node.wire.mtom import (
    Attached,
    Event,
    MtomLimits,
    PartBegin,
    PartData,
    RootPart,
    binary_content,
    find_part,
)
from node.wire.mtom_parser import MtomParser
from node.wire.mtom_writer import MtomWriter
from node.wire.xml import parse
from tests.fuzz.target import MutateBytes, Target, hold

_LIMITS = MtomLimits(
    root_bytes=4096,
    part_bytes=4096,
    total_bytes=1 << 15,
    parts=12,
    header_bytes=600,
    headers=6,
    surroundings_bytes=300,
)
_LEFT_OVER = 700
"""Bytes that a parser may keep: headers of one part, or a line before the first."""
_SIZES = ((1,), (2, 3), (7, 1, 64), (200,))


def check_multipart(data: bytes) -> str:
    """Feed a body whole, byte by byte and in odd pieces."""
    head, _, body = data.partition(b"\n")
    content_type = head.decode("latin-1")
    whole = _outcome(content_type, [body])
    for sizes in _SIZES:
        pieces = _outcome(content_type, _cut(body, sizes))
        hold(_same(pieces, whole), f"cut by {sizes}: {pieces!r} instead of {whole!r}")
    if isinstance(whole, str):
        return whole
    _check_content(whole)
    return "accepted"


Parts = list[object]


def _same(one: str | Parts, other: str | Parts) -> bool:
    # A limit on the whole body is met before its content when all of it comes at once.
    if isinstance(one, str) and isinstance(other, str):
        return one == other or "mtom-limit" in {one, other}
    return one == other


def _cut(body: bytes, sizes: tuple[int, ...]) -> Iterator[bytes]:
    place = 0
    for size in cycle(sizes):
        if place >= len(body):
            return
        yield body[place : place + size]
        place += size


def _outcome(content_type: str, pieces: Iterable[bytes]) -> str | Parts:
    """The parts with their data joined, or an error's code."""
    found: Parts = []
    try:
        parser = MtomParser(content_type, _LIMITS)
        for piece in pieces:
            for event in parser.feed(piece):
                _take(found, event)
            hold(len(parser._pending) <= _LEFT_OVER + len(piece), "bytes pile up")
        for event in parser.close():
            _take(found, event)
    except WireError as error:
        hold(error.code in {"mtom-malformed", "mtom-limit", "content-type-invalid"}, error.code)
        return error.code
    return found


def _take(found: Parts, event: Event) -> None:
    if isinstance(event, PartData) and found and isinstance(found[-1], bytes):
        found[-1] += event.data
    elif isinstance(event, PartData):
        found.append(event.data)
    else:
        found.append(event)


def _check_content(parts: Parts) -> None:
    root = next(part for part in parts if isinstance(part, RootPart))
    known = {part.content_id or "" for part in parts if isinstance(part, PartBegin)}
    try:
        envelope = parse(root.data)
    except WireError:
        return
    for element in envelope.iter("*"):
        try:
            content = binary_content(element)
            if isinstance(content, Attached):
                find_part(content.content_id, known)
        except WireError as error:
            hold(error.code in {"mtom-malformed", "mtom-part-missing", "xml-malformed"}, error.code)


def _seeds() -> Iterable[bytes]:
    writer = MtomWriter(boundary="b1", root_cid="root@n", action="urn:x")
    xop = "http://www.w3.org/2004/08/xop/include"
    root = f'<d xmlns:x="{xop}"><x:Include href="cid:a%40n"/></d>'.encode()
    body = writer.head(root) + writer.part_head("a@n", "text/xml") + b"<doc/>" + writer.part_end()
    body += writer.part_head("b@n", "application/pdf") + b"\r\n--b\r\n" * 3 + writer.part_end()
    message = writer.content_type.encode() + b"\n" + body + writer.tail()
    yield message
    yield message.replace(b"\r\n", b"\n")
    yield message.replace(b"binary\r\nContent-ID: <a@n>", b"base64\r\nContent-ID: <a@n>").replace(
        b"<doc/>", b"PGRvYy8+\r\nPGRvYy8+"
    )
    yield b"multipart/related; boundary=other\npreamble\r\n" + body + writer.tail() + b"epilogue"
    yield b"application/soap+xml\n<d>PGRvYy8+</d>"
    yield b'multipart/related; boundary="b1"; start="<b@n>"\n' + body + writer.tail()


_WORDS = (
    b"--b1", b"--b1--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"--", b" \t", b"--b1 \r\n",
    b"Content-ID: <a@n>\r\n", b"Content-Transfer-Encoding: base64\r\n", b"Content-Type: a/b\r\n",
    b"PGRvYy8+", b"=", b"==", b"%40", b"cid:", b"\r\n--b1\r\n\r\n", b"start=<a@n>; ", b"x" * 130,
)  # fmt: skip


def _mutate(data: bytes, random: Random, byte_mutate: MutateBytes) -> bytes:
    if random.random() < 0.4:
        return byte_mutate(data, 3 * 1024)
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(changed) + 1)
        end = min(len(changed), place + random.choice((0, 1, 2, 8, 40)))
        match random.randrange(4):
            case 0:
                changed[place:end] = random.choice(_WORDS)
            case 1:
                changed[place:place] = random.choice(_WORDS)
            case 2:
                other = random.randrange(len(changed) + 1)
                changed[place:place] = changed[other : other + random.choice((4, 20, 100))]
            case _:
                del changed[place:end]
    return bytes(changed)


MTOM = Target(
    name="mtom",
    check=check_multipart,
    seeds=_seeds,
    mutate=_mutate,
    max_bytes=3 * 1024,
    weight=3,
)
