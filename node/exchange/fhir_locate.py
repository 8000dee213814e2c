"""Which Patient a person is at one peer's FHIR server: by identifier, else by ``$match``.

A community that answered discovery has told an identifier, so its server is asked for that first.
Who has no Patient with it, or several, or cannot search by it, is asked by demographics, and only
for a match that is certain (facts: tefca 8, FHIR SOP 6.6, 6.7). One that says several fit is not
used: another patient's data would be worse than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from node.exchange.fhir_events import FhirEvent, FhirLegEnded, FhirLegStarted, Located
from node.exchange.fhir_legs import FhirLegs, PeerSearch
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
        found: LegResult[Searchset] | None = None
        if known.patient_id is not None:
            found = await self._by_identifier(asking, entry, known.patient_id, emit)
        if whom.demographics is not None and (found is None or _is_open(found)):
            found = await self._by_match(asking, entry, whom.demographics, emit)
        patient = _only(found)
        return _ended(entry, found) if patient is None else self._found(entry, known, patient, emit)

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
    """Whether a search by identifier left it open who the person is."""
    if _only(result) is not None:
        return False
    leg = result.leg
    is_answered = leg.outcome.answered and leg.outcome is not Outcome.DECLINED
    return is_answered or leg.reason in _CANNOT


def _patients(result: LegResult[Searchset] | None) -> list[ReadEntry]:
    entries = result.answer.entries if result is not None and result.answer is not None else ()
    return [each for each in entries if each.type == "Patient" and each.mode == "match"]


def _only(result: LegResult[Searchset] | None) -> ReadEntry | None:
    """The one Patient of an answer; a ``urn:`` is no address to ask for anything."""
    patients = _patients(result)
    if len(patients) != 1 or not patients[0].full_url.startswith("https:"):
        return None
    return patients[0]


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
    if len(_patients(result)) > 1:
        return replace(
            made,
            outcome=Outcome.PARTIAL,
            reason="fhir-peer-ambiguous",
            sentence="The peer holds several records that fit the person; none was used.",
        )
    if leg.outcome in (Outcome.OK, Outcome.OK_EMPTY):
        return made
    return replace(made, outcome=leg.outcome, reason=leg.reason, sentence=leg.sentence)
