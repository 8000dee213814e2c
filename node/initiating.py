"""Assembles the initiating side of an opened node home."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from node.exchange.initiate import Initiator, Limits
from node.exchange.legs import Legs, Patience
from node.exchange.ports import Ledger
from node.identity import Role, binder_of, network_anchors, saml_signer, tls_identity
from node.model import Peer, Transaction
from node.opened import OpenedHome
from node.peers.answer import AnswerLimits
from node.peers.assertion import AssertionIssuer
from node.peers.pool import open_pool
from node.peers.server_trust import bound_server
from node.peers.soap_client import Caller, SoapPeers
from node.policy.purposes import purpose_register
from trust.anchors import authorised
from trust.binding import OrganizationTrust
from trust.tls import client_context
from trust.usages import Usage


@asynccontextmanager
async def initiating(opened: OpenedHome, ledger: Ledger) -> AsyncIterator[Initiator]:
    """Open keys and connections; closed when the block ends.

    Raises:
        TrustError: when a key or certificate cannot be used.
    """
    home, settings = opened.home, opened.settings
    asking, limits = settings.asking, settings.limits
    anchors = authorised(network_anchors(home))
    context = client_context(tls_identity(home, settings, Role.CLIENT), anchors[Usage.TLS_SERVER])

    def trust_of(peer: Peer) -> OrganizationTrust:
        entry = opened.peers.by_organization_id(peer.organization_id)
        if entry is None:
            return OrganizationTrust(organization_id=peer.organization_id)
        return opened.peers.organization_trust(entry)

    async with open_pool(context) as session:
        peers = SoapPeers(
            session=session,
            issuer=AssertionIssuer(
                signer=saml_signer(home, settings),
                lifetime=timedelta(seconds=settings.trust.assertion_lifetime_seconds),
            ),
            own=Caller(
                home_community_id=opened.home_community_id,
                assigning_authority=settings.node.assigning_authority,
            ),
            clock=opened.clock,
            judge_server=bound_server(trust_of, binder_of(home, settings), opened.clock.now),
            limits=AnswerLimits(
                soap_bytes=limits.answer_bytes, document_bytes=limits.document_bytes
            ),
        )
        legs = Legs(
            own=opened.home_community_id,
            own_initiates=opened.peers.own_initiates,
            peers=peers,
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
