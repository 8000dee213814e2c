"""An app that asks a person: one of our own, or a peer's that registered by UDAP.

A peer's app is started by itself, asks for our own records alone, and is of an organisation that
the directory and policy must still allow. There is none for individual access: individuals have no
accounts here.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.exchange.ports import PeerEntry
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.local_client import Kind, Launch, is_local, local_client
from node.gateway.oauth.proof import permit
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer
from node.gateway.oauth.smart_proof import known_client
from node.gateway.oauth.store import Client, ClientState
from trust.udap.statement import AUTHORIZATION_CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingApp:
    """What the pages and the request's rules need of an app.

    Attributes:
        name: by which operators know it; of a peer's app its URI.
        title: as people read it.
        organization: whose it is.
        is_ours: whether it is one of our own.
    """

    client: Client
    name: str
    title: str
    organization: str
    is_ours: bool
    redirect_uris: tuple[str, ...]
    launches: tuple[Launch, ...]

    @property
    def purpose(self) -> str:
        """Its one exchange purpose."""
        return self.client.purpose


def asking_app(server: AuthorizationServer, client_id: str, attempt: Attempt) -> AskingApp:
    """The app with a ``client_id``; its organisation goes into the attempt. Uses the database.

    Raises:
        Refused: ``client-unknown``, ``client-cancelled``, ``client-kind``, ``client-organization``,
            and policy's reasons.
    """
    client = server.store.client_by_id(client_id)
    if client is None or is_local(client):
        return _ours(server, client_id, attempt)
    attempt.purpose = client.purpose
    attempt.asked |= {"client_id": client.client_id, "client_uri": client.uri}
    if client.state is not ClientState.ACTIVE:
        raise Refused("client-cancelled", "The client's registration was cancelled.")
    if AUTHORIZATION_CODE not in client.body.get("grant_types", ()):
        raise Refused("client-kind", "The client is a system, which people cannot open.")
    entry: PeerEntry | None = server.peers.by_organization_id(client.organization_id)
    if entry is None:
        raise Refused("client-organization", "The directory has this organisation no more.")
    attempt.peer = entry
    permit(entry, client.purpose, server.rules, attempt)
    return AskingApp(
        client=client,
        name=client.uri,
        title=str(client.body["client_name"]),
        organization=entry.name,
        is_ours=False,
        redirect_uris=tuple(client.body["redirect_uris"]),
        launches=(Launch.STANDALONE,),
    )


def _ours(server: AuthorizationServer, client_id: str, attempt: Attempt) -> AskingApp:
    client = known_client(server, client_id, attempt)
    local = local_client(client)
    if local.kind is not Kind.APP:
        raise Refused("client-kind", "The client is a system, which people cannot open.")
    return AskingApp(
        client=client,
        name=local.name,
        title=local.title,
        organization=server.own.name,
        is_ours=True,
        redirect_uris=local.redirect_uris,
        launches=local.launches,
    )
