"""Which Patient a person is at one peer's FHIR server: by identifier, else by ``$match``.

A community that answered discovery has told an identifier, so its server is asked for that first.
Who has no Patient with it, or several, or cannot search by it, is asked by demographics, and only
for a match that is certain (facts: tefca 8, FHIR SOP 6.6, 6.7). What comes back is not believed
blindly, because a server that ignores a parameter gives anybody: a Patient found by identifier has
to have it, one found by ``$match`` must not be graded as less than certain, and where several fit
none is used. Another patient's data would be worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from node.exchange.fhir_events import FhirEvent, FhirLegEnded, FhirLegStarted, Located
from node.exchange.fhir_legs import FhirLegs, PeerSearch
from node.exchange.fhir_match import MATCH_GRADE
from node.exchange.fhir_merge import PeerAnswer
from node.exchange.leg_runner import Asking, LegResult
from node.exchange.network_ports import KnownAt
from node.exchange.ports import PeerEntry
from node.model import Demographics, Interaction, Outcome, PatientId
from node.wire import document_codes
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.conditions import escaped
from node.wire.fhir.searchset_reader import ReadEntry, Searchset
from node.wire.fhir_patient import read_patient
from node.wire.fhir_values import objects

Emit = Callable[[FhirEvent], None]
_CANNOT = frozenset({"fhir-peer-refused"})
"""Reasons of a search by identifier after which ``$match`` is worth a try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """The person, and what a community is known to call them."""

    known: KnownAt
    demographics: Demographics | None


class Locator:
    """Finds people at peers' servers."""

    def __init__(self, legs: FhirLegs) -> None:
        """``legs`` asks, and enters every request."""
        self._legs = legs

    async def locate(
        self, asking: Asking, entry: PeerEntry, whom: Whom, emit: Emit
    ) -> KnownAt | PeerAnswer:
        """What the community calls the person, or how the search for them ended."""
        known = whom.known
        if known.fhir_id is not None:
            return known
        ended, patient, is_open = _ended(entry, None), None, True
        if known.patient_id is not None:
            found = await self._by_identifier(asking, entry, known.patient_id, emit)
            patient = _with_identifier(_patients(found), known.patient_id)
            ended, is_open = _ended(entry, found), patient is None and _is_open(found)
        if is_open and whom.demographics is not None:
            found = await self._by_match(asking, entry, whom.demographics, emit)
            patient = _certain(_patients(found))
            ended = _ended(entry, found)
        return ended if patient is None else self._found(entry, known, patient, emit)

    async def _by_identifier(
        self, asking: Asking, entry: PeerEntry, patient_id: PatientId, emit: Emit
    ) -> LegResult[Searchset]:
        system = document_codes.fhir_uri(patient_id.assigning_authority)
        search = PeerSearch(
            type=resource_types()["Patient"],
            pairs=(("identifier", f"{escaped(system)}|{escaped(patient_id.id)}"),),
            person=(patient_id,),
        )
        emit(FhirLegStarted(entry=entry, interaction=Interaction.SEARCH))
        result = await self._legs.search(asking, entry, search)
        emit(FhirLegEnded(result=result, interaction=Interaction.SEARCH))
        return result

    async def _by_match(
        self, asking: Asking, entry: PeerEntry, demographics: Demographics, emit: Emit
    ) -> LegResult[Searchset]:
        emit(FhirLegStarted(entry=entry, interaction=Interaction.MATCH))
        result = await self._legs.match(asking, entry, demographics)
        emit(FhirLegEnded(result=result, interaction=Interaction.MATCH))
        return result

    def _found(self, entry: PeerEntry, known: KnownAt, patient: ReadEntry, emit: Emit) -> KnownAt:
        demographics, _ = read_patient(orjson.loads(patient.resource))
        id_ = patient.full_url.rpartition("/")[2]
        made = replace(known, fhir_id=id_, demographics=known.demographics or demographics)
        emit(Located(entry=entry, known=made))
        return made


def _is_open(result: LegResult[Searchset]) -> bool:
    """Whether a search by identifier that found nobody leaves it open who the person is."""
    leg = result.leg
    is_answered = leg.outcome.answered and leg.outcome is not Outcome.DECLINED
    return is_answered or leg.reason in _CANNOT


def _patients(result: LegResult[Searchset] | None) -> list[ReadEntry]:
    """The Patients of an answer that have an address."""
    entries = result.answer.entries if result is not None and result.answer is not None else ()
    return [
        each
        for each in entries
        if each.type == "Patient" and each.mode == "match" and each.full_url.startswith("https:")
    ]


def _with_identifier(patients: Sequence[ReadEntry], wanted: PatientId) -> ReadEntry | None:
    """The one Patient that has an identifier."""
    if len(patients) != 1:
        return None
    demographics, _ = read_patient(orjson.loads(patients[0].resource))
    return patients[0] if wanted in demographics.identifiers else None


def _certain(patients: Sequence[ReadEntry]) -> ReadEntry | None:
    """The one Patient that a server does not grade as less than certain."""
    if len(patients) != 1:
        return None
    search = orjson.loads(patients[0].search or b"{}")
    grades = [
        each.get("valueCode")
        for each in objects(search.get("extension", []))
        if each.get("url") == MATCH_GRADE
    ]
    return patients[0] if all(grade == "certain" for grade in grades) else None


def _ended(entry: PeerEntry, result: LegResult[Searchset] | None) -> PeerAnswer:
    """How a search for the person ended that found nobody."""
    made = PeerAnswer(
        home_community_id=entry.home_community_id,
        name=entry.name,
        outcome=Outcome.OK_EMPTY,
        sentence="The peer does not know the person.",
    )
    if result is None:
        return made
    leg = result.leg
    made = replace(made, messages=(leg.message_id,) if leg.message_id else ())
    if _patients(result):
        return replace(
            made,
            outcome=Outcome.PARTIAL,
            reason="fhir-peer-ambiguous",
            sentence="The peer holds records that may be the person's; none is certain.",
        )
    if leg.outcome in (Outcome.OK, Outcome.OK_EMPTY):
        return made
    return replace(made, outcome=leg.outcome, reason=leg.reason, sentence=leg.sentence)
