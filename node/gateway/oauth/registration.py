"""Dynamic client registration: new, changed, cancelled (fhir-and-udap 1.4; tefca 8).

A client is one application of one organisation for one exchange purpose in one community: its key
is (community, URI), and a registration in another community is never touched. Registering again
replaces the whole registration. What is checked, in this order: the software statement's chain and
signature, its claims, the purpose in its URI, the certification, the directory entry and its tie to
the key, policy, the metadata, the scopes; that the statement is new comes last, so that nobody
unproved can make an honest one be refused.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from node.exchange.ports import PeerEntry
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.certifying import Certified, certified_community
from node.gateway.oauth.proof import ProvedToken, bind_client, permit, prove
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer, peer_app_scopes, seen_key
from node.gateway.oauth.store import Client, ClientState
from node.model import HomeCommunityId
from node.policy.client_uri import purpose_of
from node.policy.scopes import app_offer, negotiate
from node.storage.oauth_tables import MAX_URI
from trust.errors import TrustError
from trust.udap.claims import Envelope, Expected, check_envelope
from trust.udap.statement import (
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    ClientMetadata,
    read_metadata,
)
from trust.udap.strict_json import JsonObject

_CREATED, _OK = 201, 200
_HCID = "urn:oid:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A registration that was made, and what has to be undone if its entry cannot be written."""

    status: int
    body: dict[str, Any]
    client: Client
    before: Client | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One proved statement and what it is judged with."""

    server: AuthorizationServer
    body: JsonObject
    proved: ProvedToken
    envelope: Envelope
    purpose: str
    attempt: Attempt
    now: datetime


def register(server: AuthorizationServer, body: JsonObject, attempt: Attempt) -> Registered:
    """Register, change or cancel a client. Synchronous: it uses the database.

    Raises:
        Refused: why not; nothing was changed.
    """
    now = server.clock.now()
    if body.get("udap") != "1":
        raise Refused("oauth-version", "The request's udap is not 1.")
    token = body.get("software_statement")
    if not isinstance(token, str):
        raise Refused("oauth-body-malformed", "The request has no software_statement.")
    proved = prove(token, server.rules, attempt, now=now)
    try:
        case = _Case(
            server=server,
            body=body,
            proved=proved,
            envelope=(envelope := _envelope(proved, server, attempt, now)),
            purpose=_purpose(envelope, server, attempt),
            attempt=attempt,
            now=now,
        )
        metadata = read_metadata(proved.claims)
    except TrustError as error:
        raise Refused.by(error) from error
    existing = server.store.client(proved.community, envelope.issuer)
    if metadata.cancels:
        return _cancel(case, existing)
    made = _save(case, metadata, existing)
    return replace(made, body={**made.body, "software_statement": token})


def undo(server: AuthorizationServer, made: Registered) -> None:
    """Take back what nobody was told of."""
    if made.before is None:
        server.store.forget(made.client)
    else:
        server.store.save(made.before)


def _save(case: _Case, metadata: ClientMetadata, existing: Client | None) -> Registered:
    server, attempt = case.server, case.attempt
    entry = _organization(case)
    bind_client(case.envelope.issuer, case.proved.verdict, entry, server.rules, attempt)
    permit(entry, case.purpose, server.rules, attempt)
    is_app = AUTHORIZATION_CODE in metadata.grant_types
    if is_app and server.rules.register.purposes[case.purpose].individual:
        raise Refused("oauth-grant-type", "Individuals have no accounts here to approve an app by.")
    granted = _scopes(server, metadata, attempt)
    _only_once(case)
    client = Client(
        community=case.proved.community,
        uri=case.envelope.issuer,
        client_id=existing.client_id if existing else _new_id(server),
        state=ClientState.ACTIVE,
        purpose=case.purpose,
        organization_id=entry.organization_id,
        scope=granted,
        body=dict(metadata.as_json()) | {"scope": granted},
        key=case.proved.verdict.key,
        statement=attempt.digest,
        registered=existing.registered if existing else case.now,
        changed=case.now,
    )
    server.store.save(client)
    attempt.asked |= {"client_id": client.client_id, "granted": granted}
    was_active = existing is not None and existing.state is ClientState.ACTIVE
    return Registered(
        status=_OK if was_active else _CREATED,
        body={"client_id": client.client_id, **client.body},
        client=client,
        before=existing,
    )


def _envelope(
    proved: ProvedToken, server: AuthorizationServer, attempt: Attempt, now: datetime
) -> Envelope:
    envelope = check_envelope(
        proved.claims,
        Expected(
            issuers=proved.verdict.uris,
            audience=server.addresses.registration,
            skew=server.skew,
        ),
        now=now,
    )
    attempt.token_id = envelope.token_id
    attempt.deviations += envelope.deviations
    attempt.asked |= {"client_uri": envelope.issuer, "community": proved.community}
    return envelope


def _purpose(envelope: Envelope, server: AuthorizationServer, attempt: Attempt) -> str:
    uri = envelope.issuer
    if len(uri) > MAX_URI or not uri.isascii():
        raise Refused("client-purpose", f"The client's URI is longer than {MAX_URI} characters.")
    purpose = purpose_of(uri, server.rules.register.purposes)
    if purpose is None:
        raise Refused("client-purpose", "The client's URI does not name exactly one purpose.")
    attempt.purpose = purpose
    return purpose


def _organization(case: _Case) -> PeerEntry:
    """The directory entry that the client is of: named by its certification, else by its URI."""
    uri = case.envelope.issuer
    hcid = certified_community(
        case.server,
        case.body.get("certifications", []),
        Certified(community=case.proved.community, client_uri=uri, purpose=case.purpose),
        case.attempt,
        now=case.now,
    )
    if hcid is None:
        named = uri.partition("#")[0]
        hcid = named if named.startswith(_HCID) else None
    entry = case.server.peers.by_home_community_id(HomeCommunityId(hcid)) if hcid else None
    if entry is None:
        raise Refused(
            "client-organization", "The directory has no organisation that this client is of."
        )
    case.attempt.peer = entry
    return entry


def _scopes(server: AuthorizationServer, metadata: ClientMetadata, attempt: Attempt) -> str:
    attempt.asked["asked"] = " ".join(metadata.scope)
    is_app = AUTHORIZATION_CODE in metadata.grant_types
    found = negotiate(metadata.scope, app_offer() if is_app else server.offer)
    if found.refused_wildcard is not None:
        raise Refused("scope-wildcard", "A wildcard scope is not one that this server lists.")
    if not found.granted:
        raise Refused("scope-none", "None of the scopes can be granted.")
    if not is_app:
        return str(found)
    may = set(peer_app_scopes(server))
    if REFRESH_TOKEN not in metadata.grant_types:
        may -= {"offline_access", "online_access"}
    return " ".join([*(each for each in metadata.scope if each in may), str(found)])


def _cancel(case: _Case, existing: Client | None) -> Registered:
    server, attempt = case.server, case.attempt
    if existing is None or existing.state is not ClientState.ACTIVE:
        raise Refused("client-unknown", "There is no registration to cancel.")
    entry = server.peers.by_organization_id(existing.organization_id)
    if entry is None:
        raise Refused("client-organization", "The directory has this organisation no more.")
    bind_client(case.envelope.issuer, case.proved.verdict, entry, server.rules, attempt)
    _only_once(case)
    client = replace(
        existing, state=ClientState.CANCELLED, statement=attempt.digest, changed=case.now
    )
    server.store.save(client)
    attempt.asked |= {"client_id": client.client_id, "cancelled": True}
    body = {"client_id": client.client_id, **existing.body, "grant_types": []}
    return Registered(status=_OK, body=body, client=client, before=existing)


def _only_once(case: _Case) -> None:
    envelope = case.envelope
    key = seen_key(case.proved.community, envelope.replay_key)
    if not case.server.store.accept_once(key, until=envelope.expires, now=case.now):
        raise Refused("jwt-replayed", "The software statement was used before.")


def _new_id(server: AuthorizationServer) -> str:
    return base64.urlsafe_b64encode(server.random(24)).decode("ascii")
