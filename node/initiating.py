"""Assembles the initiating side of an opened node home."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from node.exchange.initiate import Initiator, Limits
from node.exchange.leg_runner import LegRunner, Patience
from node.exchange.legs import Legs
from node.exchange.ports import Ledger, Peers
from node.identity import Role, saml_signer
from node.live_identities import Commit, LiveIdentities, Prepare
from node.live_trust import LiveTrust
from node.model import Interaction, Transaction
from node.opened import OpenedHome
from node.peer_logs import log_of
from node.peer_pool import peer_pool
from node.peers.answer import AnswerLimits
from node.peers.assertion import AssertionIssuer
from node.peers.soap_client import Caller, SoapPeers
from node.policy.purposes import purpose_register
from node.renewal import check_trial
from node.shown_certificates import Seen


def leg_runner(opened: OpenedHome, ledger: Ledger) -> LegRunner:
    """What runs and enters the legs of every question, by IHE and by FHIR."""
    asking = opened.settings.asking
    return LegRunner(
        own=opened.home_community_id,
        own_initiates=opened.peers.own_initiates,
        ledger=ledger,
        directory=opened.peers,
        clock=opened.clock,
        purposes=purpose_register(),
        patience=Patience(
            seconds={
                Transaction.ITI_55: asking.per_peer_discovery_seconds,
                Transaction.ITI_38: asking.per_peer_query_seconds,
                Transaction.ITI_39: asking.per_peer_retrieve_seconds,
                Transaction.ITI_80: asking.per_peer_deliver_seconds,
                Interaction.SEARCH: asking.per_peer_query_seconds,
                Interaction.MATCH: asking.per_peer_discovery_seconds,
                Interaction.READ: asking.per_peer_retrieve_seconds,
            }
        ),
    )


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

    def issuer() -> AssertionIssuer:
        return AssertionIssuer(
            signer=saml_signer(home, settings),
            lifetime=timedelta(seconds=settings.trust.assertion_lifetime_seconds),
        )

    async with peer_pool(opened, trust, identities, seen=seen) as pool:
        peers = SoapPeers(
            session=pool.session,
            issuer=issuer(),
            own=Caller(
                home_community_id=opened.home_community_id,
                assigning_authority=settings.node.assigning_authority,
            ),
            clock=opened.clock,
            judge_server=pool.judge_server,
            limits=limits
            or AnswerLimits(
                soap_bytes=settings.limits.answer_bytes,
                document_bytes=settings.limits.document_bytes,
            ),
            log_of=lambda peer: log_of(opened.view, peer.organization_id),
        )
        if identities is not None:
            identities.hold(Role.SAML, _new_issuer(opened, peers, issuer))
        legs = Legs(
            runner=leg_runner(opened, ledger),
            peers=notice(peers),
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


def _new_issuer(
    opened: OpenedHome, peers: SoapPeers, build: Callable[[], AssertionIssuer]
) -> Prepare:
    """How assertions come to be signed with a new key."""

    def prepare() -> Commit:
        check_trial(opened.home, opened.settings, Role.SAML)
        fresh = build()
        return lambda: peers.sign_with(fresh)

    return prepare
