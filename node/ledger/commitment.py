"""Salted commitments: a leaf is bound to private bytes without saying anything about them.

``commit = HMAC-SHA256(key = salt, tag ‖ 0x00 ‖ value)`` (facts: tamper-evident-log C5). The salt is
32 fresh random bytes for each commitment: of fixed length, so that nobody finds two (salt, value)
pairs for one commitment, and fresh, so that even an MRN or a birth date cannot be guessed from it.
When the salt is destroyed, the commitment says nothing any more.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from node.errors import OurFault

SALT_LENGTH: Final = 32
"""Bytes of a salt."""

_BLOCK: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) under a key of 1 to 64 bytes, made of two hashes.

    ``hmac.new`` takes half as long again, and an entry needs a dozen of them; ``hmac.digest`` gives
    up the interpreter lock each time, which the writer's thread makes costly.
    """
    block = key.ljust(_BLOCK, b"\x00")
    inner = sha256(block.translate(_INNER) + message).digest()
    return sha256(block.translate(_OUTER) + inner).digest()


def commit(salt: bytes, tag: str, value: bytes) -> bytes:
    """The commitment (32 bytes) to ``value`` as ``tag`` (the name of what it is, without NUL).

    Raises:
        OurFault: ``ledger-leaf-invalid`` for a salt that is not 32 bytes long or a tag with NUL.
    """
    if len(salt) != SALT_LENGTH or "\x00" in tag:
        raise OurFault("ledger-leaf-invalid", "A commitment needs a salt of 32 bytes and a tag.")
    return hmac_sha256(salt, tag.encode("ascii") + b"\x00" + value)


def opens(commitment: bytes, salt: bytes, tag: str, value: bytes) -> bool:
    """Whether salt and value are those that were committed to."""
    return hmac.compare_digest(commitment, commit(salt, tag, value))
