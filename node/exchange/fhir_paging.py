"""Links to further pages: opaque, sealed, of one client and for an hour.

A link holds the search and the place of the last match, encrypted: nothing of a patient stands in
a URL (law 6), any process of the node with the same key can open it, and whoever changes it, or is
not whom it was given to, gets nothing. The page is then searched with all checks of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from node.exchange.fhir_ports import Cursor, Grant
from node.exchange.sealed_token import SealedTokens

LIFETIME: Final = timedelta(hours=1)


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
        self._tokens = SealedTokens(key)

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
        return self._tokens.sealed(plain, holder_of(grant))

    def opened(self, token: str, grant: Grant, now: datetime) -> PageKey | None:
        """What a token stands for; ``None`` when it is not ours, not theirs, or has expired."""
        plain = self._tokens.opened(token, holder_of(grant))
        if plain is None:
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


def holder_of(grant: Grant) -> bytes:
    """Whom a link is for: a newer token of the same client, purpose and patient will do."""
    return orjson.dumps([grant.client_id, grant.purpose.code, grant.patient])
