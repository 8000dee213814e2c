"""The page of periodic reports: choice, preview with rows behind numbers, files, refused input."""

from __future__ import annotations

import hashlib
import io
import json
import re
from datetime import UTC, datetime

import pytest
from pypdf import PdfReader

from node.ledger.find import LedgerFilter, find
from node.ledger.leaf import to_bytes
from node.model import Outcome, Transaction
from tests.console.conftest import Browser, Site, leg
from tests.console.test_access import facts

MONTH = f"{datetime.now(UTC):%Y-%m}"
PAGE = f"/reports?report=monthly&period={MONTH}"


@pytest.fixture(scope="module")
def reviewer(site: Site) -> Browser:
    for _ in range(3):
        site.write(leg(9, ago=0))
    site.write(leg(9, Outcome.FAILED, 0, transaction=Transaction.ITI_38, reason="XDSRegistryBusy"))
    return site.browser("reviewer")


def take(browser: Browser, how: str, **more: str):
    form = {"form": browser.form("/reports"), "report": "monthly", "period": MONTH, "as": how}
    return browser.post("/reports", form | more)


def test_without_a_choice_there_are_two_forms_with_the_newest_periods_first(
    reviewer: Browser,
) -> None:
    text = reviewer.get("/reports").text
    months = re.findall(r"<option[^>]*>([0-9]{4}-[0-9]{2})</option>", text)
    assert months == sorted(months, reverse=True)
    assert 'aria-current="page">Reports' in text


def test_the_preview_has_each_part_and_opens_the_rows_behind_a_number(reviewer: Browser) -> None:
    text = reviewer.get(PAGE).text
    assert "The period is not over." in text
    for words in ("QTF-1801", "XP 4.6(c)", "XDSRegistryBusy", "ITI-80"):
        assert words in text
    row = next(each for each in text.split("<tr role") if "2.999.2.9" in each and ">PD<" in each)
    address = re.search(r'href="(/exchanges\?[^"]+)"', row)
    assert address is not None
    listed = reviewer.get(address[1].replace("&amp;", "&"))
    assert listed.status_code == 200
    assert "2.999.2.9" in listed.text


@pytest.mark.parametrize("how", ["pdf", "csv", "json"])
def test_a_file_is_an_entry_with_its_digest_before_it_leaves(
    site: Site, reviewer: Browser, how: str
) -> None:
    answer = take(reviewer, how)
    assert answer.status_code == 200
    assert f'filename="monthly-{MONTH}.{how}"' in answer.headers["content-disposition"]
    act, who, about = facts(site, 1)[0]
    assert act == "qhin-report"
    assert who["user_id"] == "reviewer"
    assert about == {"report": "monthly", "period": MONTH, "format": how}
    entry = find(site.opened.engine, LedgerFilter(act="qhin-report"), limit=1).entries[0]
    assert to_bytes(str(entry.fields["thing"])) == hashlib.sha256(answer.content).digest()
    text = answer.text
    if how == "pdf":
        text = "".join(each.extract_text() for each in PdfReader(io.BytesIO(answer.content)).pages)
    assert "XDSRegistryBusy" in text


def test_a_quarter_has_the_numbers_that_were_stated(reviewer: Browser) -> None:
    text = reviewer.get("/reports?report=quarterly&period=2026-Q3&hospital=4").text
    assert "not stated" in text
    fields = {"report": "quarterly", "period": "2026-Q3", "hospital": "4"}
    made = json.loads(take(reviewer, "json", **fields).content)
    rows = {row["Type"]: row["Organizations"] for row in made["parts"][0]["rows"]}
    assert rows["Hospital"] == 4
    assert rows["Payer"] == "not stated"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("report=monthly&period=2026-13", "has a period such as 2026-10"),
        ("report=quarterly&period=<script>alert(1)</script>", "has a period such as 2026-Q3"),
        ("report=monthly&period=2026-10&planned=' OR 1=1 --", "Window 1 is none"),
        ("report=quarterly&period=2026-Q3&hospital=<b>", "Hospital is a whole number"),
        ("report=quarterly&period=2026-Q3&clinicians=-1", "Clinicians is a whole number"),
    ],
)
def test_what_cannot_be_meant_is_said(reviewer: Browser, query: str, sentence: str) -> None:
    answer = reviewer.get(f"/reports?{query}")
    assert answer.status_code == 400
    assert sentence in answer.text
    assert "<script>alert" not in answer.text


def test_a_file_of_no_kind_or_no_period_is_refused(reviewer: Browser) -> None:
    assert take(reviewer, "exe").status_code == 400
    assert take(reviewer, "pdf", period="x").status_code == 400
    assert take(reviewer, "pdf", report="").status_code == 400


def test_an_integrator_has_no_reports(site: Site) -> None:
    assert site.browser("integrator").get("/reports").status_code == 403
