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
from node.policy.scopes import parse_scopes
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
            patient=self._patient(access),
            principal=self._principal(access, purpose) if ours else None,
            rights=self._rights(access) if ours else frozenset(),
            token=digest_of(token),
            entry_id=access.entry_id,
        )

    @staticmethod
    def _patient(access: Access) -> str | None:
        """The one patient of a token with scopes in a patient's context.

        It holds for the whole approval: scopes in the user's context beside them open no other
        patient's record, also when the app asks for a token with those alone.
        """
        if access.patient is not None or access.approval is None:
            return access.patient
        approved = parse_scopes(access.approval.scope.split())
        is_bound = any(each.context == "patient" for each in approved)
        return access.approval.patient if is_bound else None

    @staticmethod
    def _rights(access: Access) -> frozenset[str]:
        """An app has the rights of its person, a backend those of its roles."""
        if access.user is not None:
            return access.user.rights
        return role_table().rights_of(local_client(access.client).roles)

    def _principal(self, access: Access, purpose: Code) -> Principal:
        """Who asks the network: a person, or a backend by its own name."""
        if access.user is not None:
            login, name = access.user.login, access.user.name
        else:
            local = local_client(access.client)
            login, name = local.name, local.title
        return self._own.principal(user_id=login, name=name, purpose=purpose)
