"""Assembles the console of an opened node home."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from importlib.metadata import version
from ipaddress import ip_address
from ssl import SSLContext
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from sqlalchemy.exc import SQLAlchemyError

from node.audit_site import audit_site
from node.console.app import console_app
from node.console.clinic.clinic import Clinic
from node.console.clinic.keeping import ClinicStore
from node.console.clinic.opening import Documents
from node.console.clinic.requests import Requests
from node.console.clinic.searching import Network, Searches, SearchLimits
from node.console.looked_up import LookedUp
from node.console.parts import Console, Head, OwnNode
from node.errors import CodedError, LogError, SettingsError
from node.gateway.server import serving
from node.governance.accounting import applied
from node.governance.asked_anew import AskedAnew
from node.governance.cases import Cases
from node.governance.denials import Denials
from node.governance.disclosure_duties import Duties
from node.governance.disclosure_reading import Disclosures
from node.governance.export_store import ExportStore, Rules
from node.governance.export_writer import ExportWriter
from node.governance.packet import Packing
from node.governance.qhin_reading import QhinReports
from node.governance.tallying import Tallier
from node.governance.two_person import TwoPerson
from node.governance.watching import watching
from node.ledger.log_files import LogFolder
from node.ledger.private import LedgerKey, load_key
from node.ledger.sealed_proof import prove_entry
from node.ledger.sealer import CHECKPOINT
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.note import MAX_NOTE, parse_note
from node.ledger.trust_change import Author, Recorder
from node.letting_in import break_glass_of, contacts_of, relationships_of
from node.opened import OpenedHome, trust_log
from node.operating import RunningMachine
from node.peers.sealed_inbox import SealedInbox
from node.records.likeness import likeness
from node.sign_on import sign_on
from node.users.lists import Lists
from node.users.model import User
from node.users.preferences import Preferences
from node.users.saved_views import SavedViews
from node.users.selections import Selections
from node.users.sessions import Sessions
from node.users.store import Users
from node.wire.identifiers import home_community_id
from node.yearly_sealer import sealed_years, verifier_keys

_SWEEP_SECONDS: Final = 600.0
_log = structlog.get_logger(__name__)
_NOBODY: Final = Author(by="user", who={"user_id": "not signed in"})


def console_parts(
    opened: OpenedHome, *, secure: bool, root: str = "", network: Network | None = None
) -> Console:
    """The parts behind pages for our people, which are below ``root``.

    Args:
        opened: the node home.
        secure: whether browsers reach the pages by TLS.
        root: the path below which they are.
        network: how clinicians' searches ask, where they may.

    Raises:
        SettingsError: ``settings-invalid`` for a time zone, an exclusion or a role that there is
            not; when the ledger key cannot be read.
    """
    settings, clock = opened.settings, opened.clock
    key = load_key(opened.home.path)
    users = Users(opened.engine, key, clock.now)
    cases = Cases(opened.engine, key, own=home_community_id(settings.node.home_community_id))

    own = home_community_id(settings.node.home_community_id)
    two_person = TwoPerson(opened.engine, key, own=own)
    exports = exports_of(opened, key, two_person)

    def recorder(user: User | None) -> Recorder:
        return trust_log(opened, _author(user), key)

    def peer_name(hcid: str) -> str | None:
        entry = opened.peers.by_home_community_id(home_community_id(hcid))
        return entry.name if entry else None

    return Console(
        engine=opened.engine,
        key=key,
        users=users,
        sessions=Sessions(
            opened.engine,
            users,
            clock.now,
            proved_for=timedelta(minutes=settings.console.proof_minutes),
        ),
        recorder=recorder,
        peer_name=peer_name,
        cases=cases,
        denials=Denials(opened.engine, key, own=home_community_id(settings.node.home_community_id)),
        disclosures=Disclosures(
            opened.engine,
            key,
            opened.directory,
            applied(settings.disclosures.count),
            own_name=settings.node.name,
            own_id=settings.node.home_community_id,
        ),
        relationships=relationships_of(opened, key),
        break_glass=break_glass_of(opened, key, cases),
        contacts=contacts_of(opened),
        duties=Duties(opened.engine, key, own=own),
        qhin=QhinReports(
            opened.engine,
            opened.directory,
            own_name=settings.node.name,
            own_id=settings.node.home_community_id,
            organization_id=settings.node.organization_id,
            heartbeat=timedelta(minutes=settings.log.heartbeat_minutes),
        ),
        views=SavedViews(opened.engine),
        preferences=Preferences(opened.engine),
        selections=Selections(opened.engine),
        lists=Lists(opened.engine),
        two_person=two_person,
        exports=exports,
        export_writer=writer_of(opened, key, exports),
        tallier=Tallier(opened.engine, key, days=opened.settings.log.tally_days),
        asked_anew=AskedAnew(opened.engine, key, own=own),
        watching=watching(
            opened.engine, key, opened.directory, opened.index, own=opened.home_community_id
        ),
        looked_up=LookedUp(),
        clinic=_clinic(opened, network),
        packing=Packing(
            prove=lambda number: prove_entry(opened.home.log, number),
            vkeys=lambda: _keys(opened),
            site=audit_site(settings),
        ),
        head=lambda: _head(opened),
        home=opened.home,
        directory=opened.directory,
        own=OwnNode(
            name=settings.node.name,
            home_community_id=settings.node.home_community_id,
            version=version("tefca-node"),
            environment=settings.console.environment,
            organization_id=settings.node.organization_id,
        ),
        zone=_zone(settings.console.time_zone),
        secure=secure,
        needs_code=settings.console.one_time_codes,
        now=clock.now,
        machine=RunningMachine(opened),
        root=root,
        # the pages for apps have addresses that are not registered at the provider
        sign_on=None if root else sign_on(opened),
        local_accounts=settings.sign_on.local_accounts,
    )


@asynccontextmanager
async def serving_console(
    opened: OpenedHome,
    host: str,
    port: int,
    context: SSLContext | None = None,
    *,
    network: Network | None = None,
) -> AsyncIterator[tuple[str, int]]:
    """Serve the console until the block ends; yields the bound (host, port).

    Args:
        opened: the node home.
        host: the address to bind.
        port: the port, 0 for a free one.
        context: the TLS settings, or ``None`` for plain HTTP on this machine.
        network: how clinicians' searches ask; searches that run end with the block.

    Raises:
        SettingsError: as ``console_parts``.
        OurFault: ``listen-failed``, ``start-failed``.
    """
    console = console_parts(opened, secure=context is not None, network=network)
    searches = console.clinic.searches
    async with (
        serving(
            console_app(console), host, port, context, turn_away=opened.turnstile.at("console")
        ) as bound,
        console.clinic.documents.swept(),
        console.clinic.requests.stored(opened.clock.now),
    ):
        rounds = asyncio.create_task(_sweeping(console.export_writer))
        try:
            yield bound
        finally:
            rounds.cancel()
            if searches is not None:
                await searches.close()  # before the listener: pages that follow one end with it
            await asyncio.to_thread(console.export_writer.close)


async def _sweeping(writer: ExportWriter) -> None:
    """Delete files of exports whose time is over, and go on with those that wait; never ends."""
    while True:
        try:
            await asyncio.to_thread(writer.sweep)
        except (CodedError, OSError, SQLAlchemyError) as error:
            code = getattr(error, "code", type(error).__name__)
            _log.error("console.exports-not-swept", code=code)
        await asyncio.sleep(_SWEEP_SECONDS)


def _clinic(opened: OpenedHome, network: Network | None) -> Clinic:
    settings = opened.settings
    store = ClinicStore(opened.engine, load_key(opened.home.path))
    documents = _documents(opened, network, store)
    requests = Requests(likeness, store, now=opened.clock.now(), let_go=documents.forget)
    limits = SearchLimits(in_all=settings.console.searches, of_one=settings.console.searches_of_one)
    return Clinic(
        requests=requests,
        documents=documents,
        people=opened.index,
        authority=settings.node.assigning_authority,
        network=network,
        searches=Searches(network, requests, limits) if network else None,
    )


def exports_of(opened: OpenedHome, key: LedgerKey, two_person: TwoPerson) -> ExportStore:
    """The exports of a node home."""
    settings = opened.settings.exports
    rules = Rules(
        second_person_above=settings.second_person_above,
        keep=timedelta(days=settings.keep_days),
        most_rows=settings.most_rows,
    )
    own = home_community_id(opened.settings.node.home_community_id)
    return ExportStore(opened.engine, key, two_person, rules, own=own)


def writer_of(opened: OpenedHome, key: LedgerKey, exports: ExportStore) -> ExportWriter:
    """What writes and deletes their files."""
    return ExportWriter(opened.engine, key, exports, opened.home.exports, opened.clock.now)


def _documents(opened: OpenedHome, network: Network | None, store: ClinicStore) -> Documents:
    """What clinicians open. Raises ``OurFault`` ``inbox-unwritable``."""
    limits, own = opened.settings.limits, opened.settings.console
    keep = timedelta(minutes=own.document_minutes)
    inbox = SealedInbox(
        opened.home.inbox / "console",
        max_bytes=min(limits.document_bytes, own.document_bytes),
        max_all_bytes=own.documents_bytes,
        left_before=opened.clock.now() - keep,
    )
    return Documents(
        initiator=network.initiator if network else None,
        broker=network.broker if network else None,
        inbox=inbox,
        clock=opened.clock,
        keep=keep,
        store=store,
        seen_for=timedelta(days=own.seen_days),
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _author(user: User | None) -> Author:
    if user is None:
        return _NOBODY
    return Author(by="user", who={"user_id": user.login, "name": user.name})


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(
            "settings-invalid", f"console.time_zone: there is no time zone {name}."
        ) from error


def _keys(opened: OpenedHome) -> tuple[str, ...]:
    """The keys by which others check our newest log; none while nothing is sealed."""
    head = _newest(opened)
    if head is None:
        return ()
    keys = verifier_keys(opened.home, opened.settings, head.origin, now=opened.clock.now())
    return tuple(str(key) for key in keys)


def _head(opened: OpenedHome) -> Head | None:
    """The newest checkpoint; its time is that of its file."""
    folder, checkpoint = _folder(opened), _newest(opened)
    if folder is None or checkpoint is None:
        return None
    try:
        written = (folder.path / CHECKPOINT).stat().st_mtime
    except OSError:
        return None
    return Head(
        root=checkpoint.root.hex(),
        entries=checkpoint.size,
        sealed=datetime.fromtimestamp(written, UTC),
    )


def _newest(opened: OpenedHome) -> Checkpoint | None:
    """The newest checkpoint of the log."""
    folder = _folder(opened)
    try:
        return (
            parse_checkpoint(parse_note(folder.read(CHECKPOINT, MAX_NOTE)).text) if folder else None
        )
    except (LogError, OSError):
        return None


def _folder(opened: OpenedHome) -> LogFolder | None:
    years = sealed_years(opened.home)
    return LogFolder(opened.home.log / str(years[-1])) if years else None
