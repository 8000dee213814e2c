"""Values of FHIR R4 elements in words, as they were stated. Pure; nothing is interpreted.

A value is told by its shape, so that the words are there for elements that nobody listed here.
Numbers are the digits that stood in the JSON. Every text is characters, never mark-up.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from node.wire.reader.characters import seen
from node.wire.timestamps import parse_time

Json = Mapping[str, Any]
Named = Callable[[str], str | None]
"""From a reference to what the resource in the same bundle is called."""

_MOST_TEXT: Final = 4_000
_MOST_PARTS: Final = 20
_DEEPEST: Final = 6
_MINUTE: Final = 12
_DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d.*)?)?)?", re.ASCII)
_CHOICE: Final = "*"
_HEAD: Final = {"deceased": "deceased "}
_SAID: Final = {"deceased no": "", "deceased yes": "deceased"}
_COMPARED: Final = ("code", "concept", "itemCodeableConcept", "detail", "actor", "individual")


class Words:
    """Words of one bundle's values."""

    def __init__(self, named: Named, unseen: Callable[[int], None]) -> None:
        """``named`` resolves references; ``unseen`` is told of characters that nobody sees."""
        self._named = named
        self._unseen = unseen

    def first(self, resource: Json, names: tuple[str, ...]) -> str:
        """The first element with something in it."""
        return next((words for name in names if (words := self.of(resource, name))), "")

    def all(self, resource: Json, names: tuple[str, ...]) -> str:
        """Everything that the elements say."""
        return "; ".join(words for name in names if (words := self.of(resource, name)))

    def of(self, resource: Json, name: str) -> str:
        """One element in words; empty where it is not there."""
        if name.endswith(_CHOICE):
            stem = name.removesuffix(_CHOICE)
            found = next((k for k in resource if _is_choice(k, stem)), None)
            words = self.words(resource[found], 0) if found is not None else ""
            return _SAID.get(f"{stem} {words}", f"{_HEAD.get(stem, '')}{words}") if words else ""
        value = resource.get(name)
        if value is True:
            return {"doNotPerform": "NOT to be done"}.get(name, "yes")
        return self.words(value, 0)

    def words(self, value: object, depth: int) -> str:
        """A value of any type in words."""
        if depth > _DEEPEST or value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, list):
            parts = [self.words(each, depth + 1) for each in value[:_MOST_PARTS]]
            more = [f"and {len(value) - _MOST_PARTS} more"] if len(value) > _MOST_PARTS else []
            return ", ".join(dict.fromkeys([*(p for p in parts if p), *more]))
        if isinstance(value, Mapping):
            return self._object(value, depth + 1)
        text = str(value)
        return when_words(text) if _DATE.fullmatch(text) else self.seen(text)

    def seen(self, text: str) -> str:
        """A text without what nobody sees."""
        kept, unseen = seen("".join(c for c in text if c == "\n" or c.isprintable())[:_MOST_TEXT])
        self._unseen(unseen)
        return kept.strip()

    def _object(self, value: Json, depth: int) -> str:
        """An object by its shape: the first that fits."""
        if "reference" in value or set(value) <= {"display", "type", "identifier"}:
            return self._reference(value)
        told = next((tell for names, tell in _SHAPES if names & value.keys()), None)
        if told is not None:
            return told(self, value, depth)
        if "value" in value and not isinstance(value["value"], Mapping):
            unit = value.get("unit", value.get("code"))
            unit = None if unit == "1" else unit  # UCUM's word for "of no unit"
            parts = (value.get("comparator"), value["value"], unit)
            return self.seen(" ".join(str(p) for p in parts if p not in (None, "")))
        if value.get("display") or value.get("text"):
            return self.seen(str(value.get("text") or value.get("display")))
        return self._parts(value, depth)

    def _stretch(self, value: Json, depth: int) -> str:
        """A Period or a Range."""
        low, high = value.get("start", value.get("low")), value.get("end", value.get("high"))
        return _span(self.words(low, depth), self.words(high, depth))

    def _ratio(self, value: Json, depth: int) -> str:
        parts = (self.words(value.get(name), depth) for name in ("numerator", "denominator"))
        return " per ".join(part for part in parts if part)

    def _parts(self, value: Json, depth: int) -> str:
        """A backbone element: what it is about, then what is said of it."""
        about = next((n for n in _COMPARED if n in value), None)
        head = self.words(value[about], depth) if about else ""
        rest = (
            self.words(part, depth)
            for name, part in value.items()
            if name not in (about, "id", "extension", "modifierExtension", "sequence", "system")
        )
        said = ", ".join(dict.fromkeys(part for part in rest if part))
        return f"{head}: {said}" if head and said else head or said

    def _reference(self, value: Json) -> str:
        named = self._named(str(value.get("reference") or ""))
        display = value.get("display")
        return self.seen(str(display)) if isinstance(display, str) else named or ""

    def _concept(self, value: Json, _depth: int) -> str:
        text, codings = value.get("text"), value.get("coding")
        if isinstance(text, str) and text.strip():
            return self.seen(text)
        found = [c for c in codings if isinstance(c, Mapping)] if isinstance(codings, list) else []
        shown = next((c["display"] for c in found if isinstance(c.get("display"), str)), None)
        return self.seen(str(shown or next((c["code"] for c in found if c.get("code")), "")))

    def _name(self, value: Json, depth: int) -> str:
        if isinstance(value.get("text"), str):
            return self.seen(value["text"])
        parts: list[str] = []
        for name in ("prefix", "given", "family", "suffix"):
            each = value.get(name)
            some = each if isinstance(each, list) else [each]
            parts += [self.words(part, depth) for part in some[:_MOST_PARTS]]
        return " ".join(part for part in parts if part)

    def _attachment(self, value: Json, _depth: int) -> str:
        """A file: its text where it is one, else what it is called and how large it is."""
        inner = value.get("attachment")
        held: Json = inner if isinstance(inner, Mapping) else value
        kind = str(held.get("contentType") or "").partition(";")[0].strip().lower()
        data = _decoded(held.get("data"))
        if data is not None and kind == "text/plain":
            return self.seen(data.decode("utf-8", errors="replace"))
        title = held.get("title")
        size = f"{len(data)} bytes, in the original" if data else "not in this document"
        return self.seen(", ".join(p for p in (str(title or ""), kind, size) if p))


_SHAPES: Final = (
    (frozenset({"coding"}), Words._concept),  # noqa: SLF001 - of this class
    (frozenset({"contentType", "attachment"}), Words._attachment),  # noqa: SLF001
    (frozenset({"start", "end", "low", "high"}), Words._stretch),  # noqa: SLF001
    (frozenset({"numerator"}), Words._ratio),  # noqa: SLF001
    (frozenset({"family", "given"}), Words._name),  # noqa: SLF001
)


def _is_choice(name: str, stem: str) -> bool:
    return name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper()


def when_words(text: str) -> str:
    """A FHIR date or time as ``2026-11-14`` or ``2026-11-14 09:12 UTC``, as exactly as stated."""
    digits = parse_time(text)
    if digits is None:
        return ""
    day = "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part)
    if len(digits) < _MINUTE:
        return day
    return f"{day} {digits[8:10]}:{digits[10:12]} UTC"


def _span(start: str, end: str) -> str:
    if start and end:
        return start if start == end else f"{start} to {end}"
    return f"from {start}" if start else f"up to {end}" if end else ""


def _decoded(data: object) -> bytes | None:
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
