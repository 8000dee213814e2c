"""The keys of our own clients: registered with them, or read from the address that they publish.

What was read counts for as long as its Cache-Control says, an hour at most. A kid that is not among
the keys makes them be read anew, for a client may have changed its key a moment ago, but not more
often than every ten seconds: nobody can make the node ask an address at will.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from node.errors import NodeError
from node.gateway.oauth.local_client import LocalClient
from node.gateway.oauth.refusal import Refused
from node.outbound_fetch import Fetched
from trust.errors import TrustError
from trust.udap.jwks import PublishedKey, read_jwks

LONGEST: Final = 3600.0
UNSAID: Final = 300.0
"""Seconds that keys count when their address does not say."""

PAUSE: Final = 10.0
_MOST: Final = 1000
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.IGNORECASE | re.ASCII)
_NEVER: Final = re.compile(r"\bno-(?:store|cache)\b", re.IGNORECASE)

Fetch = Callable[[str], Awaitable[Fetched]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    keys: tuple[PublishedKey, ...]
    at: float
    until: float


class ClientKeys:
    """Finds the keys by which a client's tokens are proved."""

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float]) -> None:
        """``fetch`` reads an address that an administrator registered."""
        self._fetch = fetch
        self._monotonic = monotonic
        self._read: OrderedDict[str, _Read] = OrderedDict()
        self._lock = asyncio.Lock()

    async def of(self, client: LocalClient, key_id: str) -> tuple[PublishedKey, ...]:
        """The keys of a client, one with the kid among them where there is any.

        Raises:
            Refused: ``client-keys-unavailable`` when they cannot be read.
        """
        if client.jwks is not None:
            return read_jwks(client.jwks.encode("utf-8"))
        if client.jwks_uri is None:
            return ()
        async with self._lock:
            return await self._published(client.jwks_uri, key_id)

    async def _published(self, address: str, key_id: str) -> tuple[PublishedKey, ...]:
        now = self._monotonic()
        read = self._read.get(address)
        if read is not None:
            has_it = any(each.key_id == key_id for each in read.keys)
            if (now < read.until and has_it) or now < read.at + PAUSE:
                return self._usable(read)
        try:
            fetched = await self._fetch(address)
            read = _Read(
                keys=read_jwks(fetched.body or b""),
                at=now,
                until=now + _lifetime(fetched.headers.get("Cache-Control", "")),
            )
        except (NodeError, TrustError):
            # remembered as well, so that a client that is down is not asked for each request
            read = _Read(keys=(), at=now, until=now)
        self._read[address] = read
        self._read.move_to_end(address)
        if len(self._read) > _MOST:
            self._read.popitem(last=False)
        return self._usable(read)

    @staticmethod
    def _usable(read: _Read) -> tuple[PublishedKey, ...]:
        if not read.keys:
            raise Refused(
                "client-keys-unavailable", "The client's keys cannot be read at their address."
            )
        return read.keys


def _lifetime(cache_control: str) -> float:
    if _NEVER.search(cache_control):
        return 0.0
    found = _MAX_AGE.search(cache_control)
    return min(float(found[1]), LONGEST) if found else UNSAID
