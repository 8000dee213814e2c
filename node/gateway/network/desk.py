"""Which use case answers a request to the network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from node.errors import CodedError
from node.exchange.fhir_match import read_match_request
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall
from node.exchange.network_find_patients import NetworkPeople
from node.exchange.network_serve import NetworkServer
from node.exchange.ports import Clock
from node.gateway.fhir.desk import Desk, ReadRequest
from node.model import Interaction
from node.wire.fhir.pdqm import read_person_search
from node.wire.fhir.pixm import pix_pairs, read_pix_query
from node.wire.fhir.problem import FhirProblem


class NetworkDesk:
    """Implements ``gateway.fhir.desk.Desk``; whoever sends nonsense is in the log too."""

    def __init__(
        self,
        *,
        server: NetworkServer,
        people: NetworkPeople,
        clock: Clock,
        others: Desk | None = None,
    ) -> None:
        """``others`` answers searches of the types that have no use case here."""
        self._server = server
        self._people = people
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


_UNKNOWN: Final = FhirProblem("fhir-type-unknown", "The network is not asked for this type here.")
_Answering = Callable[[NetworkDesk, FhirCall, ReadRequest], Awaitable[FhirReply]]

_ANSWERING: Final[dict[tuple[Interaction, str], _Answering]] = {
    (Interaction.NETWORK_PATIENTS, "Patient"): NetworkDesk.patients,
    (Interaction.NETWORK_MATCH, "Patient"): NetworkDesk.match,
    (Interaction.NETWORK_IDENTIFIERS, "Patient"): NetworkDesk.identifiers,
    (Interaction.READ, "Patient"): NetworkDesk.patient,
}
