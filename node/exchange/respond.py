"""The responding side: an authenticated request in, policy, local records, ledger, answer out.

Each use case builds its answer with ``encode`` and hands it to ``served.ServedRecorder``, which
gives the bytes back when their ledger entry is durable (law 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from node.errors import OurFault
from node.exchange import private
from node.exchange.codes import ending_codes
from node.exchange.outcomes import Ending, of_discovery, of_query
from node.exchange.ports import (
    Asker,
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
    HomeCommunityId,
    Match,
    MatchStatus,
    Outcome,
    PatientId,
    PatientQuery,
    PrivateFacts,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    StoredQuery,
)
from node.policy.decide import Decision, Effect, InboundFacts, PartyFacts, decide_inbound
from node.policy.opt_out import OptOuts
from node.policy.purposes import PurposeRegister
from node.policy.reasons import reason
from node.wire.retrieve import check_document_ref
from node.wire.stored_query import check_stored_query


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNode:
    """What the responding side says of itself.

    ``responds`` gives the purposes answered now; they may change with the directory.
    ``quiet_opt_out``: at discovery a patient who opted out is answered as "no match", so that the
    peer does not learn that the person is known here; the ledger says what really happened.
    """

    home_community_id: HomeCommunityId
    organization_name: str
    responds: Callable[[], frozenset[str]]
    repository_unique_id: str
    quiet_opt_out: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedDocuments:
    """The answer of ITI-39 before its bytes: which documents follow, what could not be served."""

    status: ResponseStatus
    documents: tuple[DocumentEntry, ...] = ()
    errors: tuple[RegistryError, ...] = ()


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
    ) -> None:
        """``opt_outs`` gives the list that is in force at the moment of the call."""
        self._own = own
        self._records = records
        self._recorder = ServedRecorder(
            own=own.home_community_id, ledger=ledger, directory=directory, clock=clock
        )
        self._purposes = purposes
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
        asker = _asker(inbound)
        addressed = frozenset([query.target] if query.target else [])
        # What needs no patient is decided first: a peer that may not ask must not make us search.
        decision = self._decide(asker, inbound, addressed)
        patients: Sequence[LocalPatient] = ()
        if decision.permitted:
            patients = await self._records.match(query.demographics)
            if any(
                self._opt_outs().any_of((p.patient_id, *p.demographics.identifiers))
                for p in patients
            ):
                decision = self._decide(asker, inbound, addressed, opted_out=True)
        answer = self._discovery_answer(decision, patients)
        return Answered(
            wire=encode(answer),
            decision=decision,
            ending=of_discovery(answer) if decision.permitted else _declined(decision),
            private=PrivateFacts(
                who=private.of_principal(asker.principal),
                query=private.of_demographics(query.demographics),
                patient=private.of_patients(p.patient_id for p in patients),
            ),
        )

    def _discovery_answer(
        self, decision: Decision, patients: Sequence[LocalPatient]
    ) -> DiscoveryAnswer:
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
        asker = _asker(inbound)
        decision = self._decide(asker, inbound, frozenset())
        problems = check_stored_query(query, [self._own.home_community_id])
        answer = QueryAnswer(status=ResponseStatus.FAILURE, errors=problems)
        if decision.permitted and not problems:
            answer = await self._records.find(query)
            people = [e.patient_id for e in answer.documents] + [r.patient_id for r in answer.refs]
            hidden = await self._opted_out({patient for patient in people if patient})
            if hidden:
                decision = self._decide(asker, inbound, frozenset(), opted_out=True)
                answer = _without(answer, hidden)
        if not decision.permitted:
            held = bool(answer.documents or answer.refs)
            answer = replace(
                answer,
                status=ResponseStatus.PARTIAL_SUCCESS if held else ResponseStatus.FAILURE,
                errors=(*answer.errors, self._policy_error(decision)),
            )
        partly = decision.permitted or bool(answer.documents or answer.refs)
        return Answered(
            wire=encode(answer),
            decision=decision,
            ending=of_query(answer) if partly else _declined(decision),
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
        asker = _asker(inbound)
        decision = self._decide(asker, inbound, frozenset())
        opened: list[OpenDocument] = []
        errors: list[RegistryError] = []
        if decision.permitted:
            for ref in refs:
                error = self._unservable(ref)
                document = None if error else await self._records.open(ref)
                if document is None:
                    errors.append(error or self._error("XDSDocumentUniqueIdError", ref))
                elif await self._opted_out(_patients(document.entry)):
                    decision = self._decide(asker, inbound, frozenset(), opted_out=True)
                    errors.append(self._policy_error(decision, ref.document_unique_id))
                else:
                    opened.append(document)
        else:
            errors.append(self._policy_error(decision))
        entries = tuple(document.entry for document in opened)
        status = _status(len(opened), len(errors))
        answer = ServedDocuments(status=status, documents=entries, errors=tuple(errors))
        as_query = QueryAnswer(status=status, documents=entries, errors=tuple(errors))
        return Answered(
            wire=encode(answer),
            decision=decision,
            ending=of_query(as_query) if decision.permitted or opened else _declined(decision),
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
            ending=_declined(decision),
            private=PrivateFacts(who={"detail": refusal.detail} if refusal.detail else {}),
        )

    # --- policy -------------------------------------------------------------------------------

    def _decide(
        self,
        asker: Asker,
        inbound: Inbound,
        addressed: frozenset[HomeCommunityId],
        *,
        opted_out: bool = False,
    ) -> Decision:
        entry = asker.entry
        return decide_inbound(
            InboundFacts(
                transaction=inbound.transaction,
                purpose=asker.principal.purpose,
                asker=PartyFacts(
                    active=entry.active,
                    suspended=entry.suspended,
                    initiates=entry.initiates,
                    unsigned_refused=entry.unsigned_refused,
                ),
                own_responds=self._own.responds(),
                own_communities=frozenset([self._own.home_community_id]),
                addressed=addressed,
                opted_out=opted_out,
            ),
            self._purposes,
        )

    async def _opted_out(self, patients: Iterable[PatientId]) -> frozenset[PatientId]:
        opt_outs = self._opt_outs()
        if not opt_outs.identifiers:
            return frozenset()
        return frozenset(
            [
                patient
                for patient in patients
                if opt_outs.any_of((patient, *await self._records.identifiers(patient)))
            ]
        )

    # --- errors in the transaction's own form -------------------------------------------------

    def _unservable(self, ref: DocumentRef) -> RegistryError | None:
        """What is wrong with one document request (ITI TF-2 3.39.4.1.3, 3.43.4.1.3)."""
        own = self._own.home_community_id
        wrong = check_document_ref(ref, [own])
        if wrong is not None:
            return replace(wrong, location=own)
        if ref.repository_unique_id.removeprefix("urn:oid:") != self._own.repository_unique_id:
            return self._error("XDSUnknownRepositoryId", ref)
        return None

    def _error(self, code: str, ref: DocumentRef) -> RegistryError:
        return RegistryError(
            code=code, context=ref.document_unique_id, location=self._own.home_community_id
        )

    def _policy_error(self, decision: Decision, about: str | None = None) -> RegistryError:
        row = reason(decision.reason or "")
        context = f"{row.sentence} [{row.code}]"
        return RegistryError(
            code=row.xds,
            context=f"{about}: {context}" if about else context,
            location=self._own.home_community_id,
        )


def _asker(inbound: Inbound) -> Asker:
    if isinstance(inbound.asker, Refusal):
        raise OurFault("internal-error", "A refused request reached a use case.")
    return inbound.asker


def _patients(entry: DocumentEntry) -> tuple[PatientId, ...]:
    return (entry.patient_id,) if entry.patient_id else ()


def _declined(decision: Decision) -> Ending:
    return Ending(outcome=Outcome.DECLINED, reason=decision.reason, sentence=decision.sentence)


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
