"""The documents of one call: whatever becomes of the call, none of them stays with the node."""

from __future__ import annotations

from collections.abc import AsyncIterator

from node.exchange.ports import Inbox, Incoming


class CallInbox:
    """An ``Inbox`` that knows which documents came through it, to discard them all at the end.

    A caller may go away when a leg has ended but its documents were not yet sent, or not even
    announced: then nobody else knows their tokens.
    """

    def __init__(self, inbox: Inbox) -> None:
        """``inbox`` holds the documents."""
        self._inbox = inbox
        self._tokens: set[str] = set()

    async def begin(self) -> Incoming:
        """Start receiving one document."""
        return _Noted(await self._inbox.begin(), self._tokens)

    async def release(self, token: str, name: str) -> str:
        """Show a document; it is no longer the call's."""
        self._tokens.discard(token)
        return await self._inbox.release(token, name)

    def open(self, token: str) -> AsyncIterator[bytes]:
        """The bytes of a finished document in chunks."""
        return self._inbox.open(token)

    async def discard(self, token: str) -> None:
        """Delete a document."""
        self._tokens.discard(token)
        await self._inbox.discard(token)

    async def discard_all(self) -> None:
        """Delete what is left of the call."""
        for token in tuple(self._tokens):
            await self.discard(token)


class _Noted:
    """An incoming document whose token is noted once it has one."""

    def __init__(self, incoming: Incoming, tokens: set[str]) -> None:
        self._incoming = incoming
        self._tokens = tokens

    async def write(self, chunk: bytes) -> None:
        await self._incoming.write(chunk)

    async def finish(self) -> tuple[str, int, str]:
        token, size, sha256 = await self._incoming.finish()
        self._tokens.add(token)
        return token, size, sha256

    async def abort(self) -> None:
        await self._incoming.abort()
