"""Received documents on disk: written as they come, shown only when the use case says so (law 1).

Every document goes to a spool folder under a random name, readable by us alone, with its SHA-256
made on the way. ``release`` moves it to the folder that people look into, under a safe name that
never replaces another file; ``discard`` deletes it. What a crash leaves in the spool was never
shown; ``sweep`` deletes it at the next start.

File names hold no patient data: the spool's are random, the shown ones are what the caller chose,
reduced to letters, digits, dot, hyphen and underscore.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from node.errors import LimitError, OurFault

_CHUNK = 256 * 1024
_FLUSH = 1024 * 1024
_TOKEN = re.compile(r"[0-9a-f]{32}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 120
_MOST_COPIES = 10_000


class FileInbox:
    """``exchange.ports.Inbox`` over two folders.

    Args:
        spool: where documents wait; made with mode 0700.
        shown: where released documents go; made when first needed.
        max_bytes: size limit of one document.
        max_spool_bytes: limit for everything that waits at one time.

    Raises:
        OurFault: ``inbox-unwritable`` when the spool folder cannot be made.
    """

    def __init__(
        self,
        spool: Path,
        shown: Path,
        *,
        max_bytes: int = 512 * 1024 * 1024,
        max_spool_bytes: int = 8 * 1024 * 1024 * 1024,
    ) -> None:
        """Makes the spool folder."""
        self._spool = spool
        self._shown = shown
        self._max_bytes = max_bytes
        self._max_spool_bytes = max_spool_bytes
        self._waiting: dict[str, int] = {}
        self._total = 0
        try:
            spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(error) from error

    async def begin(self) -> SpooledDocument:
        """Start receiving one document.

        Raises:
            OurFault: ``inbox-unwritable``.
        """
        token = secrets.token_hex(16)
        try:
            # "xb" never opens an existing file or follows a planted link.
            file = open(  # noqa: SIM115, ASYNC230 - closed by the document; one local open
                self._path(token), "xb", buffering=0, opener=_private
            )
        except OSError as error:
            raise _unwritable(error) from error
        self._waiting[token] = 0
        return SpooledDocument(self, token, file)

    async def release(self, token: str, name: str) -> str:
        """Show a document under a safe form of ``name``; returns its path.

        An existing file is never replaced: the name gets a number instead.

        Raises:
            OurFault: ``inbox-token-unknown``, ``inbox-unwritable``.
        """
        source = self._finished(token)
        shown = await asyncio.to_thread(_move, source, self._shown, safe_name(name))
        self.forget(token)
        return str(shown)

    def open(self, token: str) -> AsyncIterator[bytes]:
        """The bytes of a finished document in chunks of at most 256 KiB.

        Raises:
            OurFault: ``inbox-token-unknown``.
        """
        return _chunks(self._finished(token))

    async def discard(self, token: str) -> None:
        """Delete a document that will not be shown; an unknown one is already gone."""
        if _TOKEN.fullmatch(token):
            self.drop(token)

    def sweep(self) -> int:
        """Delete what an earlier process left in the spool; returns how many files that were.

        Call it once at the start, before the first ``begin``.
        """
        left = [
            path
            for path in self._spool.iterdir()
            if _TOKEN.fullmatch(path.name) and path.name not in self._waiting
        ]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def grow(self, token: str, size: int) -> None:
        """Account for the size of one document. Raises LimitError ``document-too-large``."""
        if size > self._max_bytes:
            raise LimitError(
                "document-too-large", f"A document is larger than {self._max_bytes} bytes."
            )
        self._total += size - self._waiting[token]
        self._waiting[token] = size
        if self._total > self._max_spool_bytes:
            raise OurFault("inbox-full", "Too many received documents wait to be stored.")

    def drop(self, token: str) -> None:
        """Delete a document's file, if there is one, and account for it."""
        with contextlib.suppress(OSError):
            self._path(token).unlink(missing_ok=True)
        self.forget(token)

    def forget(self, token: str) -> None:
        """Account for a document that left the spool."""
        self._total -= self._waiting.pop(token, 0)

    def _path(self, token: str) -> Path:
        return self._spool / token

    def _finished(self, token: str) -> Path:
        path = self._path(token)
        if not _TOKEN.fullmatch(token) or not path.is_file():
            raise OurFault("inbox-token-unknown", "A received document is no longer in the inbox.")
        return path


