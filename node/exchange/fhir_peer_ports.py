"""What asking the FHIR servers of peers needs of the world, and what comes back.

The real ``FhirPeers`` is ``node.peers.fhir_client``: one POST or GET over TLS with a bearer token,
after whatever discovery, registration and token request it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from node.exchange.ports import Call, Inbox, PeerEntry, Trace
from node.model import DocumentRef, PatientId, RetrievedDocument
from node.wire.fhir.attachment import Attachment
from node.wire.fhir.query import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirEndpoint:
    """A FHIR base address, and the purposes it answers; none when the entry does not say."""

    base_url: str
    responds: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedDocument:
    """A document that a FHIR server named by a link.

    Attributes:
        ref: what we call it; its community is the one that is asked.
        attachment: what the DocumentReference says of it, the link among that.
        person: identifiers of the person, for the private record.
    """

    ref: DocumentRef
    attachment: Attachment
    person: tuple[PatientId, ...] = ()


class FhirPeers(Protocol):
    """Sends one request to a peer's FHIR server and gives the bytes of its answer, a Bundle.

    Nothing of a patient goes into a URL: searches are POST ``_search`` (law 6).

    Raises ``NodeError`` or ``TrustError`` for everything else than status 200 with JSON, and for a
    peer that cannot be registered at or gives no token. Cancelling the task stops the request.
    """

    def endpoint(self, entry: PeerEntry) -> FhirEndpoint | None:
        """Where an entry's FHIR server is, or ``None``."""
        ...

    def communities(self) -> Sequence[PeerEntry]:
        """All active entries with a FHIR server and an HCID, ourselves left out."""
        ...

    async def search(
        self, entry: PeerEntry, type_: str, pairs: Sequence[Pair], call: Call, trace: Trace
    ) -> bytes:
        """The first page of a search."""
        ...

    async def follow(self, entry: PeerEntry, link: str, call: Call, trace: Trace) -> bytes:
        """A further page. Raises ``fhir-link-elsewhere`` where the link leads off the server."""
        ...

    async def match(self, entry: PeerEntry, parameters: bytes, call: Call, trace: Trace) -> bytes:
        """``Patient/$match``."""
        ...

    async def fetch(
        self, entry: PeerEntry, document: LinkedDocument, call: Call, trace: Trace, inbox: Inbox
    ) -> RetrievedDocument:
        """The content behind an attachment's link, into the inbox.

        Raises ``fhir-attachment-elsewhere`` where the link leads off the server, and
        ``fhir-attachment-…`` where what comes is not what was listed; nothing stays in the inbox.
        """
        ...
