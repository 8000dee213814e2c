"""One leg as the initiating side: policy, attempt, ending, durable ledger entry, result.

A leg never raises because of its peer: every attempt ends as an outcome, and the entry is durable
before the result is handed on (law 1). Only our own failure to write it down is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from node.errors import CodedError
from node.exchange import private
from node.exchange.outcomes import Ending, of_discovery, of_error, of_query, of_retrieve, of_silence
from node.exchange.ports import Call, Clock, DirectoryView, Inbox, Ledger, PeerEntry, Peers, Trace
from node.model import (
    Direction,
    DiscoveryAnswer,
    DocumentRef,
    ExchangeId,
    HomeCommunityId,
    Leg,
    LegId,
    LegRecord,
    Outcome,
    PatientId,
    PatientQuery,
    Principal,
    PrivateFacts,
    QueryAnswer,
    RetrieveAnswer,
    StoredQuery,
    Transaction,
)
from node.policy.decide import Decision, OutboundFacts, PartyFacts, decide_asking, decide_outbound
from node.policy.purposes import PurposeRegister

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long we wait and how often we try, for each transaction.

    ``seconds`` for one attempt (a peer's profile may say otherwise), ``attempts`` at most, and
    ``pause`` seconds before the second attempt, doubled for each further one. Defaults: facts,
    tefca 4.13.
    """

    seconds: dict[Transaction, float] = field(
        default_factory=lambda: {
            Transaction.ITI_55: 30.0,
            Transaction.ITI_38: 30.0,
            Transaction.ITI_39: 60.0,
        }
    )
    attempts: dict[Transaction, int] = field(
        default_factory=lambda: {
            Transaction.ITI_55: 1,
            Transaction.ITI_38: 2,
            Transaction.ITI_39: 2,
        }
    )
    pause: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One exchange as the initiating side: who asks, and until when (monotonic seconds).

    ``synthetic`` marks a connectivity test about nobody: its entries are no patient traffic.
    """

    exchange_id: ExchangeId
    principal: Principal
    deadline: float
    synthetic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LegResult(Generic[Answer]):
    """A leg that ended, with the peer's answer where there was one."""

    leg: Leg
    entry: PeerEntry
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question(Generic[Answer]):
    """What differs between the three transactions."""

    transaction: Transaction
    send: Callable[[Call, Trace], Awaitable[Answer]]
    ending: Callable[[Answer], Ending]
    private: Callable[[Answer | None], PrivateFacts]
    patient_id: PatientId | None = None


