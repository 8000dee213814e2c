"""Which use case answers a request that was read, for the resources that we hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.errors import CodedError
from node.exchange.fhir_audit import AuditResponder
from node.exchange.fhir_binary import BinaryForm
from node.exchange.fhir_match import read_match_request
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall, FhirResponder, SearchRequest
from node.exchange.fhir_search import PAGE
from node.gateway.fhir.requests import Route
from node.model import Interaction
from node.wire.fhir.parameters import docref_pairs
from node.wire.fhir.query import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """A request of somebody who has a token, as it was read."""

    route: Route
    pairs: list[Pair]
    body: bytes
    form: BinaryForm
    strict: bool

    @property
    def page(self) -> str | None:
        """The token of a further page."""
        return next((value for name, value in self.pairs if name == PAGE), None)

    def docref_pairs(self) -> list[Pair]:
        """The parameters of ``$docref``. Raises ``FhirProblem`` (``fhir-body-invalid``)."""
        return docref_pairs(self.body) if self.route.takes else self.pairs


class Desk(Protocol):
    """Answers requests, each with its entry in the log."""

    async def answer(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """The answer to a request that was read."""
        ...

    async def refuse(self, call: FhirCall, problem: CodedError) -> FhirReply:
        """The answer to one that was not."""
        ...


class ResourceDesk:
    """Implements ``Desk`` for the health system's own resources."""

    def __init__(self, responder: FhirResponder, audit: AuditResponder) -> None:
        """``responder`` has the use cases, ``audit`` those of the log."""
        self._responder = responder
        self._audit = audit

    async def answer(self, call: FhirCall, read: ReadRequest) -> FhirReply:
        """Read, search or operation."""
        responder, asked = self._responder, read.route
        match asked.interaction:
            case Interaction.READ if asked.type == "Binary":
                return await responder.read_binary(call, asked.id, asked.version, read.form)
            case Interaction.READ:
                return await responder.read(call, asked.type, asked.id, asked.version)
            case Interaction.MATCH:
                return await responder.match(call, lambda: read_match_request(read.body))
            case Interaction.DOCREF:
                return await responder.docref(call, read.docref_pairs)
        search = SearchRequest(
            type=asked.type, pairs=read.pairs, page=read.page, strict=read.strict
        )
        if asked.interaction is Interaction.AUDIT:
            return await self._audit.answer(call, search, asked.id, asked.version)
        return await responder.search(call, search)

    async def refuse(self, call: FhirCall, problem: CodedError) -> FhirReply:
        """A request that no use case takes."""
        return await self._responder.refuse(call, problem)
