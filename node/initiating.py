"""Assembles the initiating side of an opened node home."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
from cryptography import x509

from node.exchange.initiate import Initiator, Limits
from node.exchange.legs import Legs, Patience
from node.exchange.ports import Ledger, Peers
from node.identity import Role, binder_of, saml_signer, tls_identity
from node.live_identities import Commit, LiveIdentities, Prepare
from node.live_trust import LiveTrust, Take, TrustView
from node.model import Peer, Transaction
from node.opened import OpenedHome
from node.peers.answer import AnswerLimits
from node.peers.assertion import AssertionIssuer
from node.peers.pool import JudgedConnector, open_pool
from node.peers.server_trust import bound_server
from node.peers.soap_client import Caller, SoapPeers
from node.policy.purposes import purpose_register
from node.renewal import check_trial
from node.shown_certificates import Seen
from trust.binding import OrganizationTrust
from trust.tls import client_context
from trust.usages import Usage


@asynccontextmanager
async def initiating(
    opened: OpenedHome,
    ledger: Ledger,
    trust: LiveTrust,
    identities: LiveIdentities | None = None,
    *,
    seen: Seen | None = None,
    limits: AnswerLimits | None = None,
    notice: Callable[[Peers], Peers] = lambda peers: peers,
) -> AsyncIterator[Initiator]:
    """Open keys and connections; closed when the block ends.

    Args:
        opened: the node home.
        ledger: where every leg is entered.
        trust: whom we trust, and when that changes.
        identities: tells when our keys and certificates have become others, in a running node.
        seen: told of the certificates that peers' servers show.
        limits: of one answer, where they are not those of the settings.
        notice: puts itself between the legs and the peers, to see what goes on.

    Raises:
        TrustError: when a key or certificate cannot be used.
    """
    home, settings = opened.home, opened.settings
    asking = settings.asking
    binder = binder_of(home, settings, trust.view.anchors, trust.revocations, lambda: trust.trusted)

    def context(view: TrustView | None = None, *, may_be_empty: bool = True) -> ssl.SSLContext:
        return client_context(
            tls_identity(home, settings, Role.CLIENT),
            (view or trust.view).certificates(Usage.TLS_SERVER),
            may_be_empty=may_be_empty,
        )

    def issuer() -> AssertionIssuer:
        return AssertionIssuer(
            signer=saml_signer(home, settings),
            lifetime=timedelta(seconds=settings.trust.assertion_lifetime_seconds),
        )

    def trust_of(peer: Peer) -> OrganizationTrust:
        entry = opened.peers.by_organization_id(peer.organization_id)
        if entry is None:
            return OrganizationTrust(organization_id=peer.organization_id)
        return opened.peers.organization_trust(entry)

    def saw(peer: Peer, leaf: x509.Certificate) -> None:
        if seen is not None:
            seen(peer.organization_id, peer.name, leaf, Usage.TLS_SERVER)

    async with open_pool(context(may_be_empty=False)) as session:
        peers = SoapPeers(
            session=session,
            issuer=issuer(),
            own=Caller(
                home_community_id=opened.home_community_id,
                assigning_authority=settings.node.assigning_authority,
            ),
            clock=opened.clock,
            judge_server=bound_server(trust_of, binder, opened.clock.now, saw),
            limits=limits
            or AnswerLimits(
                soap_bytes=settings.limits.answer_bytes,
                document_bytes=settings.limits.document_bytes,
            ),
        )
        trust.hold(lambda view: lambda: binder.use(view.anchors))
        trust.hold(_other_servers(session, context))
        if identities is not None:
            identities.hold(Role.CLIENT, _new_context(opened, session, context))
            identities.hold(Role.SAML, _new_issuer(opened, peers, issuer))
        legs = Legs(
            own=opened.home_community_id,
            own_initiates=opened.peers.own_initiates,
            peers=notice(peers),
            ledger=ledger,
            directory=opened.peers,
            clock=opened.clock,
            purposes=purpose_register(),
            patience=Patience(
                seconds={
                    Transaction.ITI_55: asking.per_peer_discovery_seconds,
                    Transaction.ITI_38: asking.per_peer_query_seconds,
                    Transaction.ITI_39: asking.per_peer_retrieve_seconds,
                }
            ),
        )
        yield Initiator(
            legs=legs,
            directory=opened.peers,
            clock=opened.clock,
            limits=Limits(
                concurrency=asking.concurrency,
                discovery_seconds=asking.discovery_seconds,
                query_seconds=asking.query_seconds,
                retrieve_seconds=asking.retrieve_seconds,
                documents_per_retrieve=asking.documents_per_retrieve,
            ),
            date_range_purposes=frozenset(
                code for code, p in purpose_register().purposes.items() if p.date_range
            ),
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


def _new_issuer(
    opened: OpenedHome, peers: SoapPeers, build: Callable[[], AssertionIssuer]
) -> Prepare:
    """How assertions come to be signed with a new key."""

    def prepare() -> Commit:
        check_trial(opened.home, opened.settings, Role.SAML)
        fresh = build()
        return lambda: peers.sign_with(fresh)

    return prepare
