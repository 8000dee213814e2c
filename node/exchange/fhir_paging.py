"""Links to further pages: opaque, sealed, of one client and for an hour.

A link holds the search and the place of the last match, encrypted: nothing of a patient stands in
a URL (law 6), any process of the node with the same key can open it, and whoever changes it, or is
not whom it was given to, gets nothing. The page is then searched with all checks of the first.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.exchange.fhir_ports import Cursor, Grant

LIFETIME: Final = timedelta(hours=1)
MAX_TOKEN: Final = 16 * 1024
_NONCE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PageKey:
    """What a link stands for; ``total`` is that of the first page."""

    type: str
    pairs: Sequence[tuple[str, str]]
    cursor: Cursor
    total: int | None


class Pages:
    """Seals and opens the tokens of links."""

    def __init__(self, key: bytes) -> None:
        """``key`` has 32 bytes and is the same in all processes of the node."""
        self._cipher = AESGCM(key)

    def sealed(self, key: PageKey, grant: Grant, now: datetime) -> str:
        """The token of a page, for the holder of a grant."""
        plain = orjson.dumps(
            {
                "type": key.type,
                "pairs": key.pairs,
                "value": key.cursor.value,
                "key": key.cursor.key,
                "part": key.cursor.part,
                "further": key.cursor.further,
                "total": key.total,
                "until": int((now + LIFETIME).timestamp()),
            }
        )
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, plain, _holder(grant))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def opened(self, token: str, grant: Grant, now: datetime) -> PageKey | None:
        """What a token stands for; ``None`` when it is not ours, not theirs, or has expired."""
        if len(token) > MAX_TOKEN or not token.isascii():
            return None
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            plain = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _holder(grant))
        except (binascii.Error, ValueError, InvalidTag):
            return None
        found = orjson.loads(plain)
        if found["until"] < now.timestamp():
            return None
        return PageKey(
            type=found["type"],
            pairs=[(name, value) for name, value in found["pairs"]],
            cursor=Cursor(
                value=found["value"],
                key=found["key"],
                part=found["part"],
                further=found.get("further"),
            ),
            total=found["total"],
        )


def _holder(grant: Grant) -> bytes:
    """Whom a link is for: a newer token of the same client, purpose and patient will do."""
    return orjson.dumps([grant.client_id, grant.purpose.code, grant.patient])
