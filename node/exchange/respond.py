"""The responding side: an authenticated request in, policy, local records, ledger, answer out.

Each use case builds its answer with ``encode`` and hands it to ``served.ServedRecorder``, which
gives the bytes back when their ledger entry is durable (law 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from node.errors import OurFault
from node.exchange import private
from node.exchange.asked import Admission, asker_of, declined
from node.exchange.codes import ending_codes
from node.exchange.document_errors import DocumentErrors
from node.exchange.individual import IdTokens, Individual, IndividualAccess, another_person
from node.exchange.outcomes import of_discovery, of_query
from node.exchange.own_node import OwnNode, ServedDocuments
from node.exchange.ports import (
    Clock,
    DirectoryView,
    Inbound,
    Ledger,
    LocalPatient,
    OpenDocument,
    RecordSource,
    Refusal,
)
from node.exchange.served import Answered, ServedRecorder
from node.model import (
    Code,
    DiscoveryAnswer,
    DocumentEntry,
    DocumentRef,
    Match,
    MatchStatus,
    PatientId,
    PatientQuery,
    PrivateFacts,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    StoredQuery,
)
from node.policy.decide import Decision, Effect
from node.policy.opt_out import OptOuts
from node.policy.purposes import PurposeRegister
from node.policy.reasons import reason
from node.wire.stored_query import check_stored_query

__all__ = ["OwnNode", "Responder", "ServedDocuments"]


class Responder:
    """The use cases of the responding gateway.

    Each raises ``OurFault`` when the entry cannot be written: then nothing may be sent.
    """

    def __init__(
        self,
        *,
        own: OwnNode,
        records: RecordSource,
        ledger: Ledger,
        directory: DirectoryView,
        clock: Clock,
        purposes: PurposeRegister,
        opt_outs: Callable[[], OptOuts],
        id_tokens: IdTokens | None = None,
        individual_endpoint: str | None = None,
    ) -> None:
        """The parts.

        Args:
            own: this node.
            records: what we hold.
            ledger: where each answer is entered.
            directory: who is out there.
            clock: the time.
            purposes: those in force.
            opt_outs: gives the list that is in force at the moment of the call.
            id_tokens: proves individuals; ``None`` refuses them.
            individual_endpoint: chooses mode 1 of ``exchange.individual``.
        """
        self._own = own
        self._errors = DocumentErrors(
            own=own.home_community_id, repository_unique_id=own.repository_unique_id
        )
        self._individuals = IndividualAccess(
            tokens=id_tokens, records=records, purposes=purposes, endpoint=individual_endpoint
        )
        self._records = records
        self._recorder = ServedRecorder(
            own=own.home_community_id, ledger=ledger, directory=directory, clock=clock
        )
        self._admission = Admission(own=own, records=records, purposes=purposes, opt_outs=opt_outs)
        self._opt_outs = opt_outs

    async def discover(
        self, inbound: Inbound, query: PatientQuery, encode: Callable[[DiscoveryAnswer], bytes]
    ) -> bytes:
        """ITI-55: answer with what we hold, never with what was asked (QTF-716)."""
        return (await self._recorder.serve(inbound, self._discover(inbound, query, encode))).wire

    async def find(
        self, inbound: Inbound, query: StoredQuery, encode: Callable[[QueryAnswer], bytes]
    ) -> bytes:
        """ITI-38: answer a stored query."""
        return (await self._recorder.serve(inbound, self._find(inbound, query, encode))).wire

    async def retrieve(
        self,
        inbound: Inbound,
        refs: Sequence[DocumentRef],
        encode: Callable[[ServedDocuments], bytes],
    ) -> tuple[bytes, Sequence[OpenDocument]]:
        """ITI-39: open the documents asked for; their bytes may flow only after this returned."""
        answered = await self._recorder.serve(inbound, self._retrieve(inbound, refs, encode))
        return answered.wire, answered.opened

    async def refuse(self, inbound: Inbound, encode: Callable[[Refusal], bytes]) -> bytes:
        """Write down a request whose sender or form is not acceptable; the answer is a fault."""
        return (await self._recorder.serve(inbound, self._refuse(inbound, encode))).wire

    # --- the four answers ---------------------------------------------------------------------

    async def _discover(
        self, inbound: Inbound, query: PatientQuery, encode: Callable[[DiscoveryAnswer], bytes]
    ) -> Answered:
        asker = asker_of(inbound)
        addressed = frozenset([query.target] if query.target else [])
        # What needs no patient is decided first: a peer that may not ask must not make us search.
        decision = self._admission.decide(asker, inbound, addressed)
        patients: Sequence[LocalPatient] = ()
        individual = Individual()
        if decision.permitted:
            individual = await self._individuals.identify(asker, asked=query.demographics)
            decision = individual.refused or decision
        own, name = self._own.home_community_id, self._own.organization_name
        endpoint = self._individuals.endpoint(individual, own, name)
        if decision.permitted and endpoint is None:
            patients = await self._records.match(query.demographics)
            if any(
                self._opt_outs().any_of((p.patient_id, *p.demographics.identifiers))
                for p in patients
            ):
                decision = self._admission.decide(asker, inbound, addressed, opted_out=True)
        answer = self._discovery_answer(decision, patients, endpoint)
        return Answered(
            wire=encode(answer),
            decision=decision,
            ending=of_discovery(answer) if decision.permitted else declined(decision),
            private=PrivateFacts(
                who=private.of_principal(asker.principal),
                query=private.of_demographics(query.demographics),
                patient=private.of_patients(p.patient_id for p in patients),
            ),
        )

    def _discovery_answer(
        self, decision: Decision, patients: Sequence[LocalPatient], endpoint: Match | None
    ) -> DiscoveryAnswer:
        if decision.permitted and endpoint is not None:
            return DiscoveryAnswer(status=MatchStatus.OK, matches=(endpoint,))
        if decision.permitted:
            return DiscoveryAnswer(
                status=MatchStatus.OK if patients else MatchStatus.NF,
                matches=tuple(self._match(patient) for patient in patients),
            )
        row = reason(decision.reason or "")
        if row.quiet and self._own.quiet_opt_out:
            return DiscoveryAnswer(status=MatchStatus.NF)
        return DiscoveryAnswer(
            status=MatchStatus.AE,
            problem=Code(code=row.xcpd, scheme=ending_codes().discovery_problem_system),
            problem_text=f"{row.sentence} [{row.code}]",
        )

    def _match(self, patient: LocalPatient) -> Match:
        return Match(
            patient_id=patient.patient_id,
            home_community_id=self._own.home_community_id,
            demographics=patient.demographics,
            score=patient.score,
            organization_name=self._own.organization_name,
        )

    async def _find(
        self, inbound: Inbound, query: StoredQuery, encode: Callable[[QueryAnswer], bytes]
    ) -> Answered:
        asker = asker_of(inbound)
        decision = self._admission.decide(asker, inbound, frozenset())
        individual = Individual()
        if decision.permitted:
            individual = await self._individuals.identify(asker, documents=True)
            decision = individual.refused or decision
        problems = check_stored_query(query, [self._own.home_community_id])
        answer = QueryAnswer(status=ResponseStatus.FAILURE, errors=problems)
        if decision.permitted and not problems:
            answer = await self._records.find(query)
            people = [e.patient_id for e in answer.documents] + [r.patient_id for r in answer.refs]
            hidden = await self._admission.opted_out({patient for patient in people if patient})
            if hidden:
                decision = self._admission.decide(asker, inbound, frozenset(), opted_out=True)
                answer = _without(answer, hidden)
            others = await self._individuals.others(individual, {p for p in people if p})
            if others:
                decision = another_person()
                answer = _without(answer, others)
        if not decision.permitted:
            held = bool(answer.documents or answer.refs)
            answer = replace(
                answer,
                status=ResponseStatus.PARTIAL_SUCCESS if held else ResponseStatus.FAILURE,
                errors=(*answer.errors, self._errors.of_policy(decision)),
            )
        partly = decision.permitted or bool(answer.documents or answer.refs)
        return Answered(
            wire=encode(answer),
            decision=decision,
            ending=of_query(answer) if partly else declined(decision),
            private=PrivateFacts(
                who=private.of_principal(asker.principal),
                query=private.of_stored_query(query),
                patient=private.of_patients(
                    {e.patient_id for e in answer.documents if e.patient_id}
                ),
                docs=private.of_entries(answer.documents),
            ),
        )

    async def _retrieve(
        self,
        inbound: Inbound,
        refs: Sequence[DocumentRef],
        encode: Callable[[ServedDocuments], bytes],
    ) -> Answered:
        asker = asker_of(inbound)
        decision = self._admission.decide(asker, inbound, frozenset())
        individual = Individual()
        if decision.permitted:
            individual = await self._individuals.identify(asker, documents=True)
            decision = individual.refused or decision
        opened: list[OpenDocument] = []
        errors: list[RegistryError] = []
        if decision.permitted:
            for ref in refs:
                error = self._errors.unservable(ref)
                document = None if error else await self._records.open(ref)
                if document is None:
                    errors.append(error or self._errors.about("XDSDocumentUniqueIdError", ref))
                elif await self._admission.opted_out(_patients(document.entry)):
                    decision = self._admission.decide(asker, inbound, frozenset(), opted_out=True)
                    errors.append(self._errors.of_policy(decision, ref.document_unique_id))
                elif await self._individuals.others(individual, _patients(document.entry)):
                    decision = another_person()
                    errors.append(self._errors.of_policy(decision, ref.document_unique_id))
                else:
                    opened.append(document)
        else:
            errors.append(self._errors.of_policy(decision))
        entries = tuple(document.entry for document in opened)
        status = _status(len(opened), len(errors))
        answer = ServedDocuments(status=status, documents=entries, errors=tuple(errors))
        as_query = QueryAnswer(status=status, documents=entries, errors=tuple(errors))
        return Answered(
            wire=encode(answer),
            decision=decision,
            ending=of_query(as_query) if decision.permitted or opened else declined(decision),
            private=PrivateFacts(
                who=private.of_principal(asker.principal),
                query=private.of_refs(refs),
                patient=private.of_patients({e.patient_id for e in entries if e.patient_id}),
                docs=private.of_entries(entries),
            ),
            opened=opened,
        )

    async def _refuse(self, inbound: Inbound, encode: Callable[[Refusal], bytes]) -> Answered:
        refusal = inbound.asker
        if not isinstance(refusal, Refusal):
            raise OurFault("internal-error", "A request with a proved sender cannot be refused so.")
        decision = Decision(
            effect=Effect.DENY,
            rules=("in-0-identity",),
            reason=refusal.code,
            sentence=refusal.sentence,
        )
        return Answered(
            wire=encode(refusal),
            decision=decision,
            ending=declined(decision),
            private=PrivateFacts(who={"detail": refusal.detail} if refusal.detail else {}),
        )


def _patients(entry: DocumentEntry) -> tuple[PatientId, ...]:
    return (entry.patient_id,) if entry.patient_id else ()


def _without(answer: QueryAnswer, hidden: frozenset[PatientId]) -> QueryAnswer:
    return replace(
        answer,
        documents=tuple(e for e in answer.documents if e.patient_id not in hidden),
        refs=tuple(r for r in answer.refs if r.patient_id not in hidden),
    )


def _status(served: int, errors: int) -> ResponseStatus:
    if not errors:
        return ResponseStatus.SUCCESS
    return ResponseStatus.PARTIAL_SUCCESS if served else ResponseStatus.FAILURE
