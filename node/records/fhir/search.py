"""Searches as SQL. Values are bound parameters: nothing of a request is part of a statement.

Two ways lead to the rows. A search about one patient walks that patient's resources (index by
patient and type) and tests each; any other begins with the rows of its most telling parameter
(index by value). Pages go on from the last match's place, so that what arrives meanwhile neither
repeats nor hides anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Table,
    and_,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union,
)

from node.exchange.fhir_ports import Cursor
from node.records.fhir.tables import DATE, MANY, NOBODY, PERSON, REFERENCE, RESOURCE, TEXT, TOKEN
from node.records.tables import PATIENT
from node.wire.fhir.catalogue import Kind
from node.wire.fhir.conditions import (
    Condition,
    DateCondition,
    MissingCondition,
    Prefix,
    ReferenceCondition,
    StringCondition,
    TokenCondition,
)
from node.wire.fhir.dates import EARLIEST, LATEST
from node.wire.fhir.extract import folded
from node.wire.fhir.query import Criterion, SearchQuery, Sort
from node.wire.fhir.references import local_reference

Clause = ColumnElement[bool]

_TABLES: Final[dict[Kind, Table]] = {
    Kind.TOKEN: TOKEN,
    Kind.STRING: TEXT,
    Kind.DATE: DATE,
    Kind.REFERENCE: REFERENCE,
}
_TELLING: Final = (Kind.TOKEN, Kind.STRING, Kind.REFERENCE)
_IDENTIFIER: Final = "Patient.identifier"
_AFTER_ALL: Final = "\U0010ffff"


def matching(
    query: SearchQuery,
    patient: str | None,
    any_of: Sequence[Sequence[Criterion]],
    own: str | None = None,
) -> Clause:
    """The condition that a resource matches a search and may be seen.

    Args:
        query: the search.
        patient: the one patient who may be seen, or ``None``.
        any_of: sets of criteria of which one must hold; none at all: no such condition.
        own: the system of the identifiers that we give people ourselves: a Patient is found by
            them although the resource, which is as it came, does not have them.
    """
    clauses = [RESOURCE.c.type == query.type.name, visible(patient, any_of)]
    named = _named_patients(query)
    if named is not None:
        # redundant, but it has an index: who refers to a patient is about them, or about several
        clauses.append(_about([*sorted(named), MANY], query.type.name))
    elif patient is not None:
        clauses.append(_about([patient, NOBODY], query.type.name))
    is_led = named is not None or patient is not None
    for criterion in query.criteria:
        leads = not is_led and _may_lead(criterion)
        clauses.append(
            _criterion(criterion, query.type.name, RESOURCE, patient, leads=leads, own=own)
        )
        is_led = is_led or leads
    moment = RESOURCE.c.updated
    clauses += [_date(each, moment, moment + 1) for each in query.updated]
    return and_(*clauses)


def _about(patients: Sequence[str], type_: str) -> Clause:
    """Resources of a type about patients, found by their index alone."""
    mine = RESOURCE.alias()
    return RESOURCE.c.key.in_(
        select(mine.c.key).where(mine.c.patient.in_(patients), mine.c.type == type_)
    )


def visible(patient: str | None, any_of: Sequence[Sequence[Criterion]] = ()) -> Clause:
    """The condition that a resource may be seen."""
    mine = true() if patient is None else RESOURCE.c.patient.in_([patient, NOBODY])
    if not any_of:
        return mine
    sets = [
        and_(true(), *(_criterion(c, None, RESOURCE, patient, leads=False) for c in criteria))
        for criteria in any_of
    ]
    return and_(mine, or_(*sets))


def page(query: SearchQuery, condition: Clause, after: Cursor | None, limit: int) -> Select[Any]:
    """The statement of a page: rows with their sort value as ``place``."""
    value = _sort_value(query.sort, query.type.name)
    statement: Select[Any] = select(RESOURCE, value.label("place")).where(condition).limit(limit)
    if query.sort is None:
        if after is not None:
            statement = statement.where(RESOURCE.c.key > after.key)
        return statement.order_by(RESOURCE.c.key)
    descending = query.sort.descending
    if after is not None and after.value is not None:
        further = value < after.value if descending else value > after.value
        statement = statement.where(
            or_(further, and_(value == after.value, RESOURCE.c.key > after.key))
        )
    order = value.desc() if descending else value.asc()
    return statement.order_by(order, RESOURCE.c.key)


def _sort_value(sort: Sort | None, type_: str) -> ColumnElement[Any]:
    if sort is None:
        return literal(0)
    if sort.parameter == "_lastUpdated":
        return RESOURCE.c.updated
    edge = func.max(DATE.c.high) if sort.descending else func.min(DATE.c.low)
    inner = select(edge).where(
        DATE.c.key == RESOURCE.c.key, DATE.c.parameter == f"{type_}.{sort.parameter}"
    )
    # without a date they come last
    return func.coalesce(inner.scalar_subquery(), EARLIEST if sort.descending else LATEST)


def _named_patients(query: SearchQuery) -> frozenset[str] | None:
    """The patients that one of the criteria names, or ``None`` when none does."""
    for criterion in query.criteria:
        if criterion.parameter.target == "Patient" and criterion.chain is None:
            found = [_patient(condition) for condition in criterion.conditions]
            if all(found):
                return frozenset(each for each in found if each)
    return None


def _patient(condition: Condition) -> str | None:
    if not isinstance(condition, ReferenceCondition):
        return None
    local = local_reference(condition.target)
    return local[1] if local and local[0] == "Patient" else None


def _may_lead(criterion: Criterion) -> bool:
    """Whether a search can begin with the rows of a criterion."""
    return (
        criterion.parameter.name != "_id"
        and criterion.chain is None
        and not criterion.is_not
        and criterion.parameter.kind in _TELLING
        and not any(isinstance(c, MissingCondition) for c in criterion.conditions)
    )


def _criterion(
    criterion: Criterion,
    type_: str | None,
    of: FromClause,
    patient: str | None,
    *,
    leads: bool,
    own: str | None = None,
) -> Clause:
    """The condition of one criterion on a row of ``fhir_resource``.

    Without a type, as in a scope, the criterion's own row says of which type it is.
    """
    parameter = criterion.parameter
    if parameter.name == "_id":
        codes = [c.code for c in criterion.conditions if isinstance(c, TokenCondition) and c.code]
        with_id = of.c.id.in_(codes)
        return not_(with_id) if criterion.is_not else with_id
    table = _TABLES[parameter.kind]
    name: Any = f"{type_}.{parameter.name}" if type_ else of.c.type + f".{parameter.name}"
    mine = and_(table.c.key == of.c.key, table.c.parameter == name)
    if criterion.chain is not None:
        inner = RESOURCE.alias()
        target = parameter.target or ""
        theirs = select(literal(f"{target}/") + inner.c.id).where(
            inner.c.type == target,
            true() if patient is None else inner.c.patient.in_([patient, NOBODY]),
            _criterion(criterion.chain, target, inner, patient, leads=False),
        )
        return exists().where(mine, table.c.target.in_(theirs))
    missing = [c for c in criterion.conditions if isinstance(c, MissingCondition)]
    if missing:
        present = exists().where(mine)
        return not_(present) if missing[0].is_missing else present
    holds = or_(*(_condition(each, table) for each in criterion.conditions))
    given = _given(criterion, own) if name == _IDENTIFIER else None
    if leads:
        keys = select(table.c.key).where(table.c.parameter == name, holds)
        return of.c.key.in_(keys if given is None else union(keys, given))
    found: Clause = exists().where(mine, holds)
    if given is not None:
        found = or_(found, of.c.key.in_(given))
    return not_(found) if criterion.is_not else found


def _given(criterion: Criterion, own: str | None) -> Select[Any] | None:
    """The Patients of the people who have one of these ids by us; joined people are one."""
    codes = [
        condition.code
        for condition in criterion.conditions
        if isinstance(condition, TokenCondition)
        and condition.code
        and condition.system in (None, own)
    ]
    if own is None or not codes:
        return None
    asked, others = PATIENT.alias(), PATIENT.alias()
    person = func.coalesce(asked.c.merged_into, asked.c.id)
    theirs = select(others.c.id).where(
        or_(
            others.c.id.in_(select(person).where(asked.c.id.in_(codes))),
            others.c.merged_into.in_(select(person).where(asked.c.id.in_(codes))),
        )
    )
    # nested, not joined: SQLite would walk all Patients
    patients = select(PERSON.c.patient).where(PERSON.c.local_id.in_(theirs))
    given = RESOURCE.alias()
    return select(given.c.key).where(given.c.type == "Patient", given.c.id.in_(patients))


def _condition(condition: Condition, table: Table) -> Clause:
    match condition:
        case TokenCondition(system=system, code=code):
            parts = [] if code is None else [table.c.code == code]
            if system is not None:
                parts.append(table.c.system == system)
            return and_(*parts)
        case StringCondition(modifier="exact", text=text):
            return table.c.exact == text
        case StringCondition(modifier="contains", text=text):
            return table.c.folded.contains(folded(text), autoescape=True)
        case StringCondition(text=text):
            prefix = folded(text)
            return and_(table.c.folded >= prefix, table.c.folded < prefix + _AFTER_ALL)
        case ReferenceCondition(target=target):
            return table.c.target == target
        case DateCondition():
            return _date(condition, table.c.low, table.c.high)
        case MissingCondition():
            raise AssertionError(condition)


def _date(condition: DateCondition, low: ColumnElement[int], high: ColumnElement[int]) -> Clause:
    """A stretch of time against a search value (FHIR R4 3.1.1.5.3, the table of prefixes)."""
    span = condition.span
    within = and_(low >= span.low, high <= span.high)
    compared: dict[Prefix, Clause] = {
        Prefix.EQ: within,
        Prefix.NE: not_(within),
        Prefix.GT: high > span.high,
        Prefix.LT: low < span.low,
        Prefix.GE: or_(high > span.high, within),
        Prefix.LE: or_(low < span.low, within),
        Prefix.SA: low >= span.high,
        Prefix.EB: high <= span.low,
        Prefix.AP: and_(low < span.high, high > span.low),
    }
    return compared[condition.prefix]
