"""The seam between the HTTP shell and the use cases of the responding side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.exchange.document_sink import DocumentSink
from node.exchange.ports import Clock, Inbound, OpenDocument, Refusal
from node.exchange.respond import ServedDocuments
from node.gateway.reply import Frame, Reply
from node.model import (
    DeliveryAnswer,
    DiscoveryAnswer,
    DocumentRef,
    HomeCommunityId,
    PatientQuery,
    QueryAnswer,
    StoredQuery,
)
from node.wire.xcdr import Submission


class Responding(Protocol):
    """The use cases (``node.exchange.respond.Responder``).

    Each writes its ledger entry over the bytes that ``encode`` made, and only then returns them.
    """

    async def discover(
        self, inbound: Inbound, query: PatientQuery, encode: Callable[[DiscoveryAnswer], bytes]
    ) -> bytes:
        """ITI-55."""
        ...

    async def find(
        self, inbound: Inbound, query: StoredQuery, encode: Callable[[QueryAnswer], bytes]
    ) -> bytes:
        """ITI-38."""
        ...

    async def retrieve(
        self,
        inbound: Inbound,
        refs: Sequence[DocumentRef],
        encode: Callable[[ServedDocuments], bytes],
    ) -> tuple[bytes, Sequence[OpenDocument]]:
        """ITI-39."""
        ...

    async def refuse(self, inbound: Inbound, encode: Callable[[Refusal], bytes]) -> bytes:
        """A request whose sender or form is not acceptable."""
        ...


class Receiving(Protocol):
    """The use case that takes documents (``node.exchange.receive.DocumentRecipient``)."""

    async def take(
        self,
        inbound: Inbound,
        submission: Submission,
        sink: DocumentSink,
        encode: Callable[[DeliveryAnswer], bytes],
    ) -> bytes:
        """ITI-80."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayIdentity:
    """What the gateway says of itself in every answer.

    ``documents_per_request`` is how many documents one may ask for, or send.
    """

    home_community_id: HomeCommunityId
    organization_name: str
    repository_unique_id: str = ""
    documents_per_request: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a transaction needs to answer; ``sink`` has the documents that came with it."""

    inbound: Inbound
    frame: Frame
    responding: Responding
    clock: Clock
    receiving: Receiving | None = None
    sink: DocumentSink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A request body that was read: its deviations, and how to answer it."""

    deviations: tuple[str, ...]
    answer: Callable[[Served], Awaitable[Reply]]
