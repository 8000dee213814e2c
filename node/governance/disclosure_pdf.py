"""The PDF of a report of disclosures. Pure: the same report gives the same bytes.

It has the fonts that every reader has, which know Latin letters alone; names in others are exact in
the CSV and on the page.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC
from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from node.governance.disclosure_files import facts_of, listed, sections_of, title_of
from node.governance.disclosure_reading import Report
from node.governance.disclosures import Disclosure

_WIDTHS: Final = (22, 46, 72, 38)


class _Paper(FPDF):
    """Pages with their number at the foot."""

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font("Helvetica", size=8)
        self.cell(0, 5, f"Page {self.page_no()} of {{nb}}", align="R")


def to_pdf(report: Report) -> bytes:
    """The letter: whom about, the period, what is listed and left out and why, the list."""
    paper = _Paper(format="letter")
    paper.set_creation_date(report.made.astimezone(UTC))
    paper.set_title(f"{title_of(report)}")
    paper.set_lang("en")
    paper.set_auto_page_break(auto=True, margin=18)
    paper.add_page()
    _text(paper, title_of(report), size=16, bold=True)
    for line in facts_of(report):
        _text(paper, line)
    for heading, lines in sections_of(report):
        _text(paper, heading, size=12, bold=True, above=3)
        for line in lines:
            _text(paper, line)
    rows = listed(report)
    _text(paper, "Disclosures", size=12, bold=True, above=3)
    if not rows:
        _text(paper, "None in this period.")
        return bytes(paper.output())
    paper.set_font("Helvetica", size=8)
    with paper.table(col_widths=_WIDTHS, text_align="LEFT", line_height=4) as table:
        table.row([_latin(word) for word in ("Date (UTC)", "To", "What", "Purpose")])
        for each in rows:
            table.row([_latin(cell) for cell in _printed(each)])
    return bytes(paper.output())


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


def _text(paper: FPDF, line: str, *, size: int = 10, bold: bool = False, above: float = 0) -> None:
    if above:
        paper.ln(above)
    paper.set_font("Helvetica", style="B" if bold else "", size=size)
    paper.multi_cell(0, size * 0.5, _latin(line), new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")


def _latin(text: str) -> str:
    """What the fonts have: letters without their marks where need be, else a question mark."""
    if text.isascii():
        return text
    made = []
    for sign in text:
        if not _has(sign):
            bare = "".join(s for s in unicodedata.normalize("NFKD", sign) if _has(s))
            made.append(bare or "?")
        else:
            made.append(sign)
    return "".join(made)


def _has(sign: str) -> bool:
    try:
        sign.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
