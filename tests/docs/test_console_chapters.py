"""The manual's two walks at the console, in one sample network of real nodes: commands as printed,
pages in the order of the numbered steps; and the clinician's way under less good conditions."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from tests.console.chromium import chromium, violations, window
from tests.docs import clinician_journey as journey
from tests.docs.governance_walk import FOUND, walk
from tests.docs.manual import blocks, section
from tests.docs.sample_network import CLINICIANS, GOVERNANCE, Sample, sample, step

__all__ = ["chromium", "sample"]  # fixtures
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

WRONG = "The list has a medicine that she never had."
CLINICIAN, REVIEWER = "i.valkenaar", "r.sorn"


def signed_in(page: Page, sample: Sample, login: str = CLINICIAN) -> None:
    journey.sign_in(page, sample.base, login, sample.passwords[login])


def test_a_person_who_never_saw_the_node_finds_reads_understands_and_reports(
    chromium: Chromium, sample: Sample
) -> None:
    with window(chromium, sample.base) as page:
        assert f"`{CLINICIAN}`" in step(CLINICIANS, 1)
        signed_in(page, sample)
        assert journey.PATIENT in step(CLINICIANS, 2)
        assert journey.BORN in step(CLINICIANS, 2)
        journey.find(page)
        expect(page.get_by_role("button", name="Stop waiting")).to_be_hidden(timeout=30_000)
        journey.shot(page, "answers")
        for organization, (word, sentence) in journey.WHY.items():
            assert organization in step(CLINICIANS, 3)
            assert f"*{word}*" in step(CLINICIANS, 3)
            assert sentence in step(CLINICIANS, 3)
        journey.tell_why(page)
        assert f"*{journey.REFERRAL}*" in step(CLINICIANS, 4)
        assert f"*{journey.DISCHARGE}*" in step(CLINICIANS, 4)
        assert "One tablet twice a day with meals" in journey.medicines(page, journey.REFERRAL)
        assert "Apixaban 5 mg tablet" in journey.medicines(page, journey.DISCHARGE)
        page.get_by_role("link", name=journey.DISCHARGE).click()
        for pressed in re.findall(r"\*\*(.+?)\*\*", step(CLINICIANS, 5)):
            assert pressed in ("Report a problem", "Report it")
        case = journey.report(page, WRONG, twice=True)
        # what was read last is one step behind
        page.go_back()
        page.reload()
        page.get_by_role("link", name="All answers").click()
        expect(page.get_by_role("status")).to_contain_text("3 of 6 organizations answered")
    with window(chromium, sample.base) as page:
        assert f"`{REVIEWER}`" in step(CLINICIANS, 6)
        signed_in(page, sample, REVIEWER)
        page.get_by_role("link", name="Review").first.click()
        reported = page.get_by_role("link", name=re.compile("reports a problem with a document"))
        expect(reported).to_have_count(1)  # the button was pressed twice
        reported.click()
        main = page.get_by_role("main")
        expect(main).to_contain_text(f"Case {case}")
        expect(main).to_contain_text(WRONG)
        expect(main).to_contain_text("Cedar Valley Hospital: something in it is wrong")
        expect(main).to_contain_text(re.compile(r"Leg [0-9a-f-]{36} \(ITI-38, ok\)"))
        expect(main).to_contain_text(re.compile(r"Document 2\.999\.20\.6\^discharge-\d+ of"))
        journey.shot(page, "case")
        page.get_by_role("link", name="All of them in the list of exchanges").click()
        expect(page.get_by_role("main")).to_contain_text(f"The entries in the case {case}.")


def test_a_session_that_ends_in_the_middle_says_so_and_what_was_asked_is_still_there(
    chromium: Chromium, sample: Sample
) -> None:
    with window(chromium, sample.base) as page:
        signed_in(page, sample)
        rows = page.get_by_role("rowheader").get_by_role("link", name=journey.PATIENT)
        before = rows.count()
        page.get_by_role("link", name="Find a patient").first.click()
        page.get_by_label("Name").fill(journey.PATIENT)
        page.get_by_label("Born").fill(journey.BORN)
        page.get_by_label("ZIP").fill("53703")
        page.get_by_role("button", name="Search").dblclick()
        expect(page.get_by_role("status")).to_contain_text("of 6 organizations answered")
        (cookie,) = page.context.cookies()
        page.context.add_cookies([{**cookie, "value": "x" * len(cookie["value"])}])  # type: ignore[typeddict-item]
        page.reload()
        expect(page.get_by_role("main")).to_contain_text("Your session has ended")
        signed_in(page, sample)
        rows.first.click()
        expect(page.get_by_label("ZIP")).to_have_value("53703")
        page.go_back()
        expect(rows).to_have_count(before + 1)  # the button was pressed twice, one search began


def test_without_script_the_same_is_read_and_reported(chromium: Chromium, sample: Sample) -> None:
    with window(chromium, sample.base, java_script_enabled=False) as page:
        signed_in(page, sample)
        journey.find(page)
        for _ in range(60):
            if page.get_by_role("link", name="Refresh").count() == 0:
                break
            page.get_by_role("link", name="Refresh").click()
        journey.tell_why(page)
        assert "Metformin 500 mg tablet" in journey.medicines(page, journey.REFERRAL)
        page.get_by_role("link", name=journey.DISCHARGE).click()
        assert re.fullmatch(r"\d{4}-\d{4}", journey.report(page, "Without a script."))


def test_by_keyboard_alone_a_document_is_reached_and_reported(
    chromium: Chromium, sample: Sample
) -> None:
    with window(chromium, sample.base) as page:
        signed_in(page, sample)
        keys = page.keyboard
        journey.tab_to(page, page.get_by_role("link", name="Find a patient").first)
        keys.press("Enter")
        journey.tab_to(page, page.get_by_label("Name"))
        keys.type(journey.PATIENT)
        keys.press("Tab")
        keys.type(journey.BORN)
        keys.press("Enter")
        document = page.get_by_role("link", name=journey.DISCHARGE)
        expect(document).to_be_visible()
        journey.tab_to(page, document)
        keys.press("Enter")
        journey.tab_to(page, page.get_by_role("link", name="Report a problem"))
        keys.press("Enter")
        journey.tab_to(page, page.get_by_label("What is wrong"))
        keys.type("Something in")
        keys.press("Tab")
        keys.type("By keyboard alone.")
        keys.press("Tab")
        keys.press("Enter")
        expect(page.get_by_role("heading", name=re.compile("It is case"))).to_be_visible()


SIGHTS = [("dark", 390, 844), ("light", 720, 450)]
"""A phone in the dark; a window of 1440 pixels at 200 %."""


@pytest.mark.parametrize(("scheme", "width", "height"), SIGHTS)
def test_on_a_phone_in_the_dark_and_at_twice_the_size_nothing_is_lost(
    chromium: Chromium, sample: Sample, scheme: str, width: int, height: int
) -> None:
    view = {"width": width, "height": height}
    with window(chromium, sample.base, color_scheme=scheme, viewport=view) as page:
        signed_in(page, sample)
        journey.find(page)
        expect(page.get_by_role("link", name=journey.DISCHARGE)).to_be_visible()
        assert violations(page) == []
        line = journey.line(page, "Willow Creek")
        line.get_by_role("link", name="Why?").click()
        expect(page.get_by_role("main")).to_contain_text("Whom to call")
        assert violations(page) == []
        page.get_by_role("link", name="Back to all answers").click()
        page.get_by_role("link", name=journey.DISCHARGE).click()
        expect(page.get_by_text("Apixaban 5 mg tablet")).to_be_visible()
        assert violations(page) == []
        page.get_by_role("link", name="Report a problem").click()
        expect(page.get_by_role("button", name="Report it")).to_be_visible()
        assert violations(page) == []


# the last one: its commands end the network


def test_from_a_flag_to_a_closed_case_as_printed(sample: Sample) -> None:
    shown = sample.shown
    assert f"found:       {FOUND}" in shown
    assert re.search(r"D14 +on +1 +1 ", shown)
    assert "The detectors looked at" in shown
    walk(sample.base, [sample.passwords["m.itoya"], sample.passwords["l.brandt"]])
    shown = sample.shell.run(blocks(section(GOVERNANCE), "sh")[-1], "last-block-done")
    assert "A second person confirmed how a case was resolved, and closed it." in shown
