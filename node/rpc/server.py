"""The gRPC service: the initiating side for local clients, over mutual TLS, in the node's loop.

Health and reflection are served beside it. Who may ask is decided by the TLS layer: only clients
whose certificate chains to the node home's own client anchors get through, and what they have open
is judged again at every call (``admission``). A deadline of the
caller shortens ours, so that it still hears how every leg ended; when the caller goes away, the
peers' requests are stopped.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from node.errors import CodedError, Party
from node.exchange.call_inbox import CallInbox
from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_whole import ask_whole
from node.exchange.initiate import Event, Initiator, LegStarted
from node.exchange.ports import Clock, Inbox
from node.model import (
    Code,
    HomeCommunityId,
    PatientQuery,
    Principal,
    RetrieveAnswer,
    RetrievedDocument,
)
from node.policy.purposes import PurposeRegister
from node.records.entries import Community
from node.rpc import convert
from node.rpc.admission import Admission, AdmittedOnly
from node.rpc.deliveries import MOST_BYTES, read_delivery, read_delivery_targets
from node.rpc.requests import (
    InvalidRequest,
    check_user,
    read_patients,
    read_person,
    read_refs,
    read_search,
    read_targets,
)
from node.rpc.resources import from_event, read_question
from node.wire.fhir import provenance
from protos.tefca_node.v1 import exchange_pb2 as pb
from protos.tefca_node.v1 import exchange_pb2_grpc as pb_grpc

CHUNK = 256 * 1024
MOST_CALLS = 200
"""Calls at once, of all clients together; each may bring ``MOST_BYTES`` and ask many peers."""
_CLOSING_SECONDS = 1.0
_SERVICE = pb.DESCRIPTOR.services_by_name["Exchange"].full_name


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOrganization:
    """What the node adds to every principal: the organisation that asks."""

    organization: str
    organization_id: str
    home_community_id: HomeCommunityId


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcIdentity:
    """PEM bytes: the server's key and chain, and the anchors of the clients it admits."""

    key: bytes
    chain: bytes
    client_anchors: bytes


