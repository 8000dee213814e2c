"""A small validator of FHIR R4 resources against the profiles of the guides, for tests.

Its tables are made when the tests run, from the snapshots of the StructureDefinitions in the shared
data: cardinality, types and choices of types, fixed values and patterns, slices by value, pattern,
type or presence, required bindings whose codes the package lists, and the forms of primitive
values.
Not checked: FHIRPath invariants, extensible and preferred bindings, what lies inside a data type
that a profile says nothing of, slices by profile, reference targets.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_FORMS = {
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "uri": r"\S+", "url": r"\S+", "canonical": r"\S+",
    "oid": r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+",
    "uuid": r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "code": r"[^\s]+( [^\s]+)*",
    "instant": r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})",
    "dateTime": r"\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?)?)?",
    "date": r"\d{4}(-\d{2}(-\d{2})?)?",
    "time": r"\d{2}:\d{2}:\d{2}(\.\d+)?",
    "base64Binary": r"(\s*([0-9a-zA-Z+/=]){4}\s*)+",
}  # fmt: skip
_NUMBERS = {"integer": int, "positiveInt": int, "unsignedInt": int}
_TEXTS = frozenset({"string", "markdown", "xhtml"})


def members(archive: Path) -> dict[str, Json]:
    """The JSON resources of a package by file name."""
    with tarfile.open(archive) as packed:
        return {
            Path(m.name).name: json.load(packed.extractfile(m))  # type: ignore[arg-type]
            for m in packed
            if m.isfile() and m.name.endswith(".json")
        }


@dataclass(slots=True)
class Node:
    """An element of a profile with what lies below it, and the slices of it."""

    element: Json
    children: dict[str, Node] = field(default_factory=dict)
    slices: dict[str, Node] = field(default_factory=dict)

    @property
    def types(self) -> list[str]:
        found = []
        for each in self.element.get("type", ()):
            said = [e.get("valueUrl") for e in each.get("extension", ())]
            found.append(said[0] if said and said[0] else each["code"].rsplit(".", 1)[-1])
        return found

    @property
    def value(self) -> Any:
        """What is fixed, or the pattern."""
        return next(
            (v for k, v in self.element.items() if k.startswith(("fixed", "pattern"))), None
        )

    @property
    def exact(self) -> bool:
        return any(k.startswith("fixed") for k in self.element)


class Definitions:
    """The profiles, value sets and code systems of some packages."""

    def __init__(self, *packages: Mapping[str, Json]) -> None:
        self._by_url: dict[str, Json] = {}
        for package in packages:
            for each in package.values():
                if "url" in each and each.get("resourceType") != "ImplementationGuide":
                    self._by_url.setdefault(each["url"], each)
        self._trees: dict[str, Node] = {}

    def knows(self, url: str) -> bool:
        return "snapshot" in self._by_url.get(url.partition("|")[0], {})

    def type_of(self, url: str) -> str:
        return str(self._by_url[url.partition("|")[0]]["type"])

    def demanded(self, url: str) -> list[str]:
        """The elements of the resource itself that a profile demands, choices of types aside."""
        children = self._tree(url.partition("|")[0]).children
        return [n for n, c in children.items() if c.element.get("min", 0) and "[" not in n]

    def claims(self, resource: Json) -> Iterator[tuple[str, Json, str]]:
        """Where a profile is claimed: the place, the resource there, and the profile's address."""
        yield from _claims(resource, str(resource.get("resourceType")))

    def problems(self, resource: Json, url: str) -> list[str]:
        """What of a profile a resource does not keep: a path and a rule, no values."""
        url = url.partition("|")[0]
        definition = self._by_url[url]
        if resource.get("resourceType") != definition["type"]:
            return [f"{definition['type']}: is a {resource.get('resourceType')}"]
        return list(dict.fromkeys(self._node(resource, self._tree(url), definition["type"])))

    def _tree(self, url: str) -> Node:
        if url not in self._trees:
            elements = self._by_url[url]["snapshot"]["element"]
            root = Node(elements[0])
            for element in elements[1:]:
                _place(root, element)
            self._trees[url] = root
        return self._trees[url]

    # --- one element ------------------------------------------------------------------------------

    def _node(self, held: Any, node: Node, path: str) -> Iterator[str]:
        for name, child in node.children.items():
            values = list(_values(held, name))
            where = f"{path}.{name}"
            yield from _counted(len(values), child.element, where)
            for kind, value in values:
                yield from self._value(kind, value, child, where)
            yield from self._sliced(values, child, where)

    def _value(self, kind: str | None, value: Any, node: Node, where: str) -> Iterator[str]:
        types = node.types
        if kind is not None and types and kind.lower() not in [t.lower() for t in types]:
            yield f"{where}: type {kind} is not allowed"
            return
        if node.value is not None and not node.element.get("sliceName"):
            good = value == node.value if node.exact else fits(value, node.value)
            if not good:
                yield f"{where}: not the fixed value"
        if len(types) == 1:
            yield from _form(types[0], value, where)
        yield from self._bound(value, node, where)
        if isinstance(value, dict):
            yield from self._node(value, node, where)

    def _sliced(
        self, values: list[tuple[str | None, Any]], node: Node, where: str
    ) -> Iterator[str]:
        rules = node.element.get("slicing")
        if not node.slices or rules is None:
            return
        discriminators = rules.get("discriminator", ())
        if any(d["type"] == "profile" for d in discriminators):
            return
        left = list(values)
        for name, each in node.slices.items():
            fitting = [v for v in values if all(self._in(v, each, d) for d in discriminators)]
            yield from _counted(len(fitting), each.element, f"{where}:{name}")
            for kind, value in fitting:
                if (kind, value) in left:
                    left.remove((kind, value))
                yield from self._value(kind, value, each, f"{where}:{name}")
        if rules["rules"] == "closed" and left:
            yield f"{where}: {len(left)} in no slice, and the slicing is closed"

    def _in(self, value: tuple[str | None, Any], node: Node, discriminator: Json) -> bool:
        kind, held = value
        at, found = node, [held]
        for step in discriminator["path"].removeprefix("$this").split("."):
            if not step:
                continue
            if step == "url" and at.element.get("type", [{}])[0].get("profile"):
                profile = at.element["type"][0]["profile"][0].partition("|")[0]
                return bool(held.get("url") == profile)
            below = at.children.get(step) or at.children.get(f"{step}[x]")
            if below is None:
                return False
            at, found = below, [v for each in found for _, v in _values(each, step)]
        if discriminator["type"] == "type":
            kinds = [kind] if at is node else [each.get("resourceType") for each in found]
            return any(k and k.lower() in [t.lower() for t in at.types] for k in kinds)
        if discriminator["type"] == "exists":
            return bool(found) == (at.element.get("min", 0) > 0)
        if at.value is not None:
            return any(fits(each, at.value) for each in found)
        codes = self._codes(at)
        return codes is not None and any(_coded(each) & codes for each in found)

    # --- bindings ---------------------------------------------------------------------------------

    def _bound(self, value: Any, node: Node, where: str) -> Iterator[str]:
        codes = self._codes(node)
        if codes is None:
            return
        held = _coded(value)
        if held and not any(each in codes for each in held):
            yield f"{where}: code is not of the required value set"

    def _codes(self, node: Node) -> frozenset[tuple[str | None, str]] | None:
        binding = node.element.get("binding", {})
        if binding.get("strength") != "required" or "valueSet" not in binding:
            return None
        return self._members(binding["valueSet"].partition("|")[0])

    def _members(self, url: str) -> frozenset[tuple[str | None, str]] | None:
        """The codes of a value set, ``None`` where the packages do not list them all."""
        found: set[tuple[str | None, str]] = set()
        compose = self._by_url.get(url, {}).get("compose", {})
        if not compose or compose.get("exclude"):
            return None
        for part in compose["include"]:
            codes = [c["code"] for c in part.get("concept", ())]
            if not codes and not part.get("filter") and "system" in part:
                system = self._by_url.get(part["system"], {})
                codes = list(_concepts(system.get("concept", ())))
            if not codes or part.get("valueSet"):
                return None
            found |= {(part.get("system"), code) for code in codes}
            found |= {(None, code) for code in codes}
        return frozenset(found)


