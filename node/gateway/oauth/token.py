"""Tokens for UDAP clients: the ``client_credentials`` grant (fhir-and-udap 1.5, 1.6; tefca 8).

A token is 32 random bytes, of which the SHA-256 is kept. It is opaque rather than a JWT because it
must end at once when its client is cancelled, its certificate revoked or its organisation
suspended; because the resource server is this node, which looks it up; and because nothing about a
user can then be read from it by whoever comes to hold it. It is bound to its client, purpose and to
everything it was asked with.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.extensions import Asserted, read_extensions
from node.gateway.oauth.local_client import is_local
from node.gateway.oauth.proof import ProvedToken, bind_client, permit, prove
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import MAX_TOKENS, AuthorizationServer, seen_key
from node.gateway.oauth.store import Client, ClientState, IssuedToken
from node.policy.scopes import for_ours, negotiate
from trust.errors import TrustError
from trust.udap.claims import Envelope, Expected, check_envelope, text
from trust.udap.statement import AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token that was made: the answer, and how it is taken back."""

    body: dict[str, Any]
    token: IssuedToken


def check_form(form: Mapping[str, str], *, authorization: str | None) -> None:
    """What every token request must have, whoever asks.

    Raises:
        Refused: ``oauth-client-secret``, ``oauth-parameter-missing``, ``oauth-grant-type``,
            ``oauth-assertion-type``, ``oauth-version``.
    """
    if authorization is not None or "client_secret" in form:
        raise Refused("oauth-client-secret", "The client must authenticate in one way only.")
    if "udap" not in form:
        return  # a client of our own, which SMART's rules are for
    if form["udap"] != "1":
        raise Refused("oauth-version", "The request's udap is not 1.")
    for name in ("grant_type", "client_assertion_type", "client_assertion"):
        if name not in form:
            raise Refused("oauth-parameter-missing", f"The request lacks {name}.")
    if form["grant_type"] not in (CLIENT_CREDENTIALS, AUTHORIZATION_CODE, REFRESH_TOKEN):
        raise Refused("oauth-grant-type", "This server has no such grant_type.")
    if form["client_assertion_type"] != ASSERTION_TYPE:
        raise Refused("oauth-assertion-type", "The client_assertion_type is another one.")
    if form["grant_type"] == CLIENT_CREDENTIALS and "scope" not in form:
        raise Refused("oauth-parameter-missing", "The request lacks scope.")


