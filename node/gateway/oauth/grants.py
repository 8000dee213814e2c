"""Our own tokens as the FHIR server sees them: whose they are, by the directory of this moment."""

from __future__ import annotations

import asyncio

from node.exchange.fhir_ports import Grant
from node.gateway.oauth.guard import Guard
from node.gateway.oauth.server import Peers
from node.gateway.oauth.token import digest_of
from node.model import Code


class TokenGrants:
    """Implements ``exchange.fhir_ports.Grants``."""

    def __init__(self, guard: Guard, peers: Peers, purpose_system: str) -> None:
        """``purpose_system`` is the code system of exchange purposes."""
        self._guard = guard
        self._peers = peers
        self._system = purpose_system

    async def grant(self, token: str) -> Grant | None:
        """What a token allows, or ``None`` when it does not count."""
        access = await asyncio.to_thread(self._guard.of_token, token)
        entry = self._peers.by_organization_id(access.organization_id) if access else None
        if access is None or entry is None:
            return None
        return Grant(
            client_id=access.client_id,
            entry=entry,
            purpose=Code(code=access.purpose, scheme=self._system),
            scopes=access.scopes,
            token=digest_of(token),
            entry_id=access.entry_id,
        )
