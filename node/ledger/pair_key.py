"""What two logs share and nobody else knows: a key for a day, and tokens made with it. Pure.

Facts: tamper-evident-log C8.3. For a window (a day in UTC) both sides derive the same key::

    K = HKDF-SHA256(X25519(own agreement key, the other's), no salt,
                    info = origin ‖ 0x00 ‖ origin ‖ 0x00 ‖ window, 32 bytes)

The origins are those of both logs for the window's year, sorted by their bytes; the window is
``YYYY-MM-DD``. Each exchange between the two then has a token on which both come without a word::

    HMAC-SHA256(K, "xchg-v1" ‖ 0x00 ‖ HCID of who asked ‖ 0x00 ‖ MessageID ‖ 0x00 ‖ transaction)

cut to 16 bytes. A third party that sees tokens learns nothing of them: neither who is meant nor
whether two lists speak of the same exchange. Digests of messages are told in the same way::

    HMAC-SHA256(K, "xchg-digest-v1" ‖ 0x00 ‖ "request" or "response" ‖ 0x00 ‖ SHA-256), 16 bytes
"""

from __future__ import annotations

import hmac
from datetime import date
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from node.errors import LogError

TOKEN_BYTES: Final = 16

_KEY_BYTES: Final = 32
_TOKEN: Final = b"xchg-v1"
_DIGEST: Final = b"xchg-digest-v1"


class PairKey:
    """The key of two logs for one window. Its ``repr`` is empty."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """``key`` is 32 bytes, as ``pair_key`` derives it."""
        self._key = key

    def __repr__(self) -> str:
        return "PairKey(…)"

    def token(self, *, initiator: str, message_id: str, transaction: str) -> bytes:
        """The token of an exchange; ``initiator`` is the HCID of who asked."""
        parts = (_TOKEN, initiator.encode(), message_id.encode(), transaction.encode())
        return self._mac(b"\0".join(parts))

    def digest(self, part: str, sha256: bytes) -> bytes:
        """What stands for the SHA-256 of the ``request`` or the ``response``."""
        return self._mac(b"\0".join((_DIGEST, part.encode(), sha256)))

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")[:TOKEN_BYTES]


def pair_key(
    own: X25519PrivateKey, theirs: bytes, *, logs: tuple[str, str], window: date
) -> PairKey:
    """The key of two logs for a window.

    Args:
        own: our agreement key.
        theirs: the other's, 32 bytes.
        logs: the names of both logs without the year, in any order.
        window: the day.

    Raises:
        LogError: ``log-key-invalid``: the other's key agrees with everybody's alike.
    """
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError as error:
        raise LogError("log-key-invalid", "The peer's agreement key is none.") from error
    origins = sorted(f"{name}/{window.year:04}".encode() for name in logs)
    info = b"\0".join((*origins, window.isoformat().encode()))
    return PairKey(HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(shared))
