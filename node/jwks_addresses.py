"""Key sets that others publish at an address, read when needed and remembered for a while.

What was read counts for as long as its Cache-Control says, an hour at most. A kid that is not among
the keys makes them be read anew, for a key may have been changed a moment ago, but not more often
than every ten seconds: nobody can make the node ask an address at will.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from node.errors import NodeError
from node.outbound_fetch import Fetched, FetchRules, fetch, open_fetching
from trust.errors import TrustError
from trust.udap.jwks import MAX_JWKS_BYTES, PublishedKey, read_jwks

LONGEST: Final = 3600.0
UNSAID: Final = 300.0
"""Seconds that keys count when their address does not say."""

PAUSE: Final = 10.0
SECONDS: Final = 5.0
"""For reading a key set: somebody waits for an answer."""

_MOST: Final = 1000
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.IGNORECASE | re.ASCII)
_NEVER: Final = re.compile(r"\bno-(?:store|cache)\b", re.IGNORECASE)

Fetch = Callable[[str], Awaitable[Fetched]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    keys: tuple[PublishedKey, ...]
    at: float
    until: float


def reading(anchors: Iterable[x509.Certificate] = ()) -> Fetch:
    """Reads an address that an operator named: it may be inside, with a CA of its own."""
    rules = FetchRules(allow_private=True, seconds=SECONDS)

    async def read(address: str) -> Fetched:
        async with open_fetching(rules, anchors) as session:
            return await fetch(session, address, rules, max_bytes=MAX_JWKS_BYTES)

    return read


class JwksAddresses:
    """Reads key sets, one at a time."""

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float]) -> None:
        """``fetch`` reads an address that an administrator named."""
        self._fetch = fetch
        self._monotonic = monotonic
        self._read: OrderedDict[str, _Read] = OrderedDict()
        self._lock = asyncio.Lock()

    async def keys(self, address: str, key_id: str) -> tuple[PublishedKey, ...]:
        """The keys at an address, one with the kid among them where there is any.

        None when they cannot be read.
        """
        async with self._lock:
            return await self._keys(address, key_id)

    async def _keys(self, address: str, key_id: str) -> tuple[PublishedKey, ...]:
        now = self._monotonic()
        read = self._read.get(address)
        if read is not None:
            has_it = any(each.key_id == key_id for each in read.keys)
            if (now < read.until and has_it) or now < read.at + PAUSE:
                return read.keys
        try:
            fetched = await self._fetch(address)
            read = _Read(
                keys=read_jwks(fetched.body or b""),
                at=now,
                until=now + _lifetime(fetched.headers.get("Cache-Control", "")),
            )
        except (NodeError, TrustError):
            # remembered as well, so that an address that is down is not asked for each request
            read = _Read(keys=(), at=now, until=now)
        self._read[address] = read
        self._read.move_to_end(address)
        if len(self._read) > _MOST:
            self._read.popitem(last=False)
        return read.keys


def _lifetime(cache_control: str) -> float:
    if _NEVER.search(cache_control):
        return 0.0
    found = _MAX_AGE.search(cache_control)
    return min(float(found[1]), LONGEST) if found else UNSAID
