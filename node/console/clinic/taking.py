"""What the events of a search change in its record: those of IHE, and those of FHIR servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from node.console.clinic.listed import listed
from node.console.clinic.record import Record
from node.console.clinic.request import Ended
from node.exchange.fhir_broker import is_ended, is_located
from node.exchange.fhir_events import FhirEvent, FhirLegEnded, FhirLegStarted
from node.exchange.initiate import Event, LegStarted
from node.exchange.network_ports import KnownAt
from node.exchange.ports import PeerEntry
from node.model import DiscoveryAnswer, Interaction, Leg, Match, Outcome, QueryAnswer

Change = Callable[[Record], None]


def take(record: Record, event: Event, now: datetime) -> None:
    """An event of discovery, or of a list of documents, by IHE."""
    if isinstance(event, LegStarted):
        record.began(event.entry, now)
        return
    answer, leg, entry = event.result.answer, event.result.leg, event.result.entry
    if isinstance(answer, DiscoveryAnswer):
        for match in answer.matches:
            known = KnownAt(
                # a record locator may name other communities
                home_community_id=match.home_community_id or entry.home_community_id,
                patient_id=match.patient_id,
                demographics=match.demographics,
            )
            record.knows(_entry_of(known, entry, match), known)
    if isinstance(answer, QueryAnswer):
        patient = event.patient.patient_id if event.patient else None
        record.named(entry, patient, [(each, None) for each in answer.documents])
    record.ended(
        entry,
        Ended(
            step=leg.transaction,
            leg_id=leg.leg_id,
            outcome=leg.outcome,
            reason=leg.reason,
            sentence=leg.sentence,
            duration_ms=leg.duration_ms,
        ),
    )


class FhirTaking:
    """The events of one question to FHIR servers, each with the leg of the log that it ends."""

    def __init__(self, entries: Sequence[PeerEntry], whose: KnownAt | None) -> None:
        """``whose``: the identity whose documents are asked for; ``None`` while it is looked up."""
        self._entries = {entry.home_community_id: entry for entry in entries}
        self._whose = whose
        self._legs: dict[str, Leg] = {}

    def change(self, event: FhirEvent, now: datetime) -> Change:
        """What the event changes."""
        if isinstance(event, FhirLegStarted):
            entry = event.entry
            return lambda record: record.began(entry, now)
        if isinstance(event, FhirLegEnded):
            self._legs[event.result.entry.home_community_id] = event.result.leg
        elif is_located(event):
            return self._located(event.entry, event.known)
        elif is_ended(event):
            answer = event.answer
            home = answer.home_community_id
            entry = self._entries.get(home) or replace(PeerEntry.unknown(home), name=answer.name)
            found = [each for read in answer.entries for each in listed(home, read)]
            ended = self._ended(entry, answer.outcome, answer.reason, answer.sentence)

            def write(record: Record) -> None:
                if self._whose is not None:
                    record.named(entry, self._whose.patient_id or self._whose.fhir_id, found)
                record.ended(entry, ended)

            return write
        return _nothing

    def _located(self, entry: PeerEntry, known: KnownAt) -> Change:
        ended = self._ended(entry, Outcome.OK, None, None)

        def write(record: Record) -> None:
            record.knows(entry, known)
            record.ended(entry, ended)

        return write

    def _ended(
        self, entry: PeerEntry, outcome: Outcome, reason: str | None, sentence: str | None
    ) -> Ended:
        leg = self._legs.get(entry.home_community_id)
        return Ended(
            step=Interaction.MATCH if self._whose is None else Interaction.SEARCH,
            leg_id=leg.leg_id if leg else None,
            outcome=outcome,
            reason=reason,
            sentence=sentence,
            duration_ms=leg.duration_ms if leg else 0,
        )


def _nothing(_record: Record) -> None:
    """The event says nothing that the record keeps."""


def _entry_of(known: KnownAt, entry: PeerEntry, match: Match) -> PeerEntry:
    """The organization that an identity is of: who answered, or whom it named."""
    home = known.home_community_id
    if home == entry.home_community_id:
        return entry
    return replace(PeerEntry.unknown(home), name=match.organization_name or home)
