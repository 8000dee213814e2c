"""A report of a QHIN as files: CSV, JSON and PDF. Pure: the same report gives the same bytes.

Each number names the filter that opens its rows: the text that ``log find`` and the search
box of the console take.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from node.governance.qhin_model import Part, Report, Row
from node.governance.spreadsheet import csv_of
from node.ledger import leaf
from node.ledger.filter_text import format_filter
from node.ledger.trust_change import TrustChange

MEDIA: Final = {
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}
ACT: Final = "qhin-report"
VERIFY: Final = "The rule behind this part is to be read again before anybody relies on it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file, and the act of making it as the log has it."""

    data: bytes
    change: TrustChange


def make(report: Report, how: str) -> Made:
    """The file of a report: ``csv``, ``json`` or ``pdf``."""
    if how == "csv":
        data = to_csv(report)
    elif how == "json":
        data = to_json(report)
    else:
        # as of a disclosure report: few processes ever make a PDF
        from node.governance.qhin_pdf import to_pdf  # noqa: PLC0415

        data = to_pdf(report)
    change = TrustChange(
        act=ACT,
        thing=hashlib.sha256(data).hexdigest(),
        counts={"entries": sum(len(part.rows) for part in report.parts)},
        private={"report": report.period.how.value, "period": report.period.text, "format": how},
    )
    return Made(data=data, change=change)


def title_of(report: Report) -> str:
    """What the report is called."""
    return f"{report.period.how.value.capitalize()} report of a QHIN: {report.period.words}"


def facts_of(report: Report) -> tuple[str, ...]:
    """Who says this, of which time, and until when it is due."""
    last = report.period.span.end.date().toordinal() - 1
    end = report.period.span.end.date().fromordinal(last)
    due = (
        f"{report.due:%-d %B %Y}"
        if report.due
        else "as the RCE asks (to be read again in QTF-1802)"
    )
    return (
        f"From: {report.own_name} ({report.own_id})",
        f"Period: {report.period.span.begin:%-d %B %Y} to {end:%-d %B %Y}, UTC",
        f"Due: {due}",
        f"Made: {report.made:%-d %B %Y, %H:%M} UTC, by {report.by}",
    )


def notes_of(part: Part) -> tuple[str, ...]:
    """What a part lacks, in sentences."""
    said = (part.missing, VERIFY if part.verify else None)
    return tuple(each for each in said if each)


def filter_of(row: Row) -> str:
    """The filter that opens the rows behind a number; empty where no filter says it."""
    return format_filter(row.rows) if row.rows else ""


def to_csv(report: Report) -> bytes:
    """Each part with its columns, an empty line between them."""
    return csv_of(_csv_rows(report))


def _csv_rows(report: Report) -> Iterator[list[object]]:
    yield [title_of(report)]
    for line in (*facts_of(report), *report.lacks):
        yield [line]
    for part in report.parts:
        yield []
        yield [part.title, part.source, *notes_of(part)]
        yield [*part.columns, "Rows"]
        for row in part.rows:
            yield [*row.cells, filter_of(row)]


def to_json(report: Report) -> bytes:
    """The report for machines."""
    value: Mapping[str, object] = {
        "report": report.period.how.value,
        "period": report.period.text,
        "begin": leaf.from_time(report.period.span.begin),
        "end": leaf.from_time(report.period.span.end),
        "due": report.due.isoformat() if report.due else None,
        "from": {"name": report.own_name, "home_community_id": report.own_id},
        "made": leaf.from_time(report.made),
        "by": report.by,
        "rules_listed": report.listed.isoformat(),
        "lacks": report.lacks,
        "parts": [
            {
                "code": part.code,
                "title": part.title,
                "source": part.source,
                "notes": notes_of(part),
                "rows": [
                    {
                        **dict(zip(part.columns, row.cells, strict=True)),
                        "filter": filter_of(row) or None,
                    }
                    for row in part.rows
                ],
            }
            for part in report.parts
        ],
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"
