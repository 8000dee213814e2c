"""ITI-38 at the responding gateway: AdhocQueryRequest in, AdhocQueryResponse out."""

from __future__ import annotations

from node.gateway.reply import Reply
from node.gateway.responding import GatewayIdentity, Served, Understood
from node.model import QueryAnswer, Transaction
from node.wire.names import OPERATIONS
from node.wire.soap import Envelope
from node.wire.stored_query import parse_adhoc_query
from node.wire.xca import write_query_answer

_OPERATION = OPERATIONS[Transaction.ITI_38]


def read(envelope: Envelope, own: GatewayIdentity) -> Understood:
    """Read a request. What a stored query may not ask is the record source's to say.

    Raises:
        WireError: when it is no readable AdhocQueryRequest.
    """
    query, deviations = parse_adhoc_query(envelope.body)

    async def answer(served: Served) -> Reply:
        def encode(found: QueryAnswer) -> bytes:
            body = write_query_answer(found, home=own.home_community_id)
            return served.frame.envelope(_OPERATION, body)

        return Reply(soap=await served.responding.find(served.inbound, query, encode))

    return Understood(deviations=tuple(str(d) for d in deviations), answer=answer)
