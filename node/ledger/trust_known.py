"""What the log says of whom we trust now: its changes of trust, read from the oldest on.

A node that starts compares this with its files: what was changed while nobody watched is told then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from node.ledger.filter import LedgerFilter
from node.ledger.find import PAGE_LIMIT, Cursor, Entry, find
from node.ledger.leaf import Kind, to_bytes
from node.ledger.trust_change import Step

MOST: Final = 100_000
"""Entries that are read at most, the newest ones: some megabytes, and far more than people make."""

_IN: Final = frozenset({"anchor-add", "anchor-take", "anchor-change"})
_OUT: Final = frozenset({"anchor-remove", "anchor-drop"})
_USED: Final = frozenset({"identity-switch", "identity-take"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the log knows.

    Attributes:
        anchors: fingerprints (hex) of the anchors that were added and not removed.
        keys: SHA-256 (hex) of the key that each role of ours was last said to use.
    """

    anchors: frozenset[str]
    keys: dict[str, str]


def known(engine: Engine) -> Known:
    """What the entries of kind ``cert`` add up to. Raises ``OurFault`` as ``find``."""
    anchors: set[str] = set()
    keys: dict[str, str] = {}
    for entry in reversed(list(_newest(engine))):
        fields = entry.fields
        act, thing, key = str(fields["act"]), fields.get("thing"), fields.get("key")
        if fields["step"] != Step.DONE:
            continue
        if act in _IN and thing is not None:
            anchors.add(_hex(thing))
        elif act in _OUT and thing is not None:
            anchors.discard(_hex(thing))
        elif act in _USED and key is not None:
            keys[str(fields.get("role"))] = _hex(key)
    return Known(anchors=frozenset(anchors), keys=keys)


def _newest(engine: Engine) -> Iterator[Entry]:
    after: Cursor | None = None
    for _ in range(MOST // PAGE_LIMIT):
        page = find(engine, LedgerFilter(kind=Kind.CERT), limit=PAGE_LIMIT, after=after)
        yield from page.entries
        after = page.following
        if after is None:
            return


def _hex(digest: str | int) -> str:
    return to_bytes(str(digest)).hex()
