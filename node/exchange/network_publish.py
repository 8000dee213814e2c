"""Documents that our own systems publish: ITI-65, into the records from which peers are answered.

What is published is not sent anywhere (``network_deliver`` sends what names a recipient). It is
indexed under the person whom its demographics name, and peers that ask and may see it get it.

A bundle is taken whole or not at all. Its entry is durable before it is indexed (law 1): should the
index then fail, a second entry says so, and so does the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from node.errors import CodedError
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall
from node.exchange.network_serve import NetworkQuestion, NetworkServer
from node.exchange.outcomes import Ending
from node.exchange.ports import Clock
from node.model import Outcome
from node.wire.fhir.bundle_writer import fhir_instant
from node.wire.fhir.mhd_provide import Provided, ProvidedDocument, remark, unprocessed
from node.wire.fhir.outcome import write_outcome

_CREATE = "c"
_NOT_KEPT = "Submission sets and folders are not kept; the log has the entry of this publication."


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document that can be indexed: its id as a DocumentReference, and whether it is new."""

    document: ProvidedDocument
    id: str
    is_new: bool
    sha256: str


class Publications(Protocol):
    """Our own records, as far as documents are published into them."""

    async def prepare(self, documents: Sequence[ProvidedDocument]) -> Sequence[Prepared]:
        """Find out whether each can be indexed; nothing is stored or shown yet.

        Raises:
            FhirProblem: ``fhir-patient-unknown``, ``fhir-provide-mismatch``,
                ``fhir-document-id-taken``.
        """
        ...

    async def publish(self, prepared: Sequence[Prepared]) -> None:
        """Index them all, in one transaction. Raises ``CodedError``: none is then."""
        ...


class NetworkPublish:
    """The use case about publishing."""

    def __init__(
        self, *, server: NetworkServer, records: Publications, own_url: str, clock: Clock
    ) -> None:
        """``own_url`` is the base address of our own FHIR server, where what is held is read."""
        self._server = server
        self._records = records
        self._own_url = own_url
        self._clock = clock

    async def publish(self, call: FhirCall, provided: Provided) -> FhirReply:
        """Take a bundle in, whole or not at all."""
        prepared: list[Prepared] = []

        async def work(question: NetworkQuestion) -> FhirReply:
            prepared.extend(await self._records.prepare(provided.documents))
            return FhirReply(
                body=self._response(provided, prepared, question.exchange_id),
                ending=Ending(outcome=Outcome.OK, documents=len(prepared)),
                docs=[
                    {"id": each.document.facts.unique_id, "sha256": each.sha256}
                    for each in prepared
                ],
            )

        reply = await self._server.serve(call, "DocumentReference", _CREATE, work)
        if not prepared or reply.ending.outcome is not Outcome.OK:
            return reply
        try:
            await self._records.publish(prepared)
        except CodedError as error:
            return await self._server.refuse(call, error)
        return reply

    def _response(self, provided: Provided, prepared: Sequence[Prepared], exchange: str) -> bytes:
        by_place = {each.document.place: each for each in prepared}
        now = fhir_instant(self._clock.now())
        entries = []
        for place, kind in enumerate(provided.kinds):
            held = by_place.get(place)
            id_ = held.id if held is not None else f"{exchange}-{place}"
            response: dict[str, Any] = {
                "status": "201 Created",
                "location": f"{self._own_url}/{kind}/{id_}",
                "lastModified": now,
            }
            issues = [unprocessed(code) for code in provided.warnings.get(place, ())]
            if kind == "List":
                issues.append(remark(_NOT_KEPT))
            if held is not None and not held.is_new:
                issues.append(remark("This document was held already; nothing was changed."))
            if issues:
                response["outcome"] = orjson.loads(write_outcome(issues))
            entries.append({"response": response})
        made = {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}
        return orjson.dumps(made)
