"""What a resource is found by: the values of its search parameters. Pure.

Every value may be absent or of another shape than FHIR says; then it is not indexed. Sources: FHIR
R4 3.1.1.5 (search parameter types); the paths are those of ``data/search.toml``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from node.wire.fhir.catalogue import Kind, Parameter
from node.wire.fhir.dates import EARLIEST, LATEST, Span, parse_span
from node.wire.fhir.references import normal_reference

MAX_VALUES: Final = 256
"""Values of one parameter of one resource that are indexed."""
MAX_TEXT: Final = 256
"""Characters of a value that are indexed and compared."""

_STEP = re.compile(r"extension\(([^)]*)\)|[^.]+")
# what a string search on a HumanName or an Address looks at (FHIR R4: patient name, address)
_PARTS = (
    *("text", "family", "given", "prefix", "suffix"),
    *("line", "city", "district", "state", "postalCode", "country"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A code or identifier; ``system`` is empty where it has none."""

    system: str
    code: str


Value = Token | Span | str


def values_of(resource: dict[str, Any], parameter: Parameter) -> list[Value]:
    """The values of a parameter in a resource, each once; references are ``Type/id`` or URLs."""
    found: dict[Value, None] = {}
    for path in parameter.paths:
        for element in _at(resource, _steps(path)):
            for value in _VALUES[parameter.kind](element):
                found[value] = None
                if len(found) >= MAX_VALUES:
                    return list(found)
    return list(found)


def folded(text: str) -> str:
    """A string as strings are compared: without case and accents, white space collapsed."""
    # apart first: there are letters, such as mathematical ones, that have a case only then
    plain = unicodedata.normalize("NFKD", text[: 2 * MAX_TEXT]).casefold()
    plain = unicodedata.normalize("NFKD", plain).casefold()
    kept = clean("".join(c for c in plain if not unicodedata.combining(c)))
    return " ".join(kept.split())[:MAX_TEXT].rstrip()


def clean(text: str) -> str:
    """A text that any database takes: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[tuple[str, str], ...]:
    """The steps of a path: the element, and the URL where an extension is picked."""
    return tuple(
        ("extension", found[1]) if found[1] is not None else (found[0], "")
        for found in _STEP.finditer(path)
    )


def _at(element: object, steps: tuple[tuple[str, str], ...]) -> Iterator[object]:
    if isinstance(element, list):
        for item in element:
            yield from _at(item, steps)
    elif not steps:
        if element is not None:
            yield element
    elif isinstance(element, dict):
        (name, url), rest = steps[0], steps[1:]
        for item in _listed(element.get(name)):
            if not url or (isinstance(item, dict) and item.get("url") == url):
                yield from _at(item, rest)


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else (value,)


def _tokens(element: object) -> Iterator[Token]:
    if isinstance(element, bool):
        yield Token(system="", code="true" if element else "false")
    elif isinstance(element, str):
        yield from _token("", element)
    elif isinstance(element, dict):
        codings = element.get("coding")
        if isinstance(codings, list):  # a CodeableConcept
            for coding in codings:
                if isinstance(coding, dict):
                    yield from _token(coding.get("system"), coding.get("code"))
        elif "code" in element:  # a Coding
            yield from _token(element.get("system"), element["code"])
        else:  # an Identifier
            yield from _token(element.get("system"), element.get("value"))


def _token(system: object, code: object) -> Iterator[Token]:
    if isinstance(code, str) and code:
        place = system if isinstance(system, str) else ""
        yield Token(system=clean(place)[:MAX_TEXT], code=clean(code)[:MAX_TEXT])


def _spans(element: object) -> Iterator[Span]:
    if isinstance(element, str):
        span = parse_span(element)
        if span is not None:
            yield span
    elif isinstance(element, dict):
        if "event" in element or "repeat" in element:  # a Timing
            yield from _timing(element)
        else:
            yield from _period(element)


def _period(element: dict[str, Any]) -> Iterator[Span]:
    start, end = (_bound(element.get(name)) for name in ("start", "end"))
    if start is not None or end is not None:
        low = start.low if start is not None else EARLIEST
        high = end.high if end is not None else LATEST
        if low < high:
            yield Span(low=low, high=high)


def _bound(value: object) -> Span | None:
    return parse_span(value) if isinstance(value, str) else None


def _timing(element: dict[str, Any]) -> Iterator[Span]:
    events = [s for e in _listed(element.get("event")) if (s := _bound(e)) is not None]
    if events:
        yield Span(low=min(s.low for s in events), high=max(s.high for s in events))
    repeat = element.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    if not events and isinstance(bounds, dict):
        yield from _period(bounds)


def _strings(element: object) -> Iterator[str]:
    if isinstance(element, str):
        text = clean(element)[:MAX_TEXT]
        if text.strip():
            yield text
    elif isinstance(element, dict):
        for part in _PARTS:
            for item in _listed(element.get(part)):
                if isinstance(item, str):
                    yield from _strings(item)


def _references(element: object) -> Iterator[str]:
    reference = element.get("reference") if isinstance(element, dict) else element
    if isinstance(reference, str):
        found = normal_reference(reference)
        if found:
            yield found


_VALUES: Final[dict[Kind, Callable[[object], Iterator[Value]]]] = {
    Kind.TOKEN: _tokens,
    Kind.DATE: _spans,
    Kind.STRING: _strings,
    Kind.REFERENCE: _references,
}
