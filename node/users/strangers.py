"""Attempts with logins that nobody has: counted and locked as those of people, kept in memory.

Otherwise the words for too many attempts would tell who has an account.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import Final

from node.users.model import FREE_FAILURES, LOCKED, LONGEST_LOCK, Refused

MOST: Final = 10_000
"""Logins that are remembered; past that, the one that was tried longest ago is forgotten."""


def lock(failures: int) -> timedelta:
    """How long a login is locked after so many failures."""
    doublings = min(failures - FREE_FAILURES, 10)
    return min(LOCKED * (1 << doublings), LONGEST_LOCK)


class Strangers:
    """Counts by login. Safe to use from any thread."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, tuple[int, datetime]] = OrderedDict()
        self._lock = Lock()

    def refused(self, login: str, now: datetime) -> Refused:
        """Count an attempt; what it is answered with."""
        key = sha256(login.encode("utf-8", "replace")).digest()
        with self._lock:
            failures, until = self._counts.get(key, (0, now))
            if now < until:
                return Refused.LOCKED
            failures += 1
            locks = failures >= FREE_FAILURES
            self._counts[key] = (failures, now + lock(failures) if locks else now)
            self._counts.move_to_end(key)
            if len(self._counts) > MOST:
                self._counts.popitem(last=False)
        return Refused.LOCKED if locks else Refused.WRONG
