"""Accepted messages, remembered across restarts: a message that was answered is never taken anew.

Each accepted message is 40 bytes in a file: the time after which it would not pass any more
(milliseconds, 8 bytes) and its replay key. Files are named by the quarter of an hour in which what
they hold ends, and go when that is over; nothing is ever rewritten. They survive the end of the
process, also a sudden one. They are not synced to the disk: a machine that loses its power forgets
the last seconds, and the ledger alone pays for a sync.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Final

import structlog

from trust.errors import TrustError
from trust.replay import ReplayCache

_log = structlog.get_logger(__name__)

SLOT: Final = 900
"""Seconds of a file."""

_KEY: Final = 32
_ROW: Final = 8 + _KEY
_NAME: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


class KeptReplay:
    """A replay guard over a folder, for one process. Safe to use from several threads."""

    def __init__(self, folder: Path, cache: ReplayCache, now: datetime) -> None:
        """Loads what is still alive into ``cache``. Raises ``OSError``."""
        self._folder = folder
        self._cache = cache
        self._lock = Lock()
        self._files: dict[int, int] = {}
        self._failed = False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(each for each in folder.iterdir() if _NAME.fullmatch(each.name)):
            if (int(path.name) + 1) * SLOT <= now.timestamp():
                path.unlink(missing_ok=True)
                continue
            for key, end in _rows(path):
                # what has ended, and what stands twice
                with contextlib.suppress(TrustError):
                    cache.accept(key, until=end - cache.skew, now=now)

    def accept(self, key: bytes, *, until: datetime, now: datetime) -> None:
        """Remember a message, or refuse it; see ``ReplayCache.accept``.

        Where the file cannot be written, the message counts as remembered until the next start.
        """
        self._cache.accept(key, until=until, now=now)
        end = (until + self._cache.skew).timestamp()
        try:
            with self._lock:
                os.write(self._file(int(end // SLOT), now), _row(key, end))
            self._failed = False
        except OSError as error:
            if not self._failed:
                _log.error("replay.not-kept", detail=error.strerror)
            self._failed = True

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for each in self._files.values():
                os.close(each)
            self._files = {}

    def _file(self, slot: int, now: datetime) -> int:
        if slot not in self._files:
            for old in [each for each in self._files if (each + 1) * SLOT <= now.timestamp()]:
                os.close(self._files.pop(old))
                (self._folder / str(old)).unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._files[slot] = os.open(self._folder / str(slot), flags, 0o600)
        return self._files[slot]


def _row(key: bytes, end: float) -> bytes:
    return int(end * 1000).to_bytes(8, "big") + key.ljust(_KEY, b"\0")[:_KEY]


def _rows(path: Path) -> Iterator[tuple[bytes, datetime]]:
    """What a file holds; half a row at its end, of a write that was cut off, goes."""
    with path.open("r+b") as file:
        whole = path.stat().st_size // _ROW * _ROW
        file.truncate(whole)
        while row := file.read(_ROW):
            seconds = int.from_bytes(row[:8], "big") / 1000
            with contextlib.suppress(ValueError, OverflowError, OSError):
                yield row[8:], datetime.fromtimestamp(seconds, UTC)


def kept_replay(folder: Path, *, capacity: int, skew: timedelta, now: datetime) -> KeptReplay:
    """A guard over a folder. Raises ``OSError``."""
    return KeptReplay(folder, ReplayCache(capacity=capacity, skew=skew), now)