class SpooledDocument:
    """One document on its way in (``exchange.ports.Incoming``)."""

    def __init__(self, inbox: FileInbox, token: str, file: BinaryIO) -> None:
        """Made by ``FileInbox.begin``."""
        self._inbox = inbox
        self._token = token
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0
        self._held: list[bytes] = []
        self._held_bytes = 0

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            LimitError: ``document-too-large``; the document is then gone.
            OurFault: ``inbox-full``, ``inbox-unwritable``; the document is then gone.
        """
        self._size += len(chunk)
        try:
            self._inbox.grow(self._token, self._size)
            self._held.append(chunk)
            self._held_bytes += len(chunk)
            if self._held_bytes >= _FLUSH:
                # Off the loop: a megabyte to a slow disk must not stall the other peers.
                await asyncio.to_thread(self._flush)
        except OSError as error:
            await self.abort()
            raise _unwritable(error) from error
        except (LimitError, OurFault):
            await self.abort()
            raise

    async def finish(self) -> tuple[str, int, str]:
        """Close it durably; returns (token, size in bytes, SHA-256 hex).

        Raises:
            OurFault: ``inbox-unwritable``.
        """
        try:
            await asyncio.to_thread(self._close)
        except OSError as error:
            await self.abort()
            raise _unwritable(error) from error
        return self._token, self._size, self._digest.hexdigest()

    async def abort(self) -> None:
        """Forget it; harmless when repeated."""
        self._held.clear()
        self._file.close()
        self._inbox.drop(self._token)

    def _flush(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        for chunk in held:
            self._digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]

    def _close(self) -> None:
        self._flush()
        os.fsync(self._file.fileno())
        self._file.close()


def safe_name(name: str) -> str:
    """A file name of letters, digits, dot, hyphen and underscore; at most 120 characters.

    No leading dot or hyphen, no path, never empty. The ending after the last dot is kept.
    """
    clean = _UNSAFE.sub("_", name).lstrip(".-_") or "document"
    if len(clean) <= _LONGEST_NAME:
        return clean
    stem, dot, ending = clean.rpartition(".")
    if not dot or len(ending) > 10:  # noqa: PLR2004 - longer is no file ending
        return clean[:_LONGEST_NAME]
    return f"{stem[: _LONGEST_NAME - len(ending) - 1]}.{ending}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _move(source: Path, folder: Path, name: str) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for target in _targets(folder, name):
            try:
                os.link(source, target)
            except FileExistsError:
                continue
            except OSError:
                # Another file system, or one without links: copy beside it, then link there.
                if not _copy(source, target):
                    continue
            source.unlink()
            return target
    except OSError as error:
        raise _unwritable(error) from error
    raise OurFault("inbox-unwritable", "The folder for documents holds too many of one name.")


def _copy(source: Path, target: Path) -> bool:
    """Copy whole or not at all; ``False`` when the target exists."""
    try:
        with source.open("rb") as read, open(target, "xb", opener=_private) as write:
            shutil.copyfileobj(read, write, _CHUNK)
            write.flush()
            os.fsync(write.fileno())
    except FileExistsError:
        return False
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return True


def _targets(folder: Path, name: str) -> list[Path]:
    stem, dot, ending = name.rpartition(".")
    if not dot:
        stem, ending = name, ""
    numbered = (f"{stem}-{n}{dot}{ending}" for n in range(2, _MOST_COPIES))
    first = folder / name
    return [first] if not first.exists() else [folder / n for n in numbered]


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
    finally:
        file.close()


def _unwritable(error: OSError) -> OurFault:
    return OurFault(
        "inbox-unwritable",
        "A received document cannot be written to disk.",
        detail=error.strerror or type(error).__name__,
    )
