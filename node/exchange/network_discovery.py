"""Who knows this person, asked of the whole network and kept as network patients."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from node.exchange.initiate import Initiator, LegEnded
from node.exchange.network_fhir_peers import FhirPeersAlone
from node.exchange.network_persons import Grade, Identity, persons
from node.exchange.network_ports import Compare, KnownAt, NetworkPatient, NetworkPatients
from node.exchange.network_serve import NetworkQuestion, peer_results
from node.model import Demographics, DiscoveryAnswer, HomeCommunityId, PatientQuery
from node.wire.fhir.peer_results import PeerResult

MOST_IDENTITIES = 500
"""Identities of one answer that are looked at; a community gives a person once, as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPerson:
    """One Patient of an answer.

    Attributes:
        patient: as it is kept.
        grade, percent: how well it agrees with what was asked.
        links: ids of the Patients that it stands for, or of the one that stands for it.
        is_part: whether another Patient of the answer stands for it.
    """

    patient: NetworkPatient
    grade: Grade
    percent: int
    links: tuple[str, ...] = ()
    is_part: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What a discovery gave.

    Attributes:
        people: the network patient first, then its parts, then those whom nobody linked.
        results: how each peer's answer ended.
        messages: the message id of each community's answer, for Provenance.
        is_cut: whether there were more identities than are looked at.
    """

    people: tuple[FoundPerson, ...] = ()
    results: tuple[PeerResult, ...] = ()
    messages: Mapping[HomeCommunityId, str] = field(default_factory=dict)
    is_cut: bool = False

    @property
    def certain(self) -> NetworkPatient | None:
        """The network patient, where somebody knows the person with certainty."""
        sure = (p for p in self.people if p.grade is Grade.CERTAIN and not p.is_part)
        return next((each.patient for each in sure), None)


class Discovery:
    """Asks, grades, links and keeps."""

    def __init__(
        self,
        *,
        initiator: Initiator,
        patients: NetworkPatients,
        compare: Compare,
        others: FhirPeersAlone | None = None,
    ) -> None:
        """``others`` asks the communities that XCPD does not reach."""
        self._initiator = initiator
        self._patients = patients
        self._compare = compare
        self._others = others

    async def find(
        self,
        question: NetworkQuestion,
        asked: Demographics,
        *,
        targets: Sequence[HomeCommunityId] = (),
    ) -> Discovered:
        """Ask every peer that answers discovery, or the ``targets`` alone."""
        others = self._others if not targets else None
        (known, ended), (further, further_results) = await asyncio.gather(
            self._discover(question, asked, targets),
            others.find_patients(question, asked) if others else _nobody(),
        )
        known += further
        results = [*peer_results([event.result for event in ended]), *further_results]
        messages = {
            event.result.entry.home_community_id: event.result.leg.message_id
            for event in ended
            if event.result.leg.message_id
        }
        return Discovered(
            people=await self._people(question, asked, known[:MOST_IDENTITIES]),
            results=tuple(results),
            messages=messages,
            is_cut=len(known) > MOST_IDENTITIES,
        )

    async def _discover(
        self,
        question: NetworkQuestion,
        asked: Demographics,
        targets: Sequence[HomeCommunityId],
    ) -> tuple[list[KnownAt], list[LegEnded]]:
        known: list[KnownAt] = []
        ended: list[LegEnded] = []
        events = self._initiator.find_patients(
            question.principal,
            PatientQuery(demographics=asked),
            targets=targets,
            exchange_id=question.exchange_id,
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, LegEnded):
                    ended.append(event)
                    known += _known(event)
        return known, ended

    async def person(self, question: NetworkQuestion, id_: str) -> FoundPerson | None:
        """A network patient that is remembered, or ``None``."""
        patient = await self._patients.get(question.principal, id_)
        if patient is None:
            return None
        parts = await self._parts(question, patient)
        return FoundPerson(
            patient=patient,
            grade=Grade.CERTAIN,
            percent=100,
            links=tuple(part.id for part in parts),
        )

    async def _people(
        self, question: NetworkQuestion, asked: Demographics, known: Sequence[KnownAt]
    ) -> tuple[FoundPerson, ...]:
        found = persons(asked, known, self._compare)
        people: list[FoundPerson] = []
        if found.linked:
            said = [each.known for each in found.linked]
            patient = await self._patients.keep(question.principal, asked, said)
            best = found.linked[0].percent
            person = FoundPerson(patient=patient, grade=Grade.CERTAIN, percent=best)
            parts = await self._parts(question, patient)
            people.append(replace(person, links=tuple(part.id for part in parts)))
            people += [
                replace(person, patient=part, links=(patient.id,), is_part=True) for part in parts
            ]
        for identity in found.others:
            people.append(await self._alone(question, asked, identity))
        return tuple(people)

    async def _alone(
        self, question: NetworkQuestion, asked: Demographics, identity: Identity
    ) -> FoundPerson:
        patient = await self._patients.keep(question.principal, asked, [identity.known], alone=True)
        return FoundPerson(patient=patient, grade=identity.grade, percent=identity.percent)

    async def _parts(
        self, question: NetworkQuestion, patient: NetworkPatient
    ) -> list[NetworkPatient]:
        """A Patient for each community of a person whom several know."""
        if len(patient.known) == 1:
            return []
        return [
            await self._patients.keep(question.principal, patient.asked, [each], alone=True)
            for each in patient.known
        ]


async def _nobody() -> tuple[list[KnownAt], list[PeerResult]]:
    return [], []


def _known(event: LegEnded) -> list[KnownAt]:
    answer = event.result.answer
    if not isinstance(answer, DiscoveryAnswer):
        return []
    return [
        KnownAt(
            # a record locator may name other communities
            home_community_id=match.home_community_id or event.result.entry.home_community_id,
            patient_id=match.patient_id,
            demographics=match.demographics,
        )
        for match in answer.matches
    ]
