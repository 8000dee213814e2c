"""A case, who acts on it, and the tables of its states and outcomes, read once.

``data/case_states.toml`` is the table of states, ``data/case_outcomes.toml`` that of outcomes
(facts: governance-ux 6.1, 6.2).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

REVIEW: Final = "review"
LEAD: Final = "lead"
NODE: Final = "node"
"""Who the node itself is among those who act; no person can have this login: it has no rights."""

CONFIRM_WITHIN: Final = timedelta(hours=72)
"""How long a request for a second person stands (facts: governance-ux 6.3)."""


class State(StrEnum):
    """Where a case stands."""

    NEW = "new"
    WORKING = "working"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"
    MERGED = "merged"


OPEN_STATES: Final = (State.NEW, State.WORKING, State.WAITING, State.RESOLVED)
"""States in which somebody still has to do something."""


class Verb(StrEnum):
    """What can be done to a case."""

    OPEN = "open"
    TAKE = "take"
    ASSIGN = "assign"
    HAND_OVER = "hand-over"
    MERGE = "merge"
    ASK = "ask"
    ANSWER = "answer"
    LAPSE = "lapse"
    RESOLVE = "resolve"
    CONFIRM = "confirm"
    SEND_BACK = "send-back"
    DISMISS = "dismiss"
    REOPEN = "reopen"
    COMMENT = "comment"
    COLLECT = "collect"
    SNOOZE = "snooze"
    WAKE = "wake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table of states; ``to`` is ``None`` where the state stays."""

    sources: tuple[State | None, ...]
    to: State | None
    who: tuple[str, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a case can end.

    Attributes:
        two: whether a lead has to confirm it.
        dismissal: whether one person may dismiss a case with it.
        counts: ``hit``, ``miss`` or ``neither`` for the rule that raised the case.
    """

    two: bool
    dismissal: bool
    counts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who acts, or is to have the case.

    Attributes:
        login: at the console; ``NODE`` for the node itself.
        rights: codes of rights.
        mark: the keyed token (hex) under which the log finds what the person did.
    """

    login: str
    rights: frozenset[str] = frozenset()
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A case as far as the rules ask about it.

    Attributes:
        number: such as ``2026-0143``.
        state: where it stands.
        subjects: marks of the people it is about.
        assignee: login of who has it.
        resolver: login of who resolved it last, with which outcome and when.
        answer_due: until when a question is to be answered.
        due: until when it is to be resolved; ``None`` before the row was read.
        snoozed: until when it is set aside, if it is.
    """

    number: str
    state: State
    subjects: frozenset[str] = frozenset()
    assignee: str | None = None
    resolver: str | None = None
    outcome: str | None = None
    resolved: datetime | None = None
    answer_due: datetime | None = None
    due: datetime | None = None
    snoozed: datetime | None = None

    @property
    def needs_lead(self) -> bool:
        """Whether its outcome is a finding that a lead confirms."""
        return self.outcome is not None and outcomes()[self.outcome].two

    @property
    def confirm_until(self) -> datetime | None:
        """Until when a finding can be confirmed; ``None`` where there is no such limit."""
        return self.resolved + CONFIRM_WITHIN if self.needs_lead and self.resolved else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What comes with a verb."""

    text: str = ""
    outcome: str | None = None
    actions: tuple[str, ...] = ()
    assignee: Person | None = None
    whom: str = ""
    due: datetime | None = None
    target: Standing | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why not: a code for the log, a sentence, and the field of the form that it is about."""

    code: str
    sentence: str
    field: str | None = None


@cache
def table() -> Mapping[Verb, Row]:
    """The table of states by its verbs."""
    return {
        Verb(verb): Row(
            sources=tuple(None if name == "none" else State(name) for name in row["from"]),
            to=State(row["to"]) if "to" in row else None,
            who=tuple(row["who"]),
            needs=tuple(row.get("needs", ())),
        )
        for verb, row in _read("case_states.toml").items()
    }


@cache
def outcomes() -> Mapping[str, Outcome]:
    """How a case can end, in the order of the table."""
    return {
        code: Outcome(
            two=row.get("two", False), dismissal=row.get("dismissal", False), counts=row["counts"]
        )
        for code, row in _read("case_outcomes.toml")["outcomes"].items()
    }


@cache
def actions() -> Mapping[str, str]:
    """What may have been done about it, in words."""
    read: Mapping[str, str] = _read("case_outcomes.toml")["actions"]
    return read


def _read(name: str) -> dict[str, Any]:
    path = resources.files("node.governance").joinpath("data", name)
    return tomllib.loads(path.read_text(encoding="utf-8"))
