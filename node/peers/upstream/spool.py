"""A document on its way through: kept in a file without a name until the log has its digest.

Law 1 wants the entry, which has the digest of the answer, before the answer leaves. So a document
is taken in whole first. A small one stays in memory, a larger one goes to a file that nobody can
open and that is gone when it was sent, when nobody wants it any more, or when the process ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

_IN_MEMORY: Final = 1024 * 1024
_PIECE: Final = 64 * 1024


class Spooled:
    """A document that was taken in.

    Attributes:
        size: bytes.
        sha256: hex.
    """

    def __init__(self, folder: Path) -> None:
        """``folder`` must exist; it is to be readable by us alone."""
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of all that was written."""
        return self._digest.hexdigest()

    async def take(self, pieces: AsyncIterator[bytes]) -> None:
        """Write all of it. Raises ``OSError``."""
        async for piece in pieces:
            self.size += len(piece)
            await asyncio.to_thread(self._write, piece)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes."""
        await asyncio.to_thread(self._file.seek, 0)
        while piece := await asyncio.to_thread(self._file.read, _PIECE):
            yield piece

    def _write(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._file.write(piece)
