"""A push parser for MTOM bodies: bytes in, events out, no I/O (in the manner of h11).

Example::

    parser = MtomParser(headers["content-type"], MtomLimits())
    async for chunk in body:
        for event in parser.feed(chunk):
            match event: ...
    for event in parser.close():
        ...

Events come in the order of the wire: ``RootPart`` once, ``PartBegin PartData* PartEnd`` for every
attachment, ``End`` once. The standard lets attachments stand before the root part; then their
events come first. Only the root part and, while one is read, the headers of a part are held;
everything else passes through. A body that is not multipart (an answer without MTOM) is one
``RootPart``, so that a caller needs one way to read all answers.

Tolerated and counted in ``End.deviations``: a boundary in the body that differs from the one in the
header, a ``start`` that names no part, bare line feeds, base64 parts, a plain body. What is broken
or cut off is a ``WireError``.

How the search works: a delimiter is a line break, two hyphens and the boundary. ``bytes.find``
looks for it with a bare line feed, so that both kinds of line break are met; the last bytes of a
chunk that could be the start of a delimiter are kept back for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto

from node.errors import LimitError, WireError
from node.wire.content_type import (
    MULTIPART_RELATED,
    SOAP_XML,
    XOP_XML,
    ContentType,
    parse_content_type,
)
from node.wire.mime_part import Base64Stream, bare_content_id, parse_headers
from node.wire.mtom import (
    End,
    Event,
    MtomLimits,
    PartBegin,
    PartData,
    PartEnd,
    RootPart,
    same_content_id,
)
from node.wire.names import Deviation

_PLAIN = frozenset({SOAP_XML, XOP_XML, "application/xml", "text/xml"})
_MAX_BOUNDARY = 200
_MAX_PADDING = 128
_CR = 0x0D
_GUESS = re.compile(rb"--[0-9A-Za-z'()+_,./:=?@<>-]{1,200}")
_IDENTITY = frozenset({"", "binary", "8bit", "7bit"})


class _State(Enum):
    PREAMBLE = auto()  # before the first delimiter
    HEADERS = auto()  # after a delimiter line
    BODY = auto()  # inside a part
    EPILOGUE = auto()  # after the closing delimiter
    PLAIN = auto()  # a body that is not multipart
    CLOSED = auto()


class MtomParser:
    """Takes the bytes of one HTTP body and gives its parts as events.

    Args:
        content_type: the HTTP Content-Type, as text or parsed.
        limits: what the message may cost.
        expected: whether the transaction prescribes MTOM (``names.Operation.mtom``); the other form
            is read as well and counted.

    Raises:
        WireError: ``content-type-invalid`` when it is neither multipart/related with a boundary
            nor a SOAP or XML type.
    """

    def __init__(
        self, content_type: str | ContentType, limits: MtomLimits, *, expected: bool = True
    ) -> None:
        if isinstance(content_type, str):
            content_type = parse_content_type(content_type)
        self._limits = limits
        self._deviations: dict[str, None] = {}
        self._start = bare_content_id(content_type.get("start"))
        self._pending = b""
        self._received = 0
        self._discarded = 0
        self._parts = 0
        self._root: list[bytes] | None = None
        self._root_seen = False
        self._headers: Mapping[str, str] = {}
        self._content_id: str | None = None
        self._size = 0
        self._base64: Base64Stream | None = None
        self._line_seen = False
        self._at_start = False
        self._announced = False
        if content_type.media_type == MULTIPART_RELATED:
            boundary = (content_type.get("boundary") or "").encode("utf-8")
            if not 0 < len(boundary) <= _MAX_BOUNDARY or b"\n" in boundary or b"\r" in boundary:
                raise WireError(
                    "content-type-invalid", "The multipart type has no usable boundary."
                )
            self._delimiter = b"--" + boundary
            self._state = _State.PREAMBLE
            if not expected:
                self._deviate(Deviation.MTOM_NOT_EXPECTED)
        elif content_type.media_type in _PLAIN:
            self._delimiter = b""
            self._state = _State.PLAIN
            self._root = []
            if content_type.media_type != SOAP_XML:
                self._deviate(Deviation.CONTENT_TYPE)
            if expected:
                self._deviate(Deviation.MTOM_NOT_USED)
        else:
            raise WireError("content-type-invalid", "The Content-Type is none of a SOAP message.")

    @property
    def deviations(self) -> tuple[str, ...]:
        """What has been tolerated so far."""
        return tuple(self._deviations)

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; returns the events they complete, never more than they hold.

        Raises:
            LimitError: ``mtom-limit``.
            WireError: ``mtom-malformed``. After an error the parser must not be used again.
        """
        self._received += len(data)
        self._check(self._received, self._limits.total_bytes, "bytes")
        events: list[Event] = []
        buffer = self._pending + data if self._pending else data
        self._pending = b""
        position = 0
        while position < len(buffer):
            state = self._state
            before = position
            if state is _State.BODY:
                position = self._read_body(buffer, position, events)
            elif state is _State.HEADERS:
                position = self._read_headers(buffer, position)
            elif state is _State.PREAMBLE:
                position = self._read_preamble(buffer, position)
            elif state is _State.PLAIN:
                self._emit(buffer, events)
                position = len(buffer)
            elif state is _State.EPILOGUE:
                self._discard(len(buffer) - position)
                position = len(buffer)
            else:
                raise WireError("mtom-malformed", "Bytes came after the message was closed.")
            if position == before and state is self._state:
                self._pending = buffer[position:]  # what is there is not enough to decide
                break
        return events

    def close(self) -> list[Event]:
        """Say that the body has ended; returns the last events, ``End`` at the latest here.

        Raises:
            WireError: ``mtom-malformed`` when the body ended before its closing delimiter, or had
                no root part.
        """
        events: list[Event] = []
        if self._state is _State.PLAIN:
            self._end_part(events)
        elif self._state is not _State.EPILOGUE:
            raise WireError("mtom-malformed", "The multipart body ends before its last delimiter.")
        if not self._root_seen:
            raise WireError("mtom-malformed", "The multipart body has no root part.")
        self._state = _State.CLOSED
        events.append(End(deviations=self.deviations))
        return events

    # Each reader takes the buffer and a position and returns how far it came; one that did not move
    # and did not change the state needs more bytes.

    def _read_preamble(self, buffer: bytes, position: int) -> int:
        line_end = buffer.find(b"\n", position)
        if line_end < 0:
            self._check(
                self._discarded + len(buffer) - position,
                self._limits.surroundings_bytes,
                "bytes before the first part",
            )
            return position
        line = buffer[position : line_end + 1]
        stripped = line.rstrip()
        if stripped and not self._line_seen:
            self._line_seen = True
            guess = _GUESS.fullmatch(stripped)
            if guess and stripped not in (self._delimiter, self._delimiter + b"--"):
                self._deviate(Deviation.MTOM_BOUNDARY)
                self._delimiter = stripped
        if stripped == self._delimiter:
            self._note_line_feed(line)
            self._state = _State.HEADERS
        elif stripped == self._delimiter + b"--":
            self._state = _State.EPILOGUE
        else:
            self._discard(len(line))
        return line_end + 1

    def _read_headers(self, buffer: bytes, position: int) -> int:
        """Read all headers of a part at once, so that nothing half-read is kept but bytes."""
        lines: list[bytes] = []
        start = position
        while True:
            line_end = buffer.find(b"\n", start)
            seen = (line_end if line_end >= 0 else len(buffer)) - position
            self._check(seen, self._limits.header_bytes, "bytes of part headers")
            if line_end < 0:
                return position
            line = buffer[start:line_end].rstrip(b"\r")
            start = line_end + 1
            if not line.strip():
                break
            self._check(len(lines) + 1, 2 * self._limits.headers, "lines of part headers")
            lines.append(line)
        self._begin_part(parse_headers(lines, self._limits.headers))
        return start

    def _read_body(self, buffer: bytes, position: int, events: list[Event]) -> int:
        """Pass on content up to the next delimiter, or as far as none can have started."""
        self._announce(events)
        marker = b"\n" + self._delimiter
        search = position
        if self._at_start:
            # the empty line after the headers may at once be the line break of a delimiter
            head = buffer[position : position + len(self._delimiter)]
            if head == self._delimiter:
                verdict = self._after_delimiter(buffer, position + len(head))
                if verdict is None:
                    return position
                if verdict >= 0:
                    self._end_part(events)
                    return verdict
            elif self._delimiter.startswith(head):
                return position
            self._at_start = False
        while True:
            found = buffer.find(marker, search)
            if found < 0:
                break
            verdict = self._after_delimiter(buffer, found + len(marker))
            if verdict is not None and verdict < 0:
                search = found + 1
                continue
            content_end = found - 1 if found > position and buffer[found - 1] == _CR else found
            self._emit(buffer[position:content_end], events)
            if verdict is None:
                return content_end
            self._end_part(events)
            return verdict
        content_end = self._undecided_from(buffer, position, marker)
        self._emit(buffer[position:content_end], events)
        return content_end

    def _after_delimiter(self, buffer: bytes, position: int) -> int | None:
        """Judge what follows a delimiter's text.

        Returns:
            Where the next thing starts (the state is set), -1 when this is no delimiter, ``None``
            when more bytes are needed.
        """
        if buffer.startswith(b"--", position):
            self._state = _State.EPILOGUE
            return position + 2
        line_end = buffer.find(b"\n", position, position + _MAX_PADDING)
        padding = buffer[position : line_end if line_end >= 0 else position + _MAX_PADDING]
        if line_end < 0 and (
            padding == b"-" or (not padding.strip() and len(padding) < _MAX_PADDING)
        ):
            return None
        if line_end < 0 or padding.strip():
            return -1
        self._note_line_feed(buffer[position : line_end + 1])
        self._state = _State.HEADERS
        return line_end + 1

    def _undecided_from(self, buffer: bytes, position: int, marker: bytes) -> int:
        """Where a delimiter may have started that the buffer does not hold whole."""
        last = buffer.rfind(b"\n", max(position, len(buffer) - len(marker)))
        if last >= 0 and marker.startswith(buffer[last:]):
            return last - 1 if last > position and buffer[last - 1] == _CR else last
        return len(buffer) - 1 if buffer[-1] == _CR else len(buffer)

    def _begin_part(self, headers: Mapping[str, str]) -> None:
        self._parts += 1
        self._check(self._parts, self._limits.parts, "parts")
        self._headers = headers
        self._content_id = bare_content_id(headers.get("content-id"))
        self._size = 0
        self._at_start = True
        self._announced = False
        encoding = headers.get("content-transfer-encoding", "").strip().lower()
        if encoding == "base64":
            self._deviate(Deviation.MTOM_BASE64)
            self._base64 = Base64Stream()
        elif encoding in _IDENTITY:
            self._base64 = None
        else:
            raise WireError("mtom-malformed", "A part has a transfer encoding we do not read.")
        self._root = [] if self._is_root() else None
        self._state = _State.BODY

    def _is_root(self) -> bool:
        if self._root_seen:
            return False
        if self._start is None or same_content_id(self._start, self._content_id):
            return True
        try:
            media_type = parse_content_type(self._headers.get("content-type", "")).media_type
        except WireError:
            return False
        if media_type not in (XOP_XML, SOAP_XML):
            return False  # an attachment that stands before the root part
        self._deviate(Deviation.MTOM_START)
        return True

    def _announce(self, events: list[Event]) -> None:
        if self._root is None and not self._announced:
            self._announced = True
            events.append(PartBegin(content_id=self._content_id, headers=self._headers))

    def _emit(self, data: bytes, events: list[Event]) -> None:
        if self._base64 is not None:
            data = self._base64.decode(data)
        if not data:
            return
        self._size += len(data)
        if self._root is not None:
            self._check(self._size, self._limits.root_bytes, "bytes in its root part")
            self._root.append(data)
        else:
            self._check(self._size, self._limits.part_bytes, "bytes in one part")
            events.append(PartData(data=data))

    def _end_part(self, events: list[Event]) -> None:
        if self._base64 is not None:
            self._base64.finish()
        if self._root is None:
            events.append(PartEnd(content_id=self._content_id, size=self._size))
            return
        self._root_seen = True
        events.append(
            RootPart(data=b"".join(self._root), content_id=self._content_id, headers=self._headers)
        )
        self._root = None

    def _note_line_feed(self, line_end: bytes) -> None:
        if not line_end.endswith(b"\r\n"):
            self._deviate(Deviation.MTOM_BARE_LF)

    def _discard(self, count: int) -> None:
        self._discarded += count
        self._check(self._discarded, self._limits.surroundings_bytes, "bytes outside its parts")

    def _deviate(self, deviation: Deviation) -> None:
        self._deviations[deviation] = None

    def _check(self, count: int, limit: int, what: str) -> None:
        if count > limit:
            raise LimitError("mtom-limit", f"The message has more than {limit} {what}.")
