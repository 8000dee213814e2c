"""Whether a run went as the network was designed: every leg, every document, every ledger entry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.demo.asking import Answers
from node.demo.ledgers import LedgerPair
from node.demo.network import BuiltMember, Network
from node.demo.people import Behaviour
from node.model import Leg, Outcome, Transaction

_DISCOVERY = {
    Behaviour.HOLDS: Outcome.OK,
    Behaviour.DOES_NOT_KNOW: Outcome.OK_EMPTY,
    Behaviour.DECLINES: Outcome.DECLINED,
    Behaviour.IS_SLOW: Outcome.TIMED_OUT,
    Behaviour.IS_DOWN: Outcome.FAILED,
}


def differences(network: Network, answers: Answers, pairs: Sequence[LedgerPair]) -> tuple[str, ...]:
    """What is not as designed, one sentence each; none when everything is."""
    found: list[str] = []
    for member in network.members:
        legs = [
            leg
            for leg in answers.legs
            if leg.peer.home_community_id == member.node.organisation.home_community_id
        ]
        found.extend(
            f"{member.node.organisation.name}: {sentence}" for sentence in _of_legs(member, legs)
        )
    found.extend(_of_documents(network, answers))
    found.extend(_of_ledgers(answers, pairs))
    return tuple(found)


def _of_legs(member: BuiltMember, legs: Sequence[Leg]) -> Iterator[str]:
    discovered = [leg for leg in legs if leg.transaction is Transaction.ITI_55]
    expected = _DISCOVERY[member.behaviour]
    if [leg.outcome for leg in discovered] != [expected]:
        yield f"discovery ended as {_outcomes(discovered)}, not as {expected}"
    if member.behaviour is Behaviour.DECLINES and not all(leg.reason for leg in discovered):
        yield "it declined without a reason"
    later = [leg for leg in legs if leg.transaction is not Transaction.ITI_55]
    if member.behaviour is not Behaviour.HOLDS:
        if later:
            yield "it was asked for documents, though it gave no patient"
        return
    for transaction in (Transaction.ITI_38, Transaction.ITI_39):
        steps = [leg for leg in later if leg.transaction is transaction]
        if not steps or any(leg.outcome is not Outcome.OK for leg in steps):
            yield f"{transaction} ended as {_outcomes(steps)}, not as ok"
        count = sum(leg.documents for leg in steps)
        if count != len(member.held):
            yield f"{transaction} gave {count} documents, not {len(member.held)}"


def _outcomes(legs: Sequence[Leg]) -> str:
    return ", ".join(leg.outcome for leg in legs) or "nothing"


def _of_documents(network: Network, answers: Answers) -> Iterator[str]:
    holders = [m for m in network.members if m.behaviour is Behaviour.HOLDS]
    expected = {
        digest: {m.node.organisation.home_community_id for m in holders if digest in m.held}
        for member in holders
        for digest in member.held
    }
    came = {
        saved.document.sha256: {s.peer.home_community_id for s in saved.document.sources}
        for saved in answers.saved
    }
    if missing := expected.keys() - came.keys():
        yield f"{len(missing)} documents are held in the network and did not come"
    if strange := came.keys() - expected.keys():
        yield f"{len(strange)} documents came that are held nowhere in the network"
    for digest in expected.keys() & came.keys():
        if expected[digest] != came[digest]:
            yield f"document {digest[:16]} came from other sources than those that hold it"


def _of_ledgers(answers: Answers, pairs: Sequence[LedgerPair]) -> Iterator[str]:
    written = {pair.leg_id: pair for pair in pairs}
    for leg in answers.legs:
        what = f"{leg.peer.name}: {leg.transaction}"
        pair = written.get(leg.leg_id)
        if pair is None:
            yield f"{what} has no entry in our ledger"
        elif pair.ours.outcome is not leg.outcome:
            yield f"{what} ended as {leg.outcome}, but our ledger says {pair.ours.outcome}"
        elif leg.outcome.answered and pair.theirs is None:
            yield f"{what} was answered, but the peer's ledger has no entry"
        elif leg.outcome.answered and pair.theirs and pair.theirs.outcome is not leg.outcome:
            yield f"{what} ended as {leg.outcome}, but the peer's ledger says {pair.theirs.outcome}"
