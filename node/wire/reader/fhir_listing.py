"""Resources as a plain table of ours: what, value, when, who and state; nothing is interpreted.

Which elements those are for a type of resource is data (``fhir_listing.toml``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from node.wire.reader.document import Content, Section, SectionState
from node.wire.reader.fhir_words import Json, Words
from node.wire.reader.limits import Tally, TooLarge
from node.wire.reader.plain_table import plain_table
from node.wire.reader.section_groups import OTHER

COLUMNS: Final = ("What", "Value", "When", "By", "State")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which elements of a type stand in which column, and the heading above its resources."""

    word: str
    group: str
    what: tuple[str, ...]
    value: tuple[str, ...]
    when: tuple[str, ...]
    until: tuple[str, ...]
    who: tuple[str, ...]
    state: tuple[str, ...]


def sections_of(all_: Iterable[Json], words: Words, tally: Tally) -> list[Section]:
    """A section for each type of resource, in the order of the data file, newest first."""
    by_type: dict[str, list[Json]] = {}
    for each in all_:
        by_type.setdefault(str(each["resourceType"]), []).append(each)
    known = [name for name in _types() if name in by_type]
    found = []
    for name in (*known, *sorted(by_type.keys() - set(known))):
        rule = listing_of(name)
        tally.new_section()
        try:
            rows = sorted(
                (_cells(each, rule, words, tally) for each in by_type[name]),
                key=lambda cells: cells[2],
                reverse=True,
            )
        except TooLarge:
            tally.large += 1
            state, content = SectionState.TOO_LARGE, tuple[Content, ...]()
        else:
            state, content = SectionState.ENTRIES, table(rows)
        found.append(
            Section(
                title=rule.word,
                code=None,
                group=rule.group,
                level=1,
                count=len(by_type[name]),
                state=state,
                content=content,
            )
        )
    return found


def rows_of(
    all_: Iterable[Json], words: Words, tally: Tally
) -> list[tuple[str, str, str, str, str]]:
    """The rows of resources of any type, in their order. Raises ``TooLarge``."""
    return [_cells(each, listing_of(str(each["resourceType"])), words, tally) for each in all_]


def table(rows: Sequence[tuple[str, ...]]) -> tuple[Content, ...]:
    """Rows as a table of the reader."""
    return plain_table(COLUMNS, rows)


def listing_of(type_: str) -> Listing:
    """The row of a type; the general one for a type that has none."""
    found = _types().get(type_)
    return found or Listing(**_columns(_table()["other"]), word=_spaced(type_), group=OTHER)


def _cells(
    resource: Json, rule: Listing, words: Words, tally: Tally
) -> tuple[str, str, str, str, str]:
    tally.spend(len(COLUMNS))
    when, until = words.first(resource, rule.when), words.first(resource, rule.until)
    return (
        words.first(resource, rule.what),
        words.all(resource, rule.value),
        f"{when} to {until}".strip() if until else when,
        words.first(resource, rule.who),
        ", ".join(filter(None, (words.of(resource, name) for name in rule.state))),
    )


def _spaced(type_: str) -> str:
    """``ClinicalImpression`` as ``Clinical impression``; what is no name of a type is Other."""
    if not (type_.isascii() and type_.isalnum()):
        return "Other"
    spaced = "".join(f" {c.lower()}" if c.isupper() else c for c in type_).strip()
    return spaced[:1].upper() + spaced[1:60]


@cache
def _types() -> Mapping[str, Listing]:
    return {
        name: Listing(**_columns(row), word=row["word"], group=row["group"])
        for name, row in _table()["type"].items()
    }


def _columns(row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    names = ("what", "value", "when", "until", "who", "state")
    return {name: tuple(row.get(name, ())) for name in names}


@cache
def _table() -> dict[str, Any]:
    path = resources.files("node.wire").joinpath("data", "fhir_listing.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
