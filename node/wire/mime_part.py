"""The pieces of one MIME part: its headers, its content id, its base64 when it is encoded.

Sources: RFC 2045 (headers, base64), RFC 822 3.1.1 (folding), RFC 2392 (content ids).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping

from node.errors import LimitError, WireError

_HEADER = re.compile(rb"([!-9;-~]{1,128})[ \t]*:[ \t]*(.*)", re.DOTALL)


class Base64Stream:
    """Decodes base64 that comes in pieces; white space is ignored, anything else is an error."""

    def __init__(self) -> None:
        self._carry = b""
        self._padded = False

    def decode(self, data: bytes) -> bytes:
        """The bytes that the next piece completes. Raises ``WireError`` ``mtom-malformed``."""
        packed = self._carry + data.translate(None, b" \t\r\n")
        whole = len(packed) - len(packed) % 4
        self._carry = packed[whole:]
        if packed and self._padded:
            raise _bad_base64()
        self._padded = self._padded or packed[:whole].endswith(b"=")
        try:
            return binascii.a2b_base64(packed[:whole], strict_mode=True)
        except binascii.Error:
            raise _bad_base64() from None

    def finish(self) -> None:
        """Say that all has come. Raises ``WireError`` ``mtom-malformed`` when a group is open."""
        if self._carry:
            raise _bad_base64()


def _bad_base64() -> WireError:
    return WireError("mtom-malformed", "A base64 part of the message cannot be decoded.")


def parse_headers(lines: list[bytes], limit: int) -> Mapping[str, str]:
    """Headers by lower-case name, folded lines joined; of a repeated one the first counts.

    Raises:
        LimitError: ``mtom-limit`` when there are more than ``limit``.
        WireError: ``mtom-malformed`` when a line is no header.
    """
    unfolded: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and unfolded:
            unfolded[-1] += b" " + line.strip()
        else:
            unfolded.append(line)
    if len(unfolded) > limit:
        raise LimitError("mtom-limit", f"A part of the message has more than {limit} headers.")
    headers: dict[str, str] = {}
    for line in unfolded:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise WireError("mtom-malformed", "A header of a part cannot be read.")
        name = match[1].decode("ascii").lower()
        headers.setdefault(name, match[2].strip().decode("utf-8", "replace"))
    return headers


def bare_content_id(value: str | None) -> str | None:
    """A content id without white space and angle brackets."""
    bare = (value or "").strip()
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1].strip()
    return bare or None
