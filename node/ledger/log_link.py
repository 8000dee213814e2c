"""The entries by which the logs of two years name each other, read. Pure; see ``year_turn``."""

from __future__ import annotations

from typing import Final

from node.errors import OurFault
from node.ledger import leaf

CLOSE: Final = "log-close"
OPEN: Final = "log-open"

_CLOSE_MARK: Final = f'"act":"{CLOSE}"'.encode()


def successor(entry: bytes) -> str | None:
    """The log that goes on after this entry; ``None`` for an entry that ends no log."""
    # no form of a leaf admits a quotation mark, so that this can only be the field itself
    if _CLOSE_MARK not in entry:
        return None
    following = linked(entry, CLOSE).get("log")
    return None if following is None else str(following)


def year_of(origin: str) -> int:
    """The year of a log, by its origin."""
    return int(origin.rpartition("/")[2])


def linked(entry: bytes | None, act: str) -> dict[str, str | int]:
    """The fields of an entry of this act; none of another one, or of no leaf."""
    try:
        fields = leaf.decode(entry) if entry is not None else {}
    except OurFault:
        return {}
    return fields if fields.get("act") == act else {}
