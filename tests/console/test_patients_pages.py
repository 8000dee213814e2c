"""A patient's disclosures: who looks, that no address names the patient, the files (5.6, 4.3)."""

from __future__ import annotations

import hashlib
import io
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from pypdf import PdfReader

from node.console.looked_up import LIFETIME, MOST, LookedUp
from node.ledger.find import LedgerFilter, find
from node.ledger.leaf import to_bytes
from node.ledger.private import load_key
from node.model import Direction, PatientId, PrivateFacts
from tests.console.chromium import looks, sign_in, violations, window
from tests.console.conftest import Browser, Site, leg
from tests.console.test_access import facts

PERSON = PatientId(assigning_authority="2.999.71.1", id="MRN4711")
SHOTS = os.environ.get("CONSOLE_SHOTS")
"""A folder for pictures, as in ``test_review_browser``."""
NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)


def disclose(site: Site, purpose: str = "T-PH", person: PatientId = PERSON) -> str:
    private = PrivateFacts(
        who={"user_id": "x"}, patient={"ids": [person.cx]}, docs=[{"id": "2.999.5.1"}]
    )
    more = {"direction": Direction.RESPONDING, "purpose": purpose, "facts": private}
    return site.write(leg(3, **more))


def look_up(browser: Browser, typed: str = PERSON.cx) -> str:
    """The address of the patient's page."""
    answer = browser.post("/patients", {"form": browser.form("/patients"), "patient": typed})
    assert answer.status_code == 303
    return answer.headers["location"]


@pytest.fixture(scope="module")
def reviewer(site: Site) -> Browser:
    disclose(site)
    disclose(site, "T-TRTMNT")
    return site.browser("reviewer")


def test_the_address_is_random_and_the_look_up_is_an_entry(site: Site, reviewer: Browser) -> None:
    first, second = look_up(reviewer), look_up(reviewer)
    assert first != second
    assert "4711" not in first
    act, who, about = facts(site, 1)[0]
    token = load_key(site.opened.home.path).patient_token(PERSON).hex()
    assert (act, about) == ("disclosure-look", {"patient": f"~{token}"})
    assert who == {"user_id": "reviewer", "name": "The reviewer"}


def test_the_page_lists_what_is_owed_and_counts_what_is_not(reviewer: Browser) -> None:
    address = look_up(reviewer)
    text = reviewer.get(address).text
    assert "<b>1</b> owed" in text
    assert "Public Health" in text
    assert "2.999.5.1" in text
    assert "in-1-purpose, in-2-peer" in text
    assert "Treatment: 1 (45 CFR 164.528(a)(1)(i))" in text
    assert "TEFCA Required Treatment" not in text
    full = reviewer.get(f"{address}?form_of_report=full").text
    assert "TEFCA Required Treatment" in full
    assert "not owed: Treatment" in full


def test_an_address_opens_for_who_looked_and_nobody_else(site: Site, reviewer: Browser) -> None:
    address = look_up(reviewer)
    answer = site.browser("lead").get(address)
    assert answer.status_code == 404
    assert "4711" not in answer.text
    assert reviewer.get("/patients/' OR 1=1").status_code == 404


def test_references_end_with_their_hour_and_are_not_kept_without_end() -> None:
    held = LookedUp()
    reference = held.keep("ida", PERSON, NOW)
    assert held.find("ida", reference, NOW + LIFETIME - timedelta(seconds=1)) == PERSON
    assert held.find("ida", reference, NOW + LIFETIME) is None
    assert held.find("ole", reference, NOW) is None
    for _ in range(MOST):
        held.keep("ida", PERSON, NOW)
    assert held.find("ida", reference, NOW) is None


@pytest.mark.parametrize(
    "typed", ["", "MRN4711", "<script>alert(1)</script>", "' OR 1=1", "9" * 999]
)
def test_what_is_no_identifier_is_refused_and_not_repeated(reviewer: Browser, typed: str) -> None:
    answer = reviewer.post("/patients", {"form": reviewer.form(), "patient": typed})
    assert answer.status_code == 400
    assert "no identifier of the form" in answer.text
    assert not typed or typed not in answer.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=x", "written as YYYY-MM-DD"),
        ("from=2026-02-02&until=2026-02-01", "begins before it ends"),
        ("until=2999-01-01", "ends today at the latest"),
        ("from=1999-01-01", "begins before it ends"),
    ],
)
def test_a_period_that_there_is_not_is_said_to_be_none(
    reviewer: Browser, query: str, sentence: str
) -> None:
    answer = reviewer.get(f"{look_up(reviewer)}?{query}")
    assert answer.status_code == 400
    assert sentence in answer.text


@pytest.mark.parametrize("how", ["csv", "pdf"])
def test_each_file_is_an_entry_with_its_digest_before_it_leaves(
    site: Site, reviewer: Browser, how: str
) -> None:
    address = look_up(reviewer)
    form = {"form": reviewer.form("/patients"), "how": how, "form_of_report": "accounting"}
    answer = reviewer.post(address, form)
    assert answer.status_code == 200
    assert "4711" not in answer.headers["content-disposition"]
    engine = site.opened.engine
    entry = find(engine, LedgerFilter(act="disclosure-report"), limit=1).entries[0]
    assert to_bytes(str(entry.fields["thing"])) == hashlib.sha256(answer.content).digest()
    assert entry.fields["entries"] == 1
    assert b"4711" not in entry.data
    if how == "csv":
        assert answer.text.count("\r\n") == 2
    else:
        text = PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()
        assert "Patient: MRN4711^^^&2.999.71.1&ISO" in text
        assert "by The reviewer" in text


