"""The written answer to a requester: what it says, and until when it is due (171.204, 6.4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from node.governance.denials import Denial
from node.governance.disclosures import Recipient
from node.governance.exceptions import answer_due, catalogue
from node.governance.notice import Notice, make, to_pdf, to_text
from node.ledger.find import Entry
from tests.governance.golden import golden, text_of

REFUSED = datetime(2026, 11, 13, 9, 0, tzinfo=UTC)
MADE = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
INFEASIBLE = catalogue().on(REFUSED.date())["infeasibility"]


def notice(**more: object) -> Notice:
    fields: dict[str, str | int] = {
        "t": "2026-11-13T09:00:00.000Z", "txn": "ITI-39", "purpose": "T-PYMNT", "exch": "0190-x",
        "peer": "urn:oid:2.999.2", "msg": "urn:uuid:11111111-1111-4111-8111-111111111111",
    }  # fmt: skip
    entry = Entry(seq=41, entry_id="e", data=b"{}", fields=fields)
    about = Denial(entry=entry, exemption=INFEASIBLE, note=None, due=answer_due(REFUSED, 10))
    made = Notice(
        about=about, exemption=INFEASIBLE, own_name="Lake Hospital", own_id="urn:oid:2.999.71",
        to=Recipient(name="Żabka Payer", home_community_id="urn:oid:2.999.2", address="1 Main St"),
        why="The record cannot be parted from one that the law withholds.\n\nWe tried twice.",
        alternative="A summary on paper.", contact="privacy@lake.example", made=MADE, by="ida",
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def test_both_files_are_as_they_were() -> None:
    golden("notice.letter.txt", to_text(notice()))
    golden("notice.pdf.txt", text_of(to_pdf(notice())).encode())


def test_it_is_due_ten_business_days_after_the_refusal_holidays_not_counted() -> None:
    assert "Answer due: 30 November 2026" in to_text(notice()).decode()


def test_without_an_alternative_it_says_so() -> None:
    assert "What we offer instead\n  Nothing." in to_text(notice(alternative=" \n")).decode()


def test_the_act_has_the_digest_the_exception_and_what_was_written() -> None:
    made = make(notice(), "txt")
    assert (made.change.reason, made.change.counts) == ("infeasibility", {"first": 41})
    assert "parted" in str(made.change.private["text"])
    assert make(notice(), "pdf").data == make(notice(), "pdf").data
