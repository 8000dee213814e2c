"""Who may read over FHIR: bearer tokens of our own server, judged anew on every request.

A token counts while it is alive, its client is registered, and the organisation behind it, where it
is not our own, is in the directory, active and not suspended. That it was given an hour ago excuses
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from node.gateway.oauth.local_client import is_local
from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.store import Client, IssuedToken
from node.gateway.oauth.token import digest_of
from node.policy.scopes import Scope, allows, parse_scopes

MAX_TOKEN = 256
_SCHEME = "bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a request may do, by its token.

    Attributes:
        client_id, purpose, organization_id: whose token it is, and what for.
        client: its registration.
        entry_id: the log entry of its grant.
        expires: when it ends.
    """

    client: Client
    purpose: str
    organization_id: str
    scopes: tuple[Scope, ...]
    entry_id: str
    issued: datetime
    expires: datetime

    @property
    def client_id(self) -> str:
        """What its client goes by."""
        return self.client.client_id

    def allows(self, resource_type: str, operation: str) -> tuple[str, ...] | None:
        """As ``policy.scopes.allows``."""
        return allows(self.scopes, resource_type, operation)


class Guard:
    """Judges the ``Authorization`` header of a FHIR request."""

    def __init__(self, server: AuthorizationServer) -> None:
        """``server`` gave the tokens."""
        self._server = server

    def access(self, authorization: str | None) -> Access | None:
        """What a header allows, or ``None``. Synchronous: it uses the database."""
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() != _SCHEME:
            return None
        return self.of_token(value)

    def of_token(self, value: str) -> Access | None:
        """What a token allows, or ``None``."""
        if not 0 < len(value) <= MAX_TOKEN:
            return None
        token = self._server.store.token(digest_of(value), now=self._server.clock.now())
        client = self._server.store.client_by_id(token.client_id) if token else None
        if token is None or client is None or not self._still_in_order(token, client):
            return None
        return Access(
            client=client,
            purpose=token.purpose,
            organization_id=token.organization_id,
            scopes=parse_scopes(token.scope.split()),
            entry_id=token.entry_id,
            issued=token.issued,
            expires=token.expires,
        )

    def _still_in_order(self, token: IssuedToken, client: Client) -> bool:
        if is_local(client):
            return True  # no peer is behind it whom the directory could tell us of
        for organization_id in {token.organization_id, client.organization_id}:
            entry = self._server.peers.by_organization_id(organization_id)
            if entry is None or not entry.active or entry.suspended or entry.unsigned_refused:
                return False
        return True


def introspection(access: Access | None) -> dict[str, object]:
    """The answer about a token (RFC 7662 2.2); of one that does not count, only that."""
    if access is None:
        return {"active": False}
    return {
        "active": True,
        "client_id": access.client_id,
        "scope": " ".join(map(str, access.scopes)),
        "token_type": "Bearer",
        "iat": int(access.issued.timestamp()),
        "exp": int(access.expires.timestamp()),
        "purpose_of_use": access.purpose,
        "organization_id": f"Organization/{access.organization_id}",
    }