def test_another_kind_of_file_is_refused(reviewer: Browser) -> None:
    form = {"form": reviewer.form("/patients"), "how": "exe"}
    assert reviewer.post(look_up(reviewer), form).status_code == 400


def test_a_patient_of_whom_the_log_has_nothing_has_an_empty_page(reviewer: Browser) -> None:
    text = reviewer.get(look_up(reviewer, "nobody^^^&2.999.71.1&ISO")).text
    assert "The log has no such disclosure about this patient" in text


def test_axe_finds_nothing_on_the_pages_of_patients(chromium: Chromium, site: Site) -> None:
    disclose(site)
    with window(chromium, site.base) as page:
        sign_in(page, "reviewer")
        page.goto("/patients")
        for shown in looks(page):
            assert violations(page) == [], shown
        page.get_by_label("Patient identifier").fill("not one")
        page.get_by_role("button", name="Look up").click()
        page.get_by_text("This is no identifier").wait_for()
        for shown in looks(page):
            assert violations(page) == [], shown
        page.get_by_label("Patient identifier").fill(PERSON.cx)
        page.get_by_role("button", name="Look up").click()
        page.get_by_label("Form", exact=True).select_option("full")
        page.get_by_role("button", name="Show", exact=True).click()
        page.wait_for_url("**form_of_report=full**")
        for shown in looks(page):
            assert violations(page) == [], shown
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"patient-{shown}.png", full_page=True)
        with page.expect_download() as got:
            page.get_by_role("button", name="PDF").click()
        assert got.value.suggested_filename.endswith(".pdf")


def duty(browser: Browser, address: str, **fields: str):
    return browser.post(f"{address}/duties", {"form": browser.form(), **fields})


@pytest.mark.parametrize(("code", "words"), [("en", "public health"), ("es", "salud pública")])
def test_the_report_in_the_patients_language_is_an_entry(
    site: Site, reviewer: Browser, code: str, words: str
) -> None:
    address = look_up(reviewer)
    form = {"form": reviewer.form(), "how": "csv", "language": code}
    answer = reviewer.post(address, form)
    assert answer.status_code == 200
    answer.encoding = "utf-8"
    assert words in answer.text
    act, _, about = facts(site, 1)[0]
    assert (act, about["form"], about["language"]) == ("disclosure-report", "access", code)
    assert reviewer.post(address, form | {"how": "pdf"}).content.startswith(b"%PDF")


def test_a_language_without_a_file_is_refused(reviewer: Browser) -> None:
    form = {"form": reviewer.form(), "how": "pdf", "language": "<script>alert(1)"}
    answer = reviewer.post(look_up(reviewer), form)
    assert answer.status_code == 400
    assert "Choose one of the languages: en, es." in answer.text
    assert "<script>alert" not in answer.text


def test_a_request_has_its_days_on_the_page_and_ends(reviewer: Browser) -> None:
    address = look_up(reviewer)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert duty(reviewer, address, verb="ask", asked=today).status_code == 303
    text = reviewer.get(address).text
    number = re.search(r'name="number" value="([0-9]+)"', text)
    assert number is not None
    assert "days left" in text
    answer = duty(reviewer, address, verb="extend", number=number[1], text="short")
    assert answer.status_code == 400
    assert "20 to 2000 characters" in answer.text
    why = "The archive is being moved this month."
    assert duty(reviewer, address, verb="extend", number=number[1], text=why).status_code == 303
    assert "extended" in reviewer.get(address).text
    assert duty(reviewer, address, verb="answer", number=number[1]).status_code == 303
    assert duty(reviewer, address, verb="answer", number=number[1]).status_code == 409


def test_a_suspension_stands_on_the_page_and_in_no_file(reviewer: Browser) -> None:
    address = look_up(reviewer)
    until = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}"
    fields = {"verb": "suspend", "peer": "urn:oid:2.999.2.3", "oral": "yes", "until": until,
              "text": "It would impede an investigation."}  # fmt: skip
    assert duty(reviewer, address, **fields).status_code == 303
    text = reviewer.get(address).text
    assert "Kept out of this report" in text
    made = reviewer.post(address, {"form": reviewer.form(), "how": "csv"}).text
    assert "2.999.2.3" not in made
    number = re.search(r'name="number" value="([0-9]+)"><p>Disclosures to', text)
    assert number is not None
    assert duty(reviewer, address, verb="lift", number=number[1]).status_code == 303
    assert "Kept out of this report" not in reviewer.get(address).text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"verb": "ask", "asked": "' OR 1=1"}, 400),
        ({"verb": "ask", "asked": "2031-01-01"}, 400),
        ({"verb": "answer", "number": "<script>"}, 400),
        ({"verb": "answer", "number": "999999"}, 409),
        ({"verb": "suspend", "peer": "<script>alert(1)", "until": "2026-12-01"}, 400),
        ({"verb": "suspend", "peer": "urn:oid:2.999.1", "until": "soon"}, 400),
        ({"verb": "drop"}, 404),
    ],
)
def test_what_cannot_be_written_down_is_refused(
    reviewer: Browser, fields: dict[str, str], status: int
) -> None:
    answer = duty(reviewer, look_up(reviewer), **fields)
    assert answer.status_code == status
    assert "<script>alert" not in answer.text


def test_an_address_of_nobody_has_no_duties(reviewer: Browser) -> None:
    assert duty(reviewer, "/patients/none", verb="ask").status_code == 404
