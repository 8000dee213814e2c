"""The responding gateway as an ASGI application: one address for each transaction.

A request goes through the same steps whatever it asks: read within limits, find the SOAP part,
parse the envelope, authenticate, read the body, hand it to the use case, send what came back. What
goes wrong on the way is answered with a SOAP fault *after* it was written into the ledger (law 1):
the use case's ``refuse`` gets the encoder of the fault.

Sources: facts ihe-wire 1 (transport, content types, HTTP status of faults), 1.3 (faults), 17.9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from node.errors import LimitError, NodeError, WireError
from node.exchange.document_sink import DocumentSink
from node.exchange.ports import Asker, Inbound, Refusal
from node.gateway import iti38, iti39, iti55, iti80
from node.gateway.authentication import Verdict
from node.gateway.body import Incoming, linger, read_body
from node.gateway.limits import MessageLimits
from node.gateway.protocol import TlsPeer, peer_of
from node.gateway.reply import Frame, Reply
from node.gateway.responding import GatewayIdentity, Served, Understood
from node.gateway.soap_gateway import Gateway, GatewayPaths
from node.ledger.promise import HEADER
from node.model import Transaction
from node.wire.addressing import Addressing, dispatch
from node.wire.compression import accepts_gzip, compress
from node.wire.faults import (
    Fault,
    Subcode,
    asynchronous_fault,
    fault_for,
    receiver_fault,
    security_fault,
)
from node.wire.names import OPERATIONS
from node.wire.soap import Envelope, parse_envelope
from node.wire.wsdl import schema_document, wsdl_document

__all__ = ["Gateway", "GatewayPaths", "SoapEndpoint", "soap_app"]

_log = structlog.get_logger(__name__)

_STATUS = {
    "message-too-large": 413,
    "mtom-limit": 413,
    "document-too-large": 413,
    "content-type-invalid": 415,
    "content-coding-unsupported": 415,
    "request-slow": 408,
}
# the place that these errors name is a text of the peer's, which may hold a patient's data (law 6)
_QUOTING = frozenset({"addressing-action-unsupported", "soap-not-understood"})
_READERS: dict[Transaction, Callable[[Envelope, GatewayIdentity], Understood]] = {
    Transaction.ITI_55: iti55.read,
    Transaction.ITI_38: iti38.read,
    Transaction.ITI_39: iti39.read,
    Transaction.ITI_80: iti80.read,
}


def soap_app(gateway: Gateway) -> ASGIApp:
    """The application with the transactions, for ``gateway.server.serving``.

    A table of a few paths: Starlette's router and its two layers of error handling would take
    longer than reading the request (every error is answered by the endpoint itself).
    """
    endpoints = {
        gateway.paths.of(transaction): SoapEndpoint(gateway, transaction)
        for transaction in gateway.serves
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # the lifespan: nothing is to be started
        endpoint = endpoints.get(scope["path"], _not_found)
        await endpoint(scope, receive, send)

    return app


_not_found = PlainTextResponse("There is nothing at this address.\n", status_code=404)


_UNADDRESSED = Addressing()


@dataclass(slots=True, kw_only=True)
class _Received:
    """A request as far as it could be read; it grows while the request is read."""

    peer: TlsPeer | None
    soap: bytes = b""
    addressing: Addressing = _UNADDRESSED
    deviations: list[str] = field(default_factory=list)
    sink: DocumentSink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """Why a request is answered with a fault."""

    verdict: Verdict
    fault: Fault
    status: int


class SoapEndpoint:
    """One transaction at one address."""

    def __init__(self, gateway: Gateway, transaction: Transaction) -> None:
        """Serves ``transaction`` with what ``gateway`` holds."""
        self._gateway = gateway
        self._transaction = transaction
        self._operation = OPERATIONS[transaction]
        self._address = gateway.public_url.rstrip("/") + gateway.paths.of(transaction)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        response = (
            await self._post(scope, receive)
            if scope["method"] == "POST"
            else self._describe(Request(scope))
        )
        await response(scope, receive, send)

    # --- GET ----------------------------------------------------------------------------------

    def _describe(self, request: Request) -> Response:
        """``?wsdl`` and ``?xsd=name``; everything else than POST is not allowed."""
        names = {name.lower(): value for name, value in request.query_params.items()}
        text: bytes | None = None
        if request.method == "GET" and "wsdl" in names:
            text = wsdl_document(self._transaction, self._address)
        elif request.method == "GET" and "xsd" in names:
            text = schema_document(names["xsd"], self._address)
            if text is None:
                return PlainTextResponse("There is no such schema here.\n", status_code=404)
        if text is None:
            return PlainTextResponse(
                "This address takes SOAP 1.2 requests by POST; ?wsdl describes them.\n",
                status_code=405,
                headers={"allow": "POST"},
            )
        return Response(text, headers={"content-type": "text/xml; charset=utf-8"})

    # --- POST ---------------------------------------------------------------------------------

    async def _post(self, scope: Scope, receive: Receive) -> Response:
        started = self._gateway.clock.monotonic()
        # of a field that is repeated the first one counts
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(scope["headers"])
        }
        received = _Received(peer=peer_of(scope))
        promise: str | None = None
        try:
            async with AsyncExitStack() as stack:
                inbox = self._gateway.inbox
                if self._transaction is Transaction.ITI_80 and inbox is not None:
                    received.sink = await stack.enter_async_context(DocumentSink(inbox))
                reply = await self._answer(received, headers, Incoming(receive))
            # the entry is durable: every way to a reply leads through the use case that writes it
            promise = self._gateway.promise(received.addressing.message_id or "")
        except NodeError as error:
            _log.error("request not answered", transaction=self._transaction, code=error.code)
            reply = self._broken()
        except Exception:  # noqa: BLE001 - the outermost edge: the peer gets a fault, whatever it is
            _log.exception("request not answered", transaction=self._transaction)
            reply = self._broken()
        seconds = self._gateway.clock.monotonic() - started
        self._gateway.metrics.request(self._transaction, reply.status, seconds)
        return _respond(headers, reply, self._gateway.limits, promise)

    async def _answer(
        self, received: _Received, headers: Mapping[str, str], incoming: Incoming
    ) -> Reply:
        limits = self._gateway.limits
        try:
            body = await read_body(
                headers, incoming, limits, mtom=self._operation.mtom, sink=received.sink
            )
            received.soap = body.soap
            received.deviations += body.deviations
            envelope = parse_envelope(body.soap, limits=self._gateway.xml)
            received.addressing = envelope.addressing
            received.deviations += envelope.deviations
            _, deviations = dispatch(
                envelope.addressing, envelope.body_name, accept=(self._transaction,)
            )
            received.deviations += deviations
        except NodeError as error:
            reply = await self._refuse(received, _unreadable(error))
            if not received.soap:
                await linger(incoming, limits)
            return reply
        return await self._judge(received, envelope)

    async def _judge(self, received: _Received, envelope: Envelope) -> Reply:
        verdict = self._gateway.authenticator.authenticate(
            envelope, received.peer, self._transaction, self._gateway.clock.now()
        )
        received.deviations += verdict.deviations
        if isinstance(verdict.asker, Refusal):
            fault = security_fault(verdict.fault or Subcode.FAILED_AUTHENTICATION)
            return await self._refuse(
                received, _Refused(verdict=verdict, fault=fault, status=fault.http_status)
            )
        try:
            if envelope.addressing.asynchronous:
                return await self._refuse(received, self._asynchronous(verdict))
            understood = _READERS[self._transaction](envelope, self._gateway.own)
        except WireError as error:
            return await self._refuse(received, _unreadable(error, self._claimed(verdict)))
        received.deviations += understood.deviations
        return await understood.answer(self._served(received, verdict))

    def _asynchronous(self, verdict: Verdict) -> _Refused:
        fault = asynchronous_fault()
        refusal = Refusal(
            code="asynchronous-not-supported",
            sentence="The request asks for its answer at another address.",
        )
        return _Refused(
            verdict=replace(self._claimed(verdict), asker=refusal),
            fault=fault,
            status=fault.http_status,
        )

    def _claimed(self, verdict: Verdict) -> Verdict:
        """A verdict whose proved asker becomes the claimed peer of a refusal."""
        if isinstance(verdict.asker, Asker):
            return replace(verdict, claimed=verdict.asker.entry.peer(self._transaction))
        return verdict

    def _served(self, received: _Received, verdict: Verdict) -> Served:
        gateway = self._gateway
        return Served(
            inbound=self._inbound(received, verdict),
            frame=Frame(
                clock=gateway.clock, request=received.addressing, confirms=verdict.confirms
            ),
            responding=gateway.responding,
            clock=gateway.clock,
            receiving=gateway.receiving,
            sink=received.sink,
        )

    def _inbound(self, received: _Received, verdict: Verdict) -> Inbound:
        return Inbound(
            transaction=self._transaction,
            message_id=received.addressing.message_id,
            asker=verdict.asker,
            peer_key=received.peer.key if received.peer else None,
            request_digest=hashlib.sha256(received.soap).digest(),
            request=received.soap or None,
            deviations=tuple(dict.fromkeys(received.deviations)),
            claimed=verdict.claimed,
            trust=verdict.trust,
        )

    async def _refuse(self, received: _Received, refused: _Refused) -> Reply:
        """Write the refusal into the ledger, then answer with its fault."""
        frame = Frame(clock=self._gateway.clock, request=received.addressing)
        asker = refused.verdict.asker
        inbound = self._inbound(received, refused.verdict)
        soap = await self._gateway.responding.refuse(
            inbound, lambda _refusal: frame.fault(refused.fault)
        )
        if isinstance(asker, Refusal):
            self._gateway.metrics.refusal(self._transaction, asker.code)
            _log.warning(
                "request refused",
                transaction=self._transaction,
                reason=asker.code,
                detail=asker.detail,
                peer_key=inbound.peer_key,
                peer_hcid=inbound.claimed.home_community_id if inbound.claimed else None,
                message_id=inbound.message_id,
            )
        return Reply(soap=soap, status=refused.status, closes=refused.verdict.closes)

    def _broken(self) -> Reply:
        fault = receiver_fault()
        return Reply(soap=Frame(clock=self._gateway.clock).fault(fault), status=fault.http_status)


def _unreadable(error: NodeError, verdict: Verdict | None = None) -> _Refused:
    """The refusal of a request that is not what it should be, and the fault that says so."""
    code = "request-too-large" if isinstance(error, LimitError) else "request-malformed"
    if error.code in ("request-slow", "request-cut-off"):
        code = error.code
    fault = fault_for(error)
    if not isinstance(error, WireError):  # the network's fault: the sender may try again
        fault = receiver_fault(error.sentence)
    where = None if error.code in _QUOTING else error.where
    refusal = Refusal(
        code=code,
        sentence=error.sentence,
        detail=" ".join(part for part in (error.code, error.detail, where) if part),
    )
    return _Refused(
        verdict=replace(verdict, asker=refusal) if verdict else Verdict(asker=refusal),
        fault=fault,
        status=_STATUS.get(error.code, fault.http_status),
    )


def _respond(
    asked: Mapping[str, str], reply: Reply, limits: MessageLimits, promise: str | None
) -> Response:
    headers: dict[str, str] = {"content-type": reply.content_type}
    if promise is not None:
        headers[HEADER] = promise
    if reply.closes:
        headers["connection"] = "close"
    if reply.writer is not None:
        length = reply.length
        if length is not None:
            headers["content-length"] = str(length)
        return StreamingResponse(reply.chunks(), status_code=reply.status, headers=headers)
    soap = reply.soap
    if len(soap) >= limits.gzip_from and accepts_gzip(asked.get("accept-encoding", "")):
        soap = compress(soap)
        headers["content-encoding"] = "gzip"
        headers["vary"] = "accept-encoding"
    return Response(soap, status_code=reply.status, headers=headers)
