"""The probe's message by the normal initiating side: ``observed.Messenger`` over ``Initiator``.

Policy, assertion, connection pool, ledger entry are those of every exchange; the entries are marked
as synthetic. A leg tells how it ended in a code and a sentence; what a probe needs besides, the
error itself and the evidence, is noted by ``NotingPeers`` on the way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from node.errors import CodedError, LimitError, SettingsError
from node.exchange.deliver import Delivery
from node.exchange.initiate import Event, Initiator, KnownPatient, LegEnded
from node.exchange.ports import Call, Clock, Evidence, Inbox, Incoming, PeerEntry, Peers, Trace
from node.exchange.questions import DocumentSearch
from node.model import (
    DeliveryAnswer,
    DiscoveryAnswer,
    DocumentRef,
    HomeCommunityId,
    PatientQuery,
    Peer,
    Principal,
    QueryAnswer,
    RetrieveAnswer,
    StoredQuery,
    Transaction,
)
from node.probe.observed import Reply
from node.probe.synthetic import discovery_question, nobodys_document, nobodys_id

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What an attempt left: its evidence, and the error that ended it."""

    evidence: Evidence
    error: CodedError | None


class NotingPeers:
    """Implements ``exchange.ports.Peers`` over another; notes each attempt until it is taken."""

    def __init__(self, peers: Peers) -> None:
        """``peers`` does the sending."""
        self._peers = peers
        self._noted: dict[str, Noted] = {}

    def take(self, message_id: str | None) -> Noted | None:
        """What was noted of a message; it is forgotten here."""
        return self._noted.pop(message_id or "", None)

    async def discover(
        self, peer: Peer, query: PatientQuery, call: Call, trace: Trace
    ) -> DiscoveryAnswer:
        """ITI-55."""
        return await self._note(call, trace, lambda: self._peers.discover(peer, query, call, trace))

    async def find(self, peer: Peer, query: StoredQuery, call: Call, trace: Trace) -> QueryAnswer:
        """ITI-38."""
        return await self._note(call, trace, lambda: self._peers.find(peer, query, call, trace))

    async def retrieve(
        self, peer: Peer, refs: Sequence[DocumentRef], call: Call, trace: Trace, inbox: Inbox
    ) -> RetrieveAnswer:
        """ITI-39."""
        return await self._note(
            call, trace, lambda: self._peers.retrieve(peer, refs, call, trace, inbox)
        )

    async def deliver(
        self, peer: Peer, delivery: Delivery, call: Call, trace: Trace
    ) -> DeliveryAnswer:
        """ITI-80; no probe sends a document."""
        return await self._note(
            call, trace, lambda: self._peers.deliver(peer, delivery, call, trace)
        )

    async def _note(
        self, call: Call, trace: Trace, send: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        error: CodedError | None = None
        try:
            return await send()
        except CodedError as raised:
            error = raised
            raise
        finally:
            self._noted[call.message_id] = Noted(evidence=trace.evidence, error=error)


class NoDocuments:
    """An inbox that counts what comes and keeps nothing: a probe asks for no document."""

    def __init__(self, limit: int) -> None:
        """``limit`` is the most bytes of one document."""
        self._limit = limit

    async def begin(self) -> Incoming:
        """Start counting."""
        return _Dropped(self._limit)

    async def release(self, token: str, name: str) -> str:
        """There is nothing to show."""
        del token
        return name

    async def open(self, token: str) -> AsyncIterator[bytes]:
        """There is nothing to read."""
        del token
        return
        yield b""  # makes it the generator that the port asks for

    async def discard(self, token: str) -> None:
        """There is nothing to delete."""


class _Dropped:
    def __init__(self, limit: int) -> None:
        self._size, self._limit = 0, limit

    async def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise LimitError(
                "document-too-large", "The peer sends a large document that nobody asked for."
            )

    async def finish(self) -> tuple[str, int, str]:
        return "dropped", self._size, ""

    async def abort(self) -> None:
        self._size = 0


class InitiatingMessenger:
    """Implements ``observed.Messenger``."""

    def __init__(
        self,
        initiator: Initiator,
        noted: NotingPeers,
        clock: Clock,
        *,
        qhin_of: Callable[[PeerEntry], str],
        seconds: float,
        answer_bytes: int,
    ) -> None:
        """``qhin_of`` gives the name of the QHIN that manages an entry; limits are one answer's."""
        self._initiator = initiator
        self._noted = noted
        self._clock = clock
        self._qhin_of = qhin_of
        self._seconds = seconds
        self._inbox = NoDocuments(answer_bytes)

    async def send(self, entry: PeerEntry, transaction: Transaction, asker: Principal) -> Reply:
        """One message about nobody; it is in the ledger before this returns."""
        home = HomeCommunityId(entry.home_community_id)
        ended: LegEnded | None = None
        async with aclosing(self._events(entry, home, transaction, asker)) as events:
            async for event in events:
                if isinstance(event, LegEnded):
                    ended = event
        if ended is None:  # pragma: no cover  # every leg ends (DESIGN law 5)
            raise RuntimeError
        result = ended.result
        answer = result.answer
        if isinstance(answer, DeliveryAnswer):  # pragma: no cover  # nothing is sent, see _events
            raise TypeError
        noted = self._noted.take(result.leg.message_id)
        return Reply(
            leg=result.leg,
            answer=answer,
            error=noted.error if noted else None,
            evidence=noted.evidence if noted else Evidence(),
        )

    def _events(
        self,
        entry: PeerEntry,
        home: HomeCommunityId,
        transaction: Transaction,
        asker: Principal,
    ) -> AsyncGenerator[Event, None]:
        fresh, seconds = self._clock.new_id(), self._seconds
        match transaction:
            case Transaction.ITI_55:
                return self._initiator.find_patients(
                    asker,
                    discovery_question(self._qhin_of(entry)),
                    targets=[home],
                    seconds=seconds,
                    synthetic=True,
                )
            case Transaction.ITI_38:
                nobody = KnownPatient(home_community_id=home, patient_id=nobodys_id(fresh))
                return self._initiator.find_documents(
                    asker, [nobody], DocumentSearch(), seconds=seconds, synthetic=True
                )
            case Transaction.ITI_39:
                ref = nobodys_document(fresh, home)
                return self._initiator.retrieve(
                    asker, [ref], self._inbox, seconds=seconds, synthetic=True
                )
            case Transaction.ITI_80:
                # there is no document about nobody that a peer would not have to keep
                raise SettingsError(
                    "probe-transaction", "ITI-80 cannot be tested: it leaves a document behind."
                )
