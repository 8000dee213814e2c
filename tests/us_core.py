"""US Core's own definitions, and an answer to searches that shares no code with the node's."""

from __future__ import annotations

import json
import re
import tarfile
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

_EXPECTATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation"
_COMBINATION = "search-parameter-combination"
_FOREVER = datetime.max.replace(tzinfo=UTC)
_PARTS = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state")
_PARTS += ("postalCode", "country")
_NEVER = datetime.min.replace(tzinfo=UTC)


@cache
def definitions(shared: Path) -> dict[str, dict[str, Any]]:
    """Every definition by the name of its file."""
    archive = shared / "fhir/ig/hl7.fhir.us.core-6.1.0-definitions.tar.gz"
    with tarfile.open(archive) as tar:
        found = {}
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None and member.name.endswith(".json"):
                found[Path(member.name).stem] = json.load(stream)
        return found


def server_types(shared: Path) -> dict[str, dict[str, Any]]:
    statement = definitions(shared)["CapabilityStatement-us-core-server"]
    return {r["type"]: r for r in statement["rest"][0]["resource"]}


def expectation(element: dict[str, Any]) -> str | None:
    found = [e["valueCode"] for e in element.get("extension", ()) if e["url"] == _EXPECTATION]
    return found[0] if found else None


def combinations(resource: dict[str, Any]) -> set[tuple[str, frozenset[str]]]:
    found = set()
    for extension in resource.get("extension", ()):
        if extension["url"].endswith(_COMBINATION):
            names = [e["valueString"] for e in extension["extension"] if "valueString" in e]
            found.add((expectation(extension), frozenset(names)))
    return found


def parameters(shared: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """SearchParameter resources by type and code."""
    return {
        (base, d["code"]): d
        for name, d in definitions(shared).items()
        if name.startswith("SearchParameter")
        for base in d["base"]
    }


# --- evaluating a SearchParameter's expression ------------------------------------------------


def evaluate(expression: str, resource: dict[str, Any]) -> list[Any]:
    """What an expression picks; of FHIRPath it knows what US Core's expressions use."""
    found: list[Any] = []
    for part in re.split(r"\s*\|\s*", expression):
        path = part.replace(".where(resolve() is Patient)", "").strip()
        wanted = None
        if found_as := re.fullmatch(r"\((.*) as (\w+)\)|(.*)\.as\((\w+)\)", path):
            path, wanted = found_as[1] or found_as[3], found_as[2] or found_as[4]
        steps = re.findall(r"\w+(?:\((?:[^()]|\([^()]*\))*\))?", path)
        if steps[0] == resource["resourceType"]:
            found += _walk([resource], steps[1:], wanted)
    return found


def _walk(elements: list[Any], steps: list[str], wanted: str | None) -> list[Any]:
    for number, step in enumerate(steps):
        if step.startswith("where("):
            url = re.search(r"url = '(.*)'", step)
            assert url, step
            elements = [e for e in elements if e.get("url") == url[1]]
        else:
            last = wanted if number == len(steps) - 1 else None
            elements = [v for e in elements for v in _child(e, step, last)]
    return elements


def _child(element: Any, name: str, wanted: str | None) -> Iterator[Any]:
    if not isinstance(element, dict):
        return
    for key, value in element.items():
        # value[x]: the element's name and the type's
        is_choice = key.startswith(name) and key[len(name) :][:1].isupper()
        fits = key == name or is_choice
        if fits and (wanted is None or key.lower() == (name + wanted).lower()):
            yield from value if isinstance(value, list) else [value]


# --- comparing --------------------------------------------------------------------------------


def matches(kind: str, elements: list[Any], value: str) -> bool:
    """Whether one of the elements matches a value; values are OR."""
    compare = {"token": _token, "date": _date, "string": _string, "reference": _reference}[kind]
    return any(compare(e, v) for e in elements for v in value.split(","))


def tokens(element: Any) -> list[tuple[str, str]]:
    if isinstance(element, str):
        return [("", element)]
    if "coding" in element:
        return [(c.get("system", ""), c["code"]) for c in element["coding"] if "code" in c]
    if "code" in element or "value" in element:
        return [(element.get("system", ""), element.get("code") or element["value"])]
    return []


def _token(element: Any, value: str) -> bool:
    system, bar, code = value.rpartition("|")
    return any((not bar or s == system) and (not code or c == code) for s, c in tokens(element))


def _fold(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in apart if not unicodedata.combining(c)).split())


def texts(element: Any) -> list[str]:
    if isinstance(element, str):
        return [element]
    names = [
        "text",
        "family",
        "given",
        "prefix",
        "suffix",
        "line",
        "city",
        "district",
        "state",
        "postalCode",
        "country",
    ]
    values = [element.get(name) for name in names]
    return [t for v in values if v for t in (v if isinstance(v, list) else [v])]


def _string(element: Any, value: str) -> bool:
    return any(_fold(text).startswith(_fold(value)) for text in texts(element))


def _reference(element: Any, value: str) -> bool:
    reference = element if isinstance(element, str) else element.get("reference", "")
    return reference == value or reference.endswith(f"/{value}")


def stretch(text: str) -> tuple[datetime, datetime]:
    """What a partial date covers."""
    if "T" in text:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        step = timedelta(milliseconds=1) if "." in text else timedelta(seconds=1)
        return moment, moment + step
    parts = [int(p) for p in text.split("-")]
    start = datetime(*([*parts, 1, 1])[:3], tzinfo=UTC)
    if len(parts) == 3:
        return start, start + timedelta(days=1)
    following = (start.year + start.month // 12, start.month % 12 + 1)
    year, month = following if len(parts) == 2 else (start.year + 1, 1)
    return start, datetime(year, month, 1, tzinfo=UTC)


def _held(element: Any) -> tuple[datetime, datetime] | None:
    if isinstance(element, str):
        return stretch(element)
    if "start" in element or "end" in element:
        start = stretch(element["start"])[0] if "start" in element else _NEVER
        return start, stretch(element["end"])[1] if "end" in element else _FOREVER
    return None


def _date(element: Any, value: str) -> bool:
    prefix, text = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
    held, (low, high) = _held(element), stretch(text)
    if held is None:
        return False
    start, end = held
    inside = low <= start and end <= high
    return {
        "eq": inside,
        "ne": not inside,
        "gt": end > high,
        "lt": start < low,
        "ge": inside or end > high,
        "le": inside or start < low,
        "sa": start >= high,
        "eb": end <= low,
    }[prefix]
