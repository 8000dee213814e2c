"""One FHIR question as a whole: events while peers are asked, and at the end the merged Bundle.

What a command shows, in this process or through a running node.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from node.exchange.fhir_broker import FhirBroker
from node.exchange.fhir_events import FhirEvent, PeerEnded
from node.exchange.fhir_merge import PeerAnswer, merge
from node.exchange.fhir_merged_writer import write_merged
from node.exchange.fhir_question import FhirQuestion
from node.exchange.network_ports import KnownAt
from node.exchange.ports import Clock
from node.model import Demographics, HomeCommunityId, Outcome, Principal
from node.wire.fhir.provenance import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeQuestion:
    """What is asked about whom.

    Attributes:
        person: the demographics; ``None`` where ``known`` says enough.
        known: where the person is known; empty: that is to be found out.
        targets: the communities to be asked alone; empty: all.
        question: what is asked.
    """

    person: Demographics | None
    known: tuple[KnownAt, ...] = ()
    targets: tuple[HomeCommunityId, ...] = ()
    question: FhirQuestion


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSummary:
    """What became of a community, without what it gave; see ``PeerAnswer``."""

    home_community_id: HomeCommunityId
    name: str
    outcome: Outcome
    reason: str | None
    sentence: str | None
    cut: str | None
    resources: int
    put_aside: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeBundle:
    """The merged answer; nothing comes after it."""

    bundle: bytes


WholeEvent = FhirEvent | PeerSummary | WholeBundle
"""``PeerSummary`` in place of ``PeerEnded``."""


async def ask_whole(
    broker: FhirBroker,
    principal: Principal,
    asked: WholeQuestion,
    *,
    own: Party,
    clock: Clock,
    seconds: float | None,
) -> AsyncGenerator[WholeEvent, None]:
    """Ask, and give what happens as it happens."""
    if asked.person is None or asked.known:
        events = broker.search(
            principal, asked.known, asked.question, demographics=asked.person, seconds=seconds
        )
    else:
        events = broker.ask(
            principal, asked.person, asked.question, targets=asked.targets, seconds=seconds
        )
    answers: list[PeerAnswer] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, PeerEnded):
                answers.append(event.answer)
                yield _summary(event.answer)
            else:
                yield event
    bundle = write_merged(merge(answers), own=own, now=clock.now(), new_id=clock.new_id)
    yield WholeBundle(bundle=bundle)


def _summary(answer: PeerAnswer) -> PeerSummary:
    return PeerSummary(
        home_community_id=answer.home_community_id,
        name=answer.name,
        outcome=answer.outcome,
        reason=answer.reason,
        sentence=answer.sentence,
        cut=answer.cut,
        resources=len(answer.entries),
        put_aside=len(answer.quarantined),
        pages=len(answer.messages),
    )
