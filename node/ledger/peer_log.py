"""What a directory entry says of an organisation's log: its name and its public keys. Pure.

A log has an origin for each year (``log.node-a.example/exchange/2026``), its keys outlive a year:
so they are published under its name without the year.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from node.errors import LogError
from node.ledger import leaf
from node.ledger.tlog.note import KeyType, VerifierKey, parse_verifier_key

AGREEMENT_BYTES: Final = 32
"""Bytes of an X25519 public key."""

_YEAR: Final = re.compile(r"/[0-9]{4}\Z", re.ASCII)
_MOST_KEYS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLog:
    """A log as others know it.

    Attributes:
        name: without the year.
        keys: that sign for it, under this name.
        agreement: X25519 public keys, raw; the first is the one in use.
        address: below which URL it is served.
    """

    name: str
    keys: tuple[VerifierKey, ...]
    agreement: tuple[bytes, ...] = ()
    address: str | None = None

    def of_year(self, origin: str) -> tuple[VerifierKey, ...]:
        """The keys of a year's log by its origin; none when the origin is of another log."""
        if origin == self.name or without_year(origin) != self.name:
            return ()
        return tuple(replace(key, name=origin) for key in self.keys)


def peer_log(
    log_keys: Iterable[str], agreement_keys: Iterable[str], address: str | None = None
) -> PeerLog | None:
    """The log that the keys of an entry are about; ``None`` when no log key can be used.

    The first log key names it. A key of another name, form or type is passed over.
    """
    keys: list[VerifierKey] = []
    for text in islice(log_keys, _MOST_KEYS):
        try:
            key = parse_verifier_key(text)
        except LogError:
            continue
        if key.kind is KeyType.ED25519_NOTE:
            keys.append(replace(key, name=without_year(key.name)))
    if not keys:
        return None
    name = keys[0].name
    agreement = (_raw(text) for text in islice(agreement_keys, _MOST_KEYS))
    return PeerLog(
        name=name,
        keys=tuple(dict.fromkeys(key for key in keys if key.name == name)),
        agreement=tuple(dict.fromkeys(each for each in agreement if each)),
        address=address,
    )


def without_year(origin: str) -> str:
    """A log's name by one of its origins."""
    return _YEAR.sub("", origin)


def _raw(text: str) -> bytes | None:
    try:
        public = leaf.to_bytes(text)
    except ValueError:
        return None
    return public if len(public) == AGREEMENT_BYTES else None
