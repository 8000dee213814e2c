"""A search that was understood, said again for another FHIR server. Pure.

What the client sent is never passed on: names come from the catalogue, values from what was read
out of them, so that nothing reaches the other server that was not understood here (facts
fhir-and-udap 10.14).
"""

from __future__ import annotations

from collections.abc import Iterable

from node.wire.fhir.conditions import (
    Condition,
    DateCondition,
    MissingCondition,
    ReferenceCondition,
    StringCondition,
    TokenCondition,
    escaped,
)
from node.wire.fhir.query import Criterion, Include, Pair, SearchQuery


def restated(query: SearchQuery, also: Iterable[Criterion] = ()) -> list[Pair]:
    """The parameters of a search, in a fixed order.

    Args:
        query: the search.
        also: criteria that must hold besides.
    """
    pairs = [_criterion(each) for each in (*query.criteria, *also)]
    pairs += [("_lastUpdated", condition.text) for condition in query.updated]
    pairs += [("_include", _include(each)) for each in query.include]
    pairs += [("_revinclude", _include(each)) for each in query.revinclude]
    if query.sort is not None:
        pairs.append(("_sort", ("-" if query.sort.descending else "") + query.sort.parameter))
    if query.total is not None:
        pairs.append(("_total", query.total))
    pairs.append(("_count", str(query.count)))
    return list(dict.fromkeys(pairs))


def _criterion(criterion: Criterion) -> Pair:
    name = criterion.parameter.name
    if criterion.chain is not None:
        chained, value = _criterion(criterion.chain)
        return f"{name}.{chained}", value
    first = criterion.conditions[0]
    if isinstance(first, MissingCondition):
        return f"{name}:missing", "true" if first.is_missing else "false"
    modifier = "not" if criterion.is_not else ""
    if isinstance(first, StringCondition):
        modifier = first.modifier
    value = ",".join(_value(each) for each in criterion.conditions)
    return (f"{name}:{modifier}" if modifier else name), value


def _value(condition: Condition) -> str:
    match condition:
        case TokenCondition(system=None, code=code):
            return escaped(code or "")
        case TokenCondition(system=system, code=code):
            return f"{escaped(system or '')}|{escaped(code or '')}"
        case StringCondition(text=text):
            return escaped(text)
        case ReferenceCondition(target=target):
            return escaped(target)
        case DateCondition(text=text):
            return text
        case MissingCondition():
            raise AssertionError(condition)


def _include(include: Include) -> str:
    parts = (include.source, include.parameter, include.target)
    return ":".join(part for part in parts if part is not None)
