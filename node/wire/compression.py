"""HTTP content codings of SOAP messages: bounded decompression, piece by piece (RFC 9110 8.4).

A few kilobytes of gzip can hold gigabytes, so every piece of output is limited in size and the sum
has a limit as well; what exceeds it is refused before it is made.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from isal import isal_zlib

from node.errors import LimitError, WireError

_PIECE = 64 * 1024
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")
_LEVEL = 1  # XML shrinks well at any level; this one costs least


class Decoder:
    """Undoes one content coding as bytes come.

    Args:
        coding: value of Content-Encoding; empty or ``identity`` passes bytes through.
        max_bytes: limit for the decoded bytes.

    Raises:
        WireError: ``content-coding-unsupported``.
    """

    def __init__(self, coding: str, *, max_bytes: int) -> None:
        name = coding.strip().lower()
        self._max_bytes = max_bytes
        self._size = 0
        if name in ("", "identity"):
            self._inflate = None
        elif name in _WBITS:
            self._inflate = zlib.decompressobj(_WBITS[name])
        else:
            raise WireError(
                "content-coding-unsupported", "The Content-Encoding is not one of gzip and deflate."
            )

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; gives what they decode to in pieces of at most 64 KiB.

        Raises:
            LimitError: ``message-too-large``.
            WireError: ``content-coding-invalid``.
        """
        if self._inflate is None:
            if data:
                yield self._counted(data)
            return
        while data:
            if self._inflate.eof:
                raise _invalid()
            try:
                piece = self._inflate.decompress(data, _PIECE)
            except zlib.error:
                raise _invalid() from None
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            if piece:
                yield self._counted(piece)
            elif not data:
                return

    def close(self) -> None:
        """Say that the input has ended.

        Raises:
            WireError: ``content-coding-invalid`` when it ended too early.
        """
        if self._inflate is not None and not self._inflate.eof:
            raise _invalid()

    def _counted(self, piece: bytes) -> bytes:
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise LimitError(
                "message-too-large", f"The message is larger than {self._max_bytes} bytes."
            )
        return piece


def compress(data: bytes) -> bytes:
    """The data with gzip coding, without a time stamp."""
    # zlib itself takes six times as long, a fifth of the whole cost of a document query
    packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _WBITS["gzip"])
    return packer.compress(data) + packer.flush()


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip by name (RFC 9110 12.5.3)."""
    for item in accept_encoding.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return _REFUSED.fullmatch(weight.strip()) is None
    return False


def _invalid() -> WireError:
    return WireError("content-coding-invalid", "The compressed message is broken or cut off.")
