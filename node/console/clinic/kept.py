"""A clinical document that was fetched and is here for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from node.model import LegId


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A document that is here.

    Attributes:
        token: its name in the inbox.
        size: bytes.
        sha256: hex.
        mime_type: as the organization says.
        fetched: when it came.
        until: when it goes.
        content_hash: of its words, once it was read.
        leg: of the retrieve that brought it, where one did.
        told: whether the log has that it could not be shown.
    """

    token: str
    size: int
    sha256: str
    mime_type: str
    fetched: datetime
    until: datetime
    content_hash: str | None = None
    leg: LegId | None = None
    told: bool = False
