"""The way to peers: mutual TLS with our client identity, servers bound to them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from cryptography import x509

from node.identity import Role, binder_of, tls_identity
from node.live_identities import Commit, LiveIdentities, Prepare
from node.live_trust import LiveTrust, Take, TrustView
from node.model import Peer
from node.opened import OpenedHome
from node.peers.pool import JudgedConnector, PoolLimits, open_pool
from node.peers.server_trust import ServerJudge, bound_server
from node.renewal import check_trial
from node.shown_certificates import Seen
from trust.binding import OrganizationTrust
from trust.tls import client_context
from trust.usages import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPool:
    """Connections to peers, and who judges whether a server is the peer."""

    session: aiohttp.ClientSession
    judge_server: ServerJudge


@asynccontextmanager
async def peer_pool(
    opened: OpenedHome,
    trust: LiveTrust,
    identities: LiveIdentities | None = None,
    *,
    seen: Seen | None = None,
    limits: PoolLimits | None = None,
) -> AsyncIterator[PeerPool]:
    """Open a pool that follows our identity and whom we trust; closed when the block ends.

    Args:
        opened: the node home.
        trust: whom we trust, and when that changes.
        identities: tells when our certificate has become another, in a running node.
        seen: told of the certificates that peers' servers show.
        limits: of the pool.

    Raises:
        TrustError: when our key or certificate cannot be used.
    """
    home, settings = opened.home, opened.settings
    binder = binder_of(home, settings, trust.view.anchors, trust.revocations, lambda: trust.trusted)

    def context(view: TrustView | None = None, *, may_be_empty: bool = True) -> ssl.SSLContext:
        return client_context(
            tls_identity(home, settings, Role.CLIENT),
            (view or trust.view).certificates(Usage.TLS_SERVER),
            may_be_empty=may_be_empty,
        )

    def trust_of(peer: Peer) -> OrganizationTrust:
        entry = opened.peers.by_organization_id(peer.organization_id)
        if entry is None:
            return OrganizationTrust(organization_id=peer.organization_id)
        return opened.peers.organization_trust(entry)

    def saw(peer: Peer, leaf: x509.Certificate) -> None:
        if seen is not None:
            seen(peer.organization_id, peer.name, leaf, Usage.TLS_SERVER)

    async with open_pool(context(may_be_empty=False), limits=limits) as session:
        trust.hold(lambda view: lambda: binder.use(view.anchors))
        trust.hold(_other_servers(session, context))
        if identities is not None:
            identities.hold(Role.CLIENT, _new_context(opened, session, context))
        yield PeerPool(
            session=session,
            judge_server=bound_server(trust_of, binder, opened.clock.now, saw),
        )


def _new_context(
    opened: OpenedHome, session: aiohttp.ClientSession, build: Callable[[], ssl.SSLContext]
) -> Prepare:
    """How the pool takes a new client certificate."""

    def prepare() -> Commit:
        check_trial(opened.home, opened.settings, Role.CLIENT)
        return _use_context(session, build())

    return prepare


def _other_servers(
    session: aiohttp.ClientSession, build: Callable[[TrustView], ssl.SSLContext]
) -> Take:
    """How the pool takes other anchors; what it holds open is judged by the binder."""
    return lambda view: _use_context(session, build(view))


def _use_context(session: aiohttp.ClientSession, fresh: ssl.SSLContext) -> Commit:
    connector = session.connector

    def commit() -> None:
        if isinstance(connector, JudgedConnector):
            connector.use_context(fresh)

    return commit
