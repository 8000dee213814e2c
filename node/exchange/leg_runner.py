"""Runs one leg as the initiating side: policy, attempts, ending, durable ledger entry, result.

A leg never raises because of its peer: every attempt ends as an outcome, and the entry is durable
before the result is handed on (law 1). Only our own failure to write it down is raised. What is
asked (an IHE transaction, a FHIR interaction) is a ``Question``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from node.errors import CodedError
from node.exchange.outcomes import Ending, of_error, of_silence
from node.exchange.ports import Call, Clock, DirectoryView, Ledger, PeerEntry, Trace
from node.model import (
    Direction,
    ExchangeId,
    HomeCommunityId,
    Interaction,
    Leg,
    LegId,
    LegRecord,
    Outcome,
    PatientId,
    Peer,
    Principal,
    PrivateFacts,
    Step,
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
    tefca 4.13; those of FHIR are like those of ITI-38, of a document's content like ITI-39.
    """

    seconds: dict[Step, float] = field(
        default_factory=lambda: {
            Transaction.ITI_55: 30.0,
            Transaction.ITI_38: 30.0,
            Transaction.ITI_39: 60.0,
            Transaction.ITI_80: 120.0,
            Interaction.SEARCH: 30.0,
            Interaction.MATCH: 30.0,
            Interaction.READ: 60.0,
        }
    )
    attempts: dict[Step, int] = field(
        default_factory=lambda: {
            Transaction.ITI_55: 1,
            Transaction.ITI_38: 2,
            Transaction.ITI_39: 2,
            # what may have arrived is not sent again unasked
            Transaction.ITI_80: 1,
            Interaction.SEARCH: 2,
            Interaction.MATCH: 2,
            Interaction.READ: 2,
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
class Question(Generic[Answer]):
    """What is asked of one peer.

    Attributes:
        step: the transaction or interaction.
        peer: whom, with the address that the directory gives.
        responds: the purposes that the peer's entry answers at that address.
        no_route: why there is no way to the peer, or ``None`` where there is one.
        send: asks once.
        ending: how an answer ends the leg.
        private: what of it is entered in the private record.
        patient_id: goes into the assertion where it is known.
    """

    step: Step
    peer: Peer
    responds: frozenset[str]
    no_route: str | None
    send: Callable[[Call, Trace], Awaitable[Answer]]
    ending: Callable[[Answer], Ending]
    private: Callable[[Answer | None], PrivateFacts]
    patient_id: PatientId | None = None


class LegRunner:
    """Runs legs and enters them."""

    def __init__(
        self,
        *,
        own: HomeCommunityId,
        own_initiates: Callable[[], frozenset[str]],
        ledger: Ledger,
        directory: DirectoryView,
        clock: Clock,
        purposes: PurposeRegister,
        patience: Patience | None = None,
    ) -> None:
        """``own_initiates`` gives the purposes that our own directory entry lists now."""
        self._own = own
        self._own_initiates = own_initiates
        self._ledger = ledger
        self._directory = directory
        self._clock = clock
        self._purposes = purposes
        self._patience = patience or Patience()

    def may_ask(self, principal: Principal, *, delivers: bool = False) -> Decision:
        """Whether our own directory entry lists the purpose (QTF-603), before any peer is asked.

        ``delivers``: documents are to be sent, which some purposes are for alone.
        """
        return decide_asking(
            principal.purpose, self._own_initiates(), self._purposes, delivers=delivers
        )

    async def run(
        self, asking: Asking, entry: PeerEntry, question: Question[Answer]
    ) -> LegResult[Answer]:
        """Attempts until one ends for good; each attempt is a leg with an entry of its own."""
        decision = self._decide(asking, entry, question)
        attempts, number = self._patience.attempts[question.step], 0
        pause = self._patience.pause
        while True:
            number += 1
            result, again = await self._attempt(asking, entry, question, decision, number)
            left = asking.deadline - self._clock.monotonic()
            if not again or number >= attempts or left <= pause:
                return result
            await asyncio.sleep(pause)
            pause *= 2

    async def _attempt(
        self,
        asking: Asking,
        entry: PeerEntry,
        question: Question[Answer],
        decision: Decision,
        number: int,
    ) -> tuple[LegResult[Answer], bool]:
        started, clock_start = self._clock.now(), self._clock.monotonic()
        leg_id = LegId(self._clock.new_id())
        message_id = f"urn:uuid:{leg_id}"
        trace = Trace()

        async def close(ending: Ending, answer: Answer | None = None) -> Leg:
            evidence = trace.evidence
            if answer is None:
                ending = of_silence(ending, question.peer, question.step)
            leg = Leg(
                leg_id=leg_id,
                exchange_id=asking.exchange_id,
                direction=Direction.INITIATING,
                transaction=question.step,
                peer=question.peer,
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
                    attempt=number,
                    private=question.private(answer),
                )
            )
            return leg

        if not decision.permitted:
            declined = Ending(
                outcome=Outcome.DECLINED, reason=decision.reason, sentence=decision.sentence
            )
            return LegResult(leg=await close(declined), entry=entry), False
        if question.no_route is not None:
            no_route = Ending(outcome=Outcome.FAILED, reason="no-route", sentence=question.no_route)
            return LegResult(leg=await close(no_route), entry=entry), False

        seconds = self._seconds(asking, entry, question.step)
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

    def _seconds(self, asking: Asking, entry: PeerEntry, step: Step) -> float:
        own = entry.quirks.get("timeout")
        limit = float(own) if isinstance(own, int | float) else self._patience.seconds[step]
        return min(limit, asking.deadline - self._clock.monotonic())

    def _decide(self, asking: Asking, entry: PeerEntry, question: Question[Answer]) -> Decision:
        return decide_outbound(
            OutboundFacts(
                purpose=asking.principal.purpose,
                own_initiates=self._own_initiates(),
                peer=PartyFacts(
                    active=entry.active,
                    suspended=entry.suspended,
                    initiates=entry.initiates,
                    responds=question.responds,
                    unsigned_refused=entry.unsigned_refused,
                ),
                delivers=question.step is Transaction.ITI_80,
            ),
            self._purposes,
        )
