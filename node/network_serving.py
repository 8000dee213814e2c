"""Assembles the network's FHIR address for our own systems, of an opened node home."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version

from node.exchange.fhir_ports import Grants
from node.exchange.initiate import Initiator
from node.exchange.network_answer import AnswerWriter
from node.exchange.network_discovery import Discovery
from node.exchange.network_find_patients import NetworkPeople
from node.exchange.network_serve import NetworkServer
from node.exchange.ports import Ledger
from node.gateway.fhir.app import FhirApp, FhirLimits
from node.gateway.network.desk import NetworkDesk
from node.gateway.network.requests import network_route
from node.gateway.oauth.patience import Patience
from node.ledger.private import load_key
from node.opened import OpenedHome
from node.records.likeness import likeness
from node.records.network_patients import StoredNetworkPatients
from node.records.network_store import NetworkStore
from node.wire.fhir.network_capability import network_capability

_MARGIN_SECONDS = 10.0


def network_app(
    opened: OpenedHome, ledger: Ledger, initiator: Initiator, grants: Grants, *, prefix: str
) -> FhirApp:
    """The application at ``{public_url}/network``; ``prefix`` is the path of that address.

    Raises:
        SettingsError: when the ledger's key cannot be read.
    """
    settings, clock = opened.settings, opened.clock
    base_url = f"{settings.fhir.public_url}/network"
    name = settings.node.name
    server = NetworkServer(
        own=opened.home_community_id,
        initiator=initiator,
        ledger=ledger,
        directory=opened.peers,
        clock=clock,
    )
    key = load_key(opened.home.path).page_key
    patients = StoredNetworkPatients(
        NetworkStore(opened.engine, key), clock, timedelta(hours=settings.fhir.network_hours)
    )
    people = NetworkPeople(
        server=server,
        discovery=Discovery(initiator=initiator, patients=patients, compare=likeness),
        writer=AnswerWriter(
            own=opened.home_community_id, name=name, base_url=base_url, clock=clock
        ),
        directory=opened.peers,
        clock=clock,
    )
    asking = settings.asking
    longest = asking.discovery_seconds + max(asking.query_seconds, asking.retrieve_seconds)
    # a patience of its own: who is refused here is not who is refused resources
    patience = Patience()
    return FhirApp(
        desk=NetworkDesk(server=server, people=people, clock=clock),
        grants=grants,
        capability=network_capability(base_url=base_url, name=name, version=version("tefca-node")),
        prefix=prefix,
        may_cost=lambda address: patience.allows(address, clock.monotonic()),
        limits=FhirLimits(seconds=longest + _MARGIN_SECONDS),
        routes=network_route,
    )
