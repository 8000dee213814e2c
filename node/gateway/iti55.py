"""ITI-55 at the responding gateway: PRPA_IN201305UV02 in, PRPA_IN201306UV02 out."""

from __future__ import annotations

from dataclasses import replace

from node.exchange.ports import Asker, Inbound, Refusal
from node.gateway.reply import Reply
from node.gateway.responding import GatewayIdentity, Served, Understood
from node.model import DiscoveryAnswer, Transaction
from node.wire.hl7v3 import InstanceId
from node.wire.identifiers import bare_oid
from node.wire.names import OPERATIONS
from node.wire.soap import Envelope
from node.wire.timestamps import instant
from node.wire.xcpd_message import (
    DiscoveryRequest,
    RequestProblem,
    problem_answer,
    unsupported_mode,
)
from node.wire.xcpd_request import parse_discovery_request
from node.wire.xcpd_response import write_discovery_response

_OPERATION = OPERATIONS[Transaction.ITI_55]


def read(envelope: Envelope, own: GatewayIdentity) -> Understood:
    """Read a request.

    Raises:
        WireError: when it is no answerable PRPA_IN201305UV02.
    """
    request, deviations = parse_discovery_request(envelope.body)
    problem = _problem(request)

    async def answer(served: Served) -> Reply:
        def encode(found: DiscoveryAnswer) -> bytes:
            response = write_discovery_response(
                request,
                found,
                message_id=InstanceId(
                    root=bare_oid(own.home_community_id), extension=served.clock.new_id()
                ),
                creation_time=instant(served.clock.now()),
                home_community_id=own.home_community_id,
                organization=own.organization_name,
            )
            return served.frame.envelope(_OPERATION, response)

        if problem is None:
            soap = await served.responding.discover(served.inbound, request.query, encode)
        else:
            # Answered in the transaction's own form (QE), written down as a refusal.
            soap = await served.responding.refuse(
                _unanswerable(served, problem), lambda _refusal: encode(problem_answer(problem))
            )
        return Reply(soap=soap)

    return Understood(deviations=tuple(str(d) for d in deviations), answer=answer)


def _problem(request: DiscoveryRequest) -> RequestProblem | None:
    if request.problems:
        return request.problems[0]
    return unsupported_mode() if request.priority == "D" else None


def _unanswerable(served: Served, problem: RequestProblem) -> Inbound:
    asker = served.inbound.asker
    claimed = (
        asker.entry.peer(Transaction.ITI_55) if isinstance(asker, Asker) else served.inbound.claimed
    )
    return replace(
        served.inbound,
        asker=Refusal(
            code="request-unanswerable",
            sentence="The question is not complete or not in a form that can be answered.",
            detail=f"{problem.code} {problem.location}",
        ),
        claimed=claimed,
    )
