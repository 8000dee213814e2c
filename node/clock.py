"""The one place that reads the time and makes ids; everything else is handed them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from uuid_utils import uuid7


class SystemClock:
    """Implements ``exchange.ports.Clock``."""

    def now(self) -> datetime:
        """The current instant, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds for measuring."""
        return time.monotonic()

    def new_id(self) -> str:
        """A new UUIDv7."""
        return str(uuid7())
