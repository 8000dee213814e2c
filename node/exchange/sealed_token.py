"""Texts that only we can read and make, for links: of one holder, nothing readable in them (law 6).

Whoever changes one, or is not whom it was given to, gets nothing. Any process of the node with the
same key can open it.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_TOKEN: Final = 16 * 1024
_NONCE = 12


class SealedTokens:
    """Seals and opens."""

    def __init__(self, key: bytes) -> None:
        """``key`` has 32 bytes and is the same in all processes of the node."""
        self._cipher = AESGCM(key)

    def sealed(self, plain: bytes, holder: bytes) -> str:
        """The token of a text, for a holder; of the letters of base64url."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, plain, holder)
        return _text(sealed)

    def opened(self, token: str, holder: bytes) -> bytes | None:
        """What a token stands for; ``None`` when it is not ours or not theirs."""
        if len(token) > MAX_TOKEN or not token.isascii():
            return None
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            if _text(sealed) != token:
                return None  # Python's base64 does not mind stray letters and bits
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], holder)
        except (binascii.Error, ValueError, InvalidTag):
            return None


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
