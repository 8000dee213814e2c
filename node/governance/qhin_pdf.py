"""The PDF of a report of a QHIN; the filters behind its numbers are an appendix."""

from __future__ import annotations

from node.governance.paper import Paper
from node.governance.qhin_files import facts_of, filter_of, notes_of, title_of
from node.governance.qhin_model import Report

MOST_ROWS = 500
"""Rows of a part that are printed; the other files have all."""


def to_pdf(report: Report) -> bytes:
    """The report, each part with its rule, and an appendix with what opens the rows."""
    paper = Paper(title_of(report), made=report.made)
    for line in (*facts_of(report), *report.lacks):
        paper.text(line)
    appendix: list[tuple[str, str]] = []
    for number, part in enumerate(report.parts, 1):
        paper.heading(f"{number} {part.title}")
        paper.text(f"Rule: {part.source}", size=8)
        for line in notes_of(part):
            paper.text(line, size=8)
        if not part.rows:
            paper.text("None.")
            continue
        rows = []
        for place, row in enumerate(part.rows[:MOST_ROWS], 1):
            name = f"{number}.{place}"
            rows.append([name, *(_shown(cell) for cell in row.cells)])
            if text := filter_of(row):
                appendix.append((name, text))
        paper.table([8, *(_width(column) for column in part.columns)], ["", *part.columns], rows)
        if len(part.rows) > MOST_ROWS:
            paper.text(f"{len(part.rows) - MOST_ROWS} further rows are in the CSV and the JSON.")
    if appendix:
        paper.heading("Appendix: what opens the rows behind each number")
        paper.text("Type it into the search box of the console, or after `log find`.", size=8)
        paper.table([8, 100], ["", "Filter"], appendix)
    return paper.data()


def _width(column: str) -> int:
    """Share of the width: names need more than numbers."""
    return 40 if "QHIN" in column or column in ("HCID", "Use case", "Type", "Gateway actor") else 18


def _shown(cell: str | int) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell
