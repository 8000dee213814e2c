"""From a SMART client's token to the client itself: key chosen, signature checked, then read.

Whatever is wrong is ``invalid_client`` on the wire (SMART App Launch 2.2, backend services): only
our own code beside it says more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.local_client import LOCAL, LocalClient, is_local, local_client
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer, seen_key
from node.gateway.oauth.store import Client, ClientState
from trust.errors import TrustError
from trust.udap.claims import Expected, check_envelope
from trust.udap.jwks import PublishedKey, key_for
from trust.udap.jwt import accepted_algorithm, proved_by, read_header, unproved_claim

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS384", "ES384", "RS256")
"""What SMART names, and RS256, which UDAP demands of everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A client's token whose signature was not checked: who it says that it is of."""

    token: bytes
    client: Client
    local: LocalClient
    key_id: str
    algorithm: str


def claimed(server: AuthorizationServer, form: Mapping[str, str], attempt: Attempt) -> Claimed:
    """The client that a token request names, its keys not yet found. Uses the database.

    Raises:
        Refused: ``oauth-assertion-type``, ``jwt-*``, ``client-unknown``, ``client-cancelled``,
            ``client-key``.
    """
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise Refused("oauth-assertion-type", "The client_assertion_type is another one.")
    token = form["client_assertion"].encode("utf-8", "replace")
    attempt.digest = hashlib.sha256(token).digest()
    try:
        header = read_header(token)
        algorithm = accepted_algorithm(header, ALGORITHMS)
        name = unproved_claim(token, "iss")
    except TrustError as error:
        raise Refused.by(error) from error
    client = known_client(server, name, attempt)
    if form.get("client_id", client.client_id) != client.client_id:
        raise Refused("client-unknown", "The client_id is not the one of the client's token.")
    local, key_id = local_client(client), header.get("kid")
    if not isinstance(key_id, str) or not key_id or local.public:
        raise Refused("client-key", "The token's kid is missing, or the client has no keys.")
    if "jku" in header and header["jku"] != local.jwks_uri:
        raise Refused("client-key", "The token's jku is not the registered address of its keys.")
    return Claimed(token=token, client=client, local=local, key_id=key_id, algorithm=algorithm)


def known_client(server: AuthorizationServer, client_id: str, attempt: Attempt) -> Client:
    """A client of ours that is registered; it is of our organisation.

    Raises:
        Refused: ``client-unknown``, ``client-cancelled``.
    """
    client = server.store.client_by_id(client_id)
    if client is None or not is_local(client):
        raise Refused("client-unknown", "No client of this node has this client_id.")
    attempt.purpose = client.purpose
    attempt.peer = server.own.entry()
    attempt.asked |= {"client_id": client.client_id, "client": client.uri}
    if client.state is not ClientState.ACTIVE:
        raise Refused("client-cancelled", "The client's registration was ended.")
    return client


def prove_client(
    server: AuthorizationServer,
    given: Claimed,
    keys: Sequence[PublishedKey],
    attempt: Attempt,
    *,
    now: datetime,
) -> None:
    """Check a client's token: by one of its keys, for us, now, and for the first time.

    Raises:
        Refused: ``jwks-key-unknown``, ``jwt-*``.
    """
    client = given.client
    try:
        key = key_for(keys, given.key_id, given.algorithm)
        claims = proved_by(given.token, key, given.algorithm)
        attempt.proved = True
        envelope = check_envelope(
            claims,
            Expected(
                issuers=[client.client_id],
                audience=server.addresses.token,
                skew=server.skew,
                dated=False,
            ),
            now=now,
        )
    except TrustError as error:
        raise Refused.by(error) from error
    attempt.token_id = envelope.token_id
    attempt.deviations += envelope.deviations
    once = seen_key(LOCAL, envelope.replay_key)
    if not server.store.accept_once(once, until=envelope.expires, now=now):
        raise Refused("jwt-replayed", "The authentication token was used before.")
