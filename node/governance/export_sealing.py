"""The file of an export at rest: sealed under a key that the node's ledger key and a salt make.

Whoever has the disk or a copy of it has nothing; the node opens a file while it is taken along. The
digest and the size that the log has are those of the rows, not of the sealed file.

Layout: 8 bytes that say what it is, 32 random ones (the salt), then ``node.storage.sealed_chunks``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag

from node.errors import OurFault
from node.ledger.export_file import Mark, PartialFile
from node.ledger.private import LedgerKey
from node.storage.sealed_chunks import ChunkSealer, unsealed

_MAGIC: Final = b"tefcaex1"
_SALT: Final = 32


class SealedFile(PartialFile):
    """The file of an export while it is written."""

    def __init__(
        self, path: Path, key: LedgerKey, *, write: Callable[[int, bytes], int] = os.write
    ) -> None:
        """Make it, for its owner alone. Raises as ``PartialFile``."""
        super().__init__(path, own=True, write=self._take)
        self._raw = write
        # the end of the process lets it go, however it ends: what it left is known by that
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        salt = os.urandom(_SALT)
        self._sealer = ChunkSealer(key.of_file(salt), self._put)
        try:
            self._put(_MAGIC + salt)
        except OSError:
            self.close()
            raise

    def finish(self) -> Mark:
        """Seal the rest, and see that it is on the disk. Raises ``OSError``."""
        self._sealer.end()
        return super().finish()

    def _take(self, _handle: int, data: bytes) -> int:
        self._sealer.add(data)
        self._sealer.flush()
        return len(data)

    def _put(self, sealed: bytes) -> None:
        rest = memoryview(sealed)
        while rest:
            rest = rest[self._raw(self._handle, rest) :]  # type: ignore[arg-type]


def opened_file(path: Path, key: LedgerKey) -> Iterator[bytes]:
    """The rows of an export's file, piece by piece.

    Raises:
        OurFault: ``export-unreadable`` when the file is not there any more, was changed, or was
            sealed under another key.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC) + _SALT)
            if head[: len(_MAGIC)] == _MAGIC and len(head) == len(_MAGIC) + _SALT:
                yield from unsealed(file, key.of_file(head[len(_MAGIC) :]))
                return
    except (OSError, InvalidTag) as error:
        raise _unreadable() from error
    raise _unreadable()


def _unreadable() -> OurFault:
    return OurFault(
        "export-unreadable", "The file of this export is gone, or it was changed on the disk."
    )


def is_left(partial: Path) -> bool:
    """Whether there is a part of a file that nobody on this machine writes any more."""
    try:
        with partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
