"""Found documents, kept for the further pages of an answer (``exchange.network_documents``)."""

from __future__ import annotations

import asyncio
import secrets
import zlib
from datetime import timedelta

from node.exchange.ports import Clock
from node.model import Principal
from node.records.network_patients import holder_of
from node.records.network_store import NetworkStore


class StoredSnapshots:
    """Implements ``exchange.network_documents.Snapshots`` in the node's database."""

    def __init__(self, store: NetworkStore, clock: Clock, life: timedelta) -> None:
        """``life``: how long an answer can be paged through."""
        self._store = store
        self._clock = clock
        self._life = life

    async def keep(self, principal: Principal, content: bytes) -> str:
        """Keep an answer; gives its id."""
        return await asyncio.to_thread(self._keep, principal, content)

    async def get(self, principal: Principal, id_: str) -> bytes | None:
        """An answer, or ``None`` when unknown, expired or another user's."""
        return await asyncio.to_thread(self._get, principal, id_)

    def _keep(self, principal: Principal, content: bytes) -> str:
        now, packed = self._clock.now(), zlib.compress(content)
        row = self._store.put(
            holder_of(self._store, principal),
            secrets.token_bytes(16),
            lambda _before: packed,
            expires=now + self._life,
            now=now,
        )
        return row.id

    def _get(self, principal: Principal, id_: str) -> bytes | None:
        holder = holder_of(self._store, principal)
        row = self._store.get(holder, id_, now=self._clock.now())
        return zlib.decompress(row.content) if row else None
