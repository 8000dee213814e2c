"""The full access report in the patient's language: who received what, in plain words. Pure.

It lists what the accounting of disclosures owes and what it does not, as sentences of the
language's file (facts: governance-ux 5.6, 6.5). Names of organisations, and their documents' ids,
are as they are. What is suspended for an authority is in no report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any, Final

from node.governance.disclosure_files import Made
from node.governance.disclosure_reading import MOST_ENTRIES, Report
from node.governance.disclosures import Disclosure
from node.governance.language import day_in, language
from node.governance.paper import Paper
from node.governance.spreadsheet import csv_of
from node.ledger import leaf
from node.ledger.trust_change import TrustChange
from node.model import Direction

_WIDTHS: Final = (34, 110, 44)
ACT: Final = "disclosure-report"


def make_access(report: Report, how: str, code: str, *, token: bytes) -> Made:
    """The file (``csv`` or ``pdf``) in a language, and the act of making it as the log has it.

    Raises:
        SettingsError: ``language-missing``.
    """
    words = language(code)
    whole = replace(report, full=True)
    data = to_csv(whole, words) if how == "csv" else to_pdf(whole, words)
    change = TrustChange(
        act=ACT,
        thing=hashlib.sha256(data).hexdigest(),
        counts={"entries": len(listed(whole))},
        private={
            "patient": f"~{token.hex()}",
            "since": leaf.from_time(report.since),
            "until": leaf.from_time(report.until),
            "format": how,
            "form": "access",
            "language": code,
        },
    )
    return Made(data=data, change=change)


def listed(report: Report) -> tuple[Disclosure, ...]:
    """All disclosures, oldest first, owed or not."""
    rows = report.found.disclosures + report.found.excluded
    return tuple(sorted(rows, key=lambda each: (each.time, each.seq)))


def said(each: Disclosure, words: Mapping[str, Any]) -> str:
    """What happened, as one sentence."""
    way = Direction.INITIATING.value if each.is_ours else Direction.RESPONDING.value
    given: Mapping[str, str] = words["given"][way]
    purposes: Mapping[str, str] = words["purposes"]
    if each.purpose is None:
        purpose = purposes["none"]
    else:
        purpose = purposes.get(each.purpose, purposes["other"]).format(code=each.purpose)
    # a name with braces is no place of ours: it is put in last
    text: str = words["said"]["sentence"]
    head = given.get(each.transaction, given["other"])
    return text.replace("{purpose}", purpose).replace("{given}", head).replace("{to}", each.to.name)


def cover_of(report: Report, words: Mapping[str, Any]) -> tuple[str, ...]:
    """Who says this about whom, of which time, and what the list is."""
    cover: Mapping[str, str] = words["cover"]
    first = day_in(words, report.since.date())
    last = day_in(words, (report.until - timedelta(milliseconds=1)).date())
    number, owed = len(listed(report)), len(report.found.disclosures)
    return (
        cover["from"].replace("{own}", report.own_name),
        cover["about"].replace("{patient}", report.patient.cx),
        cover["period"].format(first=first, last=last),
        cover["made"].format(date=day_in(words, report.made.astimezone(UTC).date())),
        cover["explains"],
        cover["counted"].format(number=number),
        cover["owed"].format(number=owed),
        cover["others"],
    )


def lacks_of(report: Report, words: Mapping[str, Any]) -> tuple[str, ...]:
    """What the list may lack."""
    text: Mapping[str, str] = words["lacks"]
    found = []
    if report.erased:
        found.append(text["persons"].format(number=report.erased))
    details = sum(bool(each.erased) for each in listed(report))
    if details:
        found.append(text["details"].format(number=details))
    if report.dropped_before is not None and report.dropped_before > report.since:
        found.append(text["dropped"].format(date=day_in(words, report.dropped_before.date())))
    if report.cut:
        found.append(text["cut"].format(number=MOST_ENTRIES))
    return tuple(found)


def to_csv(report: Report, words: Mapping[str, Any]) -> bytes:
    """One row for each entry; the columns are named in the language."""
    columns: Mapping[str, str] = words["columns"]
    names = ("date", "what", "who", "items", "entry")
    return csv_of([[columns[name] for name in names], *_rows(report, words)])


def _rows(report: Report, words: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for each in listed(report):
        yield (
            f"{each.time:%Y-%m-%d}",
            said(each, words),
            each.to.name,
            "; ".join(each.items),
            each.seq,
        )


def to_pdf(report: Report, words: Mapping[str, Any]) -> bytes:
    """The letter: its cover, what it may lack, and the list."""
    head: Mapping[str, str] = words["columns"]
    paper = Paper(
        words["cover"]["title"],
        made=report.made,
        language=words["language"]["code"],
        foot=words["language"]["foot"],
    )
    for line in cover_of(report, words):
        paper.text(line)
    lacks = lacks_of(report, words)
    if lacks:
        paper.heading(words["lacks"]["heading"])
        for line in lacks:
            paper.text(line)
    paper.heading(words["cover"]["list"])
    rows = listed(report)
    if rows:
        paper.table(
            _WIDTHS,
            (head["date"], head["what"], head["items"]),
            (_printed(each, words) for each in rows),
        )
    else:
        paper.text(words["cover"]["none"])
    return paper.data()


def _printed(each: Disclosure, words: Mapping[str, Any]) -> tuple[str, str, str]:
    more = [words["said"]["erased"]] if each.erased else []
    number = len(each.items) + each.more
    items = words["said"]["items"].format(number=number) if number else ""
    return day_in(words, each.time.date()), "\n".join([said(each, words), *more]), items
