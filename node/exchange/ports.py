"""What the use cases need from the world: small protocols that the shells implement.

Nothing here names a socket, a table or a file. ``node.app`` connects the real ones, tests connect
the simulated network of ``tests/sim``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from node.exchange.deliver import Delivery
from node.model import (
    DeliveryAnswer,
    Demographics,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    HomeCommunityId,
    LegRecord,
    PatientId,
    PatientQuery,
    Peer,
    Principal,
    QueryAnswer,
    RetrieveAnswer,
    Step,
    StoredQuery,
    Transaction,
)
from trust.decision import TrustDecision


class Clock(Protocol):
    """The only source of time and of new ids."""

    def now(self) -> datetime:
        """The current instant, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds for measuring durations."""
        ...

    def new_id(self) -> str:
        """A new UUIDv7 as text."""
        ...


# --- the network ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one outbound attempt needs besides its question.

    ``timeout`` is in seconds and covers the whole attempt; ``patient_id`` goes into the assertion's
    resource-id where it is known. A new ``message_id`` and a newly signed assertion are made for
    each attempt (facts: ihe-wire 8.2 TTL).
    """

    message_id: str
    principal: Principal
    timeout: float
    patient_id: PatientId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an attempt leaves for the ledger, also when it failed half-way.

    ``binding`` says how the server's key was bound to the peer, ``trust`` why, or why not;
    ``promise`` is the log promise that came with the answer.
    """

    peer_key: str | None = None
    binding: str | None = None
    trust: TrustDecision | None = None
    assertion_id: str | None = None
    issuer: str | None = None
    relates_to: str | None = None
    request_digest: bytes | None = None
    response_digest: bytes | None = None
    request: bytes | None = field(default=None, repr=False)
    response: bytes | None = field(default=None, repr=False)
    promise: str | None = None
    deviations: tuple[str, ...] = ()


@dataclass(slots=True)
class Trace:
    """Filled by the shell while an attempt runs, so that a failed one has evidence as well."""

    evidence: Evidence = field(default_factory=Evidence)

    def note(self, *deviations: str) -> None:
        """Add tolerated deviations."""
        found = dict.fromkeys((*self.evidence.deviations, *deviations))
        self.evidence = replace(self.evidence, deviations=tuple(found))


class Peers(Protocol):
    """Sends one transaction to one peer and parses its answer. Raises ``NodeError``.

    A SOAP fault is raised as ``AnswerError``; an application error (AE, Failure) is a value.
    Cancelling the task stops the request and closes its connection.
    """

    async def discover(
        self, peer: Peer, query: PatientQuery, call: Call, trace: Trace
    ) -> DiscoveryAnswer:
        """ITI-55."""
        ...

    async def find(self, peer: Peer, query: StoredQuery, call: Call, trace: Trace) -> QueryAnswer:
        """ITI-38."""
        ...

    async def retrieve(
        self, peer: Peer, refs: Sequence[DocumentRef], call: Call, trace: Trace, inbox: Inbox
    ) -> RetrieveAnswer:
        """ITI-39. Each document's bytes go to ``inbox`` as they come, never whole in memory."""
        ...

    async def deliver(
        self, peer: Peer, delivery: Delivery, call: Call, trace: Trace
    ) -> DeliveryAnswer:
        """ITI-80. Each document's bytes are read as they are sent, never whole in memory."""
        ...