class GrpcCredentials:
    """The identity that new gRPC connections get; another can take its place while it serves."""

    def __init__(self, identity: GrpcIdentity) -> None:
        """``identity`` is the first one."""
        self._now = self._served = self._configured(identity)

    def use(self, identity: GrpcIdentity) -> None:
        """Let new connections get another identity."""
        self._now = self._configured(identity)

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with; clients have to show a certificate."""
        return grpc.dynamic_ssl_server_credentials(
            self._served, self._changed, require_client_authentication=True
        )

    def _changed(self) -> Any:
        """Called by gRPC before each handshake; ``None`` says that all is as before."""
        if self._now is self._served:
            return None
        self._served = self._now
        return self._served

    @staticmethod
    def _configured(identity: GrpcIdentity) -> Any:
        return grpc.ssl_server_certificate_configuration(
            [(identity.key, identity.chain)], root_certificates=identity.client_anchors
        )


class ExchangeService(pb_grpc.ExchangeServicer):
    """Implements ``tefca_node.v1.Exchange`` over the initiating use cases."""

    def __init__(
        self,
        *,
        initiator: Initiator,
        broker: FhirBroker,
        clock: Clock,
        inbox: Inbox,
        own: OwnOrganization,
        purposes: PurposeRegister,
        default_role: Code,
        community: Community,
    ) -> None:
        """``default_role`` is used where the caller names no role; ``community`` is ours."""
        self._initiator = initiator
        self._broker = broker
        self._clock = clock
        self._inbox = inbox
        self._own = own
        self._purposes = purposes
        self._default_role = default_role
        self._community = community

    async def FindPatients(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """ITI-55 to every peer or the targets."""
        person, targets = read_person(request.demographics), read_targets(request.targets)
        inbox = CallInbox(self._inbox)
        events = self._initiator.find_patients(
            await self._principal(request.principal, context),
            PatientQuery(demographics=person),
            targets=targets,
            seconds=_seconds(context),
        )
        async for message in self._stream(events, inbox):
            yield message

    async def FindDocuments(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """ITI-38 at the communities named."""
        patients, search = read_patients(request.patients), read_search(request.search)
        inbox = CallInbox(self._inbox)
        events = self._initiator.find_documents(
            await self._principal(request.principal, context),
            patients,
            search,
            seconds=_seconds(context),
        )
        async for message in self._stream(events, inbox):
            yield message

    async def FindChart(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Discovery and query in one pipeline per peer, with the documents if asked for."""
        person, targets = read_person(request.demographics), read_targets(request.targets)
        search = read_search(request.search)
        inbox = CallInbox(self._inbox)
        events = self._initiator.find_chart(
            await self._principal(request.principal, context),
            PatientQuery(demographics=person),
            search,
            inbox if request.retrieve else None,
            targets=targets,
            seconds=_seconds(context),
        )
        async for message in self._stream(events, inbox):
            yield message

    async def Retrieve(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """ITI-39; the documents follow their leg in chunks."""
        refs = read_refs(request.documents)
        inbox = CallInbox(self._inbox)
        events = self._initiator.retrieve(
            await self._principal(request.principal, context),
            refs,
            inbox,
            seconds=_seconds(context),
        )
        async for message in self._stream(events, inbox):
            yield message

    async def FindResources(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """One FHIR question; the merged Bundle follows in chunks."""
        asked = read_question(request, self._clock)
        events = ask_whole(
            self._broker,
            await self._principal(request.principal, context),
            asked,
            own=provenance.Party(
                home_community_id=self._own.home_community_id, name=self._own.organization
            ),
            clock=self._clock,
            seconds=_seconds(context),
        )
        async with aclosing(events):
            async for event in events:
                for message in from_event(event):
                    yield message

    async def Deliver(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """ITI-80 to the communities named."""
        targets = read_delivery_targets(request.targets)
        principal = await self._principal(request.principal, context, delivers=True)
        delivery = await asyncio.to_thread(
            read_delivery, request, principal, self._community, self._clock
        )
        events = self._initiator.deliver(principal, delivery, targets, seconds=_seconds(context))
        async for message in self._stream(events, CallInbox(self._inbox)):
            yield message

    async def _stream(
        self, events: AsyncGenerator[Event, None], inbox: CallInbox
    ) -> AsyncIterator[Any]:
        try:
            # closed here, not by the garbage collector: a caller that goes away stops the legs now
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, LegStarted):
                        yield convert.from_started(event)
                        continue
                    yield convert.from_ended(event)
                    if isinstance(event.result.answer, RetrieveAnswer):
                        for document in event.result.answer.documents:
                            async for chunk in _chunks(document, inbox):
                                yield chunk
                            await inbox.discard(document.token)
        finally:
            await inbox.discard_all()

    async def _principal(self, message: Any, context: Any, *, delivers: bool = False) -> Principal:
        purpose = self._purposes.by_code(message.purpose)
        if purpose is None:
            known = ", ".join(self._purposes.purposes)
            raise InvalidRequest(f"The purpose has to be one of {known}.")
        check_user(message)
        role = message.role
        principal = Principal(
            subject_id=message.subject_id,
            user_id=message.user_id,
            organization=self._own.organization,
            organization_id=self._own.organization_id,
            home_community_id=self._own.home_community_id,
            role=(
                Code(code=role.code, scheme=role.scheme, display=role.display or None)
                if role.code
                else self._default_role
            ),
            purpose=purpose.code,
            npi=message.npi or None,
            id_token=message.id_token or None,
        )
        decision = self._initiator.may_ask(principal, delivers=delivers)
        if not decision.permitted:
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, f"{decision.sentence} [{decision.reason}]"
            )
        return principal


def _seconds(context: Any) -> float | None:
    """How long we may ask: less than the caller waits, so that it hears how every leg ended."""
    left: float | None = context.time_remaining()
    return None if left is None else max(0.9 * left, left - _CLOSING_SECONDS)


async def _chunks(document: RetrievedDocument, inbox: Inbox) -> AsyncIterator[Any]:
    ref, offset = convert.from_ref(document.ref), 0
    async for data in inbox.open(document.token):
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            last = offset + len(piece) == document.size
            yield pb.Event(chunk=pb.DocumentChunk(ref=ref, offset=offset, data=piece, last=last))
            offset += len(piece)
    if document.size == 0:
        yield pb.Event(chunk=pb.DocumentChunk(ref=ref, last=True))


class _Errors(grpc.aio.ServerInterceptor):
    """Our own coded errors become statuses with the sentence that is safe to show."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        inner = handler.unary_stream if handler is not None else None
        if not inspect.isasyncgenfunction(inner):  # ours are, all of them
            return handler

        async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                async for message in inner(request, context):
                    yield message
            except InvalidRequest as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.sentence)
            except CodedError as error:
                status = (
                    grpc.StatusCode.INTERNAL
                    if error.party is Party.OURS
                    else grpc.StatusCode.UNAVAILABLE
                )
                await context.abort(status, f"{error} {error.advice}")

        return grpc.unary_stream_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )


@asynccontextmanager
async def serving_grpc(
    service: pb_grpc.ExchangeServicer,
    credentials: GrpcCredentials,
    admission: Admission,
    *,
    host: str,
    port: int,
    most_calls: int = MOST_CALLS,
) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port that is bound (``port`` 0 picks a free one).

    Of more than ``most_calls`` at once, further ones end with ``RESOURCE_EXHAUSTED``.

    Raises:
        RuntimeError: when the address cannot be bound.
    """
    server = grpc.aio.server(
        interceptors=[AdmittedOnly(admission), _Errors()],
        options=[("grpc.max_receive_message_length", MOST_BYTES)],
        maximum_concurrent_rpcs=most_calls,
    )
    pb_grpc.add_ExchangeServicer_to_server(service, server)
    state = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    reflection.enable_server_reflection(
        (_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    bound = server.add_secure_port(f"{host}:{port}", credentials.credentials())
    await server.start()
    for name in ("", _SERVICE):
        await state.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield bound
    finally:
        await state.enter_graceful_shutdown()
        await server.stop(grace=5)