def _claims(held: Any, where: str) -> Iterator[tuple[str, Json, str]]:
    if isinstance(held, list):
        for number, each in enumerate(held):
            yield from _claims(each, f"{where}[{number}]")
    elif isinstance(held, dict):
        if "resourceType" in held:
            for url in held.get("meta", {}).get("profile", ()):
                yield where, held, url.partition("|")[0]
        for name, each in held.items():
            yield from _claims(each, f"{where}.{name}")


def fits(value: Any, pattern: Any) -> bool:
    """Whether a value has everything that a pattern has."""
    match pattern:
        case dict():
            return isinstance(value, dict) and all(
                fits(value.get(name), part) for name, part in pattern.items()
            )
        case list():
            return isinstance(value, list) and all(
                any(fits(each, part) for each in value) for part in pattern
            )
        case _:
            return bool(value == pattern)


def _place(root: Node, element: Json) -> None:
    *above, last = element["id"].split(".")[1:]
    at = root
    for step in above:
        name, _, slice_name = step.partition(":")
        at = at.children[name]
        at = at.slices[slice_name] if slice_name else at
    name, _, slice_name = last.partition(":")
    if slice_name:
        at.children[name].slices[slice_name] = Node(element)
    else:
        at.children[name] = Node(element)


def _values(held: Any, name: str) -> Iterator[tuple[str | None, Any]]:
    """The values of an element, with the type of a choice."""
    if not isinstance(held, dict):
        return
    if name.endswith("[x]"):
        stem = name[:-3]
        for key, value in held.items():
            if re.fullmatch(rf"{stem}[A-Z]\w*", key):
                yield key[len(stem) :], value
        return
    value = held.get(name)
    if value is None and f"_{name}" in held:
        value = held[f"_{name}"]  # an extension instead of a value
    if isinstance(value, list):
        yield from ((None, each) for each in value)
    elif value is not None:
        yield None, value


