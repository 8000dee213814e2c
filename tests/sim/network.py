"""Peers from memory: each answers, refuses, breaks, is slow or is down, by its knobs.

``SimPeers`` implements ``node.exchange.ports.Peers``; ``SimLedger`` remembers the order in which
entries became durable, which the law tests read.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from node.errors import NodeError
from node.exchange.deliver import Delivery
from node.exchange.ports import Call, Evidence, Inbox, PeerEntry, Receipt, Trace
from node.model import (
    Code,
    DeliveryAnswer,
    Demographics,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    HomeCommunityId,
    LegRecord,
    Match,
    MatchStatus,
    PatientId,
    PatientQuery,
    Peer,
    PersonName,
    Principal,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    RetrieveAnswer,
    RetrievedDocument,
    Severity,
    StoredQuery,
    Transaction,
)
from node.policy.purposes import purpose_register

PURPOSE = purpose_register().purposes["T-TRTMNT"].code
OWN = HomeCommunityId("urn:oid:2.999.1")
ALICE = Demographics(
    names=(PersonName(family="Canary-Newman", given=("Alice",)),),
    birth_date="19700501",
    sex="F",
)


def principal(purpose: Code = PURPOSE) -> Principal:
    return Principal(
        subject_id="Dr Ada Asker",
        user_id="ada@asker.example",
        organization="Asker Health",
        organization_id="org-asker",
        home_community_id=OWN,
        role=Code(code="59058001", scheme="2.16.840.1.113883.6.96"),
        purpose=purpose,
    )


def hcid(number: int) -> HomeCommunityId:
    return HomeCommunityId(f"urn:oid:2.999.{number}")


def entry(number: int, **changes: object) -> PeerEntry:
    facts: dict[str, object] = {
        "organization_id": f"org-{number}",
        "home_community_id": hcid(number),
        "name": f"Peer {number}",
        "active": True,
        "initiates": frozenset({PURPOSE.code}),
        "responds": {t: frozenset({PURPOSE.code}) for t in Transaction},
        "addresses": {t: f"https://peer{number}.example/{t.value}" for t in Transaction},
    }
    return PeerEntry(**(facts | changes))  # type: ignore[arg-type]


def document(number: int, name: str, content: bytes = b"") -> DocumentEntry:
    return DocumentEntry(
        entry_uuid=f"urn:uuid:{name}",
        unique_id=f"2.999.{number}.9^{name}",
        repository_unique_id=f"2.999.{number}.2",
        home_community_id=hcid(number),
        patient_id=patient(number),
        title=f"Document {name}",
        hash=hashlib.sha1(content).hexdigest(),
        size=len(content),
    )


def patient(number: int) -> PatientId:
    return PatientId(assigning_authority=f"2.999.{number}.1", id="Canary-MRN-7")


@dataclass
class SimPeer:
    """What one simulated peer does. ``fault`` is raised; ``hang`` never answers.

    ``says``: the demographics of its answer, in place of those it was asked with; ``entries``: the
    metadata of its documents, in place of what is made of their names.
    """

    number: int
    documents: dict[str, bytes] = field(default_factory=dict)
    knows: bool = True
    declines: bool = False
    discovery_fault: Callable[[], NodeError] | None = None
    fault: Callable[[], NodeError] | None = None
    faults_left: int = 1_000_000
    hang: bool = False
    errors: tuple[RegistryError, ...] = ()
    loses: frozenset[str] = frozenset()
    says: Demographics | None = None
    entries: tuple[DocumentEntry, ...] | None = None


class SimPeers:
    """The network: remembers every call, and how many were open at once."""

    def __init__(self, *peers: SimPeer) -> None:
        self.by_home = {hcid(p.number): p for p in peers}
        self.calls: list[tuple[Transaction, HomeCommunityId, Call]] = []
        self.queries: list[StoredQuery] = []
        self.refs: list[Sequence[DocumentRef]] = []
        self.deliveries: list[Delivery] = []
        self.open = 0
        self.most_open = 0
        self.cancelled: list[HomeCommunityId] = []

    async def _behave(self, t: Transaction, peer: Peer, call: Call, trace: Trace) -> SimPeer:
        self.calls.append((t, peer.home_community_id, call))
        sim = self.by_home[peer.home_community_id]
        trace.evidence = Evidence(peer_key="ab" * 32, request_digest=b"\1" * 32)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(0)
            if sim.hang:
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.append(peer.home_community_id)
            raise
        finally:
            self.open -= 1
        if sim.discovery_fault and t is Transaction.ITI_55:
            raise sim.discovery_fault()
        if sim.fault and sim.faults_left > 0:
            sim.faults_left -= 1
            raise sim.fault()
        return sim

    async def discover(
        self, peer: Peer, query: PatientQuery, call: Call, trace: Trace
    ) -> DiscoveryAnswer:
        sim = await self._behave(Transaction.ITI_55, peer, call, trace)
        if sim.declines:
            code = Code(code="AnswerNotAvailable", scheme="1.3.6.1.4.1.19376.1.2.27.3")
            return DiscoveryAnswer(
                status=MatchStatus.AE, problem=code, problem_text="The patient opted out."
            )
        if not sim.knows:
            return DiscoveryAnswer(status=MatchStatus.NF)
        match = Match(
            patient_id=patient(sim.number),
            home_community_id=hcid(sim.number),
            demographics=sim.says or query.demographics,
            score=97,
        )
        return DiscoveryAnswer(status=MatchStatus.OK, matches=(match,))

    async def find(self, peer: Peer, query: StoredQuery, call: Call, trace: Trace) -> QueryAnswer:
        self.queries.append(query)
        sim = await self._behave(Transaction.ITI_38, peer, call, trace)
        entries = sim.entries or tuple(document(sim.number, n, c) for n, c in sim.documents.items())
        status = ResponseStatus.SUCCESS
        if sim.errors:
            status = ResponseStatus.PARTIAL_SUCCESS if entries else ResponseStatus.FAILURE
        return QueryAnswer(status=status, documents=entries, errors=sim.errors)

    async def retrieve(
        self, peer: Peer, refs: Sequence[DocumentRef], call: Call, trace: Trace, inbox: Inbox
    ) -> RetrieveAnswer:
        self.refs.append(tuple(refs))
        sim = await self._behave(Transaction.ITI_39, peer, call, trace)
        received = []
        for ref in refs:
            name = ref.document_unique_id.split("^")[1]
            if name in sim.loses:
                continue
            incoming = await inbox.begin()
            await incoming.write(sim.documents[name])
            token, size, sha256 = await incoming.finish()
            received.append(
                RetrievedDocument(
                    ref=ref, mime_type="text/xml", size=size, sha256=sha256, token=token
                )
            )
        return RetrieveAnswer(status=ResponseStatus.SUCCESS, documents=tuple(received))

    async def deliver(
        self, peer: Peer, delivery: Delivery, call: Call, trace: Trace
    ) -> DeliveryAnswer:
        self.deliveries.append(delivery)
        sim = await self._behave(Transaction.ITI_80, peer, call, trace)
        for sent in delivery.documents:
            content = b"".join([chunk async for chunk in sent.chunks()])
            assert hashlib.sha256(content).hexdigest() == sent.sha256
            sim.documents[sent.entry.unique_id] = content
        failed = any(error.severity is Severity.ERROR for error in sim.errors)
        status = ResponseStatus.FAILURE if failed else ResponseStatus.SUCCESS
        return DeliveryAnswer(status=status, errors=sim.errors)


class SimInbox:
    """Documents in memory."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.released: list[str] = []

    async def begin(self) -> _SimIncoming:
        return _SimIncoming(self)

    async def release(self, token: str, name: str) -> str:
        self.released.append(token)
        return name

    async def open(self, token: str) -> AsyncIterator[bytes]:
        yield self.contents[token]

    async def discard(self, token: str) -> None:
        del self.contents[token]


