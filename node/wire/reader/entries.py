"""Coded entries of a section whose author wrote no text → a plain table of ours.

Names, values, times and states as stated, one row for each statement; nothing is interpreted. The
page says that the rendering is the node's, since the author attested none (CDA R2 4.3.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lxml import etree

from node.wire.cda_elements import attribute, one, plain, several
from node.wire.names import XSI
from node.wire.reader.characters import seen
from node.wire.reader.document import Content
from node.wire.reader.limits import Tally
from node.wire.reader.plain_table import plain_table
from node.wire.timestamps import parse_time
from node.wire.xml import children, local_name

COLUMNS: Final = ("What", "Value", "When", "State")
_STATEMENTS: Final = frozenset(
    [
        "act",
        "observation",
        "organizer",
        "procedure",
        "encounter",
        "substanceAdministration",
        "supply",
        "observationMedia",
    ]
)
_INNER: Final = frozenset({"entryRelationship", "component"})
_DEEPEST: Final = 12
_MAX_TEXT: Final = 2_000
_DAY, _MINUTE = 8, 12


class Entries:
    """Renders the entries of one document."""

    def __init__(self, tally: Tally, with_id: Callable[[str], etree._Element | None]) -> None:
        """``with_id``: the element of the document's narratives that has an id."""
        self._tally = tally
        self._with_id = with_id

    def table(self, section: etree._Element) -> tuple[tuple[Content, ...], int]:
        """A table of the section's statements, and how many those are; empty without any.

        Raises:
            TooLarge: past a limit of the section or of the document.
        """
        rows: list[tuple[str, ...]] = []
        for entry in section.iterchildren("{*}entry"):
            for statement in children(entry):
                rows.extend(self._rows(statement, 0))
        if not rows:
            return (), 0
        return plain_table(COLUMNS, rows), len(rows)

    def _rows(self, statement: etree._Element, depth: int) -> Iterator[tuple[str, ...]]:
        if depth > _DEEPEST or local_name(statement) not in _STATEMENTS:
            return
        inner = [
            child
            for relation in children(statement)
            if local_name(relation) in _INNER
            for child in children(relation)
        ]
        what = self._what(statement)
        value = ", ".join(v for e in several(statement, "value") for v in [self._value(e)] if v)
        dose = self._value(one(statement, "doseQuantity"))
        route = self._code(one(statement, "routeCode"))
        said = ", ".join(part for part in (value, dose, route) if part)
        # an act or organizer around statements mostly wraps them; without words it says nothing
        if said or (what and not (inner and _is_wrapper(statement))):
            cells = (what or "", said, self._when(statement), self._state(statement))
            self._tally.spend(len(cells))
            yield cells
        for child in inner:
            yield from self._rows(child, depth + 1)

    def _what(self, statement: etree._Element) -> str | None:
        for path in (
            "consumable/manufacturedProduct/manufacturedMaterial",
            "product/manufacturedProduct/manufacturedMaterial",
        ):
            material = one(statement, path)
            found = self._code(one(material, "code")) or plain(one(material, "name"))
            if found:
                return self._seen(found)
        return self._code(one(statement, "code")) or self._text(one(statement, "text"))

    def _code(self, element: etree._Element | None) -> str | None:
        if element is None:
            return None
        name = attribute(element, "displayName") or self._text(one(element, "originalText"))
        if name is None:
            names = (attribute(t, "displayName") for t in several(element, "translation"))
            name = next((n for n in names if n), None) or attribute(element, "code")
        return self._seen(name)

    def _text(self, element: etree._Element | None) -> str | None:
        """A text, or what its reference points at inside this document."""
        if element is None:
            return None
        own = plain(element, _MAX_TEXT)
        if own:
            return self._seen(own)
        target = attribute(one(element, "reference"), "value")
        if not target or not target.startswith("#"):
            return None
        found = self._with_id(target[1:])
        if found is None:
            self._tally.unresolved += 1
            return None
        return self._seen(plain(found, _MAX_TEXT))

    def _value(self, element: etree._Element | None) -> str | None:
        if element is None:
            return None
        value, unit = attribute(element, "value"), attribute(element, "unit")
        if value is not None:
            kind = (element.get(f"{{{XSI}}}type") or "").rpartition(":")[2]
            if kind == "TS":
                return _day(value)
            return self._seen(f"{value} {unit}" if unit and unit != "1" else value)
        low, high = self._value(one(element, "low")), self._value(one(element, "high"))
        if low or high:
            return f"{low or ''} to {high or ''}".strip()
        return self._code(element) or self._text(element)

    def _when(self, statement: etree._Element) -> str:
        for element in several(statement, "effectiveTime"):
            value = attribute(element, "value")
            if value:
                return _day(value) or ""
            low = _day(attribute(one(element, "low"), "value"))
            high = _day(attribute(one(element, "high"), "value"))
            if low or high:
                return f"{low or ''} to {high or ''}".strip()
        return ""

    def _state(self, statement: etree._Element) -> str:
        state = attribute(one(statement, "statusCode"), "code") or ""
        negated = statement.get("negationInd") in ("true", "1")
        return ", ".join(part for part in ("stated as NOT so" if negated else "", state) if part)

    def _seen(self, text: str | None) -> str | None:
        if not text:
            return None
        kept, unseen = seen(text)
        self._tally.invisible += unseen
        return kept or None


def _is_wrapper(statement: etree._Element) -> bool:
    return local_name(statement) in ("act", "organizer") and statement.get("negationInd") != "true"


def _day(value: str | None) -> str | None:
    """A time as ``2026-11-14`` or ``2026-11-14 09:12 UTC``, with no more than was stated."""
    digits = parse_time(value) if value else None
    if digits is None:
        return None
    day = "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part)
    if len(digits) < _MINUTE:
        return day
    return f"{day} {digits[8:10]}:{digits[10:12]} UTC"
