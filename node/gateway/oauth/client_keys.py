"""The keys of our own clients: registered with them, or read from the address that they publish."""

from __future__ import annotations

from collections.abc import Callable

from node.gateway.oauth.local_client import LocalClient
from node.gateway.oauth.refusal import Refused
from node.jwks_addresses import PAUSE, Fetch, JwksAddresses
from trust.udap.jwks import PublishedKey, read_jwks

__all__ = ["PAUSE", "ClientKeys", "Fetch"]


class ClientKeys:
    """Finds the keys by which a client's tokens are proved."""

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float]) -> None:
        """``fetch`` reads an address that an administrator registered."""
        self._addresses = JwksAddresses(fetch, monotonic)

    async def of(self, client: LocalClient, key_id: str) -> tuple[PublishedKey, ...]:
        """The keys of a client, one with the kid among them where there is any.

        Raises:
            Refused: ``client-keys-unavailable`` when they cannot be read.
        """
        if client.jwks is not None:
            return read_jwks(client.jwks.encode("utf-8"))
        if client.jwks_uri is None:
            return ()
        found = await self._addresses.keys(client.jwks_uri, key_id)
        if not found:
            raise Refused(
                "client-keys-unavailable", "The client's keys cannot be read at their address."
            )
        return found
