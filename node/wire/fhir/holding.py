"""Whether criteria of a search hold for one resource, as the index would say it. Pure.

For resources that are in no index: those of another server, which must not be believed to have
searched as it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from node.wire.fhir.conditions import (
    Condition,
    DateCondition,
    MissingCondition,
    Prefix,
    ReferenceCondition,
    StringCondition,
    TokenCondition,
)
from node.wire.fhir.dates import Span
from node.wire.fhir.extract import MAX_TEXT, Token, Value, folded, values_of
from node.wire.fhir.query import Criterion


def holds_one_of(sets: Sequence[Sequence[Criterion]], resource: dict[str, Any]) -> bool:
    """Whether all criteria of one of some sets hold; without any set everything does."""
    return not sets or any(all(holds(each, resource) for each in criteria) for criteria in sets)


def holds(criterion: Criterion, resource: dict[str, Any]) -> bool:
    """Whether a criterion holds. One with a chain never does: what it leads to is not at hand."""
    parameter = criterion.parameter
    if criterion.chain is not None:
        return False
    if parameter.name == "_id":
        own = resource.get("id")
        named = any(isinstance(c, TokenCondition) and c.code == own for c in criterion.conditions)
        return named is not criterion.is_not
    values = values_of(resource, parameter)
    missing = [c for c in criterion.conditions if isinstance(c, MissingCondition)]
    if missing:
        return missing[0].is_missing is not bool(values)
    found = any(_fits(c, value) for c in criterion.conditions for value in values)
    return found is not criterion.is_not


def _fits(condition: Condition, value: Value) -> bool:
    match condition, value:
        case TokenCondition(system=system, code=code), Token():
            return code in {None, value.code} and system in {None, value.system}
        case StringCondition(), str():
            return _reads(condition, value)
        case ReferenceCondition(target=target), str():
            return value == target
        case DateCondition(), Span():
            return _when(condition, value)
    return False


def _reads(condition: StringCondition, value: str) -> bool:
    match condition.modifier:
        case "exact":
            return value[:MAX_TEXT] == condition.text
        case "contains":
            return folded(condition.text) in folded(value)
    return folded(value).startswith(folded(condition.text))


def _when(condition: DateCondition, value: Span) -> bool:
    """A stretch of time against a search value (FHIR R4 3.1.1.5.3, the table of prefixes)."""
    span = condition.span
    within = value.low >= span.low and value.high <= span.high
    return {
        Prefix.EQ: within,
        Prefix.NE: not within,
        Prefix.GT: value.high > span.high,
        Prefix.LT: value.low < span.low,
        Prefix.GE: value.high > span.high or within,
        Prefix.LE: value.low < span.low or within,
        Prefix.SA: value.low >= span.high,
        Prefix.EB: value.high <= span.low,
        Prefix.AP: value.low < span.high and value.high > span.low,
    }[condition.prefix]
