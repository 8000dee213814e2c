"""ITI-80 at the responding gateway: a submission with its documents in, RegistryResponse out.

The documents came with the message and wait in the inbox; what is not taken is deleted from there.
Both messages travel as MTOM (facts: ihe-wire 1).
"""

from __future__ import annotations

from node.errors import LimitError, OurFault
from node.gateway.reply import Reply
from node.gateway.responding import GatewayIdentity, Served, Understood
from node.model import DeliveryAnswer, Transaction
from node.wire.mtom_writer import MtomWriter
from node.wire.names import OPERATIONS
from node.wire.soap import Envelope
from node.wire.xcdr import parse_submission, write_delivery_answer

_OPERATION = OPERATIONS[Transaction.ITI_80]


def read(envelope: Envelope, own: GatewayIdentity) -> Understood:
    """Read a request.

    Raises:
        WireError: when it is no ProvideAndRegisterDocumentSetRequest.
        LimitError: ``too-many-documents``.
    """
    submission, deviations = parse_submission(envelope.body, repository=own.repository_unique_id)
    if len(submission.contents) > own.documents_per_request:
        raise LimitError(
            "too-many-documents",
            f"At most {own.documents_per_request} documents may be sent at a time.",
        )

    async def answer(served: Served) -> Reply:
        if served.receiving is None or served.sink is None:
            raise OurFault("internal-error", "No document can be taken here.")

        def encode(said: DeliveryAnswer) -> bytes:
            body = write_delivery_answer(said, home=own.home_community_id)
            return served.frame.envelope(_OPERATION, body)

        soap = await served.receiving.take(served.inbound, submission, served.sink, encode)
        stamp = served.clock.new_id()
        return Reply(
            soap=soap, writer=MtomWriter(boundary=f"node-{stamp}", root_cid=f"soap-{stamp}@node")
        )

    return Understood(deviations=tuple(str(d) for d in deviations), answer=answer)
