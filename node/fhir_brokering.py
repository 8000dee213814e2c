"""Assembles the broker of FHIR questions of an opened node home."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from node.exchange.fhir_broker import BrokerLimits, FhirBroker
from node.exchange.fhir_legs import FhirLegs
from node.exchange.initiate import Initiator
from node.exchange.ports import Clock, Ledger
from node.fhir_asking import asking_fhir
from node.initiating import initiating, leg_runner
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.opened import OpenedHome
from node.peers.fhir_client import FhirClient
from node.shown_certificates import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAsking:
    """Both ways to ask the network, documents by IHE and resources by FHIR, and the clock."""

    initiator: Initiator
    broker: FhirBroker
    clock: Clock


@asynccontextmanager
async def brokering(
    opened: OpenedHome,
    ledger: Ledger,
    trust: LiveTrust,
    initiator: Initiator,
    identities: LiveIdentities | None = None,
    *,
    seen: Seen | None = None,
) -> AsyncIterator[FhirBroker]:
    """Open keys and connections; closed when the block ends.

    Args:
        opened: the node home.
        ledger: where every leg is entered.
        trust: whom we trust, and when that changes.
        initiator: discovers people.
        identities: tells when our certificates have become others, in a running node.
        seen: told of the certificates that peers' servers show.

    Raises:
        TrustError: when a key or certificate cannot be used.
    """
    settings = opened.settings
    asking = settings.asking
    async with asking_fhir(opened, ledger, trust, identities, seen=seen) as access:
        peers = FhirClient(
            session=access.pool.session,
            access=access,
            judge_server=access.pool.judge_server,
            clock=opened.clock,
            max_bytes=settings.limits.answer_bytes,
            document_bytes=settings.limits.document_bytes,
        )
        yield FhirBroker(
            legs=FhirLegs(runner=leg_runner(opened, ledger), peers=peers),
            peers=peers,
            initiator=initiator,
            directory=opened.peers,
            clock=opened.clock,
            limits=BrokerLimits(
                concurrency=asking.concurrency,
                seconds=asking.discovery_seconds + asking.query_seconds,
                discovery_seconds=asking.discovery_seconds,
                retrieve_seconds=asking.retrieve_seconds,
            ),
        )


@asynccontextmanager
async def asking_network(
    opened: OpenedHome, ledger: Ledger, trust: LiveTrust, *, seen: Seen | None = None
) -> AsyncIterator[NetworkAsking]:
    """Open both ways, for a command. Raises as ``brokering``."""
    async with (
        initiating(opened, ledger, trust, seen=seen) as initiator,
        brokering(opened, ledger, trust, initiator, seen=seen) as broker,
    ):
        yield NetworkAsking(initiator=initiator, broker=broker, clock=opened.clock)
