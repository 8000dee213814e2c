"""Which document entries a stored query's parameters select (ITI TF-2 3.18.4.1.2.3.7.1).

Values inside one occurrence of a slot are OR; occurrences of the same slot are AND, which matters
for the list attributes only (event codes, confidentiality, reference ids). Different slots are AND.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import resources
from typing import Any

from node.model import Code, DocumentEntry, DocumentType, StoredQuery
from node.wire.timestamps import parse_time

Test = Callable[[DocumentEntry], bool]

_LOWEST = "00000101000000"
_HIGHEST = "99991231235959"


class ParameterError(ValueError):
    """A parameter's value has no meaning; the text names the slot, never the value."""


@lru_cache
def tables() -> dict[str, Any]:
    """The slot names of ``data/stored_queries.toml``."""
    data = resources.files("node.records").joinpath("data/stored_queries.toml")
    return tomllib.loads(data.read_text(encoding="utf-8"))


def tests_of(query: StoredQuery, *, legacy_schemes: bool) -> list[Test]:
    """The tests that an entry must pass, all of them.

    Args:
        query: the query; its form has been checked (required slots, repeats).
        legacy_schemes: whether a code without a scheme may take it from a ``…Scheme`` slot.

    Raises:
        ParameterError: for a code without scheme, or a time that is none.
    """
    slots = tables()["slot"]
    found: list[Test] = [_type(query.values(slots["type"]))]
    for name, attribute in slots["codes"].items():
        found.extend(
            _codes(attribute, _wanted(query, name, values, legacy=legacy_schemes))
            for values in query.occurrences(name)
        )
    for name, attribute in slots["times"].items():
        low, high = query.values(f"{name}From"), query.values(f"{name}To")
        if low or high:
            found.append(_times(attribute, _time(low, f"{name}From"), _time(high, f"{name}To")))
    found.extend(
        _reference_ids(frozenset(values)) for values in query.occurrences(slots["reference_id"])
    )
    if query.values(slots["status"]):
        found.append(_status(query.values(slots["status"])))
    if query.values(slots["author"]):
        found.append(_author(query.values(slots["author"])))
    if query.values(slots["availability"]):
        found.append(_availability(frozenset(query.values(slots["availability"]))))
    return found


def has_dates(query: StoredQuery) -> bool:
    """Whether the query names any time."""
    names = tables()["slot"]["times"]
    return any(query.values(f"{name}{end}") for name in names for end in ("From", "To"))


def _type(values: Iterable[str]) -> Test:
    """Absent means stable documents only."""
    wanted = frozenset(values) or frozenset({DocumentType.STABLE.value})
    return lambda entry: entry.type.value in wanted


def _status(values: Iterable[str]) -> Test:
    """Compared on the last field: partners write the URN's front in several ways."""
    wanted = frozenset(value.rpartition(":")[2] for value in values)
    return lambda entry: entry.status.value.rpartition(":")[2] in wanted


def _wanted(
    query: StoredQuery, name: str, values: tuple[str, ...], *, legacy: bool
) -> frozenset[tuple[str, str]]:
    schemes = query.values(name + tables()["slot"]["legacy_scheme"])
    found: set[tuple[str, str]] = set()
    for position, value in enumerate(values):
        code, _, rest = value.partition("^")
        scheme = rest.rpartition("^")[2]
        if not scheme and legacy and schemes:
            scheme = schemes[min(position, len(schemes) - 1)]
        if not code or not scheme:
            raise ParameterError(f"A value of {name} is not in the form code^^scheme.")
        found.add((code, _bare(scheme)))
    return frozenset(found)


def _bare(scheme: str) -> str:
    return scheme.removeprefix("urn:oid:")


def _codes(attribute: str, wanted: frozenset[tuple[str, str]]) -> Test:
    def test(entry: DocumentEntry) -> bool:
        value: Code | tuple[Code, ...] | None = getattr(entry, attribute)
        held = value if isinstance(value, tuple) else (value,)
        return any(c is not None and (c.code, _bare(c.scheme)) in wanted for c in held)

    return test


def _time(values: tuple[str, ...], name: str) -> str | None:
    if not values:
        return None
    found = parse_time(values[0])
    if found is None:
        raise ParameterError(f"The value of {name} is not a time.")
    return found


def _times(attribute: str, low: str | None, high: str | None) -> Test:
    """From is inclusive, To exclusive; a value of lower precision stands for its whole period.

    On-demand entries have no times of their own until they are made, so no time excludes them.
    """
    start = earliest(low) if low else _LOWEST
    stop = earliest(high) if high else None

    def test(entry: DocumentEntry) -> bool:
        value: str | None = getattr(entry, attribute)
        if value is None:
            return entry.type is DocumentType.ON_DEMAND
        return latest(value) >= start and (stop is None or earliest(value) < stop)

    return test


def earliest(time: str) -> str:
    """The first second of a time of any precision, as fourteen digits."""
    return time + _LOWEST[len(time) :]


def latest(time: str) -> str:
    """The last second of a time of any precision, for comparing as text only."""
    return time + _HIGHEST[len(time) :]


def _reference_ids(wanted: frozenset[str]) -> Test:
    return lambda entry: not wanted.isdisjoint(entry.reference_ids)


def _availability(wanted: frozenset[str]) -> Test:
    assumed = str(tables()["availability"]["assumed"])
    return lambda entry: (entry.document_availability or assumed) in wanted


def _author(patterns: tuple[str, ...]) -> Test:
    return lambda entry: any(
        like(pattern, author.person)
        for author in entry.authors
        if author.person is not None
        for pattern in patterns
    )


def like(pattern: str, text: str) -> bool:
    """SQL ``LIKE`` without regard to case: ``%`` is any run of characters, ``_`` any one.

    Runs in time proportional to pattern times text whatever the pattern holds.
    """
    wanted, given = pattern.casefold(), text.casefold()
    at, place, star, resume = 0, 0, -1, 0
    while place < len(given):
        if at < len(wanted) and wanted[at] == "%":
            star, resume = at, place
            at += 1
        elif at < len(wanted) and wanted[at] in ("_", given[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return set(wanted[at:]) <= {"%"}