class Legs:
    """Runs legs over the ports it is given."""

    def __init__(
        self,
        *,
        own: HomeCommunityId,
        own_initiates: Callable[[], frozenset[str]],
        peers: Peers,
        ledger: Ledger,
        directory: DirectoryView,
        clock: Clock,
        purposes: PurposeRegister,
        patience: Patience | None = None,
    ) -> None:
        """``own_initiates`` gives the purposes that our own directory entry lists now."""
        self._own = own
        self._own_initiates = own_initiates
        self._peers = peers
        self._ledger = ledger
        self._directory = directory
        self._clock = clock
        self._purposes = purposes
        self._patience = patience or Patience()

    def may_ask(self, principal: Principal) -> Decision:
        """Whether our own directory entry lists the purpose (QTF-603), before any peer is asked."""
        return decide_asking(principal.purpose, self._own_initiates(), self._purposes)

    async def discover(
        self, asking: Asking, entry: PeerEntry, query: PatientQuery
    ) -> LegResult[DiscoveryAnswer]:
        """ITI-55 with one peer."""
        peer = entry.peer(Transaction.ITI_55)

        def facts(answer: DiscoveryAnswer | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query=private.of_demographics(query.demographics),
                patient=private.of_matches(answer.matches if answer else ()),
            )

        return await self._run(
            asking,
            entry,
            _Question(
                transaction=Transaction.ITI_55,
                send=lambda call, trace: self._peers.discover(peer, query, call, trace),
                ending=of_discovery,
                private=facts,
            ),
        )

    async def find(
        self, asking: Asking, entry: PeerEntry, query: StoredQuery, patient_id: PatientId | None
    ) -> LegResult[QueryAnswer]:
        """ITI-38 with one peer."""
        peer = entry.peer(Transaction.ITI_38)

        def facts(answer: QueryAnswer | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query=private.of_stored_query(query),
                patient=private.of_patients([patient_id] if patient_id else []),
                docs=private.of_entries(answer.documents if answer else ()),
            )

        return await self._run(
            asking,
            entry,
            _Question(
                transaction=Transaction.ITI_38,
                send=lambda call, trace: self._peers.find(peer, query, call, trace),
                ending=of_query,
                private=facts,
                patient_id=patient_id,
            ),
        )

    async def retrieve(
        self,
        asking: Asking,
        entry: PeerEntry,
        refs: Sequence[DocumentRef],
        inbox: Inbox,
        patient_id: PatientId | None,
    ) -> LegResult[RetrieveAnswer]:
        """ITI-39 with one peer: one request for all of ``refs``."""
        peer = entry.peer(Transaction.ITI_39)

        def facts(answer: RetrieveAnswer | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query=private.of_refs(refs),
                patient=private.of_patients([patient_id] if patient_id else []),
                docs=private.of_retrieved(answer.documents if answer else ()),
            )

        return await self._run(
            asking,
            entry,
            _Question(
                transaction=Transaction.ITI_39,
                send=lambda call, trace: self._peers.retrieve(peer, refs, call, trace, inbox),
                ending=lambda answer: of_retrieve(answer, asked=len(refs)),
                private=facts,
                patient_id=patient_id,
            ),
        )

    async def _run(
        self, asking: Asking, entry: PeerEntry, question: _Question[Answer]
    ) -> LegResult[Answer]:
        """Attempts until one ends for good; each attempt is a leg with an entry of its own."""
        decision = self._decide(asking, entry, question.transaction)
        attempts = self._patience.attempts[question.transaction]
        pause = self._patience.pause
        while True:
            attempts -= 1
            result, again = await self._attempt(asking, entry, question, decision)
            left = asking.deadline - self._clock.monotonic()
            if not again or attempts <= 0 or left <= pause:
                return result
            await asyncio.sleep(pause)
            pause *= 2

    async def _attempt(
        self, asking: Asking, entry: PeerEntry, question: _Question[Answer], decision: Decision
    ) -> tuple[LegResult[Answer], bool]:
        started, clock_start = self._clock.now(), self._clock.monotonic()
        leg_id = LegId(self._clock.new_id())
        message_id = f"urn:uuid:{leg_id}"
        trace = Trace()

        async def close(ending: Ending, answer: Answer | None = None) -> Leg:
            evidence = trace.evidence
            peer = entry.peer(question.transaction)
            if answer is None:
                ending = of_silence(ending, peer, question.transaction)
            leg = Leg(
                leg_id=leg_id,
                exchange_id=asking.exchange_id,
                direction=Direction.INITIATING,
                transaction=question.transaction,
                peer=peer,
                outcome=ending.outcome,
                reason=ending.reason,
                sentence=ending.sentence,
                started=started,
                duration_ms=round((self._clock.monotonic() - clock_start) * 1000),
                documents=ending.documents,
                message_id=message_id,
                relates_to=evidence.relates_to,
                errors=ending.errors,
            )
            await self._ledger.append(
                LegRecord(
                    leg=leg,
                    own=self._own,
                    purpose=asking.principal.purpose.code,
                    peer_key=evidence.peer_key,
                    assertion_id=evidence.assertion_id,
                    issuer=evidence.issuer,
                    binding=evidence.binding,
                    policy_rules=decision.rules,
                    directory_version=self._directory.version,
                    request_digest=evidence.request_digest,
                    response_digest=evidence.response_digest,
                    deviations=evidence.deviations,
                    trust=evidence.trust,
                    promise=evidence.promise,
                    request=evidence.request,
                    response=evidence.response,
                    synthetic=asking.synthetic,
                    private=question.private(answer),
                )
            )
            return leg

        if not decision.permitted:
            declined = Ending(
                outcome=Outcome.DECLINED, reason=decision.reason, sentence=decision.sentence
            )
            return LegResult(leg=await close(declined), entry=entry), False
        if question.transaction not in entry.addresses:
            sentence = f"The directory has no address of this community for {question.transaction}."
            no_route = Ending(outcome=Outcome.FAILED, reason="no-route", sentence=sentence)
            return LegResult(leg=await close(no_route), entry=entry), False

        seconds = self._seconds(asking, entry, question.transaction)
        call = Call(
            message_id=message_id,
            principal=asking.principal,
            timeout=seconds,
            patient_id=question.patient_id,
        )
        try:
            async with asyncio.timeout(max(seconds, 0)):
                answer = await question.send(call, trace)
        except asyncio.CancelledError:
            # the listener has gone; what was asked was asked, so it is written down all the same
            await asyncio.shield(close(Ending(outcome=Outcome.CANCELLED)))
            raise
        except TimeoutError:
            sentence = f"No answer within {max(seconds, 0):.0f} s."
            late = Ending(outcome=Outcome.TIMED_OUT, reason="timeout", sentence=sentence)
            return LegResult(leg=await close(late), entry=entry), False
        except CodedError as error:
            failed: LegResult[Answer] = LegResult(leg=await close(of_error(error)), entry=entry)
            return failed, error.retryable and not failed.leg.outcome.answered
        leg = await close(question.ending(answer), answer)
        return LegResult(leg=leg, entry=entry, answer=answer), False

    def _seconds(self, asking: Asking, entry: PeerEntry, transaction: Transaction) -> float:
        own = entry.quirks.get("timeout")
        limit = float(own) if isinstance(own, int | float) else self._patience.seconds[transaction]
        return min(limit, asking.deadline - self._clock.monotonic())

    def _decide(self, asking: Asking, entry: PeerEntry, transaction: Transaction) -> Decision:
        return decide_outbound(
            OutboundFacts(
                purpose=asking.principal.purpose,
                own_initiates=self._own_initiates(),
                peer=PartyFacts(
                    active=entry.active,
                    suspended=entry.suspended,
                    initiates=entry.initiates,
                    responds=entry.responds.get(transaction, frozenset()),
                    unsigned_refused=entry.unsigned_refused,
                ),
            ),
            self._purposes,
        )
