"""Counts what listeners turn away at a limit, for one entry of the log each minute.

Such a connection is refused before anybody reads what it asks, so it can have no entry like other
refusals; and an entry for each would let a flood fill the log. So they are counted, by listener,
limit and, where the TLS handshake proved one, the peer's key, and ``taken`` once a minute. Keys are
kept up to ``MOST_KEYS`` for a listener's limit; further ones count together, without a key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from threading import Lock
from typing import Final

MOST_KEYS: Final = 20


class Throttle(StrEnum):
    """Which limit; each is a row of ``governance/data/throttles.toml``."""

    CONNECTIONS = "limit-connections"
    REQUESTS = "limit-requests"
    HEAD_TIME = "limit-head-time"
    HEAD_SIZE = "limit-head-size"
    RATE = "limit-rate"


TurnAway = Callable[[Throttle, str | None], None]
"""Counts one, with the peer's key (SHA-256 of its SPKI, hex) where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway:
    """So many were turned away at a limit of a listener, between the first and the last."""

    listener: str
    throttle: Throttle
    key: str | None
    number: int
    first: datetime
    last: datetime


class Turnstile:
    """The counts of all listeners of a process. Safe to use from any thread."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """``now`` is the current time."""
        self._now = now
        self._counts: dict[tuple[str, Throttle, str | None], TurnedAway] = {}
        self._lock = Lock()

    def at(self, listener: str) -> TurnAway:
        """What a listener counts with."""

        def count(throttle: Throttle, key: str | None = None) -> None:
            now = self._now()
            with self._lock:
                self._add(
                    TurnedAway(
                        listener=listener,
                        throttle=throttle,
                        key=key,
                        number=1,
                        first=now,
                        last=now,
                    )
                )

        return count

    def taken(self) -> list[TurnedAway]:
        """What was counted since it was last taken."""
        with self._lock:
            found = list(self._counts.values())
            self._counts = {}
        return found

    def give_back(self, those: list[TurnedAway]) -> None:
        """Count again what could not be written down."""
        with self._lock:
            for each in those:
                self._add(each)

    def _add(self, more: TurnedAway) -> None:
        place = (more.listener, more.throttle, more.key)
        if place not in self._counts and more.key is not None and self._is_full(more):
            place = (more.listener, more.throttle, None)
        known = self._counts.get(place)
        self._counts[place] = TurnedAway(
            listener=more.listener,
            throttle=more.throttle,
            key=place[2],
            number=more.number + (known.number if known else 0),
            first=min(more.first, known.first) if known else more.first,
            last=max(more.last, known.last) if known else more.last,
        )

    def _is_full(self, more: TurnedAway) -> bool:
        keys = [
            key
            for listener, throttle, key in self._counts
            if key is not None and (listener, throttle) == (more.listener, more.throttle)
        ]
        return len(keys) >= MOST_KEYS
