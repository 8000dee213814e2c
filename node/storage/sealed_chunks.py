"""Files that are sealed piece by piece, so that neither writing nor reading holds much of them.

A key is used for one file alone: chunks of at most 256 KiB, AES-256-GCM under their number as
nonce, with "more follow" or "this is the last" as associated data, so that no chunk can be moved,
left out or cut off unnoticed.

Layout: chunk length (4 bytes, big-endian) and the sealed chunk, again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK: Final = 256 * 1024
"""Bytes of a chunk before it is sealed."""

_LENGTH: Final = 4
_NONCE: Final = 12
_TAG: Final = 16
_MORE, _LAST = b"more", b"last"


class ChunkSealer:
    """Seals what is added to it; ``write`` gets the sealed bytes."""

    def __init__(self, key: AESGCM, write: Callable[[bytes], object]) -> None:
        """``key`` is of this file alone."""
        self._key = key
        self._write = write
        self._number = 0
        self._held = bytearray()

    @property
    def is_full(self) -> bool:
        """Whether ``flush`` has something to write."""
        return len(self._held) > CHUNK

    def add(self, data: bytes) -> None:
        """Hold the next bytes."""
        self._held += data

    def flush(self) -> None:
        """Write what is held in whole chunks, but for the last one. Raises as ``write``."""
        while self.is_full:
            self._seal(bytes(self._held[:CHUNK]), _MORE)
            del self._held[:CHUNK]

    def end(self) -> None:
        """Write the rest, and say that it was the last. Raises as ``write``."""
        self.flush()
        self._seal(bytes(self._held), _LAST)
        self.forget()

    def forget(self) -> None:
        """Hold nothing any more."""
        self._held.clear()

    def _seal(self, chunk: bytes, place: bytes) -> None:
        sealed = self._key.encrypt(_nonce(self._number), chunk, place)
        self._number += 1
        self._write(len(sealed).to_bytes(_LENGTH, "big") + sealed)


def unsealed(file: BinaryIO, key: AESGCM) -> Iterator[bytes]:
    """The bytes of a sealed file, chunk by chunk.

    Raises:
        InvalidTag: when it was changed, cut or sealed under another key.
    """
    number, ended = 0, False
    while head := file.read(_LENGTH):
        length = int.from_bytes(head, "big")
        sealed = file.read(min(length, CHUNK + _TAG))
        following = file.peek(1) if hasattr(file, "peek") else b""
        ended = not following
        yield key.decrypt(_nonce(number), sealed, _LAST if ended else _MORE)
        number += 1
    if not ended:
        raise InvalidTag


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE, "big")
