"""The seam between the HTTP shell and the use cases of the responding side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.exchange.ports import Clock, Inbound, OpenDocument, Refusal
from node.exchange.respond import ServedDocuments
from node.gateway.reply import Frame, Reply
from node.model import (
    DiscoveryAnswer,
    DocumentRef,
    HomeCommunityId,
    PatientQuery,
    QueryAnswer,
    StoredQuery,
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayIdentity:
    """What the gateway says of itself in every answer, and how many documents one may ask for."""

    home_community_id: HomeCommunityId
    organization_name: str
    documents_per_request: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a transaction needs to answer."""

    inbound: Inbound
    frame: Frame
    responding: Responding
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A request body that was read: its deviations, and how to answer it."""

    deviations: tuple[str, ...]
    answer: Callable[[Served], Awaitable[Reply]]
