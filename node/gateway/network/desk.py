"""Which use case answers a request to the network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from node.errors import CodedError
from node.exchange.fhir_match import read_match_request
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall, docref_search
from node.exchange.network_deliver import NetworkDeliver
from node.exchange.network_find_documents import NetworkDocuments
from node.exchange.network_find_patients import NetworkPeople
from node.exchange.network_publish import NetworkPublish
from node.exchange.network_retrieve import NetworkRetrieve
from node.exchange.network_serve import NetworkServer
from node.exchange.ports import Clock
from node.gateway.fhir.desk import Desk, ReadRequest
from node.model import Interaction
from node.wire.fhir.mhd_provide import read_provided
from node.wire.fhir.mhd_search import DocumentQuestion, read_document_question
from node.wire.fhir.pdqm import read_person_search
from node.wire.fhir.pixm import pix_pairs, read_pix_query
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair


class NetworkDesk:
    """Implements ``gateway.fhir.desk.Desk``; whoever sends nonsense is in the log too."""

    def __init__(
        self,
        *,
        server: NetworkServer,
        people: NetworkPeople,
        documents: NetworkDocuments,
        retrieving: NetworkRetrieve,
        publishing: NetworkPublish,
        delivering: NetworkDeliver,
        own_url: str,
        base_url: str,
        clock: Clock,
        others: Desk | None = None,
    ) -> None:
        """``others`` answers searches of the types that have no use case here.

        ``base_url`` is that of the network, ``own_url`` that of our own FHIR server.
        """
        self._server = server
        self._people = people
        self._documents = documents
        self._retrieving = retrieving
        self._publishing = publishing
        self._delivering = delivering
        self._own_url = own_url
        self._base_url = base_url
        self._clock = clock
        self._others = others

    async def answer(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """The answer to a request that was read."""
        answering = _ANSWERING.get((read.route.interaction, read.route.type))
        if answering is None and self._others is not None:
            return await self._others.answer(call, read)
        if answering is None:
            return await self.refuse(call, _UNKNOWN)
        try:
            return await answering(self, call, read)
        except FhirProblem as problem:
            return await self.refuse(call, problem)

    async def refuse(self, call: FhirCall, problem: CodedError) -> FhirReply:
        """The answer to one that was not."""
        return await self._server.refuse(call, problem)

    async def patients(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """ITI-78."""
        search = read_person_search(read.pairs, strict=read.strict, now=self._clock.now())
        return await self._people.search(call, search)

    async def match(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """ITI-119."""
        return await self._people.match(call, read_match_request(read.body))

    async def identifiers(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """ITI-83."""
        pairs = pix_pairs(read.body) if read.route.takes else read.pairs
        return await self._people.cross_reference(call, read_pix_query(pairs))

    async def patient(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """A network patient."""
        return await self._people.read(call, read.route.id)

    async def documents(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """ITI-67."""
        if read.page is not None:
            return await self._documents.page(call, read.page)
        return await self._documents.search(call, self._question(read.pairs, strict=read.strict))

    async def docref(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """``$docref``: a search of documents in other words."""
        pairs = docref_search(read.docref_pairs())
        return await self._documents.search(call, self._question(pairs, strict=True))

    async def document(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """ITI-68."""
        return await self._retrieving.retrieve(call, read.route.id, read.form)

    async def provide(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """ITI-65."""
        provided = await asyncio.to_thread(read_provided, read.body, base_url=self._own_url)
        if provided.recipients.is_sent:
            return await self._delivering.send(call, provided)
        return await self._publishing.publish(call, provided)

    def _question(self, pairs: Sequence[Pair], *, strict: bool) -> DocumentQuestion:
        return read_document_question(
            pairs, strict=strict, base_url=self._base_url, now=self._clock.now()
        )


_UNKNOWN: Final = FhirProblem("fhir-type-unknown", "The network is not asked for this type here.")
_Answering = Callable[[NetworkDesk, FhirCall, ReadRequest], Awaitable[FhirReply]]

_ANSWERING: Final[dict[tuple[Interaction, str], _Answering]] = {
    (Interaction.NETWORK_PATIENTS, "Patient"): NetworkDesk.patients,
    (Interaction.NETWORK_MATCH, "Patient"): NetworkDesk.match,
    (Interaction.NETWORK_IDENTIFIERS, "Patient"): NetworkDesk.identifiers,
    (Interaction.READ, "Patient"): NetworkDesk.patient,
    (Interaction.NETWORK_DOCUMENTS, "DocumentReference"): NetworkDesk.documents,
    (Interaction.DOCREF, "DocumentReference"): NetworkDesk.docref,
    (Interaction.NETWORK_DOCUMENT, "Binary"): NetworkDesk.document,
    (Interaction.PUBLISH, "Bundle"): NetworkDesk.provide,
}
