"""Asks a running node over gRPC, with the same events as asking in this process.

``RemoteInitiator`` has the questions of ``node.exchange.initiate.Initiator``. A leg of ITI-39 is
handed on when all chunks of its documents have come, so that its documents can be opened.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from node.errors import AnswerError, LimitError, NetworkFault
from node.exchange.fhir_whole import WholeBundle, WholeEvent, WholeQuestion
from node.exchange.initiate import Event, KnownPatient
from node.exchange.ports import Inbox, Incoming
from node.exchange.questions import DocumentSearch
from node.model import (
    Demographics,
    DocumentRef,
    HomeCommunityId,
    PatientQuery,
    Principal,
    RetrievedDocument,
)
from node.rpc import convert
from node.rpc.convert_back import to_ended, to_started
from node.rpc.deliveries import SentDocument, delivery_request
from node.rpc.resources import from_known, to_event
from protos.tefca_node.v1 import exchange_pb2 as pb
from protos.tefca_node.v1 import exchange_pb2_grpc as pb_grpc


class RemoteInitiator:
    """The initiating use cases of a node that runs elsewhere. Raises ``NodeError``."""

    def __init__(self, channel: Any, inbox: Inbox) -> None:
        """``inbox`` takes the documents that come."""
        self._stub = pb_grpc.ExchangeStub(channel)
        self._inbox = inbox

    def find_patients(
        self,
        principal: Principal,
        query: PatientQuery,
        *,
        targets: Sequence[HomeCommunityId] = (),
        seconds: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """ITI-55."""
        request = pb.FindPatientsRequest(
            principal=_principal(principal),
            demographics=convert.from_demographics(query.demographics),
            targets=targets,
        )
        return self._events(self._stub.FindPatients, request, seconds)

    def find_documents(
        self,
        principal: Principal,
        patients: Sequence[KnownPatient],
        search: DocumentSearch,
        *,
        seconds: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """ITI-38."""
        request = pb.FindDocumentsRequest(
            principal=_principal(principal),
            patients=[
                pb.KnownPatient(
                    home_community_id=patient.home_community_id,
                    patient_id=convert.from_patient_id(patient.patient_id),
                )
                for patient in patients
            ],
            search=_search(search),
        )
        return self._events(self._stub.FindDocuments, request, seconds)

    def retrieve(
        self,
        principal: Principal,
        refs: Sequence[DocumentRef],
        inbox: Inbox,
        *,
        seconds: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """ITI-39."""
        del inbox  # the one given at construction takes them
        request = pb.RetrieveRequest(
            principal=_principal(principal), documents=[convert.from_ref(ref) for ref in refs]
        )
        return self._events(self._stub.Retrieve, request, seconds)

    def deliver(
        self,
        principal: Principal,
        documents: Sequence[SentDocument],
        person: Demographics | None,
        targets: Sequence[KnownPatient | HomeCommunityId],
        *,
        seconds: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """ITI-80; the node makes the submission of the documents."""
        request = delivery_request(documents, person, targets)
        request.principal.CopyFrom(_principal(principal))
        return self._events(self._stub.Deliver, request, seconds)

    def find_chart(
        self,
        principal: Principal,
        query: PatientQuery,
        search: DocumentSearch,
        inbox: Inbox | None,
        *,
        targets: Sequence[HomeCommunityId] = (),
        seconds: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """All three steps."""
        request = pb.FindChartRequest(
            principal=_principal(principal),
            demographics=convert.from_demographics(query.demographics),
            targets=targets,
            search=_search(search),
            retrieve=inbox is not None,
        )
        return self._events(self._stub.FindChart, request, seconds)

    async def _events(
        self, method: Any, request: Any, seconds: float | None
    ) -> AsyncGenerator[Event, None]:
        call = method(request, timeout=seconds)
        pending = _Pending(self._inbox)
        try:
            async for message in call:
                kind = message.WhichOneof("kind")
                if kind == "started":
                    yield to_started(message.started)
                elif kind == "chunk":
                    await pending.take(message.chunk)
                    if pending.complete:
                        yield pending.release()
                elif message.ended.received:
                    pending.expect(message.ended)
                else:
                    yield to_ended(message.ended)
            pending.finish()
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error
        finally:
            call.cancel()
            await pending.abort()


class RemoteBroker:
    """FHIR questions through a node that runs elsewhere. Raises ``NodeError``."""

    def __init__(self, channel: Any, *, most: int) -> None:
        """``most``: bytes of a merged Bundle."""
        self._stub = pb_grpc.ExchangeStub(channel)
        self._most = most

    async def ask_whole(
        self,
        principal: Principal,
        asked: WholeQuestion,
        text: str,
        *,
        seconds: float | None = None,
    ) -> AsyncGenerator[WholeEvent, None]:
        """As ``exchange.fhir_whole.ask_whole``; ``text`` is the question as it was typed."""
        request = pb.FindResourcesRequest(
            principal=_principal(principal),
            known=[from_known(each) for each in asked.known],
            targets=asked.targets,
            question=text,
        )
        if asked.person is not None:
            request.demographics.CopyFrom(convert.from_demographics(asked.person))
        call = self._stub.FindResources(request, timeout=seconds)
        bundle = bytearray()
        try:
            async for message in call:
                if message.WhichOneof("kind") != "bundle":
                    yield to_event(message)
                    continue
                bundle += message.bundle
                if len(bundle) > self._most:
                    raise LimitError(
                        "answer-too-large", "The merged Bundle is larger than we take."
                    )
            yield WholeBundle(bundle=bytes(bundle))
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error
        finally:
            call.cancel()


class _Pending:
    """One ended ITI-39 leg whose documents are still coming."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._message: Any = None
        self._incoming: Incoming | None = None
        self._documents: list[RetrievedDocument] = []

    def expect(self, message: Any) -> None:
        self._message = message
        self._documents = []

    @property
    def complete(self) -> bool:
        return self._message is not None and len(self._documents) == len(self._message.received)

    async def take(self, chunk: Any) -> None:
        if self._message is None:
            raise AnswerError("rpc-out-of-order", "The node sent a document before its leg.")
        if self._incoming is None:
            self._incoming = await self._inbox.begin()
        await self._incoming.write(chunk.data)
        if not chunk.last:
            return
        token, size, sha256 = await self._incoming.finish()
        self._incoming = None
        announced = self._message.received[len(self._documents)]
        if sha256 != announced.sha256:
            await self._inbox.discard(token)
            raise AnswerError("rpc-digest-differs", "A document arrived other than announced.")
        self._documents.append(
            RetrievedDocument(
                ref=convert.to_ref(announced.ref),
                mime_type=announced.mime_type,
                size=size,
                sha256=sha256,
                token=token,
            )
        )

    def release(self) -> Event:
        message, self._message = self._message, None
        documents, self._documents = self._documents, []
        return to_ended(message, documents)

    def finish(self) -> None:
        if self._message is not None:
            raise AnswerError("rpc-out-of-order", "The node ended before all documents had come.")

    async def abort(self) -> None:
        if self._incoming is not None:
            await self._incoming.abort()
        for document in self._documents:
            await self._inbox.discard(document.token)


