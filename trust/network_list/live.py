"""The denied keys of a membership in a running node: reread within a second of a sync."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from trust.errors import TrustError
from trust.keys import PublicKey
from trust.network_list.cache import Slot
from trust.network_list.deny import DeniedKeys
from trust.network_list.listing import Denial
from trust.network_list.member import Membership

LOOK_SECONDS = 1.0
"""How long a change of the list may stay unnoticed."""

ListMark = tuple[tuple[int, int] | None, ...]


class LiveDenied:
    """Implements ``deny.Denied`` over a membership's folder.

    The folder is looked at once a second at most: a request asks about four keys, and looking each
    time took a tenth of its whole cost. A list that cannot be read any more leaves the denials
    known before in force; one that cannot be read at the start raises, so that no node runs without
    the denials it should have.
    """

    def __init__(self, folder: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Raises ``TrustError`` when the folder holds a membership that cannot be read."""
        self._folder = folder
        self._monotonic = monotonic
        self._looked = monotonic()
        self._membership = Membership(folder)
        self._lock = threading.Lock()
        self._generation = 0
        self._seen = self._look()
        self._list: str | None = None
        self._denied = self._read()

    def denial(self, shown: x509.Certificate | PublicKey) -> Denial | None:
        """Why a key or certificate is denied, or ``None``."""
        self.generation()
        return self._denied.denial(shown) if self._denied else None

    def generation(self) -> int:
        """Goes up whenever another list came into use."""
        moment = self._monotonic()
        if moment - self._looked >= LOOK_SECONDS:
            self._looked = moment
            self._follow(self._look())
        return self._generation

    def _follow(self, seen: ListMark) -> None:
        if seen != self._seen:
            with self._lock:
                if seen != self._seen:
                    self._reread(seen)

    def _reread(self, seen: ListMark) -> None:
        try:
            self._denied = self._read()
        except TrustError:
            return  # tried again at the next look
        self._seen = seen
        self._generation += 1

    def list_in_use(self) -> str | None:
        """The digest of the list in use, or ``None``."""
        return self._list

    def _read(self) -> DeniedKeys:
        if self._membership.joined() is None:
            self._list = None
            return DeniedKeys()
        denied, applied = self._membership.denied(), self._membership.authority()
        self._list = applied.digest if applied is not None else None
        return denied

    def _look(self) -> ListMark:
        return list_mark(self._folder)


def list_mark(folder: Path) -> ListMark:
    """Another value whenever a membership's folder has another list."""
    return tuple(_stamp(folder / slot) for slot in Slot)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
