"""The windows of time that lists offer to choose from."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

SPANS: Final = {
    "All": None,
    "24 hours": timedelta(days=1),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
    "A year": timedelta(days=365),
}
