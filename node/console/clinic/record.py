"""What a search gathers while it runs, and the frozen picture of it.

One slot per organization, in an order that never changes: who was to be asked by name, and after
them the communities that a record locator names. A picture is made when somebody looks, not at each
event; what it says of an identity may change with what others say (two that contradict each other
are both to be checked), so grades are those of the moment of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from node.console.clinic.record_parts import Named, Said, Slot
from node.console.clinic.request import (
    AskedLeg,
    ClinicRequest,
    Ended,
    FoundDocument,
    Held,
    Identity,
    LegState,
    Progress,
    SamePerson,
)
from node.console.clinic.restoring import (
    restored_documents,
    restored_said,
    restored_slots,
    stored_document,
    stored_said,
    stored_slot,
)
from node.console.clinic.stored import StoredRequest
from node.exchange.network_persons import persons
from node.exchange.network_ports import Compare, KnownAt, Likeness
from node.exchange.ports import PeerEntry
from node.model import Demographics, DocumentEntry, HomeCommunityId, Outcome, PatientId

MOST_DOCUMENTS: Final = 2000
"""Documents of one request that are kept (as of one answer to our own systems)."""

MOST_IDENTITIES: Final = 200

_STATES: Final = {
    Outcome.OK: LegState.NONE,
    Outcome.OK_EMPTY: LegState.NONE,
    Outcome.PARTIAL: LegState.UNSURE,
    Outcome.DECLINED: LegState.DECLINED,
    Outcome.FAILED: LegState.UNREACHED,
    Outcome.TIMED_OUT: LegState.UNREACHED,
    Outcome.CANCELLED: LegState.STOPPED,
}
"""How it stands with an organization that knows nobody, by how its last transaction ended."""


class Record:
    """One search. Whoever calls holds the store's lock."""

    def __init__(
        self,
        base: ClinicRequest,
        entries: Sequence[PeerEntry],
        compare: Compare,
        usual: dict[HomeCommunityId, int],
    ) -> None:
        """``base`` has what never changes; ``usual``: milliseconds that a discovery takes."""
        self.base = base
        self._compare = compare
        self._memory: dict[tuple[Demographics, Demographics], Likeness] = {}
        self._slots: dict[HomeCommunityId, Slot] = {}
        self._known: list[tuple[int, KnownAt]] = []
        self._documents: list[Named] = []
        self._seen: set[tuple[HomeCommunityId, str, str]] = set()
        self._said: dict[int, Said] = {}
        self._progress, self._ended, self._cut = base.progress, base.ended, False
        self._version, self._picture = 0, base
        self._at = -1
        for entry in sorted(entries, key=lambda e: (e.name.casefold(), e.home_community_id)):
            slot = self.slot(entry)
            slot.usual_ms = usual.get(entry.home_community_id)

    @property
    def is_running(self) -> bool:
        """Whether more is to come."""
        return self._progress is Progress.ASKING

    @property
    def was_broken_off(self) -> bool:
        """Whether it ended before everybody was heard, through our own side."""
        return self._progress in (Progress.BROKEN, Progress.INTERRUPTED)

    # --- what happens -------------------------------------------------------------------------

    def slot(self, entry: PeerEntry) -> Slot:
        """The slot of an organization; a new one goes to the end."""
        found = self._slots.get(entry.home_community_id)
        if found is None:
            found = Slot(number=len(self._slots) + 1, entry=entry)
            self._slots[entry.home_community_id] = found
            self._version += 1
        return found

    def began(self, entry: PeerEntry, now: datetime) -> None:
        """A transaction with an organization runs."""
        self.slot(entry).began = now
        self._version += 1

    def ended(self, entry: PeerEntry, step: Ended) -> None:
        """A transaction ended."""
        slot = self.slot(entry)
        slot.steps.append(step)
        slot.waiting = max(slot.waiting - 1, 0)
        slot.began = None if slot.waiting == 0 else slot.began
        self._version += 1

    def knows(self, entry: PeerEntry, known: KnownAt) -> bool:
        """An organization knows somebody, and is asked for the documents; whether that is new."""
        held = {(k.home_community_id, k.patient_id or k.fhir_id) for _, k in self._known}
        if (known.home_community_id, known.patient_id or known.fhir_id) in held:
            return False
        if len(self._known) >= MOST_IDENTITIES:
            self._cut = True
            return False
        is_new_slot = known.home_community_id not in self._slots
        slot = self.slot(entry)
        self._known.append((slot.number, known))
        slot.identities.append(len(self._known))
        slot.waiting += 0 if is_new_slot else 1
        self._version += 1
        return True

    def named(
        self,
        entry: PeerEntry,
        patient: PatientId | str | None,
        documents: Iterable[tuple[DocumentEntry, bytes | None]],
    ) -> None:
        """An organization named documents of an identity, which it calls ``patient``."""
        slot, home = self.slot(entry), entry.home_community_id
        of_slot = [number for number in slot.identities if self._calls(number) == patient]
        identity = of_slot[0] if of_slot else (slot.identities[-1] if slot.identities else 0)
        if not identity:
            return  # documents of nobody whom it knows: nobody could say whose they are
        for found, resource in documents:
            key = (found.home_community_id or home, found.repository_unique_id, found.unique_id)
            if key in self._seen:
                continue
            if len(self._documents) >= MOST_DOCUMENTS:
                self._cut = True
                break
            self._seen.add(key)
            self._documents.append(
                Named(
                    number=len(self._documents) + 1,
                    leg=slot.number,
                    identity=identity,
                    entry=replace(found, home_community_id=found.home_community_id or home),
                    patient_id=self._known[identity - 1][1].patient_id,
                    resource=resource,
                )
            )
        self._version += 1

    def say(self, identity: int, answer: SamePerson, by: str, now: datetime) -> None:
        """The person said whether an identity is whom was asked about."""
        self._said[identity] = Said(answer=answer, by=by, at=now)
        self._version += 1

    def open(self) -> None:
        """Whoever was barred may ask now."""
        if self._progress is Progress.BARRED:
            self._progress = Progress.ASKING
            self._version += 1

    def close(self, progress: Progress, now: datetime) -> None:
        """Nothing more comes."""
        if self.is_running:
            self._progress, self._ended = progress, now
            self._version += 1

    # --- stored -------------------------------------------------------------------------------

    def stored(self) -> StoredRequest:
        """All that came, to be stored."""
        return StoredRequest(
            token=self.base.token,
            login=self.base.login,
            principal=self.base.principal,
            exchange_id=self.base.exchange_id,
            began=self.base.began,
            demographics=self.base.demographics,
            patient=self.base.patient,
            barred=self.base.progress is Progress.BARRED,
            progress=self._progress,
            ended=self._ended,
            cut=self._cut,
            slots=tuple(map(stored_slot, self._slots.values())),
            known=tuple(self._known),
            documents=tuple(map(stored_document, self._documents)),
            said=tuple(stored_said(number, said) for number, said in self._said.items()),
        )

    @classmethod
    def restored(cls, stored: StoredRequest, compare: Compare, now: datetime) -> Record:
        """A request as it was stored; one that ran then was interrupted."""
        made = cls(stored.base, (), compare, {})
        made._slots = {slot.entry.home_community_id: slot for slot in restored_slots(stored)}
        made._known = list(stored.known)
        made._documents = restored_documents(stored)
        made._said = restored_said(stored)
        was_running = stored.progress is Progress.ASKING
        made._progress = Progress.INTERRUPTED if was_running else stored.progress
        made._ended = now if was_running else stored.ended
        made._cut = stored.cut
        made._version += 1
        return made

    # --- the picture --------------------------------------------------------------------------

    def picture(self) -> ClinicRequest:
        """The request as it stands."""
        if self._at != self._version:
            self._picture, self._at = self._drawn(), self._version
        return self._picture

    def _drawn(self) -> ClinicRequest:
        identities = self._identities()
        slots = list(self._slots.values())
        documents = tuple(
            _document(each, slots[each.leg - 1].entry, identities) for each in self._documents
        )
        counts: dict[tuple[int, Held], int] = {}
        for each in documents:
            counts[each.leg, each.held] = counts.get((each.leg, each.held), 0) + 1
        return replace(
            self.base,
            progress=self._progress,
            ended=self._ended,
            legs=tuple(self._leg(slot, identities, counts) for slot in slots),
            identities=identities,
            documents=documents,
            cut=self._cut,
            version=self._version,
        )

    def _identities(self) -> tuple[Identity, ...]:
        found = persons(self.base.demographics, [k for _, k in self._known], self._likeness)
        graded = {_name(each.known): each for each in (*found.linked, *found.others)}
        made = []
        for number, (leg, known) in enumerate(self._known, 1):
            said, judged = self._said.get(number), graded[_name(known)]
            made.append(
                Identity(
                    number=number,
                    leg=leg,
                    known=known,
                    grade=judged.grade,
                    percent=judged.percent,
                    said=said.answer if said else None,
                    by=said.by if said else None,
                    at=said.at if said else None,
                )
            )
        return tuple(made)

    def _likeness(self, a: Demographics, b: Demographics) -> Likeness:
        found = self._memory.get((a, b))
        if found is None:
            found = self._memory[a, b] = self._compare(a, b)
        return found

    def _leg(
        self, slot: Slot, identities: Sequence[Identity], counts: dict[tuple[int, Held], int]
    ) -> AskedLeg:
        known = [identities[number - 1] for number in slot.identities]
        number = slot.number
        return AskedLeg(
            number=number,
            home=slot.entry.home_community_id,
            organization_id=slot.entry.organization_id,
            name=slot.entry.name,
            state=self._state(slot, known, named=(number, Held.OPEN) in counts),
            began=slot.began,
            usual_ms=slot.usual_ms,
            steps=tuple(slot.steps),
            identities=tuple(slot.identities),
            documents=counts.get((number, Held.OPEN), 0),
            held_back=counts.get((number, Held.HELD_BACK), 0),
            hidden=counts.get((number, Held.HIDDEN), 0),
        )

    def _state(self, slot: Slot, known: Sequence[Identity], *, named: bool) -> LegState:
        if slot.waiting and self.is_running:
            return LegState.ASKING
        if known and all(each.held is Held.HIDDEN for each in known):
            return LegState.OTHER
        if any(each.is_open_question for each in known):
            return LegState.CHECK
        if named:
            return LegState.FOUND
        if slot.waiting or not slot.steps:
            return LegState.UNREACHED if self.was_broken_off else LegState.STOPPED
        return _STATES[slot.steps[-1].outcome]

    def _calls(self, number: int) -> PatientId | str | None:
        known = self._known[number - 1][1]
        return known.patient_id or known.fhir_id


def _name(known: KnownAt) -> tuple[HomeCommunityId, PatientId | str | None]:
    return known.home_community_id, known.patient_id or known.fhir_id


def _document(named: Named, entry: PeerEntry, identities: Sequence[Identity]) -> FoundDocument:
    return FoundDocument(
        number=named.number,
        leg=named.leg,
        home=entry.home_community_id,
        organization=entry.name,
        identity=named.identity,
        entry=named.entry,
        patient_id=named.patient_id,
        held=identities[named.identity - 1].held,
        resource=named.resource,
    )
