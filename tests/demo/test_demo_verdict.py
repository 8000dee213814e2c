"""The verdict notices every way in which a run can differ from the design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.demo.asking import Answers, Saved
from node.demo.ledgers import LedgerPair, Written
from node.demo.network import BuiltMember, Network
from node.demo.people import Behaviour
from node.demo.verdict import differences
from node.exchange.merge import FoldedDocument, Source
from node.model import (
    Direction,
    DocumentRef,
    ExchangeId,
    Leg,
    LegId,
    Outcome,
    Peer,
    RetrievedDocument,
    Transaction,
)

Run = tuple[Answers, tuple[LedgerPair, ...]]

ENDS = {
    Behaviour.HOLDS: Outcome.OK,
    Behaviour.DOES_NOT_KNOW: Outcome.OK_EMPTY,
    Behaviour.DECLINES: Outcome.DECLINED,
    Behaviour.IS_SLOW: Outcome.TIMED_OUT,
    Behaviour.IS_DOWN: Outcome.FAILED,
}


def peer(member: BuiltMember) -> Peer:
    organisation = member.node.organisation
    return Peer(
        organization_id=organisation.oid,
        home_community_id=organisation.home_community_id,
        name=organisation.name,
    )


def leg(member: BuiltMember, transaction: Transaction, outcome: Outcome, documents: int = 0) -> Leg:
    return Leg(
        leg_id=LegId(f"{member.node.organisation.key}-{transaction}"),
        exchange_id=ExchangeId("x"),
        direction=Direction.INITIATING,
        transaction=transaction,
        peer=peer(member),
        outcome=outcome,
        started=datetime(2026, 11, 23, tzinfo=UTC),
        duration_ms=1,
        reason="patient-opted-out" if outcome is Outcome.DECLINED else None,
        documents=documents,
    )


def saved(network: Network, digest: str) -> Saved:
    sources = tuple(
        Source(
            peer=peer(member),
            document=RetrievedDocument(
                ref=DocumentRef(
                    home_community_id=member.node.organisation.home_community_id,
                    repository_unique_id="2.999.1",
                    document_unique_id=digest,
                ),
                mime_type="text/xml",
                size=1,
                sha256=digest,
                token="0" * 32,
            ),
        )
        for member in network.members
        if member.behaviour is Behaviour.HOLDS and digest in member.held
    )
    folded = FoldedDocument(sha256=digest, size=1, mime_type="text/xml", sources=sources)
    return Saved(document=folded, path=Path(digest))


@pytest.fixture
def good(demo_network: Network) -> Run:
    legs: list[Leg] = []
    digests: dict[str, None] = {}
    for member in demo_network.members:
        legs.append(leg(member, Transaction.ITI_55, ENDS[member.behaviour]))
        if member.behaviour is Behaviour.HOLDS:
            digests.update(dict.fromkeys(sorted(member.held)))
            legs.extend(
                leg(member, transaction, Outcome.OK, len(member.held))
                for transaction in (Transaction.ITI_38, Transaction.ITI_39)
            )
    pairs = tuple(
        LedgerPair(
            peer=each.peer.name,
            home_community_id=each.peer.home_community_id,
            transaction=each.transaction,
            message_id="",
            leg_id=each.leg_id,
            ours=Written(seq=n, outcome=each.outcome, duration_ms=1),
            theirs=Written(seq=n, outcome=each.outcome, duration_ms=1)
            if each.outcome.answered
            else None,
        )
        for n, each in enumerate(legs)
    )
    found = tuple(saved(demo_network, digest) for digest in digests)
    return Answers(legs=tuple(legs), saved=found), pairs


def test_a_run_as_designed_has_no_differences(demo_network: Network, good: Run) -> None:
    assert differences(demo_network, *good) == ()


@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_any_other_outcome_of_any_leg_is_noticed(
    demo_network: Network, good: Run, index: int, outcome: Outcome
) -> None:
    answers, pairs = good
    legs = list(answers.legs)
    if legs[index].outcome is outcome:
        return
    legs[index] = replace(legs[index], outcome=outcome)
    found = differences(demo_network, replace(answers, legs=tuple(legs)), pairs)
    assert any(legs[index].peer.name in sentence for sentence in found)


@pytest.mark.parametrize("index", range(10))
def test_any_missing_leg_is_noticed(demo_network: Network, good: Run, index: int) -> None:
    answers, pairs = good
    legs = answers.legs[:index] + answers.legs[index + 1 :]
    assert differences(demo_network, replace(answers, legs=legs), pairs)


SPOILED: dict[str, Callable[[Run], Run]] = {
    "a document is missing": lambda run: (replace(run[0], saved=run[0].saved[1:]), run[1]),
    "a document is strange": lambda run: (
        replace(
            run[0],
            saved=(
                *run[0].saved,
                replace(
                    run[0].saved[0], document=replace(run[0].saved[0].document, sha256="f" * 64)
                ),
            ),
        ),
        run[1],
    ),
    "nothing is folded": lambda run: (
        replace(
            run[0],
            saved=tuple(
                replace(s, document=replace(s.document, sources=s.document.sources[:1]))
                for s in run[0].saved
            ),
        ),
        run[1],
    ),
    "our ledger has no entry": lambda run: (run[0], run[1][1:]),
    "their ledger has no entry": lambda run: (
        run[0],
        (replace(run[1][0], theirs=None), *run[1][1:]),
    ),
    "the ledgers disagree": lambda run: (
        run[0],
        (
            replace(run[1][0], theirs=Written(seq=0, outcome=Outcome.DECLINED, duration_ms=1)),
            *run[1][1:],
        ),
    ),
    "a refusal has no reason": lambda run: (
        replace(run[0], legs=tuple(replace(each, reason=None) for each in run[0].legs)),
        run[1],
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_run_is_noticed(
    demo_network: Network, good: Run, spoil: Callable[[Run], Run]
) -> None:
    assert differences(demo_network, *spoil(good))
