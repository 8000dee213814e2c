"""A clock that moves only when told, and ids that count."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class SimClock:
    def __init__(self, *, real_seconds: bool = False) -> None:
        self._offset = 0.0
        self._ids = 0
        self._real = real_seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self._offset)

    def monotonic(self) -> float:
        if self._real:
            return time.monotonic()
        return self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds

    def new_id(self) -> str:
        self._ids += 1
        return f"00000000-0000-7000-8000-{self._ids:012d}"
