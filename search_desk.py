"""Searches of the network that are neither for patients nor for documents."""

from __future__ import annotations

from node.errors import CodedError
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall
from node.exchange.fhir_search import PAGE
from node.exchange.network_search import NetworkSearch
from node.exchange.network_serve import NetworkServer
from node.gateway.fhir.desk import ReadRequest
from node.model import Interaction
from node.wire.fhir.problem import FhirProblem


class SearchDesk:
    """Implements ``gateway.fhir.desk.Desk`` for ``GET {type}?…`` and ``POST {type}/_search``."""

    def __init__(self, server: NetworkServer, search: NetworkSearch) -> None:
        """``server`` enters what is refused."""
        self._server = server
        self._search = search

    async def answer(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """The answer to a search; nothing else is done with these types."""
        if read.route.interaction is not Interaction.SEARCH:
            problem = FhirProblem(
                "fhir-type-unknown", "Resources of the network are searched, not read by id."
            )
            return await self.refuse(call, problem)
        pairs = [pair for pair in read.pairs if pair[0] != PAGE]
        return await self._search.search(call, read.route.type, pairs, read.page)

    async def refuse(self, call: FhirCall, problem: CodedError) -> FhirReply:
        """The answer to a request that was not understood."""
        return await self._server.refuse(call, problem)
