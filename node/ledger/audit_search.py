"""A search of AuditEvents as filters of the log (ITI-81; facts: fhir-and-udap 4.3). Pure.

The log is found by ``LedgerFilter`` and nothing else, so each parameter becomes one of its fields:

=================  ==============================================================================
``date``           since, until
``agent``          the user who asked, or the other community (``urn:oid:…``); ours is in all
``patient``        patient
``entity``         a document, a message id (``urn:uuid:…``), or the id of a ledger entry
``type, subtype``  transactions, kinds and acts: those whose AuditEvents have the code
``outcome``        outcomes of exchanges, from which such an event may come
``source``         this node, or nothing
=================  ==============================================================================

A filter has no "or" between its fields, so a search may be several filters, which have no entry in
common. What a filter cannot tell (one event of several of an entry, the issuer of a user's id) is
tried on the events themselves: ``Wanted.fits``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from node.ledger.audit_sorts import Sort, sorts
from node.ledger.audit_wanted import Wanted, meets
from node.ledger.filter import LedgerFilter, Term
from node.ledger.leaf import Kind
from node.ledger.qualifiers import MAX_VALUES
from node.model import Outcome, PatientId
from node.wire.audit_codes import audit_codes
from node.wire.fhir.audit_names import PATIENT_IDENTIFIER
from node.wire.fhir.conditions import (
    DateCondition,
    MissingCondition,
    Prefix,
    TokenCondition,
)
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Criterion, SearchQuery
from node.wire.identifiers import is_oid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_URN_OID, _URN_UUID = "urn:oid:", "urn:uuid:"
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999  # the years 1 and 9999


@dataclass(slots=True, kw_only=True)
class _Fields:
    """The fields of the filter as they are gathered."""

    given: dict[str, tuple[str, ...]] = field(default_factory=dict)
    since: int = _FIRST
    until: int = _LAST
    codes: list[Criterion] = field(default_factory=list)
    nothing: bool = False
    entry: str | None = None
    event: str | None = None
    outcomes: frozenset[str] | None = None
    agents: tuple[TokenCondition, ...] = ()
    entities: tuple[TokenCondition, ...] = ()

    def set(self, name: str, values: Iterable[str]) -> None:
        """Demand one of some values of a field."""
        if name in self.given:
            raise FhirProblem(
                "fhir-parameter-unsupported", "A search names each of these once: an or is a comma."
            )
        chosen = tuple(dict.fromkeys(values))
        if len(chosen) > MAX_VALUES:
            raise FhirProblem("fhir-search-limit", f"More than {MAX_VALUES} values of one kind.")
        self.given[name] = chosen
        self.nothing |= not chosen


def read_audit_search(
    query: SearchQuery,
    *,
    own: str,
    kinds: frozenset[str],
    patients: frozenset[PatientId] | None,
) -> Wanted:
    """What a search of AuditEvents asks of the log.

    Args:
        query: parsed with ``audit_names.read_names``.
        own: our home community id.
        kinds: of entries that may be seen.
        patients: the identifiers that ``patient`` stands for, where the query has it.

    Raises:
        FhirProblem: ``fhir-value-invalid``, ``fhir-parameter-unsupported``, ``fhir-search-limit``.
    """
    fields = _Fields()
    if patients is not None:
        fields.set("patient", (each.cx for each in patients))
        fields.entities += tuple(map(_of_patient, patients))
    for criterion in query.criteria:
        if criterion.is_not or any(isinstance(c, MissingCondition) for c in criterion.conditions):
            raise FhirProblem(
                "fhir-parameter-unsupported", "The log is not searched by what is not there."
            )
        _take(fields, criterion, own)
    for updated in query.updated:
        _take_date(fields, updated)
    if fields.nothing:
        return Wanted()
    if fields.entry is not None and len(query.criteria) > 1:
        raise FhirProblem(
            "fhir-parameter-unsupported", "What names one entry is not narrowed by anything else."
        )
    return Wanted(
        filters=tuple(_filters(fields, kinds)),
        entry=fields.entry,
        event=fields.event,
        outcomes=fields.outcomes,
        agents=fields.agents,
        entities=fields.entities,
    )


# --- parameters -----------------------------------------------------------------------------------


def _take(fields: _Fields, criterion: Criterion, own: str) -> None:
    tokens = tuple(c for c in criterion.conditions if isinstance(c, TokenCondition))
    match criterion.parameter.name:
        case "date":
            _take_dates(fields, criterion)
        case "agent":
            _take_agents(fields, tokens, own)
        case "patient" if tokens:
            raise _invalid("patient")
        case name if name == PATIENT_IDENTIFIER:
            found = tuple(map(_patient, tokens))
            fields.set("patient", (each.cx for each in found))
            fields.entities += tokens
        case "entity":
            _take_entities(fields, tokens)
        case "type" | "subtype":
            fields.codes.append(criterion)
        case "outcome":
            _take_outcomes(fields, tokens)
        case "source":
            fields.nothing |= not any(_names(token, own) for token in tokens)
        case "_id":
            _take_ids(fields, tokens)


def _take_dates(fields: _Fields, criterion: Criterion) -> None:
    conditions = [c for c in criterion.conditions if isinstance(c, DateCondition)]
    if len(conditions) != 1:
        raise FhirProblem("fhir-parameter-unsupported", "date has one value; it may be repeated.")
    _take_date(fields, conditions[0])


def _take_date(fields: _Fields, condition: DateCondition) -> None:
    """By ``recorded``, which is ``_lastUpdated`` as well: what is recorded stays as it is."""
    span, low, high = condition.span, _FIRST, _LAST
    match condition.prefix:
        case Prefix.EQ | Prefix.AP:
            low, high = span.low, span.high
        case Prefix.GE:
            low = span.low
        case Prefix.GT | Prefix.SA:
            low = span.high
        case Prefix.LE:
            high = span.high
        case Prefix.LT | Prefix.EB:
            high = span.low
        case _:
            raise FhirProblem("fhir-parameter-unsupported", "date has no prefix ne here.")
    fields.since, fields.until = max(fields.since, low), min(fields.until, high)
    fields.nothing |= fields.since >= fields.until


def _take_agents(fields: _Fields, tokens: tuple[TokenCondition, ...], own: str) -> None:
    fields.agents += tokens
    if any(_names(token, own) for token in tokens):
        return  # this node takes part in everything
    values = [_code(token, "agent") for token in tokens]
    if not any(value.startswith(_URN_OID) for value in values):
        fields.set("user", values)
    elif all(value.startswith(_URN_OID) and is_oid(value[len(_URN_OID) :]) for value in values):
        fields.set("peer", values)
    else:
        raise FhirProblem("fhir-value-invalid", "agent has users or communities, not both.")


def _take_entities(fields: _Fields, tokens: tuple[TokenCondition, ...]) -> None:
    if len(tokens) == 1 and tokens[0].system == audit_codes().fhir_system["own"]:
        fields.entry = _code(tokens[0], "entity").lower()
        return
    fields.entities += tokens
    values = [_code(token, "entity") for token in tokens]
    if not any(value.startswith(_URN_UUID) for value in values):
        fields.set("document", values)
    elif all(value.startswith(_URN_UUID) for value in values):
        fields.set("message_id", values)
    else:
        raise FhirProblem("fhir-value-invalid", "entity has documents or messages, not both.")


def _take_outcomes(fields: _Fields, tokens: Sequence[TokenCondition]) -> None:
    chosen = frozenset(_code(token, "outcome") for token in tokens)
    fields.outcomes = chosen if fields.outcomes is None else fields.outcomes & chosen
    fields.nothing |= not chosen & set(audit_codes().outcome.values())


def _take_ids(fields: _Fields, tokens: Sequence[TokenCondition]) -> None:
    if len(tokens) != 1:
        raise FhirProblem("fhir-parameter-unsupported", "_id has one value here.")
    fields.event = _code(tokens[0], "_id")
    fields.entry = fields.event.partition(".")[0]


def _code(token: TokenCondition, name: str) -> str:
    if not token.code:
        raise _invalid(name)
    return token.code


def _patient(token: TokenCondition) -> PatientId:
    system = (token.system or "").removeprefix(_URN_OID)
    if not is_oid(system) or not token.code:
        raise FhirProblem(
            "fhir-value-invalid", "patient.identifier is system|value, its system urn:oid:…."
        )
    return PatientId(assigning_authority=system, id=token.code)


def _of_patient(patient: PatientId) -> TokenCondition:
    return TokenCondition(system=f"{_URN_OID}{patient.assigning_authority}", code=patient.id)


def _names(token: TokenCondition, own: str) -> bool:
    return token.code == own and token.system in (None, audit_codes().fhir_system["uri"])


def _invalid(name: str) -> FhirProblem:
    return FhirProblem("fhir-value-invalid", f"A value of {name} is not of its form.")


# --- filters --------------------------------------------------------------------------------------


def _filters(fields: _Fields, kinds: frozenset[str]) -> Iterator[LedgerFilter]:
    """The filters: one where no code is asked for, else one for each field that codes lie in."""
    base: dict[str, Any] = dict(fields.given)
    if fields.since > _FIRST:
        base["since"] = _instant(fields.since)
    if fields.until < _LAST:
        base["until"] = _instant(fields.until)
    if not fields.codes:
        yield from _by_kind(fields, kinds, base)
        return
    chosen: dict[tuple[str, str | None], list[str]] = {}
    for row in sorts():
        if row.kind in kinds and all(_is_coded(row, each) for each in fields.codes):
            chosen.setdefault((row.name, row.direction), []).append(row.value)
    for (name, direction), values in chosen.items():
        extra = _outcomes(fields) if name == "transaction" else {}
        if extra is None:
            continue
        if direction is not None:
            extra = extra | {"direction": direction}
        every = tuple(dict.fromkeys(values))
        for first in range(0, len(every), MAX_VALUES):
            yield LedgerFilter(**{**base, **extra, name: every[first : first + MAX_VALUES]})


def _by_kind(
    fields: _Fields, kinds: frozenset[str], base: dict[str, Any]
) -> Iterator[LedgerFilter]:
    """Without a code: exchanges apart where an outcome narrows them, as nothing else has one."""
    if fields.outcomes is None:
        chosen = {} if kinds == frozenset(Kind) else {"kind": tuple(sorted(kinds))}
        yield LedgerFilter(**{**base, **chosen})
        return
    others = kinds - {Kind.EXCHANGE.value}
    if Kind.EXCHANGE.value in kinds and (extra := _outcomes(fields)) is not None:
        yield LedgerFilter(**{**base, **extra})
    if others:
        yield LedgerFilter(**{**base, "kind": tuple(sorted(others))})


def _outcomes(fields: _Fields) -> dict[str, Any] | None:
    """The outcomes of exchanges that give such events; ``None`` when none does."""
    if fields.outcomes is None:
        return {}
    codes = audit_codes().outcome
    found = [o.value for o in Outcome if codes[o.value] in fields.outcomes]
    # of a retrieve that was partial, what came is told as a success, and what did not as a failure
    if fields.outcomes & {codes["ok"], codes["failed"]}:
        found.append(Outcome.PARTIAL.value)
    return {"outcome": Term(any_of=tuple(found))} if found else None


def _is_coded(row: Sort, criterion: Criterion) -> bool:
    held = row.types if criterion.parameter.name == "type" else row.subtypes
    return any(
        meets(token, system, code)
        for token in criterion.conditions
        if isinstance(token, TokenCondition)
        for system, code in held
    )


def _instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(max(milliseconds, _FIRST), _LAST))
