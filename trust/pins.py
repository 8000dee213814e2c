"""Pins as people write them: the SPKI SHA-256 of a key in its usual spellings."""

from __future__ import annotations

import base64
import re

from trust.errors import TrustError

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
# 43 characters and a pad are 32 bytes; the length also tells the second slash from a first digit.
_BASE64 = re.compile(r"(?i:sha256)//?([A-Za-z0-9+/]{43}=)", re.ASCII)
_MAX_TEXT = 200


def parse_pin(text: str) -> str:
    """Gives a pin as 64 lower-case hex digits.

    Takes hex with or without colons, in either case, or ``sha256/`` (also ``sha256//``) with base64
    as curl and HPKP write it.

    Raises:
        TrustError: ``pin-invalid``.
    """
    stripped = text.strip()[:_MAX_TEXT]
    plain = stripped.replace(":", "").lower()
    if _HEX.fullmatch(plain):
        return plain
    if match := _BASE64.fullmatch(stripped):
        digest = base64.b64decode(match[1])
        # Encoded again: Python's decoder takes stray bits in the last character.
        if base64.b64encode(digest).decode("ascii") == match[1]:
            return digest.hex()
    raise TrustError(
        "pin-invalid", "A pin is not the SHA-256 of a public key in hex or as sha256/base64."
    )
