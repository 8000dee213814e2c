"""Are these two sets of demographics one person? Weighted, explained, and safe first.

Every field that both sides know gives points, the log2 of how much better "one person" explains the
agreement than "two people" does (Fellegi and Sunter). Their sum is the score. Above ``certain`` the
two are linked, unless a *veto* holds: some mistakes (a twin's chart, the father's allergies) are
worse than a missed record, so no sum of household evidence outweighs them. Above ``possible`` a
person should look; nothing is ever linked there.

The rules are data (``data/matching.toml``); the reasons of a score are sentences without values, so
they may be shown and kept.

Example:
    >>> from node.model import Demographics, PersonName
    >>> ann = Demographics(names=(PersonName(family="Lee", given=("Ann",)),), birth_date="19800102")
    >>> score(ann, ann).verdict
    <Verdict.CERTAIN: 'certain'>
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise, product
from typing import Generic, TypeVar

from node.model import Demographics
from node.records import comparison
from node.records.comparison import Levels
from node.records.rules import Rules, default_rules
from node.records.traits import Traits, traits_of

_AGREEING_NAMES = frozenset({"exact", "part", "close", "nickname", "diminutive", "swapped"})
_WEAK_GIVEN = frozenset({"different", "middle"})
_NO_GIVEN = _WEAK_GIVEN | {"placeholder"}
_AGREEING_SSN = frozenset({"exact", "slip", "last_four"})
_NO_BIRTH_DATE = frozenset({"different"})

Id = TypeVar("Id", bound=Hashable)


class Verdict(StrEnum):
    """What a score means: link, look, or neither."""

    CERTAIN = "certain"
    POSSIBLE = "possible"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How two people compare.

    ``points`` are bits of evidence; ``percent`` is the same on a scale of 0 to 100 for
    queryMatchObservation (90 and above is certain). ``reasons`` are sentences, strongest evidence
    first and vetoes before all; ``levels`` are the field levels behind them.
    """

    points: float
    percent: int
    verdict: Verdict
    reasons: tuple[str, ...]
    levels: Levels
    vetoes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[Id]):
    """Which candidate is the person, if one is.

    ``certain`` is the one to link; ``ambiguous`` are the certain ones when there are several
    different people among them, in which case nobody is linked; ``possible`` are for a person to
    look at, best first.
    """

    certain: Id | None
    ambiguous: tuple[Id, ...] = ()
    possible: tuple[Id, ...] = ()


def score(query: Demographics, candidate: Demographics, rules: Rules | None = None) -> Score:
    """Compare two people. Symmetric in its points, verdict and vetoes; never raises."""
    used = rules or default_rules()
    return score_traits(traits_of(query, used), traits_of(candidate, used), used)


def score_traits(a: Traits, b: Traits, rules: Rules) -> Score:
    """Compare two people whose demographics are levelled already (the fast path of the index)."""
    levels = _levels(a, b, rules)
    points = sum(rules.points[field][level] for field, level in levels)
    vetoes = _vetoes(a, b, dict(levels), rules)
    if points >= rules.certain and not vetoes:
        verdict = Verdict.CERTAIN
    elif points >= rules.possible:
        verdict = Verdict.POSSIBLE
    else:
        verdict = Verdict.NO
    ordered = sorted(levels, key=lambda fl: -abs(rules.points[fl[0]][fl[1]]))
    return Score(
        points=points,
        percent=_percent(points, verdict, rules),
        verdict=verdict,
        reasons=tuple(
            rules.sentences[key] for key in (*vetoes, *(f"{f}_{level}" for f, level in ordered))
        ),
        levels=levels,
        vetoes=vetoes,
    )


def is_certainly_not(a: Traits, b: Traits, rules: Rules) -> bool:
    """Whether birth dates, suffixes and names alone forbid that a score is certain: a veto holds.

    Spares the comparison of all else for most strangers who share a blocking key.
    """
    same_id = not a.identifiers.isdisjoint(b.identifiers)
    born = comparison.birth_date_level(a.birth_date, b.birth_date)
    if born in _NO_BIRTH_DATE or (born is None and not same_id):
        return True
    if a.suffixes and b.suffixes and a.suffixes.isdisjoint(b.suffixes):
        return True
    return not same_id and all(
        comparison.given_level(x, y, rules) in _NO_GIVEN and not comparison.may_be_exchanged(x, y)
        for x, y in product(a.names, b.names)
    )


def decide(scored: Sequence[tuple[Id, Score]], rules: Rules | None = None) -> Decision[Id]:
    """Choose among scored candidates: one certain person, or none.

    Several certain candidates are different people, since one person has one identity. Where one
    stands out by ``margin`` (an id or a home that the others do not share) it is chosen; otherwise
    the demographics do not tell them apart, a guess could open the wrong chart, and none is.
    """
    margin = (rules or default_rules()).margin
    ranked = sorted(scored, key=lambda pair: -pair[1].points)
    certain = tuple(i for i, s in ranked if s.verdict is Verdict.CERTAIN)
    possible = tuple(i for i, s in ranked if s.verdict is Verdict.POSSIBLE)
    best = [s.points for _, s in ranked if s.verdict is Verdict.CERTAIN]
    if len(best) == 1 or (best and best[0] - best[1] >= margin):
        return Decision(certain=certain[0], possible=(*certain[1:], *possible))
    return Decision(certain=None, ambiguous=certain, possible=possible)


