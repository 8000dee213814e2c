"""What a check on a node home found."""

from __future__ import annotations

from dataclasses import dataclass

from node.ops.health import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What one check found."""

    check: str
    status: Status
    sentence: str
    next_step: str | None = None
