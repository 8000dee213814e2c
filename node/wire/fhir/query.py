"""A FHIR search as values: what is asked for, and what could not be understood. Pure.

Chained and reverse chained parameters are refused whatever ``Prefer`` says, but for the chains that
US Core demands: to leave one out would widen the answer by what the client meant to exclude, and a
reverse chain tells facts about resources that nobody was allowed to read. Source: FHIR R4 3.1.1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from node.wire.fhir.catalogue import Kind, Parameter, ResourceType, resource_types
from node.wire.fhir.conditions import (
    Condition,
    DateCondition,
    MissingCondition,
    date_condition,
    parse_condition,
    split_escaped,
)
from node.wire.fhir.problem import FhirProblem

Pair = tuple[str, str]

_CONTROL = frozenset({"_format", "_pretty"})
_NEVER = ("_has", "_filter", "_query", "_contained", "_containedType", "_list", "_text", "_content")
_MODIFIERS = {
    Kind.TOKEN: ("not",),
    Kind.STRING: ("exact", "contains"),
    Kind.DATE: (),
    Kind.REFERENCE: (),
}
_TOTALS = ("none", "estimate", "accurate")
_MAX_NAME = 64
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """What one search may cost: parameters, values of all of them, characters, entries."""

    parameters: int = 40
    values: int = 200
    characters: int = 8192
    default_count: int = 50
    max_count: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One parameter of a search: any of its conditions must hold.

    ``chain`` is a criterion on the resource that the parameter refers to; then it has no conditions
    of its own.
    """

    parameter: Parameter
    conditions: tuple[Condition, ...] = ()
    is_not: bool = False
    chain: Criterion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """Resources that are asked along: those that a parameter of ``source`` refers to.

    In reverse: those of ``source`` whose parameter refers to a match. ``target`` narrows the type.
    """

    source: str
    parameter: str
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """By which date parameter (or ``_lastUpdated``) matches are put in order."""

    parameter: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """A search that was understood.

    Attributes:
        type: what is searched.
        criteria: all must hold.
        updated: conditions on ``_lastUpdated``; all must hold.
        count: entries of a page.
        only_count: whether only the number is wanted.
        total: ``none``, ``estimate`` or ``accurate``, or ``None`` where nothing was said.
        used: what was used, as it was sent, for the self link.
        ignored: names of parameters that were left out.
    """

    type: ResourceType
    criteria: tuple[Criterion, ...] = ()
    updated: tuple[DateCondition, ...] = ()
    count: int
    only_count: bool = False
    total: str | None = None
    sort: Sort | None = None
    include: tuple[Include, ...] = ()
    revinclude: tuple[Include, ...] = ()
    used: tuple[Pair, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def is_narrow(self) -> bool:
        """Whether it names one of the parameters that keep a search from being about everybody."""
        asked_by = self.type.asked_by
        return not asked_by or any(
            c.parameter.name in asked_by
            and not c.is_not
            and not any(isinstance(each, MissingCondition) for each in c.conditions)
            for c in self.criteria
        )


def parse_search(
    type_: ResourceType,
    pairs: Sequence[Pair],
    *,
    strict: bool,
    base_url: str,
    now: datetime,
    limits: SearchLimits,
) -> SearchQuery:
    """Read the parameters of a search.

    Args:
        type_: what is searched.
        pairs: decoded names and values in order.
        strict: whether an unknown parameter is an error (``Prefer: handling=strict``).
        base_url: our own, for references to our own resources.
        now: what ``ap`` is measured from.
        limits: what it may cost.

    Raises:
        FhirProblem: ``fhir-parameter-unknown``, ``fhir-parameter-unsupported``,
            ``fhir-value-invalid``, ``fhir-search-limit``.
    """
    if len(pairs) > limits.parameters:
        raise _too_much(f"A search has more than {limits.parameters} parameters.")
    if sum(len(n) + len(v) for n, v in pairs) > limits.characters:
        raise _too_much(f"A search is longer than {limits.characters} characters.")
    reading = _Reading(type_, base_url=base_url, now=now, limits=limits)
    for name, value in pairs:
        if not reading.take(name, value):
            if strict:
                raise FhirProblem(
                    "fhir-parameter-unknown",
                    f"{type_.name} has no search parameter {shown(name)} here.",
                )
            reading.ignored[shown(name)] = None
    return reading.query()


def shown(name: str) -> str:
    """A parameter's name, where it can be repeated: it is the client's text."""
    kept = name[:_MAX_NAME]
    plain = kept.isascii() and all(c.isalnum() or c in "_-:.$" for c in kept)
    return kept if plain and kept else "(unreadable)"


class _Reading:
    """A search while it is read."""

    def __init__(
        self, type_: ResourceType, *, base_url: str, now: datetime, limits: SearchLimits
    ) -> None:
        self.ignored: dict[str, None] = {}
        self._type = type_
        self._base_url = base_url
        self._now = now
        self._limits = limits
        self._criteria: list[Criterion] = []
        self._updated: list[DateCondition] = []
        self._used: list[Pair] = []
        self._values = 0
        self._count: int | None = None
        self._only_count = False
        self._total: str | None = None
        self._sort: Sort | None = None
        self._include: dict[Include, None] = {}
        self._revinclude: dict[Include, None] = {}

    def query(self) -> SearchQuery:
        count = self._limits.default_count if self._count is None else self._count
        return SearchQuery(
            type=self._type,
            criteria=tuple(self._criteria),
            updated=tuple(self._updated),
            count=count or 1,
            only_count=self._only_count or count == 0,
            total=self._total,
            sort=self._sort,
            include=tuple(self._include),
            revinclude=tuple(self._revinclude),
            used=tuple(self._used),
            ignored=tuple(self.ignored),
        )

    def take(self, name: str, value: str) -> bool:
        """Read one parameter; ``False`` when it is unknown or empty."""
        if name in _CONTROL:
            return True
        _refuse_chains(name, self._type)
        if not value:
            return False
        taken = self._take_control(name, value) if name[:1] == "_" else None
        if taken is None:
            taken = self._take_criterion(name, value)
        if taken:
            self._used.append((name, self._as_used(name, value)))
        return taken

    def _as_used(self, name: str, value: str) -> str:
        return str(self._count) if name == "_count" else value

    def _take_control(self, name: str, value: str) -> bool | None:
        """Read a parameter about the result; ``None`` when it is none."""
        bare, _, modifier = name.partition(":")
        if bare in ("_include", "_revinclude"):
            # :iterate would lead on from what was included, which US Core asks nowhere
            return not modifier and self._take_include(value, is_reverse=bare == "_revinclude")
        taking = {
            "_count": self._take_count,
            "_summary": self._take_summary,
            "_total": self._take_total,
            "_sort": self._take_sort,
            "_lastUpdated": self._take_updated,
        }.get(bare)
        if taking is None:
            return None
        if modifier:
            raise _unsupported(name)
        return taking(value)

    def _take_count(self, value: str) -> bool:
        if not value.isascii() or not value.isdecimal() or len(value) > _MAX_DIGITS:
            raise _invalid("_count")
        self._count = min(int(value), self._limits.max_count)
        return True

    def _take_summary(self, value: str) -> bool:
        self._only_count = value == "count"
        return value in ("count", "false")

    def _take_total(self, value: str) -> bool:
        if value not in _TOTALS:
            raise _invalid("_total")
        self._total = value
        return True

    def _take_updated(self, value: str) -> bool:
        if not self._type.updated:
            return False
        if len(split_escaped(value, ",")) > 1:
            raise _unsupported("_lastUpdated with several values")
        self._updated.append(date_condition(value, "_lastUpdated", self._now))
        return True

    def _take_sort(self, value: str) -> bool:
        name = value.removeprefix("-")
        known = self._type.parameters.get(name)
        if name == "_lastUpdated" and not self._type.updated:
            return False
        if name != "_lastUpdated" and (known is None or known.kind is not Kind.DATE):
            return False
        self._sort = Sort(parameter=name, descending=value.startswith("-"))
        return True

    def _take_include(self, value: str, *, is_reverse: bool) -> bool:
        allowed = self._type.revinclude if is_reverse else self._type.include
        parts = value.split(":")
        if len(parts) not in (2, 3):
            return False
        source, parameter = parts[:2]
        target = parts[2] if parts[2:] else None
        fitting = [each for each in allowed if each.split(":")[:2] == parts[:2]]
        if not fitting or (
            target and value not in fitting and all(e.count(":") > 1 for e in fitting)
        ):
            return False
        include = Include(source=source, parameter=parameter, target=target)
        (self._revinclude if is_reverse else self._include)[include] = None
        return True

    def _take_criterion(self, name: str, value: str) -> bool:
        bare, _, chained = name.partition(".")
        bare, _, modifier = bare.partition(":")
        parameter = self._type.parameters.get(bare)
        if parameter is None:
            return False
        if chained:
            target = resource_types()[parameter.target or ""]
            inner = self._criterion(target.parameters[chained], "", value)
            self._criteria.append(Criterion(parameter=parameter, chain=inner))
        else:
            self._criteria.append(self._criterion(parameter, modifier, value))
        return True

    def _criterion(self, parameter: Parameter, modifier: str, value: str) -> Criterion:
        if modifier == "missing":
            if value not in ("true", "false"):
                raise _invalid(f"{parameter.name}:missing")
            missing = MissingCondition(is_missing=value == "true")
            return Criterion(parameter=parameter, conditions=(missing,))
        of_type = parameter.kind is Kind.REFERENCE and modifier == parameter.target
        if modifier and not of_type and modifier not in _MODIFIERS[parameter.kind]:
            raise _unsupported(f"{parameter.name}:{shown(modifier)}")
        parts = split_escaped(value, ",")
        self._values += len(parts)
        if self._values > self._limits.values:
            raise _too_much(f"A search has more than {self._limits.values} values.")
        conditions = tuple(
            parse_condition(parameter, modifier, part, base_url=self._base_url, now=self._now)
            for part in parts
        )
        return Criterion(parameter=parameter, conditions=conditions, is_not=modifier == "not")


def refuse_never(name: str, chains: Collection[str] = ()) -> None:
    """Refuse what reaches into other resources, but for some chains.

    Raises:
        FhirProblem: ``fhir-parameter-unsupported``.
    """
    if name.partition(":")[0] in _NEVER or ("." in name and name not in chains):
        raise _unsupported(name)


def _refuse_chains(name: str, type_: ResourceType) -> None:
    if name.partition(":")[0] in _NEVER:
        raise _unsupported(name)
    bare, dot, chained = name.partition(".")
    if dot:
        bare, _, modifier = bare.partition(":")
        parameter = type_.parameters.get(bare)
        allowed = parameter is not None and chained in parameter.chain
        if not allowed or (modifier and parameter is not None and modifier != parameter.target):
            raise _unsupported(name)


def _unsupported(name: str) -> FhirProblem:
    return FhirProblem(
        "fhir-parameter-unsupported", f"The search parameter {shown(name)} is not supported here."
    )


def _invalid(name: str) -> FhirProblem:
    return FhirProblem("fhir-value-invalid", f"A value of {name} is not of its form.")


def _too_much(sentence: str) -> FhirProblem:
    return FhirProblem("fhir-search-limit", sentence)
