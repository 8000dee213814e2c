"""The detectors of this version: ``data/detectors.toml`` and the rules behind it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

from node.governance.detectors import asking, documents, identity, own_people, reach
from node.governance.detectors.model import Finding, Rule, Subject

REPEATED: Final = "D07"
"""The detector that reads flags of others: it is asked last, and cannot be tried by itself."""

CARE: Final = "D04"
"""The detector that compares with our own records of care: it alone has them looked up."""

SAMPLE: Final = "T12"
"""The detector that flags nothing: it draws exchanges by lot (``governance.sampling``)."""

_UNTRIED: Final[Mapping[str, str]] = {
    REPEATED: "It reads flags, not legs, so it cannot be tried on past days.",
    SAMPLE: "It draws by lot and flags nothing, so there is nothing to try on past days.",
}


class State(StrEnum):
    """Whether a detector looks, and whether its flags make cases."""

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of a detector, as shipped, with the bounds within which it may be changed."""

    value: float
    least: float
    most: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One detector as shipped; see the head of the table for the fields."""

    id: str
    title: str
    version: int
    state: State
    subject: Subject
    days: int
    quiet: int
    formula: str
    inputs: tuple[str, ...]
    alarms: str
    sentences: Mapping[str, str]
    limits: Mapping[str, Limit]
    rule: Rule

    def sentence(self, finding: Finding) -> str:
        """The sentence of a finding, with ``{peer}`` and ``{actor}`` still open."""
        return self.sentences[finding.sentence].format(
            peer="{peer}", actor="{actor}", **finding.values
        )

    @property
    def can_try(self) -> bool:
        """Whether a back-test says anything of it."""
        return self.id not in _UNTRIED

    @property
    def untried(self) -> str:
        """Why a back-test says nothing of it; empty where it does."""
        return _UNTRIED.get(self.id, "")

    @property
    def template(self) -> str:
        """Its first sentence as people read it before there is a finding."""
        return self.sentences["default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfed:
    """A detector of the facts that this node's data cannot feed, and why."""

    id: str
    title: str
    why: str


_RULES: Final[Mapping[str, Rule]] = {
    "D01": own_people.unusual_many,
    "D04": own_people.no_care,
    "D07": own_people.small_ones,
    "D08": asking.little_known,
    "D09": reach.takes_more,
    "D10": reach.ramps,
    "D11": reach.far_and_wide,
    "D12": identity.provider,
    "D13": documents.empty_ones,
    "D14": asking.enumerating,
    "D15": asking.other_purpose,
    "T02": asking.burst,
    "T03": asking.again,
    "T08": identity.kin,
    "T09": reach.not_declared,
    "T10": asking.everything,
    "T11": identity.nobody_named,
    SAMPLE: reach.by_lot,
}


@cache
def detectors() -> Mapping[str, Detector]:
    """All detectors by id, in the order of the table."""
    return {
        code: Detector(
            id=code,
            title=row["title"],
            version=row["version"],
            state=State(row["state"]),
            subject=Subject(row["subject"]),
            days=row["days"],
            quiet=row["quiet"],
            formula=row["formula"],
            inputs=tuple(row["inputs"]),
            alarms=row["alarms"],
            sentences=row["sentences"],
            limits={name: Limit(**limit) for name, limit in row.get("limits", {}).items()},
            rule=_RULES[code],
        )
        for code, row in _read().items()
        if isinstance(row, dict)
    }


@cache
def treatment() -> frozenset[str]:
    """The purposes that are treatment."""
    return frozenset(_read()["treatment"])


@cache
def tried_within() -> timedelta:
    """How old the back-test may be with which a detector is switched on."""
    return timedelta(hours=_read()["tried_within_hours"])


@cache
def unfed() -> tuple[Unfed, ...]:
    """What the node's data cannot feed."""
    return tuple(Unfed(**row) for row in _read()["unfed"])


def _read() -> dict[str, Any]:
    path = resources.files("node.governance").joinpath("data", "detectors.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
