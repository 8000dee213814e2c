"""Checks AuditEvents against the BALP profiles as IHE publishes them, from the shared data.

A small reader of StructureDefinitions: cardinalities, patterns and slices of the differentials and
those of their base profiles; value sets and invariants are left to tests of their own.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_BASE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/"


def members(archive: Path) -> dict[str, Json]:
    """The resources of a package, by file name."""
    with tarfile.open(archive) as packed:
        return {
            Path(member.name).name: json.loads(packed.extractfile(member).read())  # type: ignore[union-attr]
            for member in packed.getmembers()
            if member.name.endswith(".json")
        }


class Profiles:
    """The profiles of BALP by their URLs."""

    def __init__(self, definitions: dict[str, Json]) -> None:
        self._by_url = {
            each["url"]: each
            for each in definitions.values()
            if each.get("resourceType") == "StructureDefinition"
        }

    def violations(self, resource: Json, profile: str) -> list[str]:
        """What of a profile the resource does not keep."""
        return list(self._violations(resource, profile))

    def _elements(self, url: str) -> list[Json]:
        definition = self._by_url[url]
        base = definition["baseDefinition"]
        above = self._elements(base) if base.startswith(_BASE) else []
        return above + definition["differential"]["element"]

    def _violations(self, resource: Json, profile: str) -> Iterator[str]:
        elements = self._elements(profile)
        slices = {e["id"]: e for e in elements if ":" in e["id"] and e.get("sliceName")}
        for element in elements:
            identity = element["id"]
            if identity == "AuditEvent" or "extension" in identity or "detail" in identity:
                continue
            steps = identity.split(".")[1:]
            for where, values in _reached([("AuditEvent", resource)], steps, slices, elements):
                yield from _wrong(where, values, element, sliced=bool(element.get("sliceName")))


def _reached(
    parents: list[tuple[str, Json]], steps: list[str], slices: dict[str, Json], elements: list[Json]
) -> Iterator[tuple[str, list[Any]]]:
    """The values of an element in each parent that there is."""
    step, rest = steps[0], steps[1:]
    name, _, slice_name = step.partition(":")
    for where, parent in parents:
        held = parent.get(name, [])
        values = held if isinstance(held, list) else [held]
        if slice_name:
            values = [v for v in values if _in_slice(v, f"AuditEvent.{step}", slices, elements)]
        if rest:
            nested = [(f"{where}.{step}", v) for v in values if isinstance(v, dict)]
            yield from _reached(nested, rest, slices, elements)
        else:
            yield f"{where}.{step}", values


def _in_slice(value: Any, identity: str, slices: dict[str, Json], elements: list[Json]) -> bool:
    """By the discriminator: the type, or the value itself."""
    if identity.startswith("AuditEvent.subtype:"):
        pattern = _pattern(slices[identity])
        return _fits(value, pattern) if pattern else value["system"].endswith("interaction")
    kinds = [_pattern(e) for e in elements if e["id"] == f"{identity}.type"]
    return all(_fits(value.get("type"), kind) for kind in kinds if kind)


def _wrong(where: str, values: list[Any], element: Json, *, sliced: bool) -> Iterator[str]:
    if len(values) < element.get("min", 0):
        yield f"{where}: {len(values)} of at least {element['min']}"
    limit = element.get("max", "*")
    if limit != "*" and len(values) > int(limit):
        yield f"{where}: {len(values)} of at most {limit}"
    pattern = _pattern(element)
    if pattern is not None and not sliced:
        yield from (f"{where}: is not {pattern}" for value in values if not _fits(value, pattern))


def _pattern(element: Json) -> Any:
    return next((v for k, v in element.items() if k.startswith(("pattern", "fixed"))), None)


def _fits(value: Any, pattern: Any) -> bool:
    """Whether a value has everything that the pattern has."""
    match pattern:
        case dict():
            return isinstance(value, dict) and all(
                _fits(value.get(name), part) for name, part in pattern.items()
            )
        case list():
            return isinstance(value, list) and all(
                any(_fits(each, part) for each in value) for part in pattern
            )
        case _:
            return value == pattern
