"""Documents that another community pushes to us (ITI-80): checked, entered, kept, acknowledged.

A submission is taken whole or not at all. Its ledger entry is durable before anything of it can be
found in our records (law 1); should keeping it then fail, a second entry says so, and so does the
answer: an acknowledgement means that the documents are held (facts: tefca 4.7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from node.errors import CodedError, WireError
from node.exchange import private
from node.exchange.asked import Admission, asker_of, declined
from node.exchange.document_errors import DocumentErrors
from node.exchange.document_sink import DocumentSink, StoredPart
from node.exchange.individual import Individual, IndividualAccess, another_person
from node.exchange.outcomes import Ending, of_delivery, of_error
from node.exchange.ports import Clock, Inbound, LocalPatient
from node.exchange.served import Answered, ServedRecorder
from node.model import (
    DeliveryAnswer,
    DocumentEntry,
    ExchangeId,
    PrivateFacts,
    RegistryError,
    ResponseStatus,
)
from node.policy.decide import Decision
from node.policy.reasons import reason
from node.wire.mtom import Attached, find_part
from node.wire.submission_check import check_submission
from node.wire.xcdr import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyDocument:
    """A document that can be kept: its entry, its bytes, and whether we do not hold it already."""

    entry: DocumentEntry
    part: StoredPart
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyDelivery:
    """What became of a submission before it is kept.

    ``errors`` keep it out whole. ``person`` is whom of ours it is about, as far as that is known.
    """

    person: LocalPatient | None = None
    documents: tuple[ReadyDocument, ...] = ()
    errors: tuple[RegistryError, ...] = ()


class Deliveries(Protocol):
    """Our own records, as far as others' documents come into them."""

    async def prepare(
        self, submission: Submission, parts: Mapping[str, StoredPart]
    ) -> ReadyDelivery:
        """Find the person and look at each document; nothing is kept or shown yet.

        ``parts`` are the received bytes by the entry's id.
        """
        ...

    async def keep(self, ready: ReadyDelivery) -> None:
        """Store and index them, in one transaction. Raises ``CodedError``: none is held then."""
        ...


Encode = Callable[[DeliveryAnswer], bytes]


