"""Our own tokens as the FHIR server sees them: whose they are, by the directory of this moment."""

from __future__ import annotations

import asyncio

from node.exchange.fhir_ports import Grant
from node.gateway.oauth.guard import Access, Guard
from node.gateway.oauth.local_client import is_local, local_client
from node.gateway.oauth.own import OwnParty
from node.gateway.oauth.server import Peers
from node.gateway.oauth.token import digest_of
from node.model import Code, Principal
from node.users.roles import role_table


class TokenGrants:
    """Implements ``exchange.fhir_ports.Grants``."""

    def __init__(self, guard: Guard, peers: Peers, own: OwnParty, purpose_system: str) -> None:
        """``purpose_system`` is the code system of exchange purposes."""
        self._guard = guard
        self._peers = peers
        self._own = own
        self._system = purpose_system

    async def grant(self, token: str) -> Grant | None:
        """What a token allows, or ``None`` when it does not count."""
        access = await asyncio.to_thread(self._guard.of_token, token)
        if access is None:
            return None
        ours = is_local(access.client)
        entry = (
            self._own.entry() if ours else self._peers.by_organization_id(access.organization_id)
        )
        if entry is None:
            return None
        purpose = Code(code=access.purpose, scheme=self._system)
        return Grant(
            client_id=access.client_id,
            entry=entry,
            purpose=purpose,
            scopes=access.scopes,
            principal=self._principal(access, purpose) if ours else None,
            rights=role_table().rights_of(local_client(access.client).roles if ours else ()),
            token=digest_of(token),
            entry_id=access.entry_id,
        )

    def _principal(self, access: Access, purpose: Code) -> Principal:
        """Who asks the network: a backend goes by its own name."""
        local = local_client(access.client)
        return self._own.principal(user_id=local.name, name=local.title, purpose=purpose)
