"""Tokens for peers' apps that a person of ours approved: UDAP's ``authorization_code`` (1.5).

The client proves itself as for any UDAP token; what a code or refresh token yields is as for an app
of our own. ``hl7-b2b`` does not go with it: who asks is the person who signed in.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.gateway.oauth.app_token import exchange_code, exchange_refresh
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.token import Granted, grant, judge, only_once, prove_udap
from trust.udap.statement import CLIENT_CREDENTIALS, REFRESH_TOKEN


def udap_grant(server: AuthorizationServer, form: Mapping[str, str], attempt: Attempt) -> Granted:
    """Give a UDAP client a token by whichever grant it asks. Synchronous: it uses the database.

    Raises:
        Refused: why not.
    """
    if form["grant_type"] == CLIENT_CREDENTIALS:
        return grant(server, form, attempt)
    now = server.clock.now()
    case = prove_udap(server, form, attempt, now=now)
    if form["grant_type"] not in case.client.body["grant_types"]:
        raise Refused("client-kind", "The client registered for another grant_type.")
    judge(server, case, attempt)
    only_once(server, case, now=now)
    exchange = exchange_refresh if form["grant_type"] == REFRESH_TOKEN else exchange_code
    return exchange(server, case.client, form, attempt)
