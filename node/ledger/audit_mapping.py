"""The mapping of ledger entries to ATNA, BALP and ASTM E2147-18, as a table and as a document.

The document is what QTF-1301 asks for beside an export: what stands where, and what has no place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources

from node.wire.audit_codes import audit_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Where one value stands; ``None`` where a format has no place for it."""

    name: str
    dicom: str | None = None
    fhir: str | None = None
    form: str | None = None
    e2147: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One content of E2147-18 section 7."""

    name: str
    section: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMapping:
    """The whole table."""

    leaf: tuple[Row, ...]
    private: tuple[Row, ...]
    contents: Mapping[str, Content]
    words: Mapping[str, str]


@lru_cache(maxsize=1)
def audit_mapping() -> AuditMapping:
    """The table of ``data/audit_mapping.toml``."""
    text = resources.files("node.ledger").joinpath("data/audit_mapping.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    return AuditMapping(
        leaf=tuple(Row(name=name, **row) for name, row in tables["leaf"].items()),
        private=tuple(Row(name=name, **row) for name, row in tables["private"].items()),
        contents={name: Content(**row) for name, row in tables["e2147"].items()},
        words=tables["document"],
    )


def as_json() -> dict[str, object]:
    """The table for programs."""
    found = audit_mapping()
    return {
        "leaf": [asdict(row) for row in found.leaf],
        "private": [asdict(row) for row in found.private],
        "e2147": {name: asdict(content) for name, content in found.contents.items()},
    }


def document() -> str:
    """The mapping document, Markdown."""
    found = audit_mapping()
    words = found.words
    parts: tuple[tuple[str, Iterable[str]], ...] = (
        (words["head"], _occasions()),
        (words["leaf"], _table(found.leaf, found)),
        (words["private"], _table(found.private, found)),
        (words["without_place"], _without_place(found)),
        (words["e2147"], _contents(found)),
    )
    return "\n".join(_section(said, rows) for said, rows in parts).lstrip()


def _section(said: str, rows: Iterable[str]) -> str:
    return "\n".join((said, *rows, ""))


def _occasions() -> Iterator[str]:
    codes = audit_codes()
    yield "| entry | DICOM EventID, action | BALP pattern |"
    yield "|---|---|---|"
    for name, row in codes.occasion.items():
        event = f"{row.event} {codes.display[row.event]}, {row.action}"
        yield f"| `{name}` | {event} | {row.pattern or 'none: AuditEvent of the DICOM type'} |"


def _table(rows: Sequence[Row], found: AuditMapping) -> Iterator[str]:
    yield "| value | DICOM audit message | FHIR AuditEvent | E2147-18 | remark |"
    yield "|---|---|---|---|---|"
    for row in rows:
        content = found.contents[row.e2147].name if row.e2147 else ""
        form = f"{row.form}; " if row.form and row.why else row.form or ""
        cells = (
            f"`{row.name}`", _place(row.dicom), _place(row.fhir), content, form + (row.why or ""),
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def _place(place: str | None) -> str:
    return f"`{place}`" if place else "none"


def _without_place(found: AuditMapping) -> Iterator[str]:
    for title, rows, where in (
        ("Leaf fields", found.leaf, "in the detail `leaf` alone"),
        ("Private values", found.private, "in `log export --private` as NDJSON, CSV or Parquet"),
    ):
        names = ", ".join(f"`{row.name}`" for row in rows if row.dicom is None)
        yield f"* {title} ({where}): {names}."


def _contents(found: AuditMapping) -> Iterator[str]:
    yield "| content | section | values |"
    yield "|---|---|---|"
    for key, content in found.contents.items():
        values = [row.name for row in (*found.leaf, *found.private) if row.e2147 == key]
        names = ", ".join(f"`{name}`" for name in values)
        yield f"| {content.name} | {content.section or ''} | {names} |"
