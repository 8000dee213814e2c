"""From a peer's answer, or from an error, to how the leg ended: pure, one place for each decision.

The three words stay apart (DESIGN law 5): nothing held (``ok-empty``), declined (the peer refused,
with its reason), not reached (``failed`` with whose fault, ``timed-out``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from node.errors import CodedError
from node.exchange.codes import ending_codes
from node.model import (
    DeliveryAnswer,
    DiscoveryAnswer,
    MatchStatus,
    Outcome,
    Peer,
    QueryAnswer,
    RegistryError,
    ResponseStatus,
    RetrieveAnswer,
    Severity,
    Step,
    Transaction,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a leg ended, and why in a code and a sentence; ``documents`` found or received."""

    outcome: Outcome
    reason: str | None = None
    sentence: str | None = None
    documents: int = 0
    errors: tuple[RegistryError, ...] = ()


def of_discovery(answer: DiscoveryAnswer) -> Ending:
    """The five cases of ITI-55 (ITI TF-2 3.55.4.2.2)."""
    if answer.matches:
        return Ending(outcome=Outcome.OK)
    if answer.problem is not None:
        declined = answer.problem.code in ending_codes().discovery_declined
        return Ending(
            outcome=Outcome.DECLINED if declined else Outcome.FAILED,
            reason=answer.problem.code,
            sentence=answer.problem_text or answer.problem.display,
        )
    if answer.asks:
        return Ending(
            outcome=Outcome.PARTIAL,
            reason=answer.asks[0],
            sentence="The peer holds candidates and asks for more about the person: "
            + ", ".join(answer.asks)
            + ".",
        )
    if answer.status in (MatchStatus.AE, MatchStatus.QE):
        return Ending(
            outcome=Outcome.FAILED,
            reason=f"xcpd-{answer.status.value.lower()}",
            sentence=answer.problem_text or "The peer could not process the question.",
        )
    return Ending(outcome=Outcome.OK_EMPTY)


def of_query(answer: QueryAnswer) -> Ending:
    """Status and errors of ITI-38 (ITI TF-3 4.2.4)."""
    return _of_registry(answer.status, answer.errors, len(answer.documents) + len(answer.refs))


def of_retrieve(answer: RetrieveAnswer, *, asked: int) -> Ending:
    """Status and errors of ITI-39; documents that are missing without an error are noticed."""
    ending = _of_registry(answer.status, answer.errors, len(answer.documents))
    if len(answer.documents) >= asked or ending.reason is not None:
        return ending
    missing = asked - len(answer.documents)
    return Ending(
        outcome=Outcome.PARTIAL if answer.documents else Outcome.FAILED,
        reason="documents-missing",
        sentence=f"The peer left out {missing} of {asked} documents without saying why.",
        documents=len(answer.documents),
    )


def of_delivery(answer: DeliveryAnswer, *, sent: int) -> Ending:
    """Status and errors of ITI-80: the recipient took all documents, or none (IHE XCDR)."""
    taken = 0 if answer.status is ResponseStatus.FAILURE else sent
    ending = _of_registry(answer.status, answer.errors, taken)
    if ending.outcome is Outcome.FAILED and ending.reason is None:
        sentence = "The peer did not take the documents, and does not say why."
        return replace(ending, reason="delivery-refused", sentence=sentence)
    return ending


def _of_registry(status: ResponseStatus, errors: Sequence[RegistryError], count: int) -> Ending:
    serious = tuple(e for e in errors if e.severity is Severity.ERROR)
    first = serious[0] if serious else None
    if count and (serious or status is not ResponseStatus.SUCCESS):
        outcome = Outcome.PARTIAL
    elif count:
        outcome = Outcome.OK
    elif first is None and status is not ResponseStatus.FAILURE:
        outcome = Outcome.OK_EMPTY
    elif serious and all(e.code in ending_codes().registry_declined for e in serious):
        outcome = Outcome.DECLINED
    else:
        outcome = Outcome.FAILED
    return Ending(
        outcome=outcome,
        reason=first.code if first else None,
        sentence=(first.context or None) if first else None,
        documents=count,
        errors=tuple(errors),
    )


_IN_COMMUNITIES = frozenset({Transaction.ITI_38, Transaction.ITI_39, Transaction.ITI_80})


def of_silence(ending: Ending, peer: Peer, step: Step) -> Ending:
    """The ending of a peer that gave no answer, with the registry error that stands for it.

    In XCA a community that cannot be reached is never dropped: it is an error of the merged answer
    (ITI TF-2 3.38.4.1.3, facts: ihe-wire 6). Likewise where documents were to be delivered
    (QTF-912).
    """
    if step not in _IN_COMMUNITIES or ending.outcome.answered:
        return ending
    error = RegistryError(
        code=ending_codes().unavailable,
        context=ending.sentence or ending.outcome.value,
        location=peer.home_community_id,
    )
    return replace(ending, errors=(*ending.errors, error))


def of_error(error: CodedError) -> Ending:
    """How a leg ends whose attempt raised: refused, out of time, or failed on somebody's side."""
    if error.code in ending_codes().fault_declined:
        outcome = Outcome.DECLINED
    elif error.code in ending_codes().timeouts:
        outcome = Outcome.TIMED_OUT
    else:
        outcome = Outcome.FAILED
    return Ending(outcome=outcome, reason=error.code, sentence=error.sentence)
