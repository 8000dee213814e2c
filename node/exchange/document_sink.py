"""The documents of one message (an ITI-39 answer, an ITI-80 request) on their way into the inbox.

Parts may come in any order and before the message that refers to them, so every part is stored as
it comes and claimed afterwards. What nobody claimed, and everything after a failure, is deleted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from node.errors import NodeError
from node.exchange.ports import Inbox, Incoming


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """One finished part: its token in the inbox, size in bytes, SHA-256 in hex."""

    token: str
    size: int
    sha256: str


class DocumentSink:
    """Stores parts in an inbox, one at a time; leaving its block deletes what was not kept."""

    def __init__(self, inbox: Inbox) -> None:
        """Nothing is stored yet."""
        self._inbox = inbox
        self._incoming: Incoming | None = None
        self._by_content_id: dict[str, StoredPart] = {}
        self._stored: dict[str, StoredPart] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        with contextlib.suppress(
            NodeError
        ):  # what cannot be deleted now is swept at the next start
            if self._incoming is not None:
                await self._incoming.abort()
            for token in self._stored:
                await self._inbox.discard(token)

    @property
    def parts(self) -> Mapping[str, StoredPart]:
        """The finished parts by content id."""
        return self._by_content_id

    async def begin(self) -> None:
        """A part starts."""
        self._incoming = await self._inbox.begin()

    async def write(self, data: bytes) -> None:
        """The next bytes of the part that started last."""
        if self._incoming is not None:
            await self._incoming.write(data)

    async def finish(self, content_id: str | None) -> StoredPart:
        """The part that started last is complete; one without content id can only be deleted.

        Raises:
            RuntimeError: when none was started: a bug.
        """
        if self._incoming is None:
            raise RuntimeError("no part was started")
        token, size, sha256 = await self._incoming.finish()
        self._incoming = None
        part = StoredPart(token=token, size=size, sha256=sha256)
        self._stored[token] = part
        if content_id is not None:
            self._by_content_id.setdefault(content_id, part)
        return part

    async def store(self, data: bytes) -> StoredPart:
        """Store content that stood inside the message."""
        await self.begin()
        await self.write(data)
        return await self.finish(None)

    async def copy(self, part: StoredPart) -> StoredPart:
        """Store the content of a finished part a second time."""
        await self.begin()
        async for chunk in self._inbox.open(part.token):
            await self.write(chunk)
        return await self.finish(None)

    def release(self, token: str) -> None:
        """A part belongs to a document of the answer: it is no longer ours to delete."""
        self._stored.pop(token, None)
