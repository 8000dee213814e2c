"""Received documents on disk for a short time, sealed as they come; their keys are in memory alone.

Each document has a key of its own that is used for it once (``node.storage.sealed_chunks``). A key
is never written anywhere. Forgetting it makes the
file unreadable, whatever becomes of the disk; so does the end of the process. The file is deleted
at the same time; what a crash left, which nobody can open any more, at a later start.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.errors import LimitError, OurFault
from node.storage.sealed_chunks import ChunkSealer, unsealed


class SealedInbox:
    """``exchange.ports.Inbox`` of documents that never become files of anybody.

    Args:
        folder: where sealed documents lie; made with mode 0700. Several processes may share it.
        max_bytes: size limit of one document.
        max_all_bytes: of everything that is kept at a time.
        left_before: older files are deleted: their process has forgotten them.

    Raises:
        OurFault: ``inbox-unwritable`` when the folder cannot be made or swept.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int, max_all_bytes: int, left_before: datetime
    ) -> None:
        """Makes the folder, and deletes what a process that is over left in it."""
        self._folder = folder
        self.max_bytes = max_bytes
        self._max_all_bytes = max_all_bytes
        self._keys: dict[str, AESGCM] = {}
        self._sizes: dict[str, int] = {}
        self._lock = Lock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in folder.iterdir():
                if file.stat().st_mtime < left_before.timestamp():
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(error) from error

    async def begin(self) -> SealedDocument:
        """Start receiving one document. Raises ``OurFault`` ``inbox-unwritable``."""
        token = secrets.token_hex(16)
        key = AESGCM(secrets.token_bytes(32))
        try:
            file = open(  # noqa: SIM115, ASYNC230 - closed by the document; one local open
                self._folder / token, "xb", opener=_private
            )
        except OSError as error:
            raise _unwritable(error) from error
        with self._lock:
            self._keys[token], self._sizes[token] = key, 0
        return SealedDocument(self, token, file, key)

    async def release(self, token: str, name: str) -> str:
        """Never: no file of these documents is shown. Raises ``OurFault``."""
        raise OurFault(
            "inbox-token-unknown",
            "A sealed document cannot become a file.",
            detail=f"{token} {name}",
        )

    async def open(self, token: str) -> AsyncIterator[bytes]:
        """The bytes of a finished document in chunks. Raises as ``chunks``."""
        chunks = self.chunks(token)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk

    async def discard(self, token: str) -> None:
        """Forget a document's key and delete its file; an unknown one is already gone."""
        self.drop(token)

    def chunks(self, token: str) -> Iterator[bytes]:
        """The bytes of a finished document in chunks.

        Raises:
            OurFault: ``inbox-token-unknown`` when it is gone or was changed on disk.
        """
        with self._lock:
            key = self._keys.get(token)
        if key is None:
            raise _gone()
        try:
            with (self._folder / token).open("rb") as file:
                yield from unsealed(file, key)
        except (OSError, InvalidTag) as error:
            raise _gone() from error

    def read(self, token: str) -> bytes:
        """All bytes of a finished document. Raises as ``chunks``."""
        return b"".join(self.chunks(token))

    def drop(self, token: str) -> None:
        """Forget a document's key and delete its file."""
        with self._lock:
            known = self._keys.pop(token, None)
            self._sizes.pop(token, None)
        if known is not None:
            with contextlib.suppress(OSError):
                (self._folder / token).unlink(missing_ok=True)

    def drop_all(self) -> None:
        """Forget everything."""
        for token in tuple(self._keys):
            self.drop(token)

    def grow(self, token: str, size: int) -> None:
        """Account for the size of one document. Raises ``LimitError``, ``OurFault``."""
        if size > self.max_bytes:
            raise LimitError(
                "document-too-large", f"A document is larger than {self.max_bytes} bytes."
            )
        with self._lock:
            if token in self._sizes:
                self._sizes[token] = size
            is_full = sum(self._sizes.values()) > self._max_all_bytes
        if is_full:
            raise OurFault("inbox-full", "Too many received documents wait to be stored.")


class SealedDocument:
    """One document on its way in (``exchange.ports.Incoming``)."""

    def __init__(self, inbox: SealedInbox, token: str, file: BinaryIO, key: AESGCM) -> None:
        """Made by ``SealedInbox.begin``."""
        self._inbox = inbox
        self._token = token
        self._file = file
        self._sealer = ChunkSealer(key, file.write)
        self._digest = hashlib.sha256()
        self._size = 0

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            LimitError: ``document-too-large``; the document is then gone.
            OurFault: ``inbox-full``, ``inbox-unwritable``; the document is then gone.
        """
        self._size += len(chunk)
        try:
            self._inbox.grow(self._token, self._size)
            self._digest.update(chunk)
            self._sealer.add(chunk)
            if self._sealer.is_full:
                await asyncio.to_thread(self._sealer.flush)
        except OSError as error:
            await self.abort()
            raise _unwritable(error) from error
        except (LimitError, OurFault):
            await self.abort()
            raise

    async def finish(self) -> tuple[str, int, str]:
        """Close it; returns (token, size in bytes, SHA-256 hex). Raises ``OurFault``."""
        try:
            await asyncio.to_thread(self._close)
        except OSError as error:
            await self.abort()
            raise _unwritable(error) from error
        return self._token, self._size, self._digest.hexdigest()

    async def abort(self) -> None:
        """Forget it; harmless when repeated."""
        self._sealer.forget()
        with contextlib.suppress(OSError):
            self._file.close()
        self._inbox.drop(self._token)

    def _close(self) -> None:
        self._sealer.end()
        self._file.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _gone() -> OurFault:
    return OurFault("inbox-token-unknown", "A received document is no longer in the inbox.")


def _unwritable(error: OSError) -> OurFault:
    return OurFault(
        "inbox-unwritable",
        "A received document cannot be written to disk.",
        detail=error.strerror or type(error).__name__,
    )
