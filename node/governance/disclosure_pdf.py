"""The PDF of a report of disclosures. Pure: the same report gives the same bytes."""

from __future__ import annotations

from typing import Final

from node.governance.disclosure_files import facts_of, listed, sections_of, title_of
from node.governance.disclosure_reading import Report
from node.governance.disclosures import Disclosure
from node.governance.paper import Paper

_WIDTHS: Final = (22, 46, 72, 38)


def to_pdf(report: Report) -> bytes:
    """The letter: whom about, the period, what is listed and left out and why, the list."""
    paper = Paper(title_of(report), made=report.made)
    for line in facts_of(report):
        paper.text(line)
    for heading, lines in sections_of(report):
        paper.heading(heading)
        for line in lines:
            paper.text(line)
    rows = listed(report)
    paper.heading("Disclosures")
    if rows:
        head = ("Date (UTC)", "To", "What", "Purpose")
        paper.table(_WIDTHS, head, (_printed(each) for each in rows))
    else:
        paper.text("None in this period.")
    return paper.data()


def _printed(each: Disclosure) -> tuple[str, ...]:
    to = [each.to.name, each.to.address, each.to.home_community_id]
    what = [each.what, *each.items]
    if each.more:
        what.append(f"and {each.more} more")
    if each.erased:
        what.append(f"(erased by order: {', '.join(sorted(each.erased))})")
    why = f"Not owed: {each.exclusion.title}" if each.exclusion else None
    purpose = [each.purpose_words, each.purpose, why]
    return (
        f"{each.time:%Y-%m-%d %H:%M}",
        *("\n".join(word for word in words if word) for words in (to, what, purpose)),
    )
