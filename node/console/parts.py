"""What every page of the console gets: the node's stores, and who is looking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from sqlalchemy import Engine
from starlette.requests import Request

from directory.store import DirectoryStore
from node.console.clinic.clinic import Clinic
from node.console.looked_up import LookedUp
from node.console.machine import Machine
from node.console.provider import Provider
from node.governance.access.break_glass import BreakGlass
from node.governance.access.relationships import Relationships
from node.governance.asked_anew import AskedAnew
from node.governance.cases import Cases
from node.governance.denials import Denials
from node.governance.disclosure_duties import Duties
from node.governance.disclosure_reading import Disclosures
from node.governance.export_store import ExportStore
from node.governance.export_writer import ExportWriter
from node.governance.packet import Packing
from node.governance.qhin_reading import QhinReports
from node.governance.tallying import Tallier
from node.governance.two_person import TwoPerson
from node.governance.watching import Watching
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Recorder
from node.settings import NodeHome
from node.users.lists import Lists
from node.users.model import User
from node.users.preferences import Preferences
from node.users.saved_views import SavedViews
from node.users.selections import Selections
from node.users.sessions import Session, Sessions
from node.users.store import Users


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNode:
    """What the frame says of the node."""

    name: str
    home_community_id: str
    version: str
    environment: str
    organization_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """Whom people call, as the settings say it; empty where they do not."""

    help_desk: str
    privacy_officer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest sealed state of the log, as the frame's foot shows it."""

    root: str
    entries: int
    sealed: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The parts behind the pages.

    Attributes:
        engine: the node's database.
        key: opens private groups.
        users: who may sign in.
        sessions: who has.
        recorder: writes down what a person does, under their name.
        peer_name: the directory's name of a home community, if it knows one.
        cases: what somebody looks into.
        denials: writes down what refusals stand on.
        disclosures: what the log says that others got about a patient.
        relationships: whether a person may ask about a patient.
        duties: requests of patients for reports, and suspensions.
        qhin: periodic reports to the RCE.
        break_glass: lets a person ask where there is no relationship.
        contacts: whom people call.
        views: filters that people keep under names.
        preferences: what people chose of how pages look and act.
        selections: what people selected in lists.
        lists: the pages of lists that people had open last.
        two_person: what one person asks for and another one decides about.
        exports: files of entries that people ask for.
        export_writer: writes and deletes these files.
        watching: the detectors, and what they found.
        tallier: counts what the log says of each peer.
        asked_anew: links exchanges with those that ask the same anew.
        looked_up: the patients that addresses of pages stand for.
        clinic: what the clinicians' pages share.
        packing: what packets of evidence are made with.
        head: the newest sealed state of the log.
        home: the node home, for certificates, anchors and lists.
        directory: the organisations there are.
        own: what the frame says of the node.
        zone: the local time zone.
        secure: whether browsers reach the console by TLS.
        needs_code: whether everybody needs a one-time code.
        now: the clock.
        machine: the node as a thing that runs.
        sign_on: the sign-on of our organisation, where there is one.
        local_accounts: whether the node's own accounts may sign in.
        root: the path below which the pages are, without a slash at its end.
    """

    engine: Engine
    key: LedgerKey
    users: Users
    sessions: Sessions
    recorder: Callable[[User | None], Recorder]
    peer_name: Callable[[str], str | None]
    cases: Cases
    denials: Denials
    disclosures: Disclosures
    relationships: Relationships
    break_glass: BreakGlass
    contacts: Contacts
    duties: Duties
    qhin: QhinReports
    views: SavedViews
    preferences: Preferences
    selections: Selections
    lists: Lists
    two_person: TwoPerson
    exports: ExportStore
    export_writer: ExportWriter
    watching: Watching
    tallier: Tallier
    asked_anew: AskedAnew
    looked_up: LookedUp
    clinic: Clinic
    packing: Packing
    head: Callable[[], Head | None]
    home: NodeHome
    directory: DirectoryStore
    own: OwnNode
    zone: tzinfo
    secure: bool
    needs_code: bool
    now: Callable[[], datetime]
    machine: Machine
    root: str = ""
    sign_on: Provider | None = None
    local_accounts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of a person who is signed in.

    Attributes:
        form: the fields of a posted form; empty otherwise.
        in_utc: whether the person reads times in UTC.
        preferences: what the person chose of how pages look and act, by name.
    """

    console: Console
    request: Request
    session: Session
    now: datetime
    form: Mapping[str, str] = field(default_factory=dict)
    in_utc: bool = False
    preferences: Mapping[str, str] = field(default_factory=dict)

    @property
    def user(self) -> User:
        """Who it is."""
        return self.session.user

    @property
    def mark(self) -> str:
        """The token (hex) under which the log finds what the person did."""
        return self.console.cases.mark(self.user.login)

    def may(self, right: str) -> bool:
        """Whether the person has a right."""
        return right in self.user.rights

    def shown(self, instant: datetime) -> datetime:
        """An instant in the time zone that the person reads."""
        return instant if self.in_utc else instant.astimezone(self.console.zone)
