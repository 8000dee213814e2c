"""Who may read over FHIR: bearer tokens of our own server, judged anew on every request.

A token counts while it is alive, its client is registered, and the organisation behind it, where it
is not our own, is in the directory, active and not suspended; that of an app, while its approval
stands and the person may use apps. That it was given an hour ago excuses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from node.gateway.oauth.app_token import launch_context
from node.gateway.oauth.approvals import Approval
from node.gateway.oauth.id_token import identity
from node.gateway.oauth.local_client import is_local
from node.gateway.oauth.server import AuthorizationServer, may_open_apps
from node.gateway.oauth.store import Client, IssuedToken
from node.gateway.oauth.token import digest_of
from node.policy.scopes import Scope, allows, parse_scopes
from node.users.model import User

MAX_TOKEN = 256
_SCHEME = "bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a request may do, by its token.

    Attributes:
        client_id, purpose, organization_id: whose token it is, and what for.
        client: its registration.
        scope: as it was granted, in words that are no resource scopes as well.
        approval, user: whose approval it is by, where a person's app has it.
        patient: the individual whose own records it opens.
        entry_id: the log entry of its grant.
        expires: when it ends.
    """

    client: Client
    purpose: str
    organization_id: str
    scope: str
    scopes: tuple[Scope, ...]
    entry_id: str
    issued: datetime
    expires: datetime
    approval: Approval | None = None
    user: User | None = None
    patient: str | None = None

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
        now = self._server.clock.now()
        token = self._server.store.token(digest_of(value), now=now)
        client = self._server.store.client_by_id(token.client_id) if token else None
        if token is None or client is None or not self._still_in_order(token, client):
            return None
        approval = user = None
        if token.approval is not None:
            approval = self._server.approvals.approval(token.approval, now=now)
            user = self._server.people.find(approval.login) if approval else None
            if user is None or not may_open_apps(user):
                return None
        return Access(
            client=client,
            purpose=token.purpose,
            organization_id=token.organization_id,
            scope=token.scope,
            scopes=parse_scopes(token.scope.split()),
            entry_id=token.entry_id,
            issued=token.issued,
            expires=token.expires,
            approval=approval,
            user=user,
            patient=token.patient,
        )

    def _still_in_order(self, token: IssuedToken, client: Client) -> bool:
        if is_local(client):
            return True  # no peer is behind it whom the directory could tell us of
        for organization_id in {token.organization_id, client.organization_id}:
            entry = self._server.peers.by_organization_id(organization_id)
            if entry is None or not entry.active or entry.suspended or entry.unsigned_refused:
                return False
        return True


def introspection(access: Access | None, base_url: str) -> dict[str, object]:
    """The answer about a token (RFC 7662 2.2); of one that does not count, only that.

    Of an app's token also what the app was opened for, and who the person is where the app may know
    (fhir-and-udap 2.5).
    """
    if access is None:
        return {"active": False}
    found = launch_context(access.approval) if access.approval else {}
    if access.user is not None and "openid" in access.scope.split():
        found |= identity(access.user, access.scope, base_url)
    return found | {
        "active": True,
        "client_id": access.client_id,
        "scope": access.scope,
        "token_type": "Bearer",
        "iat": int(access.issued.timestamp()),
        "exp": int(access.expires.timestamp()),
        "purpose_of_use": access.purpose,
        "organization_id": f"Organization/{access.organization_id}",
    }
