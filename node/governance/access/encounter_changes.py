"""What an event makes of an encounter that is known, or not yet. Pure.

Messages come twice, late and out of order. An event that is older than what is known fills gaps and
changes nothing else. Who had a part keeps it: whoever treated a patient first did treat them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from node.encounter import Does, Encounter, EncounterClass, EncounterEvent, EncounterState

_T = TypeVar("_T")

MOST_PEOPLE: Final = 60
MOST_DEPARTMENTS: Final = 30
"""Parts and departments of one encounter; further ones are left out."""


def changed(known: Encounter | None, event: EncounterEvent) -> Encounter:
    """The encounter after an event that begins, plans, updates, ends, cancels or reopens it."""
    if known is None:
        return _stated(
            Encounter(
                kind=event.kind or EncounterClass.OTHER,
                state=_first_state(event),
                began=event.began,
                ended=event.ended,
                noted=event.at,
                departments=event.departments[:MOST_DEPARTMENTS],
                people=event.people[:MOST_PEOPLE],
            ),
            event,
        )
    late = event.at < known.noted
    merged = replace(
        known,
        kind=known.kind if late or event.kind is None else event.kind,
        began=known.began or event.began if late else event.began or known.began,
        ended=known.ended or event.ended if late else event.ended or known.ended,
        noted=max(known.noted, event.at),
        departments=_joined(known.departments, event.departments, MOST_DEPARTMENTS),
        people=_joined(known.people, event.people, MOST_PEOPLE),
    )
    return merged if late else _stated(merged, event)


def joined(one: Encounter, other: Encounter) -> Encounter:
    """One encounter of two that turned out to be the same; the one with the newer event leads."""
    newer, older = (one, other) if one.noted >= other.noted else (other, one)
    begun = [each.began for each in (one, other) if each.began is not None]
    return replace(
        newer,
        began=min(begun) if begun else None,
        departments=_joined(newer.departments, older.departments, MOST_DEPARTMENTS),
        people=_joined(newer.people, older.people, MOST_PEOPLE),
    )


def _first_state(event: EncounterEvent) -> EncounterState:
    if event.ended is not None:
        return EncounterState.ENDED
    planned = event.began is not None and event.began > event.at
    return EncounterState.PLANNED if planned else EncounterState.PRESENT


def _stated(encounter: Encounter, event: EncounterEvent) -> Encounter:
    """An encounter in the state that an event, which is not late, says."""
    state, ended = encounter.state, encounter.ended
    match event.does:
        case Does.PLAN:
            state, ended = EncounterState.PLANNED, None
        case Does.BEGIN:
            state, ended = EncounterState.PRESENT, event.ended
        case Does.END:
            state, ended = EncounterState.ENDED, event.ended or event.at
        case Does.CANCEL:
            state = EncounterState.CANCELLED
        case Does.REOPEN:
            state, ended = EncounterState.PRESENT, None
        case _ if ended is not None:
            state = EncounterState.ENDED
    began = encounter.began or (event.at if event.does is Does.BEGIN else None)
    return replace(encounter, state=state, began=began, ended=ended)


def _joined(known: tuple[_T, ...], more: tuple[_T, ...], most: int) -> tuple[_T, ...]:
    return tuple(dict.fromkeys((*more, *known)))[:most]
