"""A search as it is put to the health system's FHIR server, and what of an answer belongs to it.

The question is narrowed to what the view shows, so that nothing else travels. The answer is held
against it in what needs no interpretation: types, ids, patients. Whether a name or a date fits is
left to the server, which may compare them in its own way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from node.exchange.fhir_ports import View
from node.peers.upstream.sight import Candidate
from node.wire.fhir.catalogue import ResourceType
from node.wire.fhir.conditions import ReferenceCondition, TokenCondition
from node.wire.fhir.holding import holds
from node.wire.fhir.query import Criterion, Include, Pair, SearchQuery
from node.wire.fhir.references import local_reference
from node.wire.fhir.restate import restated


class Question:
    """One search of one view."""

    def __init__(self, query: SearchQuery, view: View) -> None:
        """``query`` was parsed with what the server offers."""
        self._query = query
        self._view = view
        self._patients = _named_patients(query)
        self._included = _included_types(query)

    def pairs(self) -> list[Pair]:
        """Its parameters for the server."""
        return restated(self._query, narrowing(self._view, self._query.type))

    @property
    def can_count(self) -> bool:
        """Whether the server's own total is ours: nobody and nothing is left out of it by us."""
        sets = self._view.scopes.get(self._query.type.name, ())
        return (
            not self._view.opt_outs.identifiers and len(sets) <= 1 and self._query.total != "none"
        )

    def is_match(self, each: Candidate) -> bool:
        """Whether a resource is a match; what does not say which it is goes by its type."""
        return each.found.type == self._query.type.name and each.found.mode != "include"

    def is_asked(self, each: Candidate) -> bool:
        """Whether a resource belongs to the answer."""
        if not self.is_match(each):
            return self._included is None or each.found.type in self._included
        if self._patients is not None and self._patients.isdisjoint(each.patients):
            return False
        named = (c for c in self._query.criteria if c.parameter.name == "_id")
        return all(holds(criterion, each.found.content) for criterion in named)

    def related(self, shown: Sequence[Candidate], withheld: Counter[str]) -> list[Candidate]:
        """Matches, and of what was included what is about nobody else than they are."""
        about = {each.patient for each in shown if self.is_match(each)} - {None}
        kept = []
        for each in shown:
            foreign = each.patient is not None and about and each.patient not in about
            if foreign and not self.is_match(each):
                withheld["not-asked"] += 1
            else:
                kept.append(each)
        return kept


def narrowing(view: View, type_: ResourceType) -> Iterable[Criterion]:
    """Criteria that a search has to have besides, as far as the server knows their parameters."""
    found: list[Criterion] = []
    if view.patient is not None and type_.of_patient:
        if type_.name == "Patient" and "_id" in type_.parameters:
            me = TokenCondition(system=None, code=view.patient)
            found.append(Criterion(parameter=type_.parameters["_id"], conditions=(me,)))
        elif type_.name != "Provenance" and "patient" in type_.parameters:
            mine = ReferenceCondition(target=f"Patient/{view.patient}")
            found.append(Criterion(parameter=type_.parameters["patient"], conditions=(mine,)))
    sets = view.scopes.get(type_.name, ())
    if len(sets) == 1 and all(c.parameter.name in type_.parameters for c in sets[0]):
        found += sets[0]
    return found


def _named_patients(query: SearchQuery) -> frozenset[str] | None:
    """The patients of whom a search wants one; ``None`` where it names none, or foreign ones."""
    found: frozenset[str] | None = None
    for criterion in query.criteria:
        if criterion.parameter.target != "Patient" or criterion.chain is not None:
            continue
        named = set()
        for condition in criterion.conditions:
            target = condition.target if isinstance(condition, ReferenceCondition) else ""
            local = local_reference(target)
            if local is None or local[0] != "Patient":
                return None
            named.add(local[1])
        found = frozenset(named) if found is None else found & named
    return found


def _included_types(query: SearchQuery) -> frozenset[str] | None:
    """The types that may come along; ``None`` where they are not known beforehand."""
    found = {include.source for include in query.revinclude}
    for include in query.include:
        targets = _targets(include, query.type)
        if not targets:
            return None
        found |= targets
    return frozenset(found)


def _targets(include: Include, type_: ResourceType) -> set[str]:
    if include.target is not None:
        return {include.target}
    rows = [each.split(":") for each in type_.include]
    named = {row[2] for row in rows if row[:2] == [include.source, include.parameter] and row[2:]}
    parameter = type_.parameters.get(include.parameter)
    known = parameter.target if parameter is not None else None
    return named or ({known} if known else set())