def grant(server: AuthorizationServer, form: Mapping[str, str], attempt: Attempt) -> Granted:
    """Give a UDAP client a token in its own name. Synchronous: it uses the database.

    Raises:
        Refused: why not.
    """
    now = server.clock.now()
    case = prove_udap(server, form, attempt, now=now)
    if CLIENT_CREDENTIALS not in case.client.body["grant_types"]:
        raise Refused("client-kind", "The client registered for another grant_type.")
    try:
        asserted = read_extensions(
            case.proved.claims,
            server,
            case.client.purpose,
            attempt,
            community=_community(attempt),
        )
    except TrustError as error:
        raise Refused.by(error) from error
    judge(server, case, attempt)
    _judge_asking(server, case.client, asserted, attempt)
    scope = scopes_for(server, case.client, form["scope"], attempt)
    only_once(server, case, now=now)
    return issue(
        server,
        case.client,
        scope=scope,
        organization_id=asserted.b2b.organization_id,
        context=asserted.context,
        attempt=attempt,
        now=now,
        patient=asserted.patient,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UdapCase:
    """A token request of a UDAP client that is proved to be its own."""

    client: Client
    proved: ProvedToken
    envelope: Envelope


def prove_udap(
    server: AuthorizationServer, form: Mapping[str, str], attempt: Attempt, *, now: datetime
) -> UdapCase:
    """The client that a token request is of; that its token is new is not yet looked at.

    Raises:
        Refused: why it is not accepted.
    """
    proved = prove(form["client_assertion"], server.rules, attempt, now=now)
    try:
        client = _client(server, proved, attempt)
        envelope = check_envelope(
            proved.claims,
            Expected(issuers=[client.client_id], audience=server.addresses.token, skew=server.skew),
            now=now,
        )
    except TrustError as error:
        raise Refused.by(error) from error
    attempt.token_id = envelope.token_id
    attempt.deviations += envelope.deviations
    return UdapCase(client=client, proved=proved, envelope=envelope)


def only_once(server: AuthorizationServer, case: UdapCase, *, now: datetime) -> None:
    """Remember a client's token. Raises ``Refused`` (``jwt-replayed``) when it was used."""
    key = seen_key(case.proved.community, case.envelope.replay_key)
    if not server.store.accept_once(key, until=case.envelope.expires, now=now):
        raise Refused("jwt-replayed", "The authentication token was used before.")


def issue(
    server: AuthorizationServer,
    client: Client,
    *,
    scope: str,
    organization_id: str,
    context: bytes,
    attempt: Attempt,
    now: datetime,
    life: timedelta | None = None,
    approval: str | None = None,
    patient: str | None = None,
) -> Granted:
    """Make a token; the caller enters it in the log and only then gives it away.

    It lives for ``life``, or as long as the server's tokens do; ``approval`` is a person's,
    ``patient`` the one whose records it opens alone.

    Raises:
        Refused: ``oauth-too-many``.
    """
    if server.store.live_tokens(client.client_id, now=now) >= MAX_TOKENS:
        raise Refused("oauth-too-many", "The client has too many tokens that are alive.")
    value = new_secret(server)
    lives = life or server.token_life
    token = IssuedToken(
        digest=digest_of(value),
        client_id=client.client_id,
        purpose=client.purpose,
        organization_id=organization_id,
        scope=scope,
        context=context,
        entry_id=attempt.leg_id,
        issued=now,
        expires=now + lives,
        approval=approval,
        patient=patient,
    )
    server.store.add_token(token)
    attempt.asked["granted"] = scope
    return Granted(
        body={
            "access_token": value,
            "token_type": "Bearer",
            "expires_in": int(lives.total_seconds()),
            "scope": scope,
        },
        token=token,
    )


def new_secret(server: AuthorizationServer) -> str:
    """A fresh value that only its holder has: a token or a code."""
    return base64.urlsafe_b64encode(server.random(TOKEN_BYTES)).rstrip(b"=").decode("ascii")


def digest_of(token: str) -> bytes:
    """By what a token is kept and found."""
    return hashlib.sha256(token.encode("ascii", "replace")).digest()


def scopes_for(server: AuthorizationServer, client: Client, asked: str, attempt: Attempt) -> str:
    """The scopes granted of those asked for.

    Raises:
        Refused: ``scope-wildcard``, ``scope-none``.
    """
    attempt.asked["asked"] = asked
    offer = for_ours(server.offer) if is_local(client) else server.offer
    found = negotiate(asked.split(), offer, within=client.scopes)
    if found.refused_wildcard is not None:
        raise Refused("scope-wildcard", "A wildcard scope is not one that this server lists.")
    if not found.granted:
        raise Refused("scope-none", "None of the scopes can be granted to this client.")
    return str(found)


def _community(attempt: Attempt) -> str:
    """The home community of the client's organisation, for whom an id_token has to be made."""
    return str(attempt.peer.home_community_id) if attempt.peer is not None else ""


def _client(server: AuthorizationServer, proved: ProvedToken, attempt: Attempt) -> Client:
    """The client that the proved claims name, of the community and URI of the certificate."""
    client = server.store.client_by_id(text(proved.claims, "iss", limit=256))
    if client is None or client.community != proved.community:
        raise Refused("client-unknown", "No client of this community has this client_id.")
    attempt.purpose = client.purpose
    attempt.asked |= {"client_id": client.client_id, "client_uri": client.uri}
    if client.uri not in proved.verdict.uris:
        raise Refused(
            "client-certificate",
            "The certificate does not have the URI that the client registered.",
        )
    attempt.peer = server.peers.by_organization_id(client.organization_id)
    if client.state is not ClientState.ACTIVE:
        raise Refused("client-cancelled", "The client's registration was cancelled.")
    return client


def judge(server: AuthorizationServer, case: UdapCase, attempt: Attempt) -> None:
    """The organisation behind a client: its key is tied to it, and policy allows it.

    Raises:
        Refused: why not.
    """
    client = case.client
    own = server.peers.by_organization_id(client.organization_id)
    if own is None:
        raise Refused("client-organization", "The directory has this organisation no more.")
    bind_client(client.uri, case.proved.verdict, own, server.rules, attempt)
    permit(own, client.purpose, server.rules, attempt)


def _judge_asking(
    server: AuthorizationServer, client: Client, asserted: Asserted, attempt: Attempt
) -> None:
    """The organisation that a client asks for: its own, or one below it."""
    organization_id = asserted.b2b.organization_id
    if organization_id == client.organization_id:
        return
    asking = server.peers.by_organization_id(organization_id)
    if asking is None or not server.peers.lies_under(organization_id, client.organization_id):
        raise Refused(
            "b2b-other-organization",
            "organization_id is neither the client's organisation nor one below it.",
        )
    attempt.peer = asking
    permit(asking, client.purpose, server.rules, attempt)
