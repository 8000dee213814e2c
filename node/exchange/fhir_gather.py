"""All pages of one peer's answer to one search, within limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from node.exchange.fhir_events import FhirEvent, FhirLegEnded, FhirLegStarted
from node.exchange.fhir_legs import FhirLegs, PeerSearch
from node.exchange.fhir_merge import PeerAnswer
from node.exchange.fhir_question import FhirQuestion
from node.exchange.leg_runner import Asking, LegResult
from node.exchange.network_ports import KnownAt
from node.exchange.ports import PeerEntry
from node.model import Interaction, Outcome, PatientId
from node.wire.fhir.searchset_reader import Quarantined, ReadEntry, Remark, Searchset

PAGE_SIZE = "200"
"""Entries of a page that we ask peers for; a server may give fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherLimits:
    """What is taken: pages and entries of one peer, entries and bytes of all peers together."""

    pages: int = 20
    entries_per_peer: int = 2_000
    entries: int = 20_000
    octets: int = 256 * 1024 * 1024


@dataclass(slots=True)
class Budget:
    """What one exchange may still take."""

    entries: int
    octets: int

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be taken."""
        return self.entries <= 0 or self.octets <= 0


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """The pages of one peer so far."""

    entry: PeerEntry
    patient: str
    entries: list[ReadEntry] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    cut: str | None = None

    def take(self, result: LegResult[Searchset], budget: Budget, most: int) -> None:
        if result.leg.message_id is not None:
            self.messages.append(result.leg.message_id)
        page = result.answer
        if page is None:
            return
        for entry in page.entries:
            if len(self.entries) >= most or budget.is_spent:
                self.cut = f"only the first {len(self.entries)} entries were taken."
                break
            self.entries.append(entry)
            budget.entries -= 1
            budget.octets -= len(entry.resource)
        self.quarantined += page.quarantined
        self.remarks += page.remarks

    def answer(self, last: LegResult[Searchset]) -> PeerAnswer:
        leg, entry = last.leg, self.entry
        outcome, reason, sentence = Outcome.OK_EMPTY, None, None
        if last.answer is None:
            outcome = Outcome.PARTIAL if self.entries else leg.outcome
            reason, sentence = leg.reason, leg.sentence
        elif self.quarantined:
            outcome, sentence = Outcome.PARTIAL, "some entries could not be passed on."
        elif self.cut is not None:
            outcome = Outcome.PARTIAL
        elif self.entries:
            outcome = Outcome.OK
        return PeerAnswer(
            home_community_id=entry.home_community_id,
            name=entry.name,
            patient=self.patient,
            outcome=outcome,
            reason=reason,
            sentence=sentence,
            entries=tuple(self.entries),
            quarantined=tuple(self.quarantined),
            remarks=tuple(self.remarks),
            cut=self.cut,
            messages=tuple(self.messages),
        )


class Gatherer:
    """Searches at one peer, page after page."""

    def __init__(self, legs: FhirLegs, limits: GatherLimits) -> None:
        """``legs`` asks, and enters every request."""
        self._legs = legs
        self._limits = limits

    def budget(self) -> Budget:
        """For one exchange."""
        return Budget(self._limits.entries, self._limits.octets)

    async def search(
        self,
        asking: Asking,
        entry: PeerEntry,
        known: KnownAt,
        question: FhirQuestion,
        *,
        budget: Budget,
        emit: Callable[[FhirEvent], None],
    ) -> PeerAnswer:
        """What the peer holds of the Patient that the person is there (``known.fhir_id``)."""
        patient, person = known.fhir_id or "", _identifiers(known)
        gathered = _Gathered(entry=entry, patient=patient)
        pairs = (*question.of_patient(patient), ("_count", PAGE_SIZE))
        search = PeerSearch(type=question.type, pairs=pairs, patient=patient, person=person)
        links: set[str] = set()
        while True:
            emit(FhirLegStarted(entry=entry, interaction=Interaction.SEARCH))
            result = await self._legs.search(asking, entry, search)
            emit(FhirLegEnded(result=result, interaction=Interaction.SEARCH))
            gathered.take(result, budget, self._limits.entries_per_peer)
            link = result.answer.following if result.answer is not None else None
            if link is None or gathered.cut is not None:
                return gathered.answer(result)
            if link in links:
                gathered.cut = "its pages lead in a circle."
            elif len(links) + 1 >= self._limits.pages:
                gathered.cut = f"it has more than {self._limits.pages} pages."
            if gathered.cut is not None:
                return gathered.answer(result)
            links.add(link)
            search = PeerSearch(type=question.type, link=link, patient=patient, person=person)


def _identifiers(known: KnownAt) -> tuple[PatientId, ...]:
    """What the community calls the person: by discovery, else by its own Patient."""
    if known.patient_id is not None:
        return (known.patient_id,)
    return known.demographics.identifiers if known.demographics is not None else ()
