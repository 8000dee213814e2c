"""Does a clinician have a treatment relationship with a patient? Encounters in, answer out. Pure.

A relationship is an encounter that is present, planned within some days, or ended some days ago, in
which the clinician has a part or which takes place in their department. Which parts, how many days
and for which class of encounter is data (``data/relationships.toml``; facts: tefca 5.3,
governance-ux 6.6 D04). A cancelled encounter is none. What no rule finds is no relationship.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any

from node.encounter import Encounter, EncounterClass, EncounterState, Part, PractitionerId
from node.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the rules; ``parts`` is empty where the department counts."""

    id: str
    parts: tuple[Part, ...]
    ahead: timedelta
    after: Mapping[EncounterClass, timedelta]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When an encounter is a relationship; ``words`` are what people call its class."""

    rules: tuple[Rule, ...]
    longest: Mapping[EncounterClass, timedelta]
    words: Mapping[EncounterClass, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinician:
    """Who asks: their ids as a practitioner, and the departments they work in."""

    ids: frozenset[PractitionerId] = frozenset()
    departments: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Relationship:
    """A relationship that was found: by which rule, and the sentence that says which encounter."""

    rule: str
    sentence: str


def relationship(
    clinician: Clinician, encounters: Iterable[Encounter], rules: Rules, *, now: datetime
) -> Relationship | None:
    """The first relationship that the rules find, in their order; ``None`` when there is none.

    Args:
        clinician: who asks.
        encounters: those of the patient.
        rules: when one counts.
        now: the current time.
    """
    known = [each for each in encounters if each.state is not EncounterState.CANCELLED]
    for rule in rules.rules:
        for encounter in known:
            part = _part(rule, clinician, encounter)
            if part is not None and _counts(rule, encounter, rules, now):
                return Relationship(
                    rule=rule.id, sentence=_sentence(part, encounter, rules, now=now)
                )
    return None


def _part(rule: Rule, clinician: Clinician, encounter: Encounter) -> str | None:
    """What the clinician has to do with an encounter, in words."""
    if rule.parts:
        for part, who in encounter.people:
            if part in rule.parts and who in clinician.ids:
                return f"You are the {part.value} practitioner of"
        return None
    shared = sorted(clinician.departments.intersection(encounter.departments))
    return f"Your department {shared[0]} has" if shared else None


def _counts(rule: Rule, encounter: Encounter, rules: Rules, now: datetime) -> bool:
    after = rule.after.get(encounter.kind)
    if after is None:
        return False
    began = encounter.began or encounter.noted
    if now < began - rule.ahead:
        return False
    return now <= ended(encounter, rules) + after


def ended(encounter: Encounter, rules: Rules) -> datetime:
    """When an encounter ended, or counts as ended because nothing more was heard of it."""
    if encounter.ended is not None:
        return encounter.ended
    last = max(encounter.noted, encounter.began or encounter.noted)
    return last + rules.longest[encounter.kind]


def _sentence(part: str, encounter: Encounter, rules: Rules, *, now: datetime) -> str:
    began = encounter.began or encounter.noted
    verb = "is planned for" if now < began else "began on"
    end = f" and ended on {encounter.ended:%-d %b %Y}" if encounter.ended else ""
    return f"{part} the {rules.words[encounter.kind]} that {verb} {began:%-d %b %Y}{end}."


@lru_cache
def shipped_rules() -> Rules:
    """The rules of this version."""
    text = resources.files("node.policy").joinpath("data/relationships.toml").read_text("utf-8")
    return parse_rules(text)


def parse_rules(text: str) -> Rules:
    """Rules from the text of a file.

    Raises:
        SettingsError: ``relationship-rules-invalid``, naming what is missing or of no known form.
    """
    try:
        read = tomllib.loads(text)
        return Rules(
            rules=tuple(_rule(row) for row in read["rule"]),
            longest={each: _days(read["longest"][each.value]) for each in EncounterClass},
            words={each: str(read["classes"][each.value]) for each in EncounterClass},
        )
    except KeyError as error:
        raise _invalid(f"they lack {error.args[0]}") from error
    except (ValueError, TypeError) as error:
        raise _invalid(str(error)) from error


def _rule(row: Mapping[str, Any]) -> Rule:
    if row["by"] not in ("practitioner", "department"):
        raise ValueError(f'"by" is {row["by"]!r}')
    parts = tuple(Part(each) for each in row["parts"]) if row["by"] == "practitioner" else ()
    if row["by"] == "practitioner" and not parts:
        raise ValueError(f"rule {row['id']} names no parts")
    return Rule(
        id=str(row["id"]),
        parts=parts,
        ahead=_days(row["ahead"]),
        after={EncounterClass(name): _days(days) for name, days in row["after"].items()},
    )


_MOST_DAYS = 3660


def _days(value: object) -> timedelta:
    if type(value) is not int or not 0 <= value <= _MOST_DAYS:
        raise ValueError(f"{value!r} is no number of days from 0 to {_MOST_DAYS}")
    return timedelta(days=value)


def _invalid(what: str) -> SettingsError:
    return SettingsError(
        "relationship-rules-invalid",
        f"The rules of treatment relationships cannot be read: {what}.",
    )
