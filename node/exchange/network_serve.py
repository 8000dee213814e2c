"""What our own systems ask of the network: one request, one exchange, one entry beside its legs.

The request of the EHR and the questions to peers that it leads to are legs of the same exchange, so
that whoever looks into the log sees who asked and who was asked. Only the token of one of our own
users or systems may ask; a token that is bound to one patient may not, because whom the network
finds is nobody of ours yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from node.errors import CodedError
from node.exchange import private
from node.exchange.fhir_admission import DeniedByPolicy
from node.exchange.fhir_ports import Grant
from node.exchange.fhir_reply import FhirReply, of_grant
from node.exchange.fhir_respond import FhirCall, inbound_of, reply_to
from node.exchange.initiate import Initiator
from node.exchange.leg_runner import LegResult
from node.exchange.ports import Clock, DirectoryView, Ledger
from node.exchange.served import Answered, ServedRecorder
from node.model import ExchangeId, HomeCommunityId, Principal, PrivateFacts
from node.policy.decide import Decision
from node.policy.scopes import allows
from node.wire.fhir.peer_results import PeerResult
from node.wire.fhir.problem import FhirProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkQuestion:
    """A request that may be asked.

    Attributes:
        grant: what its token allows.
        principal: who asks.
        exchange_id: of every leg that it leads to.
        decision: why it may be asked.
    """

    grant: Grant
    principal: Principal
    exchange_id: ExchangeId
    decision: Decision


Work = Callable[[NetworkQuestion], Awaitable[FhirReply]]


class NetworkServer:
    """Admits requests, has them answered, and enters each before its answer leaves (law 1)."""

    def __init__(
        self,
        *,
        own: HomeCommunityId,
        initiator: Initiator,
        ledger: Ledger,
        directory: DirectoryView,
        clock: Clock,
    ) -> None:
        """``initiator`` says whether we may ask for a purpose."""
        self._recorder = ServedRecorder(own=own, ledger=ledger, directory=directory, clock=clock)
        self._initiator = initiator
        self._clock = clock

    async def serve(
        self, call: FhirCall, type_: str, operation: str, work: Work, *, delivers: bool = False
    ) -> FhirReply:
        """Answer a request about a type of resource, with what ``work`` makes of it.

        Args:
            call: the request.
            type_: the resource type that the token must have a scope for.
            operation: the letter of SMART scopes.
            work: makes the answer.
            delivers: whether documents are sent, nothing is asked.

        Raises:
            OurFault: when the entry cannot be written: then nothing may be sent.
        """
        exchange_id = ExchangeId(self._clock.new_id())

        async def admitted(grant: Grant) -> FhirReply:
            question = self._admit(grant, exchange_id, type_, operation, delivers=delivers)
            return await work(question)

        return await self._entered(call, admitted, exchange_id)

    async def refuse(self, call: FhirCall, problem: CodedError) -> FhirReply:
        """A request that no use case takes: no token, an unknown path, another format."""

        async def refusing(_grant: Grant) -> FhirReply:
            raise problem

        return await self._entered(call, refusing, ExchangeId(self._clock.new_id()))

    async def _entered(
        self,
        call: FhirCall,
        work: Callable[[Grant], Awaitable[FhirReply]],
        exchange_id: ExchangeId,
    ) -> FhirReply:
        made: list[FhirReply] = []

        async def answer() -> Answered:
            reply = await reply_to(call, work)
            made.append(reply)
            return Answered(
                wire=reply.body,
                digest=reply.digest,
                decision=reply.decision,
                ending=reply.ending,
                private=_private(call, reply),
            )

        try:
            await self._recorder.serve(inbound_of(call), answer(), exchange_id=exchange_id)
        except BaseException:
            for reply in made:
                if reply.close is not None:
                    await reply.close()
            raise
        return made[0]

    def _admit(
        self,
        grant: Grant,
        exchange_id: ExchangeId,
        type_: str,
        operation: str,
        *,
        delivers: bool,
    ) -> NetworkQuestion:
        principal = grant.principal
        if principal is None or grant.patient is not None:
            raise FhirProblem(
                "fhir-network-denied",
                "Only a token of one of our own users or systems may ask the network, and none "
                "that is bound to a patient.",
            )
        decision = self._initiator.may_ask(principal, delivers=delivers)
        if not decision.permitted:
            raise DeniedByPolicy(decision)
        whole = [s for s in grant.scopes if s.context != "patient" and not s.query]
        if allows(whole, type_, operation) is None:
            raise FhirProblem(
                "fhir-scope-missing", f"The token has no scope {type_}.{operation} for all of them."
            )
        return NetworkQuestion(
            grant=grant, principal=principal, exchange_id=exchange_id, decision=decision
        )


def _private(call: FhirCall, reply: FhirReply) -> PrivateFacts:
    grant = call.grant
    if not isinstance(grant, Grant):
        return PrivateFacts()
    who = of_grant(grant)
    if grant.principal is not None:
        who = private.of_principal(grant.principal) | who
    return PrivateFacts(
        who=who,
        query=dict(call.asked),
        patient=private.of_patients(reply.patients),
        docs=list(reply.docs),
    )


def peer_results(results: Iterable[LegResult[Any]]) -> list[PeerResult]:
    """How each leg ended, as an answer to our own systems says it."""
    return [
        PeerResult(
            home_community_id=each.leg.peer.home_community_id,
            name=each.leg.peer.name,
            outcome=each.leg.outcome,
            reason=each.leg.reason,
            entry=each.leg.leg_id,
        )
        for each in results
    ]
