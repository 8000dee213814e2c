"""Tokens for clients of our own: SMART's grants, where a request has no ``udap``.

A backend gets a token of five minutes in its own name (fhir-and-udap 2.2), an app one that a person
approved (2.3). An app that registered keys proves itself by them each time; one that can keep none
goes by its ``client_id`` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from node.gateway.oauth.app_token import exchange_code, exchange_refresh
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.client_keys import ClientKeys
from node.gateway.oauth.local_client import Kind, local_client
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.smart_proof import claimed, known_client, prove_client
from node.gateway.oauth.store import Client
from node.gateway.oauth.token import Granted, digest_of, issue, scopes_for
from trust.udap.statement import AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN

BACKEND_LIFE: Final = timedelta(minutes=5)
"""What the guide allows a backend's token at most."""

_Give = Callable[[AuthorizationServer, Client, Mapping[str, str], Attempt], Granted]


async def smart_grant(
    server: AuthorizationServer, keys: ClientKeys, form: Mapping[str, str], attempt: Attempt
) -> Granted:
    """Give a client of ours a token.

    Raises:
        Refused: why not.
    """
    if "grant_type" not in form:
        raise Refused("oauth-parameter-missing", "The request lacks grant_type.")
    if form["grant_type"] not in _GRANTS:
        raise Refused("oauth-grant-type", "This server has no such grant_type.")
    kind, give = _GRANTS[form["grant_type"]]
    client = await authenticated(server, keys, form, attempt)
    if local_client(client).kind is not kind:
        raise Refused("client-kind", "This grant_type is not for this kind of client.")
    return await asyncio.to_thread(give, server, client, form, attempt)


async def authenticated(
    server: AuthorizationServer, keys: ClientKeys, form: Mapping[str, str], attempt: Attempt
) -> Client:
    """The client that a request is of: proved by its key, or public.

    Raises:
        Refused: as ``claimed`` and ``prove_client``.
    """
    if "client_assertion" not in form and "client_assertion_type" not in form:
        return await asyncio.to_thread(_public, server, form, attempt)
    for name in ("client_assertion_type", "client_assertion"):
        if name not in form:
            raise Refused("oauth-parameter-missing", f"The request lacks {name}.")
    given = await asyncio.to_thread(claimed, server, form, attempt)
    found = await keys.of(given.local, given.key_id)
    now = server.clock.now()
    await asyncio.to_thread(prove_client, server, given, found, attempt, now=now)
    return given.client


def revoke(server: AuthorizationServer, client: Client, value: str, attempt: Attempt) -> None:
    """End a client's token: an access token alone, with a refresh token the whole approval."""
    digest, now = digest_of(value), server.clock.now()
    token = server.store.token(digest, now=now)
    if token is not None and token.client_id == client.client_id:
        server.store.drop_token(digest)
        attempt.asked |= {"revoked": token.entry_id}
    ticket = server.approvals.ticket(digest, now=now)
    approval = server.approvals.approval(ticket.approval, now=now) if ticket else None
    if approval is not None and approval.client_id == client.client_id:
        server.approvals.end(approval.id)
        attempt.asked |= {"revoked": approval.entry_id}


def _public(server: AuthorizationServer, form: Mapping[str, str], attempt: Attempt) -> Client:
    if "client_id" not in form:
        raise Refused("oauth-parameter-missing", "The request lacks client_assertion.")
    client = known_client(server, form["client_id"], attempt)
    if not local_client(client).public:
        raise Refused("client-key", "The client has keys and must prove itself by one.")
    return client


def _backend(
    server: AuthorizationServer, client: Client, form: Mapping[str, str], attempt: Attempt
) -> Granted:
    if "scope" not in form:
        raise Refused("oauth-parameter-missing", "The request lacks scope.")
    local = local_client(client)
    attempt.who |= {"subject_id": local.title, "user_id": local.name}
    # the one scope of a system that is none of resources: to open apps
    launches = "launch" in form["scope"].split() and "launch" in local.scopes
    if launches and form["scope"].split() == ["launch"]:
        scope = "launch"
    else:
        scope = scopes_for(server, client, form["scope"], attempt)
        scope = f"launch {scope}" if launches else scope
    return issue(
        server,
        client,
        scope=scope,
        organization_id=client.organization_id,
        context=b"",
        attempt=attempt,
        now=server.clock.now(),
        life=min(BACKEND_LIFE, server.token_life),
    )


_GRANTS: Final[Mapping[str, tuple[Kind, _Give]]] = {
    CLIENT_CREDENTIALS: (Kind.BACKEND, _backend),
    AUTHORIZATION_CODE: (Kind.APP, exchange_code),
    REFRESH_TOKEN: (Kind.APP, exchange_refresh),
}
