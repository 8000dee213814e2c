"""The lines of the list as the page and the stream of answers both send them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from node.console.clinic.words import Slot
from node.console.rendering import fragment


def drawn(slot: Slot, token: str) -> str:
    """The HTML inside a line."""
    return fragment("records-slot.html", slot=slot, token=token).strip()


def key_of(slot: Slot) -> str:
    """Changes when a line says something else; how long somebody is asked is no such thing."""
    since = None if slot.since_ms is None else 0
    return hashlib.sha256(repr(replace(slot, since_ms=since)).encode()).hexdigest()[:16]
