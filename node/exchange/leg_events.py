"""What happens while the network is asked: a leg starts, a leg ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.exchange.leg_runner import LegResult
from node.exchange.ports import PeerEntry
from node.model import (
    DeliveryAnswer,
    DiscoveryAnswer,
    HomeCommunityId,
    PatientId,
    QueryAnswer,
    RetrieveAnswer,
    Transaction,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPatient:
    """A person's identity at one community: what a discovery gave."""

    home_community_id: HomeCommunityId
    patient_id: PatientId


@dataclass(frozen=True, slots=True, kw_only=True)
class LegStarted:
    """A peer is being asked; for documents, those of ``patient``."""

    entry: PeerEntry
    transaction: Transaction
    patient: KnownPatient | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded:
    """A request to a peer ended, and its ledger entry is durable.

    ``patient``: whose documents were asked for, where it is the answer of a query.
    """

    result: (
        LegResult[DiscoveryAnswer]
        | LegResult[QueryAnswer]
        | LegResult[RetrieveAnswer]
        | LegResult[DeliveryAnswer]
    )
    patient: KnownPatient | None = None


Event = LegStarted | LegEnded
Emit = Callable[[Event], None]
