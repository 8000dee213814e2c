"""Where the replacement of one of our certificates stands: five steps, and the next command.

Keys are made and put in use where they lie, by commands; the page says which one comes next and how
to go back (facts: governance-ux 5.8). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trust.lifecycle import IdentityRecord, State, Verb, active, waiting

NAMES: Final = ("Request", "Install", "Try out", "Switch", "Retire")
_VERBS: Final = (
    (Verb.REQUEST, Verb.GENERATE),
    (Verb.RECEIVE,),
    (Verb.VERIFY, Verb.PROVE),
    (Verb.ACTIVATE,),
)
"""What marks each step of the new version as done; the last step is of the old one."""

_HERE: Final = {State.KEY_GENERATED: 0, State.CSR_ISSUED: 1, State.STAGED: 2, State.VERIFIED: 3}
_RETIRE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; ``at`` is when it was done, ``is_here`` whether it is the next one."""

    name: str
    is_here: bool
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The replacement of an identity's version.

    Attributes:
        role: the identity.
        old: the version that goes; ``None`` where there was none.
        new: the version that comes.
        following: the command of the next step.
        back: the command that goes back; the last step has no way back.
    """

    role: str
    old: int | None
    new: int
    steps: tuple[Step, ...]
    following: str
    back: str


def rotation(role: str, records: Sequence[IdentityRecord]) -> Rotation | None:
    """Where the replacement in one role stands, from its versions; ``None`` where there is none."""
    now, coming = active(records), waiting(records)
    if coming is not None:
        here = _HERE[coming.state]
        return Rotation(
            role=role,
            old=now.version if now else None,
            new=coming.version,
            steps=_steps(coming, here),
            following=_following(role, coming),
            back=f"cert retire {role} --version {coming.version}",
        )
    going = next((each for each in reversed(records) if each.state is State.RETIRING), None)
    if now is None or going is None:
        return None
    return Rotation(
        role=role,
        old=going.version,
        new=now.version,
        steps=_steps(now, _RETIRE),
        following=f"cert retire {role} --version {going.version}",
        back=f"cert switch {role} --version {going.version}",
    )


def _steps(new: IdentityRecord, here: int) -> tuple[Step, ...]:
    done = {
        place: max((each.at for each in new.steps if each.verb in verbs), default=None)
        for place, verbs in enumerate(_VERBS)
    }
    return tuple(
        Step(name=name, is_here=place == here, at=done.get(place) if place < here else None)
        for place, name in enumerate(NAMES)
    )


def _following(role: str, coming: IdentityRecord) -> str:
    if coming.state is State.KEY_GENERATED:
        kind, _, purpose = role.partition("-")
        return f"cert request {kind} --purpose {purpose}" if purpose else f"cert request {role}"
    if coming.state is State.VERIFIED:
        return f"cert switch {role} --version {coming.version}"
    return f"cert import {role} FILE"