def _principal(principal: Principal) -> Any:
    role = principal.role
    return pb.Principal(
        subject_id=principal.subject_id,
        user_id=principal.user_id,
        role=pb.Code(code=role.code, scheme=role.scheme, display=role.display or ""),
        purpose=principal.purpose.code,
        npi=principal.npi or "",
        id_token=principal.id_token or "",
    )


def _search(search: DocumentSearch) -> Any:
    return pb.DocumentSearch(
        since=search.since or "",
        until=search.until or "",
        without_on_demand=not search.on_demand,
        with_deprecated=search.deprecated,
    )


def _translated(error: grpc.aio.AioRpcError) -> NetworkFault | AnswerError:
    status, sentence = error.code(), error.details() or "no details"
    if status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return NetworkFault("node-not-reached", f"The node did not answer: {sentence}.")
    return AnswerError("node-refused", sentence)


@asynccontextmanager
async def channel_to(
    address: str, *, key: bytes, chain: bytes, anchors: bytes, host_name: str | None = None
) -> AsyncIterator[Any]:
    """A channel to a node, with our client identity; ``host_name`` where the name differs."""
    credentials = grpc.ssl_channel_credentials(anchors, key, chain)
    # gRPC would send even loopback traffic to a proxy that the environment names for web traffic
    options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
    if host_name:
        options.append(("grpc.ssl_target_name_override", host_name))
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        yield channel
