"""Tokens for clients of our own: SMART's grants, where a request has no ``udap``.

A backend gets a token of five minutes in its own name (fhir-and-udap 2.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.client_keys import ClientKeys
from node.gateway.oauth.local_client import Kind, LocalClient
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.smart_proof import Claimed, claimed, prove_client
from node.gateway.oauth.store import Client
from node.gateway.oauth.token import Granted, issue, scopes_for
from trust.udap.statement import CLIENT_CREDENTIALS

BACKEND_LIFE: Final = timedelta(minutes=5)
"""What the guide allows a backend's token at most."""

_NO_CONTEXT: Final = b""


async def smart_grant(
    server: AuthorizationServer, keys: ClientKeys, form: Mapping[str, str], attempt: Attempt
) -> Granted:
    """Give a client of ours a token.

    Raises:
        Refused: why not.
    """
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise Refused("oauth-parameter-missing", "The request lacks grant_type.")
    if grant_type != CLIENT_CREDENTIALS:
        raise Refused("oauth-grant-type", "This server has no such grant_type.")
    given = await authenticated(server, keys, form, attempt)
    if given.local.kind is not Kind.BACKEND:
        raise Refused("client-kind", "Only a backend gets a token in its own name.")
    return await asyncio.to_thread(_backend, server, given.client, given.local, form, attempt)


async def authenticated(
    server: AuthorizationServer, keys: ClientKeys, form: Mapping[str, str], attempt: Attempt
) -> Claimed:
    """The client that a request is proved to be of.

    Raises:
        Refused: as ``claimed`` and ``prove_client``.
    """
    for name in ("client_assertion_type", "client_assertion"):
        if name not in form:
            raise Refused("oauth-parameter-missing", f"The request lacks {name}.")
    given = await asyncio.to_thread(claimed, server, form, attempt)
    found = await keys.of(given.local, given.key_id)
    now = server.clock.now()
    await asyncio.to_thread(prove_client, server, given, found, attempt, now=now)
    return given


def _backend(
    server: AuthorizationServer,
    client: Client,
    local: LocalClient,
    form: Mapping[str, str],
    attempt: Attempt,
) -> Granted:
    if "scope" not in form:
        raise Refused("oauth-parameter-missing", "The request lacks scope.")
    attempt.who |= {"subject_id": local.title, "user_id": local.name}
    scope = scopes_for(server, client, form["scope"], attempt)
    return issue(
        server,
        client,
        scope=scope,
        organization_id=client.organization_id,
        context=_NO_CONTEXT,
        attempt=attempt,
        now=server.clock.now(),
        life=min(BACKEND_LIFE, server.token_life),
    )
