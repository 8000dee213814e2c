"""Documents that our own systems send to other communities: ITI-65 with an intended recipient.

A Provide Document Bundle whose submission set names organisations is sent on to them (ITI-80) and
goes nowhere else: it is not taken into our own records, from which everybody else would get it.
Whom it names has to be in the directory; otherwise nothing is sent to anybody. What each recipient
did with it is in the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Protocol

import orjson

from node.exchange import private
from node.exchange.deliver import Delivery
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall
from node.exchange.initiate import Initiator, LegEnded
from node.exchange.leg_runner import LegResult
from node.exchange.network_serve import NetworkQuestion, NetworkServer, peer_results
from node.exchange.outcomes import Ending
from node.exchange.ports import Clock, DirectoryView
from node.model import HomeCommunityId, Outcome, Principal
from node.wire.fhir.bundle_writer import fhir_instant
from node.wire.fhir.mhd_provide import Provided, remark, unprocessed
from node.wire.fhir.mhd_recipients import Recipients
from node.wire.fhir.outcome import write_outcome
from node.wire.fhir.peer_results import peer_issues, row_of
from node.wire.fhir.problem import FhirProblem

_CREATE = "c"
_TIMEOUT = 504
_BAD_GATEWAY = 502


class Outgoing(Protocol):
    """What makes a delivery of a bundle."""

    async def delivery(self, provided: Provided, principal: Principal) -> Delivery:
        """The documents with the metadata of XDS, about the person whom the bundle names.

        Raises:
            FhirProblem: ``fhir-patient-unknown``, ``fhir-provide-mismatch``, ``fhir-body-invalid``.
        """
        ...


class NetworkDeliver:
    """The use case about sending."""

    def __init__(
        self,
        *,
        server: NetworkServer,
        initiator: Initiator,
        directory: DirectoryView,
        outgoing: Outgoing,
        clock: Clock,
    ) -> None:
        """``outgoing`` reads the documents of a bundle as they are sent."""
        self._server = server
        self._initiator = initiator
        self._directory = directory
        self._outgoing = outgoing
        self._clock = clock

    async def send(self, call: FhirCall, provided: Provided) -> FhirReply:
        """Send a bundle's documents to its recipients, and say what each did with them."""

        async def work(question: NetworkQuestion) -> FhirReply:
            targets = self._targets(provided.recipients)
            delivery = await self._outgoing.delivery(provided, question.principal)
            events = self._initiator.deliver(
                question.principal, delivery, targets, exchange_id=question.exchange_id
            )
            async with aclosing(events):
                results: list[LegResult[Any]] = [
                    event.result async for event in events if isinstance(event, LegEnded)
                ]
            return self._reply(provided, delivery, results)

        return await self._server.serve(call, "DocumentReference", _CREATE, work, delivers=True)

    def _targets(self, recipients: Recipients) -> list[HomeCommunityId]:
        homes = list(recipients.communities)
        entries = [self._directory.by_home_community_id(home) for home in homes]
        for organization in recipients.organizations:
            entry = self._directory.by_organization_id(organization)
            entries.append(entry)
            if entry is not None:
                homes.append(entry.home_community_id)
        if any(entry is None or not entry.home_community_id for entry in entries):
            raise FhirProblem(
                "fhir-recipient-unknown",
                "XDSUnknownCommunity: an intended recipient is not in the directory with a home "
                "community id; nothing was sent.",
            )
        return list(dict.fromkeys(homes))

    def _reply(
        self, provided: Provided, delivery: Delivery, results: Sequence[LegResult[Any]]
    ) -> FhirReply:
        told = peer_results(results)
        taken = sum(result.leg.outcome in (Outcome.OK, Outcome.PARTIAL) for result in results)
        docs = private.of_outgoing(delivery.documents)
        people = {document.entry.source_patient_id for document in delivery.documents}
        patients = [each for each in people if each]
        if not taken:
            statuses = {row_of(each.outcome, each.reason).status for each in told}
            status = statuses.pop() if len(statuses) == 1 else _BAD_GATEWAY
            return FhirReply(
                status=status,
                body=write_outcome(peer_issues(told, severity="error")),
                ending=Ending(
                    outcome=Outcome.TIMED_OUT if status == _TIMEOUT else Outcome.FAILED,
                    reason="fhir-not-delivered",
                    sentence="Not one recipient took the documents.",
                ),
                patients=patients,
                docs=docs,
            )
        whole = taken == len(results)
        issues = [
            *peer_issues(told),
            remark(
                f"{taken} of {len(results)} recipients took the documents; they are not held here."
            ),
        ]
        return FhirReply(
            body=self._response(provided, issues),
            ending=Ending(
                outcome=Outcome.OK if whole else Outcome.PARTIAL,
                documents=len(delivery.documents),
                sentence=None if whole else "Not every recipient took the documents.",
            ),
            patients=patients,
            docs=docs,
        )

    def _response(self, provided: Provided, issues: Sequence[dict[str, Any]]) -> bytes:
        now = fhir_instant(self._clock.now())
        entries = []
        for place, kind in enumerate(provided.kinds):
            said = [unprocessed(code) for code in provided.warnings.get(place, ())]
            if kind == "List":
                said = [*issues, *said]
            response: dict[str, Any] = {"status": "201 Created", "lastModified": now}
            if said:
                response["outcome"] = orjson.loads(write_outcome(said))
            entries.append({"response": response})
        made = {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}
        return orjson.dumps(made)