class Incoming(Protocol):
    """One document on its way in."""

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises ``LimitError`` past the size limit."""
        ...

    async def finish(self) -> tuple[str, int, str]:
        """Close it; returns (token, size in bytes, SHA-256 hex)."""
        ...

    async def abort(self) -> None:
        """Forget it."""
        ...


class Inbox(Protocol):
    """Where received documents wait until their ledger entry is durable (law 1)."""

    async def begin(self) -> Incoming:
        """Start receiving one document."""
        ...

    async def release(self, token: str, name: str) -> str:
        """Show a document whose entry is durable under a safe name; returns where it is."""
        ...

    def open(self, token: str) -> AsyncIterator[bytes]:
        """The bytes of a finished document in chunks."""
        ...

    async def discard(self, token: str) -> None:
        """Delete a document that will not be shown."""
        ...


# --- the directory ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEntry:
    """What policy and routing need to know of one directory entry.

    ``initiates`` and ``responds`` are purpose codes, the latter per transaction. ``quirks`` is the
    peer profile of DESIGN section 5 (documents per retrieve, id forms, time-outs ...).
    ``unsigned_refused``: nobody signed the entry, and our settings refuse such entries.
    """

    organization_id: str
    home_community_id: HomeCommunityId
    name: str
    active: bool
    initiates: frozenset[str]
    responds: dict[Transaction, frozenset[str]]
    addresses: dict[Transaction, str]
    managing_organization_id: str | None = None
    suspended: bool = False
    quirks: dict[str, object] = field(default_factory=dict)
    unsigned_refused: bool = False

    @classmethod
    def unknown(cls, hcid: HomeCommunityId) -> PeerEntry:
        """Stands for a community that the directory does not have: there is no way to it."""
        return cls(
            organization_id="",
            home_community_id=hcid,
            name="not in the directory",
            active=True,
            initiates=frozenset(),
            responds={},
            addresses={},
        )

    def peer(self, transaction: Step) -> Peer:
        """The peer as the target of a transaction; a FHIR client has no address."""
        return Peer(
            organization_id=self.organization_id,
            home_community_id=self.home_community_id,
            name=self.name,
            address=(
                self.addresses.get(transaction) if isinstance(transaction, Transaction) else None
            ),
        )

    def fhir_peer(self, base_url: str | None) -> Peer:
        """The peer as the FHIR server at a base address."""
        return Peer(
            organization_id=self.organization_id,
            home_community_id=self.home_community_id,
            name=self.name,
            address=base_url,
        )


class DirectoryView(Protocol):
    """Read access to one version of the directory."""

    @property
    def version(self) -> str:
        """Names the snapshot; written into every ledger entry."""
        ...

    def by_home_community_id(self, hcid: HomeCommunityId) -> PeerEntry | None:
        """The entry with an HCID, or ``None``."""
        ...

    def by_organization_id(self, organization_id: str) -> PeerEntry | None:
        """The entry with a directory id, or ``None``."""
        ...

    def responders(self, transaction: Transaction) -> Sequence[PeerEntry]:
        """All active entries that answer a transaction, ourselves left out."""
        ...


# --- a request that came in -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is refused before any policy is asked: identity, form, replay, unknown peer.

    ``code`` is a reason of ``node/policy/data/reasons.toml``; ``detail`` is for our log only: an
    unauthenticated peer never learns which check failed (facts: ihe-wire 1.3).
    """

    code: str
    sentence: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, proved: claims read from verified bytes only and bound to a directory entry.

    ``binding`` is ``pinned`` or ``anchor+name``. ``entry`` is the asker's directory entry;
    ``issuer`` issued the assertion.
    """

    principal: Principal
    entry: PeerEntry
    binding: str
    assertion_id: str
    patient_id: PatientId | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One request as it came in, with the outcome of authentication.

    ``asker`` is who asks, or the refusal; ``claimed`` is what can be said of the peer when it was
    refused (the entry of its HCID where one was readable), for the ledger only. ``trust`` is the
    decision about its keys, as far as they were judged.
    """

    transaction: Step
    message_id: str | None
    asker: Asker | Refusal
    peer_key: str | None
    request_digest: bytes
    request: bytes | None = field(default=None, repr=False)
    deviations: tuple[str, ...] = ()
    claimed: Peer | None = None
    trust: TrustDecision | None = None


# --- the local side ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPatient:
    """One person in the local index; ``score`` is the match's, 0 to 100, with its reasons."""

    patient_id: PatientId
    demographics: Demographics
    score: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDocument:
    """A document ready to be sent: its entry and its bytes in chunks."""

    entry: DocumentEntry
    chunks: AsyncIterator[bytes]


class RecordSource(Protocol):
    """The contract for the local side (DESIGN section 5)."""

    async def match(self, demographics: Demographics) -> Sequence[LocalPatient]:
        """Certain matches first; at most one identity per person; empty when none is certain."""
        ...

    async def find(self, query: StoredQuery) -> QueryAnswer:
        """Answer a stored query over the local documents."""
        ...

    async def identifiers(self, patient_id: PatientId) -> Sequence[PatientId]:
        """All identifiers of the person with a local id, that id included; empty when unknown."""
        ...

    async def entry(self, ref: DocumentRef) -> DocumentEntry | None:
        """The entry of one document by its repository and unique id, or ``None``."""
        ...

    async def open(self, ref: DocumentRef) -> OpenDocument | None:
        """Open one document, or ``None`` when it is not held."""
        ...


# --- the ledger -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that an entry is durable: its id and its sequence number."""

    entry_id: str
    seq: int


class Ledger(Protocol):
    """Append-only. ``append`` returns only when the entry survives a crash (law 1)."""

    async def append(self, record: LegRecord) -> Receipt:
        """Write one leg. Raises ``OurFault`` when it cannot be made durable: nothing is sent."""
        ...
