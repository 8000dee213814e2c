"""One document of the network for our own systems: ITI-68, fetched by ITI-39 (MHD).

That of a community with a FHIR server alone is fetched behind the link of its DocumentReference,
with our own credentials there.

The document comes into the spool whole before a byte of it goes on, since its digest is a part of
the entry that has to be durable first (law 1).
"""

from __future__ import annotations

from contextlib import aclosing

from node.exchange.call_inbox import CallInbox
from node.exchange.fhir_binary import HARMLESS, BinaryForm, safe_media_type
from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_peer_ports import LinkedDocument
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall
from node.exchange.initiate import Initiator, LegEnded
from node.exchange.network_handles import DocumentHandle, DocumentHandles
from node.exchange.network_serve import NetworkQuestion, NetworkServer
from node.exchange.outcomes import Ending
from node.exchange.ports import Clock, Inbox
from node.model import Leg, Outcome, RetrieveAnswer, RetrievedDocument
from node.wire.fhir.peer_results import row_of
from node.wire.fhir.problem import FhirProblem

_READ = "r"
_JSON = ("application/json", "application/fhir+json")
_ABSENT = frozenset(
    {
        "XDSDocumentUniqueIdError",
        "XDSMissingDocument",
        "XDSUnknownRepositoryId",
        "fhir-attachment-absent",
    }
)
_OTHER = frozenset({"fhir-attachment-changed", "fhir-attachment-type"})
_GONE = frozenset({"XDSRegistryDeprecatedDocumentError"})
_LATE = 504


class NetworkRetrieve:
    """The use case about one document."""

    def __init__(
        self,
        *,
        server: NetworkServer,
        initiator: Initiator,
        broker: FhirBroker,
        inbox: Inbox,
        handles: DocumentHandles,
        clock: Clock,
    ) -> None:
        """``inbox`` is where documents wait; ``handles`` opens the links."""
        self._server = server
        self._initiator = initiator
        self._broker = broker
        self._inbox = inbox
        self._handles = handles
        self._clock = clock

    async def retrieve(self, call: FhirCall, token: str, wanted: BinaryForm) -> FhirReply:
        """The bytes of the document that a link stands for, in the type that was said."""

        async def work(question: NetworkQuestion) -> FhirReply:
            handle = self._handles.opened(token, question.grant, self._clock.now())
            media_type = safe_media_type(handle.mime_type)
            if handle.mime_type:
                _check(wanted, media_type)  # told before anybody is asked
            inbox = CallInbox(self._inbox)
            try:
                document = await self._fetch(question, handle, inbox)
                if not handle.mime_type:
                    media_type = safe_media_type(document.mime_type)
                    _check(wanted, media_type)
            except BaseException:
                await inbox.discard_all()
                raise
            return FhirReply(
                media_type=media_type,
                headers={
                    **HARMLESS,
                    "content-length": str(document.size),
                    "content-type": media_type,  # as it was said, without a charset of our own
                },
                chunks=inbox.open(document.token),
                digest=bytes.fromhex(document.sha256),
                close=inbox.discard_all,
                ending=Ending(outcome=Outcome.OK, documents=1),
                patients=handle.patients,
                docs=[
                    {
                        "id": handle.ref.document_unique_id,
                        "repository": handle.ref.repository_unique_id,
                        "sha256": document.sha256,
                    }
                ],
            )

        return await self._server.serve(call, "DocumentReference", _READ, work)

    async def _fetch(
        self, question: NetworkQuestion, handle: DocumentHandle, inbox: CallInbox
    ) -> RetrievedDocument:
        if handle.attachment is not None:
            document = LinkedDocument(
                ref=handle.ref, attachment=handle.attachment, person=handle.person
            )
            result = await self._broker.fetch(
                question.principal, document, inbox, exchange_id=question.exchange_id
            )
            if result.answer is None:
                raise _problem(result.leg)
            return result.answer
        events = self._initiator.retrieve(
            question.principal,
            [handle.ref],
            inbox,
            patient_id=handle.patient_id,
            exchange_id=question.exchange_id,
        )
        leg: Leg | None = None
        async with aclosing(events):
            async for event in events:
                if isinstance(event, LegEnded):
                    leg = event.result.leg
                    answer = event.result.answer
                    if isinstance(answer, RetrieveAnswer) and answer.documents:
                        return answer.documents[0]
        raise _problem(leg)


def _problem(leg: Leg | None) -> FhirProblem:
    """What is said where the document did not come; the peer's own words are in the log alone."""
    codes = {leg.reason, *(error.code for error in leg.errors)} if leg else set()
    if codes & _GONE:
        return FhirProblem("fhir-document-gone", "The document was replaced or withdrawn.")
    if codes & _ABSENT:
        return FhirProblem("fhir-not-found", "The community does not hold this document.")
    if leg is None or leg.outcome is Outcome.CANCELLED or leg.outcome is Outcome.OK_EMPTY:
        return FhirProblem("fhir-not-found", "The community does not hold this document.")
    if leg.outcome is Outcome.DECLINED:
        return FhirProblem("fhir-peer-declined", "The community declined to give the document.")
    if leg.outcome is not Outcome.OK and row_of(leg.outcome, leg.reason).status == _LATE:
        return FhirProblem("fhir-peer-late", "The community did not give the document in time.")
    sentence = "The community did not give the document."
    if codes & _OTHER:
        sentence = "What the community gave is not what it listed; search again."
    return FhirProblem("fhir-peer-unreachable", sentence)


def _check(wanted: BinaryForm, media_type: str) -> None:
    if not _takes(wanted, media_type):
        raise FhirProblem("fhir-format-unsupported", "The document is of none of these types.")


def _takes(wanted: BinaryForm, media_type: str) -> bool:
    bare = media_type.partition(";")[0].strip()
    return bare in _JSON if wanted.is_resource else wanted.takes(bare)
