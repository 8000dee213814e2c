"""``Patient/$match`` in front of the health system's FHIR server.

The candidates come from its search; who is who is decided here, by the rules of the node's own
patient index (``node.records.matching``). So "certain" means the same whichever server it is, and a
server that grades generously opens no wrong chart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from node.model import Demographics
from node.peers.upstream.sight import Candidate
from node.records.matching import Score, decide, score
from node.wire.fhir.catalogue import ResourceType
from node.wire.fhir.conditions import escaped
from node.wire.fhir.query import Pair
from node.wire.fhir_patient import read_patient

MAX_SEARCHES: Final = 8
CANDIDATES: Final = 100
"""Of one search; where there are more, nobody among them is certain."""

_GENDERS = {"F": "female", "M": "male", "UN": "other"}
_DAY = 8
_CERTAIN = 90
"""The score from which two people are one (``node.records.matching.Score.percent``)."""


def candidate_searches(person: Demographics, patient: ResourceType) -> list[list[Pair]]:
    """Searches that find a person, each by facts of which the others may be wrong.

    The identifier's system is left out: the score tells apart who shares a number.
    """
    known = frozenset(patient.parameters)
    found = [[("identifier", escaped(each.id))] for each in person.identifiers[:4]]
    born = person.birth_date or ""
    gender = _GENDERS.get(person.sex or "")
    for name in person.names[:2]:
        family, given = escaped(name.family or ""), escaped(name.given[0] if name.given else "")
        if len(born) >= _DAY:
            day = f"{born[:4]}-{born[4:6]}-{born[6:8]}"
            found += [[("birthdate", day), ("name", text)] for text in (family, given) if text]
        if family and given:
            found.append([("family", family), ("given", given)])
            if gender is not None:
                found.append([("family", family), ("gender", gender)])
    usable = [pairs for pairs in found if all(name in known for name, _ in pairs)]
    # the last ones find the most strangers
    return [[*pairs, ("_count", str(CANDIDATES))] for pairs in usable[:MAX_SEARCHES]]


def graded(
    person: Demographics, candidates: Mapping[str, Candidate], *, is_whole: bool
) -> list[tuple[Candidate, int, str]]:
    """The candidates worth a look with score and grade, the best first.

    ``is_whole``: whether all who might be the person are among them. Otherwise nobody is certain,
    because who was not looked at might be the one.
    """
    scored: list[tuple[str, Score]] = [
        (id_, score(person, read_patient(each.found.content)[0]))
        for id_, each in candidates.items()
        if not _is_replaced(each)
    ]
    points = dict(scored)
    chosen = decide(scored)
    certain = chosen.certain if is_whole else None
    others = [i for i in (chosen.certain, *chosen.ambiguous, *chosen.possible) if i is not None]
    ids: Collection[str] = dict.fromkeys(([certain] if certain else []) + others)
    found: list[tuple[Candidate, int, str]] = []
    for id_ in ids:
        percent = points[id_].percent
        grade = "probable" if percent >= _CERTAIN else "possible"
        found.append((candidates[id_], percent, "certain" if id_ == certain else grade))
    return found


def _is_replaced(each: Candidate) -> bool:
    """Whether a Patient says that another one stands in its place."""
    links: Sequence[object] = each.found.content.get("link") or ()
    return isinstance(links, list) and any(
        isinstance(link, dict) and link.get("type") == "replaced-by" for link in links
    )
