"""The parts of a search to their stored form, and back. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.console.clinic.record_parts import Named, Said, Slot
from node.console.clinic.request import Ended
from node.console.clinic.stored import (
    StoredDocument,
    StoredRequest,
    StoredSaid,
    StoredSlot,
    StoredStep,
)
from node.exchange.ports import PeerEntry
from node.model import Interaction, LegId, Step, Transaction

_STEPS: Final[dict[str, Step]] = {each.value: each for each in (*Transaction, *Interaction)}


def stored_slot(slot: Slot) -> StoredSlot:
    """An organization."""
    return StoredSlot(
        home=slot.entry.home_community_id,
        organization_id=slot.entry.organization_id,
        name=slot.entry.name,
        usual_ms=slot.usual_ms,
        waiting=slot.waiting,
        began=slot.began,
        steps=tuple(
            StoredStep(
                step=each.step.value,
                leg_id=each.leg_id,
                outcome=each.outcome,
                reason=each.reason,
                sentence=each.sentence,
                duration_ms=each.duration_ms,
            )
            for each in slot.steps
        ),
        identities=tuple(slot.identities),
    )


def stored_document(named: Named) -> StoredDocument:
    """A document."""
    return StoredDocument(
        leg=named.leg,
        identity=named.identity,
        entry=named.entry,
        patient_id=named.patient_id,
        resource=named.resource,
    )


def stored_said(number: int, said: Said) -> StoredSaid:
    """An answer about an identity."""
    return StoredSaid(identity=number, answer=said.answer, by=said.by, at=said.at)


def restored_slots(stored: StoredRequest) -> list[Slot]:
    """The organizations, in their order."""
    return [
        Slot(
            number=number,
            entry=replace(
                PeerEntry.unknown(slot.home), organization_id=slot.organization_id, name=slot.name
            ),
            usual_ms=slot.usual_ms,
            waiting=slot.waiting,
            began=slot.began,
            steps=[
                Ended(
                    step=_STEPS[each.step],
                    leg_id=LegId(each.leg_id) if each.leg_id else None,
                    outcome=each.outcome,
                    reason=each.reason,
                    sentence=each.sentence,
                    duration_ms=each.duration_ms,
                )
                for each in slot.steps
                if each.step in _STEPS
            ],
            identities=list(slot.identities),
        )
        for number, slot in enumerate(stored.slots, start=1)
    ]


def restored_documents(stored: StoredRequest) -> list[Named]:
    """The documents, in their order."""
    return [
        Named(
            number=number,
            leg=each.leg,
            identity=each.identity,
            entry=each.entry,
            patient_id=each.patient_id,
            resource=each.resource,
        )
        for number, each in enumerate(stored.documents, start=1)
    ]


def restored_said(stored: StoredRequest) -> dict[int, Said]:
    """The answers, by the number of the identity."""
    return {each.identity: Said(answer=each.answer, by=each.by, at=each.at) for each in stored.said}