class DocumentRecipient:
    """The use case of the responding gateway that takes documents."""

    def __init__(
        self,
        *,
        admission: Admission,
        individuals: IndividualAccess,
        deliveries: Deliveries,
        recorder: ServedRecorder,
        clock: Clock,
    ) -> None:
        """``recorder`` makes entries durable before answers leave."""
        self._admission = admission
        self._own = admission.own
        self._errors = DocumentErrors(
            own=self._own.home_community_id, repository_unique_id=self._own.repository_unique_id
        )
        self._individuals = individuals
        self._deliveries = deliveries
        self._recorder = recorder
        self._clock = clock

    async def take(
        self, inbound: Inbound, submission: Submission, sink: DocumentSink, encode: Encode
    ) -> bytes:
        """ITI-80: take the documents and say so, or say why not.

        ``sink`` holds what came with the message; what is left there is its owner's to delete.
        """
        exchange_id = ExchangeId(self._clock.new_id())
        taken: list[ReadyDelivery] = []
        work = self._judge(inbound, submission, sink, encode, taken)
        answered = await self._recorder.serve(inbound, work, exchange_id=exchange_id)
        if not taken:
            return answered.wire
        try:
            await self._deliveries.keep(taken[0])
        except CodedError as error:
            failed = self._failed(inbound, submission, encode, error)
            return (await self._recorder.serve(inbound, failed, exchange_id=exchange_id)).wire
        return answered.wire

    async def _judge(
        self,
        inbound: Inbound,
        submission: Submission,
        sink: DocumentSink,
        encode: Encode,
        taken: list[ReadyDelivery],
    ) -> Answered:
        asker = asker_of(inbound)
        # What needs no patient is decided first: who may not deliver must not make us look.
        decision = self._admission.decide(asker, inbound)
        individual = Individual()
        if decision.permitted:
            individual = await self._individuals.identify(asker, documents=True)
            decision = individual.refused or decision
        ready = ReadyDelivery(errors=check_submission(submission, self._own.home_community_id))
        if decision.permitted and not ready.errors:
            ready = await self._prepared(submission, sink)
        if decision.permitted and ready.person is not None:
            people = [ready.person.patient_id]
            if await self._admission.opted_out(people):
                decision = self._admission.decide(asker, inbound, opted_out=True)
            elif await self._individuals.others(individual, people):
                decision = another_person()
        answer = self._answer(decision, submission, ready.errors)
        ending = declined(decision)
        if decision.permitted:
            ending = of_delivery(answer, sent=len(submission.documents))
        if answer.status is ResponseStatus.SUCCESS:
            taken.append(ready)
        return Answered(
            wire=encode(answer),
            decision=decision,
            ending=ending,
            private=self._private(inbound, submission, ready),
        )

    async def _prepared(self, submission: Submission, sink: DocumentSink) -> ReadyDelivery:
        parts: dict[str, StoredPart] = {}
        missing: list[RegistryError] = []
        for place, entry in enumerate(submission.documents, start=1):
            content = submission.contents[entry.entry_uuid]
            try:
                parts[entry.entry_uuid] = (
                    sink.parts[find_part(content.content_id, sink.parts)]
                    if isinstance(content, Attached)
                    else await sink.store(content.data)
                )
            except WireError:
                missing.append(
                    RegistryError(
                        code="XDSMissingDocument",
                        context=f"The part of document {place} is not in the message.",
                    )
                )
        if missing:
            return ReadyDelivery(errors=tuple(missing))
        return await self._deliveries.prepare(submission, parts)

    def _answer(
        self, decision: Decision, submission: Submission, errors: Sequence[RegistryError]
    ) -> DeliveryAnswer:
        own = self._own.home_community_id
        if not decision.permitted:
            refused = self._errors.of_policy(decision)
            if reason(decision.reason or "").quiet and self._own.quiet_opt_out:
                # the sender must not learn that the person is known here
                refused = unknown_patient()
            errors = (refused,)
        located = tuple(replace(error, location=own) for error in errors)
        if located:
            return DeliveryAnswer(status=ResponseStatus.FAILURE, errors=located)
        warned = tuple(replace(each, location=own) for each in submission.warnings)
        return DeliveryAnswer(status=ResponseStatus.SUCCESS, errors=warned)

    async def _failed(
        self, inbound: Inbound, submission: Submission, encode: Encode, error: CodedError
    ) -> Answered:
        """The documents could not be kept after their entry had been written."""
        said = RegistryError(
            code="XDSRepositoryError",
            context="The documents could not be stored.",
            location=self._own.home_community_id,
        )
        ending: Ending = of_error(error)
        return Answered(
            wire=encode(DeliveryAnswer(status=ResponseStatus.FAILURE, errors=(said,))),
            decision=self._admission.decide(asker_of(inbound), inbound),
            ending=replace(ending, errors=(said,)),
            private=self._private(inbound, submission, ReadyDelivery()),
        )

    def _private(
        self, inbound: Inbound, submission: Submission, ready: ReadyDelivery
    ) -> PrivateFacts:
        own_set = submission.submission_set
        named = {p for e in submission.documents for p in (e.patient_id, e.source_patient_id) if p}
        if ready.person is not None:
            named.add(ready.person.patient_id)
        return PrivateFacts(
            who=private.of_principal(asker_of(inbound).principal),
            query=private.of_submission(own_set),
            patient=private.of_patients(named),
            docs=[
                row | {"sha256": each.part.sha256}
                for each in ready.documents
                for row in private.of_entries([each.entry])
            ],
        )


def unknown_patient() -> RegistryError:
    """The person is nobody of ours, or cannot be told from others."""
    return RegistryError(
        code="XDSUnknownPatientId",
        context="The patient is not known here with certainty.",
    )
