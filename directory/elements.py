"""Reading untrusted FHIR JSON elements: typed, trimmed and limited, with a finding for the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from directory.finding import Finding, finding

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""A FHIR id."""

_TEXT = 1000
_ITEMS = 200


@dataclass(slots=True)
class Notes:
    """The findings of one row while it is being read."""

    resource_id: str | None
    where: str
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: str, **values: object) -> None:
        """Note a finding about this row."""
        self.findings.append(finding(code, self.resource_id, self.where, **values))


def text(parent: Mapping[str, object], name: str, notes: Notes, limit: int = _TEXT) -> str | None:
    """A trimmed string, ``None`` when absent or blank.

    Other types are noted; long ones are cut; what cannot be printed is replaced by U+FFFD, and not
    left out, so that nothing becomes another value by it.
    """
    value = parent.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        notes.add("bad-form", element=name)
        return None
    value = _plain(value, name, notes)
    if len(value) > limit:
        notes.add("value-cut", element=name, limit=f"{limit} characters")
        value = value[:limit]
    return value or None


def _plain(value: str, name: str, notes: Notes) -> str:
    if value.isprintable():
        return value.strip()
    # line ends, tabs and spaces of other widths are blanks; of NUL nothing ever stayed
    spaced = "".join(" " if each.isspace() else each for each in value.replace("\x00", "")).strip()
    if spaced.isprintable():
        return spaced
    notes.add("value-unprintable", element=name)
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in spaced)


def objects(
    parent: Mapping[str, object], name: str, notes: Notes
) -> Iterator[Mapping[str, object]]:
    """The objects of a repeating element, at most 200; a single object stands for a list of one."""
    value = parent.get(name)
    if value is None:
        return
    items = value if isinstance(value, list) else [value]
    if len(items) > _ITEMS:
        notes.add("value-cut", element=name, limit=f"{_ITEMS} items")
    for item in items[:_ITEMS]:
        if isinstance(item, dict):
            yield item
        elif item is not None:
            notes.add("bad-form", element=name)


def texts(parent: Mapping[str, object], name: str, notes: Notes) -> tuple[str, ...]:
    """The trimmed strings of a repeating element, at most 200; a ``null`` is passed over."""
    value = parent.get(name)
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    if len(items) > _ITEMS:
        notes.add("value-cut", element=name, limit=f"{_ITEMS} items")
    found = []
    for item in items[:_ITEMS]:
        if isinstance(item, str):
            if stripped := _plain(item, name, notes)[:_TEXT]:
                found.append(stripped)
        elif item is not None:
            notes.add("bad-form", element=name)
    return tuple(found)


def coding(value: Mapping[str, object], notes: Notes) -> tuple[str, str] | None:
    """(system, code) of a Coding; the system is ``""`` where there is none."""
    code = text(value, "code", notes)
    return None if code is None else (text(value, "system", notes) or "", code)


def concept(value: Mapping[str, object], notes: Notes) -> tuple[tuple[str, str], ...]:
    """The codings of a CodeableConcept."""
    found = (coding(item, notes) for item in objects(value, "coding", notes))
    return tuple(item for item in found if item is not None)


def reference(value: object, kind: str) -> str | None:
    """The id that a Reference names: ``Organization/x``, an absolute URL ending so, or ``#x``."""
    target = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(target, str):
        return None
    target = target.strip()
    if target.startswith("#"):
        return target
    parts = target.split("/_history/", 1)[0].split("/")
    if len(parts) > 1 and parts[-2] != kind:
        return None
    return parts[-1] if ID.fullmatch(parts[-1]) else None


def link(parent: Mapping[str, object], name: str, notes: Notes) -> str | None:
    """The id of the Organization that an element refers to; an unreadable reference is noted."""
    value = parent.get(name)
    if value is None:
        return None
    target = reference(value, "Organization")
    if target is None or target.startswith("#"):
        notes.add("bad-form", element=name)
        return None
    return target


def extension_codes(extension: Mapping[str, object], notes: Notes) -> tuple[tuple[str, str], ...]:
    """The codings of an extension's value, in whichever of the coded types it is."""
    for name in ("valueCodeableConcept", "valueCoding"):
        value = extension.get(name)
        if isinstance(value, dict):
            found = coding(value, notes)
            return (found,) if found else concept(value, notes)
    for name in ("valueCode", "valueString", "valueUri"):
        if (plain := text(extension, name, notes)) is not None:
            return (("", plain),)
    notes.add("bad-form", element="extension")
    return ()
