"""Assembles the network's FHIR address for our own systems, of an opened node home."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version

from sqlalchemy import Engine

from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_paging import LIFETIME, Pages
from node.exchange.fhir_ports import Grants
from node.exchange.initiate import Initiator
from node.exchange.network_answer import AnswerWriter
from node.exchange.network_deliver import NetworkDeliver, Outgoing
from node.exchange.network_discovery import Discovery
from node.exchange.network_fhir_peers import FhirPeersAlone
from node.exchange.network_find_documents import NetworkDocuments
from node.exchange.network_find_patients import NetworkPeople
from node.exchange.network_handles import DocumentHandles
from node.exchange.network_publish import NetworkPublish, Publications
from node.exchange.network_retrieve import NetworkRetrieve
from node.exchange.network_search import NetworkSearch
from node.exchange.network_serve import NetworkServer
from node.exchange.ports import Clock, DirectoryView, Inbox, Ledger
from node.fhir_brokering import NetworkAsking
from node.gateway.fhir.app import FhirApp, FhirLimits
from node.gateway.network.desk import NetworkDesk
from node.gateway.network.requests import network_route
from node.gateway.network.search import SearchDesk
from node.gateway.oauth.patience import Patience
from node.gateway.turned_away import Throttle
from node.ledger.private import load_key
from node.model import HomeCommunityId
from node.opened import OpenedHome, fhir_loader
from node.peers.inbox import FileInbox
from node.records.fhir.source import LocalFhir
from node.records.likeness import likeness
from node.records.network_patients import StoredNetworkPatients
from node.records.network_snapshots import StoredSnapshots
from node.records.network_store import NetworkStore
from node.records.publications import LocalPublications
from node.wire.fhir.network_capability import network_capability

_MARGIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSite:
    """What the network's address stands on.

    Attributes:
        own, name: our home community id and our organisation's name.
        base_url: the address, without a slash at its end.
        key: 32 bytes, the same in all processes of the node.
        life: how long what was told can be used.
        inbox: where fetched documents wait.
        outgoing: makes deliveries of what is to be sent.
        publications, own_url: our own records and FHIR server, for what is published.
    """

    own: HomeCommunityId
    name: str
    base_url: str
    initiator: Initiator
    broker: FhirBroker
    ledger: Ledger
    directory: DirectoryView
    clock: Clock
    engine: Engine
    inbox: Inbox
    publications: Publications
    outgoing: Outgoing
    own_url: str
    key: bytes
    life: timedelta


def network_desk(site: NetworkSite) -> NetworkDesk:
    """The use cases."""
    server = NetworkServer(
        own=site.own,
        initiator=site.initiator,
        ledger=site.ledger,
        directory=site.directory,
        clock=site.clock,
    )
    store = NetworkStore(site.engine, site.key)
    patients = StoredNetworkPatients(store, site.clock, site.life)
    alone = FhirPeersAlone(site.broker)
    discovery = Discovery(
        initiator=site.initiator, patients=patients, compare=likeness, others=alone
    )
    writer = AnswerWriter(own=site.own, name=site.name, base_url=site.base_url, clock=site.clock)
    search = NetworkSearch(
        server=server,
        broker=site.broker,
        patients=patients,
        writer=writer,
        pages=Pages(site.key),
        clock=site.clock,
    )
    handles = DocumentHandles(site.key, site.life)
    return NetworkDesk(
        server=server,
        people=NetworkPeople(
            server=server,
            discovery=discovery,
            writer=writer,
            directory=site.directory,
        ),
        documents=NetworkDocuments(
            server=server,
            initiator=site.initiator,
            discovery=discovery,
            writer=writer,
            handles=handles,
            snapshots=StoredSnapshots(store, site.clock, LIFETIME),
            pages=Pages(site.key),
            others=alone,
        ),
        retrieving=NetworkRetrieve(
            server=server,
            initiator=site.initiator,
            broker=site.broker,
            inbox=site.inbox,
            handles=handles,
            clock=site.clock,
        ),
        publishing=NetworkPublish(
            server=server, records=site.publications, own_url=site.own_url, clock=site.clock
        ),
        delivering=NetworkDeliver(
            server=server,
            initiator=site.initiator,
            directory=site.directory,
            outgoing=site.outgoing,
            clock=site.clock,
        ),
        own_url=site.own_url,
        base_url=site.base_url,
        clock=site.clock,
        others=SearchDesk(server, search),
    )


def network_app(
    opened: OpenedHome, ledger: Ledger, asking: NetworkAsking, grants: Grants, *, prefix: str
) -> FhirApp:
    """The application at ``{public_url}/network``; ``prefix`` is the path of that address.

    Raises:
        SettingsError: when the ledger's key cannot be read.
        OurFault: ``inbox-unwritable``.
    """
    settings, clock = opened.settings, opened.clock
    base_url = f"{settings.fhir.public_url}/network"
    inbox = FileInbox(
        opened.home.inbox / "fhir",
        opened.home.inbox / "documents",
        max_bytes=settings.limits.document_bytes,
    )
    inbox.sweep()
    publications = LocalPublications(
        index=opened.index,
        store=opened.content,
        fhir=fhir_loader(opened),
        people=LocalFhir(opened.engine, opened.index, opened.content),
        clock=clock,
        max_bytes=settings.limits.document_bytes,
    )
    site = NetworkSite(
        own=opened.home_community_id,
        name=settings.node.name,
        base_url=base_url,
        initiator=asking.initiator,
        broker=asking.broker,
        ledger=ledger,
        directory=opened.peers,
        clock=clock,
        engine=opened.engine,
        inbox=inbox,
        publications=publications,
        outgoing=publications,
        own_url=settings.fhir.public_url,
        key=load_key(opened.home.path).page_key,
        life=timedelta(hours=settings.fhir.network_hours),
    )
    seconds = settings.asking
    longest = seconds.discovery_seconds + max(seconds.query_seconds, seconds.retrieve_seconds)
    # a patience of its own: who is refused here is not who is refused resources
    count = opened.turnstile.at("fhir")
    patience = Patience(spent=lambda: count(Throttle.RATE, None))
    return FhirApp(
        desk=network_desk(site),
        grants=grants,
        capability=network_capability(
            base_url=base_url, name=settings.node.name, version=version("tefca-node")
        ),
        prefix=prefix,
        may_cost=lambda address: patience.allows(address, clock.monotonic()),
        limits=FhirLimits(seconds=longest + _MARGIN_SECONDS),
        routes=network_route,
    )
