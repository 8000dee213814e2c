"""What happens while peers' FHIR servers are asked, in the order in which it happens."""

from __future__ import annotations

from dataclasses import dataclass

from node.exchange.fhir_merge import PeerAnswer
from node.exchange.initiate import Event
from node.exchange.leg_runner import LegResult
from node.exchange.network_ports import KnownAt
from node.exchange.ports import PeerEntry
from node.model import Interaction
from node.wire.fhir.searchset_reader import Searchset


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirLegStarted:
    """A peer's FHIR server is being asked."""

    entry: PeerEntry
    interaction: Interaction


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirLegEnded:
    """A request to a peer's FHIR server ended, and its ledger entry is durable."""

    result: LegResult[Searchset]
    interaction: Interaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A community has a Patient for the person: ``known.fhir_id``."""

    entry: PeerEntry
    known: KnownAt


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEnded:
    """Nothing more comes from a community; each that was asked ends as exactly one of these.

    A community that knows the person under several ids has one for each.
    """

    answer: PeerAnswer


FhirEvent = Event | FhirLegStarted | FhirLegEnded | Located | PeerEnded
"""Those of discovery (``LegStarted``, ``LegEnded``) come as they are."""
