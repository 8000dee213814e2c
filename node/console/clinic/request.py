"""A clinician's request, as it stands at a moment: frozen values, and what follows from them. Pure.

Every organization asked is one ``AskedLeg``, however many transactions it took: discovery, then the
list of documents for each identity it knows. An identity that does not agree with certainty with
whom was asked about holds its documents back until the person says whether it is the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from node.exchange.network_persons import Grade
from node.exchange.network_ports import KnownAt
from node.model import (
    Demographics,
    DocumentEntry,
    DocumentRef,
    ExchangeId,
    HomeCommunityId,
    LegId,
    Outcome,
    PatientId,
    Principal,
    Step,
)


class Progress(StrEnum):
    """How far a request is."""

    ASKING = "asking"
    ENDED = "ended"
    STOPPED = "stopped"
    """The person stopped waiting."""
    BROKEN = "broken"
    """Our own side could not go on; what had come by then is there."""
    INTERRUPTED = "interrupted"
    """The node was stopped; what had come by then is there."""
    BARRED = "barred"
    """Nobody was asked: no treatment relationship was found, and the glass is whole."""


class LegState(StrEnum):
    """How it stands with one organization: one word each (facts: governance-ux 9)."""

    ASKING = "asking"
    FOUND = "found"
    CHECK = "found-check"
    """Somebody is known there; whether it is the same person is for the person to say."""
    OTHER = "other-person"
    """All that is known there was somebody else, by the person's answer."""
    NONE = "none-held"
    UNSURE = "asks-for-more"
    """They hold candidates and ask for more about the person than was asked with."""
    DECLINED = "declined"
    UNREACHED = "not-reached"
    STOPPED = "stopped"

    @property
    def answered(self) -> bool:
        """Whether the organization answered the question; a refusal is counted apart."""
        return self in _ANSWERED


_ANSWERED = frozenset(
    {LegState.FOUND, LegState.CHECK, LegState.OTHER, LegState.NONE, LegState.UNSURE}
)


class SamePerson(StrEnum):
    """What the person said of an identity."""

    YES = "yes"
    NO = "no"


class Held(StrEnum):
    """Whether a document may be opened."""

    OPEN = "open"
    HELD_BACK = "held-back"
    """Until somebody says whether it is the same person."""
    HIDDEN = "hidden"
    """Of somebody else, by the person's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A transaction with the organization that ended; its entry of the log has ``leg_id``."""

    step: Step
    leg_id: LegId | None
    outcome: Outcome
    reason: str | None
    sentence: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom an organization knows, and whether that is whom was asked about.

    Attributes:
        number: its place in addresses, never reused.
        leg: of which organization.
        known: what it calls and says of the person.
        grade, percent: how well that agrees with what was asked.
        said: the person's answer, or ``None`` while there is none.
        by, at: who gave it, and when.
    """

    number: int
    leg: int
    known: KnownAt
    grade: Grade
    percent: int
    said: SamePerson | None = None
    by: str | None = None
    at: datetime | None = None

    @property
    def held(self) -> Held:
        """What that means for its documents."""
        if self.said is SamePerson.NO:
            return Held.HIDDEN
        sure = self.grade is Grade.CERTAIN or self.said is SamePerson.YES
        return Held.OPEN if sure else Held.HELD_BACK

    @property
    def is_open_question(self) -> bool:
        """Whether somebody has to say whether it is the same person."""
        return self.held is Held.HELD_BACK


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDocument:
    """A document that an organization named.

    Attributes:
        number: its place in addresses, never reused.
        leg: of which organization; ``home`` is its community, ``organization`` its name.
        identity: whose, by number.
        entry: the metadata as they came, with the community in it.
        patient_id: what the community calls the person, for the retrieve.
        resource: of a FHIR server, the DocumentReference as it came; such a document has no
            repository, so that ``ref`` is ``None`` and it cannot be retrieved by ITI-39.
        held: whether it may be opened.
    """

    number: int
    leg: int
    home: HomeCommunityId
    organization: str
    identity: int
    entry: DocumentEntry
    patient_id: PatientId | None
    held: Held
    resource: bytes | None = None

    @property
    def ref(self) -> DocumentRef | None:
        """What ``Initiator.retrieve`` asks with."""
        return None if self.resource is not None else self.entry.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedLeg:
    """One organization, and how it stands there.

    Attributes:
        number: its place on the page and in addresses (``/records/{token}/legs/{number}``).
        home, organization_id, name: who.
        state: in one word.
        began: when the transaction that runs was begun; ``None`` while it waits for its turn.
        usual_ms: how long such transactions with it usually take, where the log knows.
        steps: the transactions that ended, in order.
        identities: whom it knows, by number.
        documents: how many it named that may be opened; ``held_back`` and ``hidden`` ones beside.
    """

    number: int
    home: HomeCommunityId
    organization_id: str
    name: str
    state: LegState
    began: datetime | None = None
    usual_ms: int | None = None
    steps: tuple[Ended, ...] = ()
    identities: tuple[int, ...] = ()
    documents: int = 0
    held_back: int = 0
    hidden: int = 0

    @property
    def last(self) -> Ended | None:
        """The transaction that made the state what it is: the first that failed, else the last."""
        bad = [s for s in self.steps if not s.outcome.answered or s.outcome is Outcome.DECLINED]
        return bad[-1] if bad else (self.steps[-1] if self.steps else None)

    @property
    def code(self) -> str | None:
        """The reason as a code: of policy, a registry error or an error of ours."""
        return self.last.reason if self.last else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicRequest:
    """One search, as it stands.

    Attributes:
        token: random; the address of its pages.
        login: whose it is.
        principal: who asks, for which purpose, as the peers are told.
        exchange_id: of all its legs in the log.
        began: when.
        ended: when nothing more was to come, or ``None``.
        progress: how far it is.
        demographics: whom about, as asked.
        patient: the id of our own record of the person, where there is one.
        legs: one per organization, in the order of the page.
        identities: whom they know.
        documents: what they named, in the order in which it came.
        cut: whether there was more than is kept.
        version: grows with every change.
    """

    token: str
    login: str
    principal: Principal
    exchange_id: ExchangeId
    began: datetime
    progress: Progress
    demographics: Demographics
    patient: PatientId | None = None
    ended: datetime | None = None
    legs: tuple[AskedLeg, ...] = ()
    identities: tuple[Identity, ...] = ()
    documents: tuple[FoundDocument, ...] = ()
    cut: bool = False
    version: int = 0

    def leg(self, number: int) -> AskedLeg | None:
        """An organization by its number."""
        return self.legs[number - 1] if 0 < number <= len(self.legs) else None

    def identity(self, number: int) -> Identity | None:
        """An identity by its number."""
        return self.identities[number - 1] if 0 < number <= len(self.identities) else None

    def document(self, number: int) -> FoundDocument | None:
        """A document by its number."""
        return self.documents[number - 1] if 0 < number <= len(self.documents) else None

    def of_state(self, *states: LegState) -> tuple[AskedLeg, ...]:
        """The organizations with which it stands so."""
        return tuple(leg for leg in self.legs if leg.state in states)

    @property
    def answered(self) -> int:
        """How many answered the question."""
        return sum(leg.state.answered for leg in self.legs)
