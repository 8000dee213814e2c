"""The files of a report of disclosures: CSV for machines, PDF for the patient. Pure.

The same report gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from node.governance.disclosure_reading import Report
from node.governance.disclosures import Disclosure
from node.governance.spreadsheet import csv_of
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
    if how == "csv":
        data = to_csv(report)
    else:
        # its library takes a third of a second and 25 MB, and few processes ever make a PDF
        from node.governance.disclosure_pdf import to_pdf  # noqa: PLC0415

        data = to_pdf(report)
    change = TrustChange(
        act=ACT,
        thing=hashlib.sha256(data).hexdigest(),
        counts={"entries": len(listed(report))},
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
    return csv_of([_COLUMNS, *(_row(each) for each in listed(report))])


def _row(each: Disclosure) -> Iterable[object]:
    why = each.exclusion
    return (
        leaf.from_time(each.time), each.to.name, each.to.address, each.to.organization_id,
        each.to.home_community_id, each.what, "; ".join(each.items), each.more, each.purpose,
        each.purpose_words, ",".join(each.authority), "no" if why else "yes",
        why.title if why else "", why.cite if why else "", ",".join(sorted(each.erased)), each.seq,
        each.exchange,
    )  # fmt: skip


def listed(report: Report) -> tuple[Disclosure, ...]:
    """The disclosures that its form lists, oldest first."""
    rows = report.found.disclosures + (report.found.excluded if report.full else ())
    return tuple(sorted(rows, key=lambda each: (each.time, each.seq)))


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


def _moment(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%-d %B %Y, %H:%M} UTC"
