"""A node home with its database open: what every use of it shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sqlalchemy import Engine

from directory.store import DirectoryStore
from directory.tables import create_tables
from directory.view import DirectoryView
from node.clock import SystemClock
from node.gateway.turned_away import Turnstile
from node.ledger.private import LedgerKey, load_key
from node.ledger.trust_change import Author
from node.ledger.trust_log import TrustLog
from node.model import HomeCommunityId
from node.own_entry import own_organization
from node.peer_directory import PeerDirectory
from node.policy.purposes import purpose_register
from node.records.entries import Community
from node.records.fhir.index import FhirIndex
from node.records.fhir.loader import FhirLoader
from node.records.fhir.people import FhirPeople
from node.records.index import RecordIndex
from node.records.reform import reform_people
from node.records.source import LocalRecords
from node.records.store import ContentStore
from node.records.stored_queries import QueryPolicy
from node.settings import NodeHome, Settings
from node.storage.engine import migrate, open_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedHome:
    """The parts that live in the node home and its database.

    ``turnstile`` counts what the listeners over them turn away.
    """

    home: NodeHome
    settings: Settings
    engine: Engine
    directory: DirectoryStore
    view: DirectoryView
    peers: PeerDirectory
    index: RecordIndex
    content: ContentStore
    clock: SystemClock
    turnstile: Turnstile = field(default_factory=lambda: Turnstile(SystemClock().now))

    @property
    def home_community_id(self) -> HomeCommunityId:
        """Our own."""
        return HomeCommunityId(self.settings.node.home_community_id)

    def responds(self) -> frozenset[str]:
        """The purposes we answer for: our directory entry's, or what we would publish."""
        if self.view.by_id(self.settings.node.organization_id) is not None:
            return self.peers.own_responds()
        declared = own_organization(self.settings, purpose_register())
        return frozenset().union(*(endpoint.responds for endpoint in declared.endpoints))


@contextmanager
def opened_home(home: NodeHome, settings: Settings) -> Iterator[OpenedHome]:
    """Open the database, migrated to this version; closed when the block ends.

    Raises:
        OurFault: when the database cannot be opened or is of a newer version.
    """
    engine = open_engine(home.database_url(settings))
    # An import holds SQLite's one write lock for as long as it lasts, and the ledger must not wait
    # for it: with SQLite the directory has a file of its own.
    own_file = engine.dialect.name == "sqlite"
    directory_engine = open_engine(home.directory_url) if own_file else engine
    try:
        migrate(engine)
        reform_people(engine, settings.node.assigning_authority)
        create_tables(directory_engine)
        store = DirectoryStore(directory_engine)
        view = DirectoryView(store)
        node = settings.node
        yield OpenedHome(
            home=home,
            settings=settings,
            engine=engine,
            directory=store,
            view=view,
            peers=PeerDirectory(
                view,
                node.organization_id,
                allow_unsigned=settings.directory.allow_unsigned_entries,
            ),
            index=RecordIndex(
                engine,
                Community(
                    home_community_id=HomeCommunityId(node.home_community_id),
                    repository_unique_id=node.repository_unique_id,
                    assigning_authority=node.assigning_authority,
                ),
            ),
            content=ContentStore(home.records),
            clock=SystemClock(),
        )
    finally:
        directory_engine.dispose()
        engine.dispose()


def local_records(opened: OpenedHome) -> LocalRecords:
    """The local side."""
    settings = opened.settings
    policy = QueryPolicy(
        home_community_id=opened.home_community_id,
        max_documents=settings.limits.documents_per_answer,
    )
    if not settings.policy.five_year_default:
        policy = replace(policy, default_years=None)
    return LocalRecords(opened.index, opened.content, policy, opened.clock)


def fhir_loader(opened: OpenedHome) -> FhirLoader:
    """What brings FHIR resources into the database."""
    return FhirLoader(
        FhirIndex(opened.engine), FhirPeople(opened.engine), opened.index, opened.content
    )


def trust_log(opened: OpenedHome, author: Author, key: LedgerKey | None = None) -> TrustLog:
    """Where changes of trust are written down, as an author's; ``key`` where it was read before."""
    return TrustLog(
        opened.engine,
        lambda: key or load_key(opened.home.path),
        own=opened.home_community_id,
        author=author,
        now=opened.clock.now,
    )