def _levels(a: Traits, b: Traits, rules: Rules) -> Levels:
    found: list[tuple[str, str | None]] = list(_name_levels(a, b, rules))
    found.append(("suffix", _shared(a.suffixes, b.suffixes)))
    found.append(("birth_date", comparison.birth_date_level(a.birth_date, b.birth_date)))
    if a.sex and b.sex:
        found.append(("sex", "exact" if a.sex == b.sex else "different"))
    found.append(
        (
            "ssn",
            _best("ssn", [comparison.ssn_level(x, y) for x, y in product(a.ssns, b.ssns)], rules),
        )
    )
    found.append(("identifier", _identifier_level(a, b)))
    found.append(("telephone", _shared(a.telephones, b.telephones)))
    if a.mails & b.mails:
        found.append(("mail", "exact"))
    addresses = [
        comparison.address_level(x, y, rules) for x, y in product(a.addresses, b.addresses)
    ]
    found.append(("address", _best("address", addresses, rules)))
    found.append(
        (
            "mothers_maiden_name",
            comparison.maiden_level(a.mothers_maiden_name, b.mothers_maiden_name, rules),
        )
    )
    return tuple((field, level) for field, level in found if level is not None)


def _name_levels(a: Traits, b: Traits, rules: Rules) -> Levels:
    """The levels of the pair of names that agree best."""
    options = [comparison.names(x, y, rules) for x, y in product(a.names, b.names)]
    return max(
        options, key=lambda levels: (sum(rules.points[f][v] for f, v in levels), levels), default=()
    )


def _best(field: str, levels: Sequence[str | None], rules: Rules) -> str | None:
    known = [level for level in levels if level is not None]
    return max(known, key=lambda level: rules.points[field][level], default=None)


def _shared(a: frozenset[str], b: frozenset[str]) -> str | None:
    if not a or not b:
        return None
    return "exact" if a & b else "different"


def _identifier_level(a: Traits, b: Traits) -> str | None:
    if a.identifiers & b.identifiers:
        return "exact"
    authorities = {root for root, _ in a.identifiers} & {root for root, _ in b.identifiers}
    return "different" if authorities else None


def _vetoes(a: Traits, b: Traits, levels: dict[str, str], rules: Rules) -> tuple[str, ...]:
    """What forbids a link whatever the points say. Each rule in one line, with its reason."""
    same_id = levels.get("identifier") == "exact"
    own = same_id or levels.get("ssn") in _AGREEING_SSN or levels.get("mail") == "exact"
    given, born = levels.get("given"), levels.get("birth_date")
    named = (
        levels.get("names") == "swapped"
        or given in _AGREEING_NAMES
        or (own and given in ("initial", "similar"))
        or levels.get("family") in _AGREEING_NAMES
    )
    found = {
        # Without a birth date, or with a different one, names and a household are all there is;
        # an id of one authority stands in for a missing date, never for a differing one.
        "veto_birth_date": born in _NO_BIRTH_DATE or (born is None and not same_id),
        "veto_names": not named,
        # Twins and siblings share family name, birth date, address, telephone and mother.
        "veto_given": (given in _WEAK_GIVEN and not same_id) or (given == "similar" and not own),
        "veto_newborn": given == "placeholder" and not same_id,
        "veto_suffix": levels.get("suffix") == "different",
        # A parent's number is often used for a child, so not even that outweighs a generation.
        "veto_generation": comparison.generation_gap(a.birth_date, b.birth_date)
        >= rules.generation_years,
        # Two whole numbers that differ in more than a slip belong to two people.
        "veto_ssn": levels.get("ssn") == "different" and not same_id,
        # Twins often share an initial as well, so an initial needs a number of the person's own.
        "veto_initial": given == "initial" and not own,
    }
    return tuple(name for name, holds in found.items() if holds)


def _percent(points: float, verdict: Verdict, rules: Rules) -> int:
    """Points on a scale of 0 to 100, linear between the thresholds; 90 is certain."""
    steps = (
        (0.0, 0),
        (rules.possible, rules.percent_possible),
        (rules.certain, rules.percent_certain),
        (rules.full, 100),
    )
    value = 0 if points <= 0 else 100
    for (low, low_percent), (high, high_percent) in pairwise(steps):
        if low <= points < high:
            share = (points - low) / (high - low)
            value = int(low_percent + share * (high_percent - low_percent))
    return value if verdict is Verdict.CERTAIN else min(value, rules.percent_certain - 1)
