"""A request for a second person: its verbs, its steps, its rules. Pure, but for one data file."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

import orjson

from node.governance.case_model import Refusal
from node.ledger.trust_change import Author

MOST_OPEN: Final = 20
"""Requests of one person that may stand at once."""

MOST_BYTES: Final = 16 * 1024
"""Of what is asked for, as JSON."""

MOST_ABOUT: Final = 64
"""Characters of the id of what is asked about."""

MOST_TEXT: Final = 2000
LEAST_TEXT: Final = 20
"""Characters of a reason, for asking and for refusing."""


class Step(StrEnum):
    """Where a request stands."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    DONE = "done"


STANDING: Final = (Step.ASKED, Step.APPROVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What can be asked for: in words, and the rights of the two people."""

    code: str
    doing: str
    ask: str
    decide: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """A person who asks or decides: the login, the rights, and the author for the log."""

    login: str
    rights: frozenset[str]
    author: Author


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it stands; ``until`` is when it ends, ``seq`` its entry in the log."""

    number: int
    verb: str
    about: str | None
    digest: bytes
    step: Step
    asked: datetime
    asker: str
    until: datetime
    decided: datetime | None
    decider: str | None
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What exactly is asked for, and why, in the words of who asked."""

    what: Mapping[str, Any]
    text: str


@cache
def verbs() -> Mapping[str, Verb]:
    """All verbs by their codes."""
    return {code: Verb(code=code, **row) for code, row in _table()["verbs"].items()}


def stands_for() -> timedelta:
    """How long a request stands."""
    return timedelta(hours=_table()["hours"]["stands"])


def digest_of(verb: str, what: Mapping[str, object]) -> bytes:
    """SHA-256 of a verb with what it is about, whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps([verb, what], option=orjson.OPT_SORT_KEYS)).digest()


def barred(found: Request, who: Who) -> Refusal | None:
    """Why a person cannot be the second one of a request."""
    stopped = not_in(found, (Step.ASKED,))
    if stopped is not None:
        return stopped
    if who.login == found.asker:
        return Refusal(
            code="same-person", sentence="You asked for it: somebody else has to decide about it."
        )
    if verbs()[found.verb].decide not in who.rights:
        return Refusal(code="right-missing", sentence="You do not have the right to decide this.")
    return None


def not_in(found: Request, steps: tuple[Step, ...]) -> Refusal | None:
    """Why not, for a request that is at none of some steps."""
    if found.step in steps:
        return None
    return Refusal(code=f"request-{found.step.value}", sentence=_STATES[found.step])


_STATES: Final = {
    Step.ASKED: "Nobody has approved this request yet.",
    Step.APPROVED: "This request was approved already.",
    Step.REFUSED: "This request was refused.",
    Step.WITHDRAWN: "This request was withdrawn.",
    Step.EXPIRED: "The time of this request is over. Ask again.",
    Step.DONE: "What was asked for has been done; it can be done once.",
}


def short_text(text: str) -> Refusal | None:
    """Why not, for a reason that is too short or too long."""
    length = len(text.strip())
    if LEAST_TEXT <= length <= MOST_TEXT:
        return None
    sentence = f"Write {LEAST_TEXT} to {MOST_TEXT} characters on why; this has {length}."
    return Refusal(code="text-length", sentence=sentence, field="text")


@cache
def _table() -> dict[str, Any]:
    path = resources.files("node.governance").joinpath("data", "two_person.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
