"""Sealed rows about the network, each of one holder and for a while (``storage.network_tables``).

A row is sealed with AES-256-GCM, under a key derived from the node's, bound to its id and holder:
who copies a row, or gives it to another user, gets nothing. Rows that have expired are deleted
whenever one is written. Calls are synchronous and short: make them in a thread.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine, Row, delete, func, select

from node.errors import OurFault
from node.storage.engine import IMMEDIATE
from node.storage.network_tables import KEPT

MOST_OF_ONE: Final = 10_000
"""Rows of one holder; those that expire first make room."""

_NONCE: Final = 12
_DIGEST: Final = 16
_ID_BYTES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRow:
    """A row, opened."""

    id: str
    content: bytes
    expires: datetime


class NetworkStore:
    """Rows in the node's database."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        """``key`` has 32 bytes and is the same in all processes of the node."""
        self._engine = engine
        self._cipher = AESGCM(hmac.digest(key, b"tefca-node network seal v1", "sha256"))
        self._digests = hmac.digest(key, b"tefca-node network topic v1", "sha256")

    def digest(self, *parts: bytes) -> bytes:
        """A keyed digest of parts, for holders and topics."""
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._digests, text, "sha256")[:_DIGEST]

    def put(
        self,
        holder: bytes,
        topic: bytes,
        change: Callable[[bytes | None], bytes],
        *,
        expires: datetime,
        now: datetime,
    ) -> KeptRow:
        """Write what ``change`` makes of the content that is there; the row keeps its id."""
        with self._engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
            connection.execute(delete(KEPT).where(KEPT.c.expires <= _milliseconds(now)))
            found = connection.execute(
                select(KEPT).where(KEPT.c.holder == holder, KEPT.c.topic == topic)
            ).one_or_none()
            row_id = found.id if found else secrets.token_hex(_ID_BYTES)
            content = change(self._unsealed(found) if found else None)
            values = {
                "content": self._sealed(row_id, holder, content),
                "expires": _milliseconds(expires),
            }
            if found:
                connection.execute(KEPT.update().where(KEPT.c.id == row_id).values(**values))
            else:
                connection.execute(
                    KEPT.insert().values(id=row_id, holder=holder, topic=topic, **values)
                )
                _make_room(connection, holder)
        return KeptRow(id=row_id, content=content, expires=expires)

    def get(self, holder: bytes, row_id: str, *, now: datetime) -> KeptRow | None:
        """A row, or ``None`` when there is none, it is another's or it has expired.

        Raises:
            OurFault: ``network-row-unreadable`` when it was changed, or sealed with another key.
        """
        query = select(KEPT).where(
            KEPT.c.id == row_id, KEPT.c.holder == holder, KEPT.c.expires > _milliseconds(now)
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).one_or_none()
        if found is None:
            return None
        moment = datetime.fromtimestamp(found.expires / 1000, now.tzinfo)
        return KeptRow(id=found.id, content=self._unsealed(found), expires=moment)

    def _sealed(self, row_id: str, holder: bytes, content: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, content, row_id.encode() + holder)

    def _unsealed(self, row: Row[Any]) -> bytes:
        sealed, bound = bytes(row.content), row.id.encode() + bytes(row.holder)
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
        except (InvalidTag, ValueError):
            raise OurFault(
                "network-row-unreadable", "What was kept of the network cannot be opened."
            ) from None


def _make_room(connection: Connection, holder: bytes) -> None:
    count = connection.execute(select(func.count()).where(KEPT.c.holder == holder)).scalar_one()
    if count > MOST_OF_ONE:
        first = (
            select(KEPT.c.id)
            .where(KEPT.c.holder == holder)
            .order_by(KEPT.c.expires)
            .limit(count - MOST_OF_ONE)
        )
        connection.execute(delete(KEPT).where(KEPT.c.id.in_(first)))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
