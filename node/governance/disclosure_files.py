"""The files of a report of disclosures: CSV for machines, PDF for the patient. Pure.

The same report gives the same bytes. The PDF has the fonts that every reader has, which know Latin
letters alone; names in others are exact in the CSV and on the page.
"""

from __future__ import annotations

import csv
import hashlib
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from node.governance.disclosure_reading import Report
from node.governance.disclosures import Disclosure
from node.ledger import leaf
from node.ledger.trust_change import TrustChange

ACT: Final = "disclosure-report"
MEDIA: Final = {"csv": "text/csv; charset=utf-8", "pdf": "application/pdf"}

_COLUMNS: Final = (
    "time", "recipient", "address", "organization_id", "home_community_id", "what", "items",
    "items_not_named", "purpose", "purpose_words", "authority", "accounted_for", "exclusion",
    "citation", "erased", "entry", "exchange",
)  # fmt: skip
_OTHERS: Final = (
    "This is what this node exchanged. Other systems of this organisation, and other networks, "
    "keep logs of their own."
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_WIDTHS: Final = (22, 46, 72, 38)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file, and the act of making it as the log has it."""

    data: bytes
    change: TrustChange


def make(report: Report, how: str, *, token: bytes) -> Made:
    """The file of a report (``csv`` or ``pdf``); ``token`` is the patient's keyed one.

    The entry names the patient by the token alone, which an erasure of the person leaves without
    meaning to whoever lacks the ledger's key.
    """
    data = to_csv(report) if how == "csv" else to_pdf(report)
    change = TrustChange(
        act=ACT,
        thing=hashlib.sha256(data).hexdigest(),
        counts={"entries": len(_listed(report))},
        private={
            "patient": f"~{token.hex()}",
            "since": leaf.from_time(report.since),
            "until": leaf.from_time(report.until),
            "format": how,
            "form": "full" if report.full else "accounting",
        },
    )
    return Made(data=data, change=change)


def title_of(report: Report) -> str:
    """What the report is called."""
    return "Full access report" if report.full else "Accounting of disclosures"


def period_of(report: Report) -> str:
    """The first and the last day, both within the period."""
    last = report.until - timedelta(milliseconds=1)
    return f"{report.since:%-d %B %Y} to {last:%-d %B %Y}"


def to_csv(report: Report) -> bytes:
    """One row for each disclosure, RFC 4180, UTF-8."""
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerow(_COLUMNS)
    for each in _listed(report):
        writer.writerow([_cell(value) for value in _row(each)])
    return held.getvalue().encode()


def _row(each: Disclosure) -> Iterable[object]:
    why = each.exclusion
    return (
        leaf.from_time(each.time), each.to.name, each.to.address, each.to.organization_id,
        each.to.home_community_id, each.what, "; ".join(each.items), each.more, each.purpose,
        each.purpose_words, ",".join(each.authority), "no" if why else "yes",
        why.title if why else "", why.cite if why else "", ",".join(sorted(each.erased)), each.seq,
        each.exchange,
    )  # fmt: skip


def _cell(value: object) -> str:
    """A cell; names come from others, and a spreadsheet must not compute them."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _listed(report: Report) -> tuple[Disclosure, ...]:
    listed = report.found.disclosures + (report.found.excluded if report.full else ())
    return tuple(sorted(listed, key=lambda each: (each.time, each.seq)))


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
    listed = _listed(report)
    _text(paper, "Disclosures", size=12, bold=True, above=3)
    if not listed:
        _text(paper, "None in this period.")
        return bytes(paper.output())
    paper.set_font("Helvetica", size=8)
    with paper.table(col_widths=_WIDTHS, text_align="LEFT", line_height=4) as table:
        table.row([_latin(word) for word in ("Date (UTC)", "To", "What", "Purpose")])
        for each in listed:
            table.row([_latin(cell) for cell in _printed(each)])
    return bytes(paper.output())


def facts_of(report: Report) -> tuple[str, ...]:
    """Who says this about whom, and of which time."""
    return (
        f"Patient: {report.patient.cx}",
        f"From: {report.own_name} ({report.own_id})",
        f"Period: {period_of(report)}",
        f"Made: {_moment(report.made)}, by {report.by}",
        f"Rule: {report.rules.cite}",
    )


def sections_of(report: Report) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is left out and why, and what the report may lack; headings with their lines."""
    found = report.found
    left = tuple(f"{row.title}: {number} ({row.cite})" for row, number in found.by_exclusion) or (
        "None.",
    )
    word = "Not owed by the rule, listed all the same" if report.full else "Not listed, and why"
    sections = [(word, left)]
    if found.nothing:
        none = tuple(f"{why[:1].upper()}{why[1:]}: {n}" for why, n in found.nothing.items())
        sections.append(("In which nothing was disclosed", none))
    known = (
        *report.lacks,
        _OTHERS,
    )
    sections.append(("What this report may lack", known))
    return tuple(sections)


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


def _moment(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%-d %B %Y, %H:%M} UTC"


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
