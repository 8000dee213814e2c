"""Replay cache: a message that was accepted once is not accepted again while it could still pass.

Bounded, and it never forgets a live entry to make room: when it is full of live entries it refuses
(``replay-cache-full``), because forgetting would open the very hole it closes. Entries leave by
expiry only. It is the memory of one process: what outlives a restart is kept around it by the node
(``node.gateway.kept_replay``), and several processes at one address would each have their own.
"""

from __future__ import annotations

import heapq
import threading
from datetime import datetime, timedelta
from typing import Protocol

from trust.errors import TrustError

DEFAULT_CAPACITY = 1_000_000
"""About 250 messages a second for an hour; roughly 200 bytes each."""


class ReplayGuard(Protocol):
    """Whoever remembers which messages were accepted."""

    def accept(self, key: bytes, *, until: datetime, now: datetime) -> None:
        """Remember a message until a moment, or refuse it."""
        ...


class ReplayCache:
    """The replay cache of one process; safe to use from several threads.

    Attributes:
        capacity: most entries at once.
        skew: how long after its expiry a message would still pass the time check.
    """

    def __init__(
        self, *, capacity: int = DEFAULT_CAPACITY, skew: timedelta = timedelta(minutes=5)
    ) -> None:
        self.capacity = capacity
        self.skew = skew
        self._live: set[bytes] = set()
        self._by_expiry: list[tuple[float, bytes]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._live)

    def accept(self, key: bytes, *, until: datetime, now: datetime) -> None:
        """Remember a message, or refuse it.

        Call it only after everything else was checked: an unproved message must not fill the cache.

        Args:
            key: ``VerifiedSecurity.replay_key``.
            until: ``VerifiedSecurity.not_on_or_after``; the skew is added here.
            now: the current time, aware.

        Raises:
            TrustError: ``replay`` when it was seen before, ``replay-cache-full`` when there is no
                room, ``assertion-expired`` when it could not be remembered long enough to matter.
        """
        moment, expiry = now.timestamp(), (until + self.skew).timestamp()
        with self._lock:
            while self._by_expiry and self._by_expiry[0][0] <= moment:
                self._live.discard(heapq.heappop(self._by_expiry)[1])
            if key in self._live:
                raise TrustError("replay", "The message was received before.")
            if expiry <= moment:
                raise TrustError("assertion-expired", "The message has expired.")
            if len(self._live) >= self.capacity:
                raise TrustError("replay-cache-full", "No more messages can be accepted just now.")
            self._live.add(key)
            heapq.heappush(self._by_expiry, (expiry, key))