def _counted(number: int, element: Json, where: str) -> Iterator[str]:
    if number < element.get("min", 0):
        yield f"{where}: {number} of at least {element['min']}"
    most = element.get("max", "*")
    if most != "*" and number > int(most):
        yield f"{where}: {number} of at most {most}"


def _form(kind: str, value: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        return  # a complex type, or an extension instead of a value
    if kind in _FORMS:
        good = isinstance(value, str) and re.fullmatch(_FORMS[kind], value, re.ASCII) is not None
    elif kind in _NUMBERS:
        good = type(value) is int and (kind == "integer" or value >= (kind == "positiveInt"))
    elif kind in _TEXTS:
        good = isinstance(value, str) and bool(value.strip())
    elif kind == "boolean":
        good = isinstance(value, bool)
    elif kind == "decimal":
        good = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        good = not kind[:1].isupper()  # a complex type must be an object
    if not good:
        yield f"{where}: not of the form of {kind}"


def _coded(value: Any) -> frozenset[tuple[str | None, str]]:
    match value:
        case str():
            return frozenset({(None, value)})
        case {"coding": list(codings)}:
            return frozenset().union(*(_coded(each) for each in codings))
        case {"code": str(code), **rest}:
            return frozenset({(rest.get("system"), code)})
    return frozenset()


def _concepts(concepts: Any) -> Iterator[str]:
    for each in concepts:
        yield each["code"]
        yield from _concepts(each.get("concept", ()))
