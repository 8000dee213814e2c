"""Calls to peers over SOAP: ``exchange.ports.Peers`` for ITI-55, ITI-38, ITI-39 and ITI-80.

One call is one attempt: a new assertion is signed, the request is sent once, the answer is judged
and parsed. Retries are the use case's to decide. The trace is filled as things become known, so
that an attempt that fails half-way leaves its evidence.

An answer is read piece by piece: its SOAP part is held (within a limit), attachments go into the
inbox as they come. That an answer is MTOM, plain SOAP, has inline documents or parts before the
root, makes no difference here (facts: ihe-wire 1, tolerated shapes).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import aiohttp

from node.exchange.deliver import Delivery, OutgoingDocument
from node.exchange.document_sink import DocumentSink
from node.exchange.ports import Call, Clock, Inbox, Trace
from node.ledger.promise import HEADER
from node.model import (
    DeliveryAnswer,
    DiscoveryAnswer,
    DocumentRef,
    HomeCommunityId,
    PatientQuery,
    Peer,
    QueryAnswer,
    RetrieveAnswer,
    StoredQuery,
    Transaction,
)
from node.peers.answer import AnswerLimits, judge_answer, read_answer
from node.peers.assertion import AssertionIssuer, SignedHeader
from node.peers.attempt import endpoint_url, posted
from node.peers.breaker import Breakers
from node.peers.guarded import guarded
from node.peers.pool import Judge
from node.peers.promised import LogOf, judged_promise
from node.peers.retrieved import collect
from node.peers.server_trust import ServerJudge, not_bound
from node.wire.addressing import Addressing
from node.wire.content_type import soap_content_type
from node.wire.hl7v3 import InstanceId
from node.wire.identifiers import bare_oid
from node.wire.mtom_writer import MtomWriter
from node.wire.names import ANONYMOUS, OPERATIONS, Operation
from node.wire.retrieve import build_retrieve_request, parse_retrieve_response
from node.wire.soap import Envelope, build_envelope
from node.wire.stored_query import build_adhoc_query
from node.wire.timestamps import instant
from node.wire.xca import parse_query_answer
from node.wire.xcdr import parse_delivery_answer, write_submission
from node.wire.xcpd_message import DiscoveryRequest
from node.wire.xcpd_request import build_discovery_request
from node.wire.xcpd_response import parse_discovery_response
from node.wire.xml import serialize
from trust.tls import PeerCertificates


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who we are in our own messages.

    ``assigning_authority`` is ours: an id of it among the demographics lets the peer ask back.
    """

    home_community_id: HomeCommunityId
    assigning_authority: str | None = None
    processing_code: str = "P"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One request on its way: what is asked, of whom, and where its evidence goes."""

    peer: Peer
    operation: Operation
    call: Call
    trace: Trace
    attachments: Sequence[tuple[str, OutgoingDocument]] = ()


class SoapPeers:
    """The SOAP client. One instance serves all peers; it owns nothing that must be closed."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        issuer: AssertionIssuer,
        own: Caller,
        clock: Clock,
        judge_server: ServerJudge | None = None,
        breakers: Breakers | None = None,
        limits: AnswerLimits | None = None,
        log_of: LogOf = lambda _peer: None,
    ) -> None:
        """``session`` is the pool (``pool.open_pool``); its owner closes it.

        ``log_of`` gives the log that a peer's entry names, whose promises are then expected.
        """
        self._session = session
        self._issuer = issuer
        self._own = own
        self._clock = clock
        self._judge_server = judge_server
        self._breakers = breakers or Breakers()
        self._limits = limits or AnswerLimits()
        self._log_of = log_of

    async def discover(
        self, peer: Peer, query: PatientQuery, call: Call, trace: Trace
    ) -> DiscoveryAnswer:
        """ITI-55."""
        own, now = bare_oid(self._own.home_community_id), self._clock.now()
        authority = self._own.assigning_authority
        request = DiscoveryRequest(
            message_id=InstanceId(root=own, extension=self._clock.new_id()),
            query_id=InstanceId(root=own, extension=self._clock.new_id()),
            query=query,
            creation_time=instant(now),
            sender_device=own,
            sender=self._own.home_community_id,
            receiver_device=bare_oid(peer.home_community_id),
            receiver=query.target or peer.home_community_id,
            author_assigning_authority=authority
            if any(i.assigning_authority == authority for i in query.demographics.identifiers)
            else None,
            processing_code=self._own.processing_code,
        )
        body = serialize(build_discovery_request(request))
        question = self._question(peer, Transaction.ITI_55, call, trace)
        envelope = await self._ask(question, body, None)
        answer, deviations = parse_discovery_response(envelope.body, request)
        trace.note(*map(str, deviations))
        return answer

    async def find(self, peer: Peer, query: StoredQuery, call: Call, trace: Trace) -> QueryAnswer:
        """ITI-38."""
        body = serialize(build_adhoc_query(query))
        question = self._question(peer, Transaction.ITI_38, call, trace)
        envelope = await self._ask(question, body, None)
        answer, deviations = parse_query_answer(envelope.body, peer.home_community_id)
        trace.note(*map(str, deviations))
        return answer

    async def retrieve(
        self, peer: Peer, refs: Sequence[DocumentRef], call: Call, trace: Trace, inbox: Inbox
    ) -> RetrieveAnswer:
        """ITI-39; what was received is in the inbox, and nothing else is left there."""
        body = serialize(build_retrieve_request(refs))
        question = self._question(peer, Transaction.ITI_39, call, trace)
        async with DocumentSink(inbox) as sink:
            envelope = await self._ask(question, body, sink)
            head, deviations = parse_retrieve_response(envelope.body)
            trace.note(*map(str, deviations))
            answer, more = await collect(head, refs, sink)
            trace.note(*map(str, more))
        return answer

    async def deliver(
        self, peer: Peer, delivery: Delivery, call: Call, trace: Trace
    ) -> DeliveryAnswer:
        """ITI-80; the documents are read while they are sent."""
        stamp = self._clock.new_id()
        attachments = [
            (f"document-{place}-{stamp}@node", document)
            for place, document in enumerate(delivery.documents)
        ]
        body = write_submission(
            peer.home_community_id,
            delivery.submission_set,
            [(document.entry, content_id) for content_id, document in attachments],
        )
        question = replace(
            self._question(peer, Transaction.ITI_80, call, trace), attachments=attachments
        )
        envelope = await self._ask(question, body, None)
        answer, deviations = parse_delivery_answer(envelope.body)
        trace.note(*map(str, deviations))
        return answer

    def sign_with(self, issuer: AssertionIssuer) -> None:
        """Let new attempts carry assertions of another issuer."""
        self._issuer = issuer

    # --- one attempt --------------------------------------------------------------------------

    def _question(
        self, peer: Peer, transaction: Transaction, call: Call, trace: Trace
    ) -> _Question:
        return _Question(peer=peer, operation=OPERATIONS[transaction], call=call, trace=trace)

    async def _ask(self, question: _Question, body: bytes, sink: DocumentSink | None) -> Envelope:
        """Run one attempt under its time limit and its peer's circuit breaker.

        Raises:
            NodeError: whatever ended it.
            TrustError: ``claims-incomplete`` when our own assertion would not be acceptable.
        """
        key = question.peer.organization_id
        async with guarded(self._breakers, key, self._clock, seconds=question.call.timeout):
            return await self._attempt(question, body, sink)

    async def _attempt(
        self, question: _Question, body: bytes, sink: DocumentSink | None
    ) -> Envelope:
        address = question.peer.address or ""
        url = endpoint_url(address)
        header = self._issuer.sign(
            question.call,
            audience=address,
            ids=(self._clock.new_id(), self._clock.new_id()),
            now=self._clock.now(),
        )
        soap = self._envelope(question, address, header, body)
        headers, wire = self._framed(question, soap)
        question.trace.evidence = replace(
            question.trace.evidence,
            assertion_id=header.assertion_id,
            issuer=header.issuer,
            request_digest=hashlib.sha256(soap).digest(),
            request=soap,
        )
        async with posted(
            self._session,
            url,
            wire,
            headers=headers,
            judge=self._judge(question),
            max_bytes=self._limits.total_bytes,
        ) as answer:
            read = await read_answer(answer, self._limits, sink)
            if read.is_soap:
                self._take_promise(question, answer.headers.get(HEADER))
        question.trace.evidence = replace(
            question.trace.evidence,
            response_digest=hashlib.sha256(read.soap).digest(),
            response=read.soap,
        )
        question.trace.note(*map(str, read.deviations))
        envelope, deviations = judge_answer(
            read,
            operation=question.operation,
            message_id=question.call.message_id,
            signature=header.signature,
            limits=self._limits,
        )
        question.trace.evidence = replace(
            question.trace.evidence, relates_to=envelope.addressing.relates_to
        )
        question.trace.note(*map(str, deviations))
        return envelope

    def _take_promise(self, question: _Question, value: str | None) -> None:
        promise, deviations = judged_promise(
            value,
            self._log_of(question.peer),
            message_id=question.call.message_id,
            now=self._clock.now(),
        )
        question.trace.evidence = replace(question.trace.evidence, promise=promise)
        question.trace.note(*map(str, deviations))

    def _envelope(
        self, question: _Question, address: str, header: SignedHeader, body: bytes
    ) -> bytes:
        return build_envelope(
            addressing=Addressing(
                action=question.operation.request_action,
                message_id=question.call.message_id,
                to=address,
                reply_to=ANONYMOUS,
            ),
            body=body,
            security=header.octets,
        )

    def _framed(
        self, question: _Question, soap: bytes
    ) -> tuple[dict[str, str], bytes | AsyncIterator[bytes]]:
        """The headers and the body; one with documents is read as it is sent."""
        operation = question.operation
        if not operation.mtom:
            return {"Content-Type": soap_content_type(operation.request_action)}, soap
        stamp = self._clock.new_id()
        writer = MtomWriter(
            boundary=f"node-{stamp}",
            root_cid=f"soap-{stamp}@node",
            action=operation.request_action,
        )
        headers = {"Content-Type": writer.content_type}
        if not question.attachments:
            return headers, writer.head(soap) + writer.tail()
        sizes = [
            (content_id, document.entry.mime_type, document.entry.size or 0)
            for content_id, document in question.attachments
        ]
        headers["Content-Length"] = str(writer.content_length(len(soap), sizes))
        return headers, _with_documents(writer, soap, question.attachments)

    def _judge(self, question: _Question) -> Judge:
        def judge(certificates: PeerCertificates, key: str) -> None:
            question.trace.evidence = replace(question.trace.evidence, peer_key=key)
            if self._judge_server is not None:
                verdict = self._judge_server(question.peer, certificates)
                question.trace.evidence = replace(
                    question.trace.evidence, binding=verdict.method, trust=verdict.decision
                )
                if not verdict.ok:
                    raise not_bound(verdict)

        return judge


async def _with_documents(
    writer: MtomWriter, soap: bytes, attachments: Sequence[tuple[str, OutgoingDocument]]
) -> AsyncIterator[bytes]:
    yield writer.head(soap)
    for content_id, document in attachments:
        yield writer.part_head(content_id, document.entry.mime_type)
        async for chunk in document.chunks():
            yield chunk
        yield writer.part_end()
    yield writer.tail()
