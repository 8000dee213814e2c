"""Bytes to the segments of one HL7 v2 message, within limits; and a file to its messages.

The library ``hl7`` splits a message by the separators that it declares. It is given the segments
that are read and no others, after a count of its separators: it makes an object for each part, so
a message of nothing but separators would take a thousand times its size. Its ``unescape`` is not
used: it writes what it cannot read into the process's log, and lets a sender ask for any number of
blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import hl7

from node.wire.hl7v2.refusals import Refusal, adt_tables, refusal

READ: Final = ("MSH", "EVN", "PID", "PV1", "PV2", "MRG")
"""The segments that are read."""

MOST_SEGMENTS: Final = 200
MOST_PARTS: Final = 20_000
"""Of one message: segments that are read, and separators in them."""

MOST_MESSAGE_BYTES: Final = 1024 * 1024

_SEPARATORS: Final = re.compile(r"MSH([!-/:-@\[-`{-~])([!-/:-@\[-`{-~]{3,5})(?=\1)")
_BREAK: Final = re.compile(rb"[\r\n\x0b\x1c]+")
_BEGIN: Final = re.compile(rb"(?m)^\s*MSH(?=[^A-Za-z0-9\s])")
_CHARSET_FIELD: Final = 17


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment. Fields are counted as the standard counts them, repetitions and so on from 1."""

    name: str
    fields: tuple[tuple[tuple[tuple[str, ...], ...], ...], ...]

    def repetitions(self, field: int) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """The repetitions of a field: each its components, each of these its subcomponents."""
        return self.fields[field] if 0 <= field < len(self.fields) else ()

    def text(self, field: int, component: int = 1, sub: int = 1) -> str:
        """One part of the first repetition; empty where it is absent or null."""
        for repetition in self.repetitions(field):
            return part(repetition, component, sub)
        return ""


def part(repetition: Sequence[Sequence[str]], component: int, sub: int = 1) -> str:
    """One part of a repetition; empty where it is absent, or explicitly null (``""``)."""
    if len(repetition) < component or len(repetition[component - 1]) < sub:
        return ""
    text = repetition[component - 1][sub - 1].strip()
    return "" if text == '""' else text


def read_message(data: bytes, *, max_bytes: int = MOST_MESSAGE_BYTES) -> list[Segment] | Refusal:
    """The segments that are read of one message, MSH first; or why it cannot be read."""
    if len(data) > max_bytes:
        return refusal("hl7-too-large")
    lines = [line.strip(b" \t") for line in _BREAK.split(data.removeprefix(b"\xef\xbb\xbf"))]
    wanted = [line for line in lines if line[:3].decode("latin-1") in READ]
    if not wanted or not wanted[0].startswith(b"MSH"):
        return refusal("hl7-unreadable")
    text = _decoded(wanted)
    if isinstance(text, Refusal):
        return text
    return _refused(text, len(wanted)) or _split(text)


def _refused(text: str, segments: int) -> Refusal | None:
    """Why a text is not split: separators that are none, or too many parts."""
    declared = _SEPARATORS.match(text)
    signs = declared.group(1) + declared.group(2)[:4] if declared else ""
    if declared is None or len(set(signs)) != len(signs):
        return refusal("hl7-unreadable")
    if segments > MOST_SEGMENTS or sum(map(text.count, signs)) > MOST_PARTS:
        return refusal("hl7-too-large")
    return None


def _split(text: str) -> list[Segment] | Refusal:
    try:
        parsed = hl7.parse(text)
        return [_segment(parsed, each) for each in parsed]
    except Exception:  # noqa: BLE001 - the library raises many kinds; none may stop a feed
        return refusal("hl7-unreadable")


def split_messages(data: bytes) -> Iterator[bytes]:
    """The messages of a file: one, several one after the other, framed, or in a batch."""
    starts = [found.start() for found in _BEGIN.finditer(_BREAK.sub(b"\n", data))]
    whole = _BREAK.sub(b"\n", data)
    if not starts:
        yield whole
        return
    for start, end in zip(starts, [*starts[1:], len(whole)], strict=True):
        yield whole[start:end].strip()


def _decoded(lines: Sequence[bytes]) -> str | Refusal:
    """The text in the character set that MSH-18 names; of none UTF-8, or else Latin-1."""
    header = lines[0].split(lines[0][3:4])
    named = header[_CHARSET_FIELD] if len(header) > _CHARSET_FIELD else b""
    # the first repetition is the message's; further ones are reached by escapes, which are dropped
    name = re.split(rb"[~^]", named)[0].decode("latin-1").strip().upper()
    codec = adt_tables().charsets.get(name)
    if codec is None:
        return refusal("hl7-charset")
    joined = b"\r".join(lines)
    try:
        return joined.decode(codec)
    except UnicodeDecodeError:
        return refusal("hl7-charset") if name else joined.decode("iso-8859-1")


def _segment(message: hl7.Message, segment: hl7.Segment) -> Segment:
    name = str(segment[0])
    fields: list[tuple[tuple[tuple[str, ...], ...], ...]] = []
    for number, field in enumerate(segment):
        if name == "MSH" and number in (1, 2):  # the separators themselves
            fields.append(((((str(field)),),),))
            continue
        repetitions = [] if str(field) == "" else _parts(field)
        fields.append(
            tuple(
                tuple(
                    tuple(_unescaped(message, str(sub)) for sub in _parts(component))
                    for component in _parts(repetition)
                )
                for repetition in repetitions
            )
        )
    return Segment(name, tuple(fields))


def _parts(container: object) -> Sequence[object]:
    """The parts of a container; the library leaves out levels that have one part alone."""
    return container if isinstance(container, list) else [container]


def _unescaped(message: hl7.Message, text: str) -> str:
    """A text without escape sequences (HL7 v2 2.7); those that mean nothing to us are dropped."""
    sign = str(message.esc)
    if sign not in text:
        return text
    _, field, repeat, component, sub = message.separators
    signs = {"F": field, "R": repeat, "S": component, "T": sub, "E": sign}

    def plain(found: re.Match[str]) -> str:
        inside = found.group(1)
        if inside.startswith("X") and _HEX.fullmatch(inside[1:]):
            return bytes.fromhex(inside[1:]).decode("utf-8", "replace")
        return str(signs.get(inside, ""))

    mark = re.escape(sign)
    return re.sub(rf"{mark}([^{mark}]*){mark}", plain, text)


_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
