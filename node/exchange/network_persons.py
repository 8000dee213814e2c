"""Which of the identities that communities gave are one person: the network patient. Pure.

Nobody is put together silently. An identity is *certain* when it agrees with what was asked, by the
rules that link people in our own index, and is the only such one of its community. Certain ones are
one person unless two of them contradict each other; then nobody is linked, since what was asked
does not tell which is meant. Whatever is not linked is a Patient of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from node.exchange.network_ports import Compare, KnownAt, Likeness
from node.model import Demographics


class Grade(StrEnum):
    """How sure a match is, in FHIR's words (value set match-grade)."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What one community said.

    Attributes:
        known: what it calls the person.
        percent: how well that agrees with what was asked, 0 to 100.
    """

    known: KnownAt
    grade: Grade
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Persons:
    """The identities that are one person, best first, and those that nobody linked, best first."""

    linked: tuple[Identity, ...] = ()
    others: tuple[Identity, ...] = ()


def persons(asked: Demographics, known: Sequence[KnownAt], compare: Compare) -> Persons:
    """Grade identities, and link those that are certain."""
    distinct = list(
        {(each.home_community_id, each.patient_id or each.fhir_id): each for each in known}.values()
    )
    likenesses = _likenesses(asked, distinct, compare)
    sure = [k for k, found in zip(distinct, likenesses, strict=True) if found.is_certain]
    at_one = Counter(each.home_community_id for each in sure)
    linkable = [each for each in sure if at_one[each.home_community_id] == 1]
    if any(_contradict(a, b, compare) for a, b in combinations(linkable, 2)):
        linkable = []
    graded = [
        Identity(
            known=each,
            grade=_grade(found, is_linked=each in linkable),
            percent=found.percent,
        )
        for each, found in zip(distinct, likenesses, strict=True)
    ]
    graded.sort(key=lambda each: -each.percent)
    return Persons(
        linked=tuple(each for each in graded if each.grade is Grade.CERTAIN),
        others=tuple(each for each in graded if each.grade is not Grade.CERTAIN),
    )


def _likenesses(asked: Demographics, known: Sequence[KnownAt], compare: Compare) -> list[Likeness]:
    """How well each agrees with what was asked.

    Where an identifier was all that was asked with, whoever has it is meant, and the others are
    compared with what is said there of the person.
    """
    if asked.names:
        return [compare(asked, _said(each)) for each in known]
    holders = [each for each in known if _has(each, asked)]
    meant = _said(holders[0]) if holders else asked
    same = Likeness(percent=100, is_certain=True, contradicts=False)
    return [same if each in holders else compare(meant, _said(each)) for each in known]


def _said(known: KnownAt) -> Demographics:
    return known.demographics or Demographics()


def _has(known: KnownAt, asked: Demographics) -> bool:
    held = {*_said(known).identifiers, known.patient_id}
    return not held.isdisjoint(asked.identifiers)


def _contradict(a: KnownAt, b: KnownAt, compare: Compare) -> bool:
    if a.demographics is None or b.demographics is None:
        return False
    return compare(a.demographics, b.demographics).contradicts


def _grade(found: Likeness, *, is_linked: bool) -> Grade:
    if is_linked:
        return Grade.CERTAIN
    return Grade.PROBABLE if found.is_certain else Grade.POSSIBLE
