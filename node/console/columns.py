"""The columns of the list of exchanges, as each person chose them."""

from __future__ import annotations

from typing import Final

from node.console.parts import Visit
from node.users.preferences import COLUMNS

ALL_COLUMNS: Final = {
    "direction": "Direction",
    "who": "Who",
    "purpose": "Purpose",
    "patient": "Patient",
    "answered": "Answered",
    "legs": "Legs",
    "documents": "Docs",
    "took": "Took",
    "reason": "Reason of a leg",
    "message": "Message id",
    "rules": "Rules",
}
"""Columns that can be chosen, in their order; time and outcome are always there."""

USUAL: Final = tuple(list(ALL_COLUMNS)[:8])


def columns_of(visit: Visit) -> tuple[str, ...]:
    """The columns that the person chose, in their order."""
    chosen = visit.preferences.get(COLUMNS)
    if chosen is None:
        return USUAL
    names = chosen.split(",")
    return tuple(name for name in ALL_COLUMNS if name in names)