class _SimIncoming:
    def __init__(self, inbox: SimInbox) -> None:
        self._inbox = inbox
        self._data = b""

    async def write(self, chunk: bytes) -> None:
        self._data += chunk

    async def finish(self) -> tuple[str, int, str]:
        token = f"t{len(self._inbox.contents)}"
        self._inbox.contents[token] = self._data
        return token, len(self._data), hashlib.sha256(self._data).hexdigest()

    async def abort(self) -> None:
        self._data = b""


class SimDirectory:
    def __init__(self, *entries: PeerEntry) -> None:
        self.entries = list(entries)
        self.version = "sim-1"

    def by_home_community_id(self, hcid: HomeCommunityId) -> PeerEntry | None:
        return next((e for e in self.entries if e.home_community_id == hcid), None)

    def by_organization_id(self, organization_id: str) -> PeerEntry | None:
        return next((e for e in self.entries if e.organization_id == organization_id), None)

    def responders(self, transaction: Transaction) -> Sequence[PeerEntry]:
        return [e for e in self.entries if transaction in e.addresses]


class SimLedger:
    """Keeps what was appended; ``fails`` makes every append raise."""

    def __init__(self) -> None:
        self.records: list[LegRecord] = []
        self.fails: NodeError | None = None
        self.log: list[str] = []

    async def append(self, record: LegRecord) -> Receipt:
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails
        self.records.append(record)
        self.log.append("durable")
        return Receipt(entry_id=record.leg.leg_id, seq=len(self.records))
