"""Reading other organizations' documents in a real Chromium: a journey, the sandbox, axe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from tests.console.chromium import looks, sign_in, violations, window
from tests.console.clinic_world import SOMEBODY, THERE, ClinicSite, clinic_site, ended
from tests.console.test_document_pages import NOTE, PDF, SUMMARY, ccda, named
from tests.sim.network import SimPeer

SHOTS = os.environ.get("CONSOLE_SHOTS")
VENDOR = "ccda/vendors-2015ed/Allscripts_FollowMyHealth__Discharge_Summary-rebeccaangles.xml"
LINKED = ccda(
    "Linked note",
    "<title>Plan</title><text><linkHtml href='#there'>see the result</linkHtml>"
    "<linkHtml href='https://evil.test/'>outside</linkHtml><table><caption>Results</caption><thead>"
    "<tr><th>Test</th><th>Value</th></tr></thead><tbody><tr><td ID='there'>Potassium</td>"
    "<td>3.4</td></tr></tbody></table></text>",
    "<title>Old</title><text><list listType='ordered'><item>one</item><item>two<list><item>three"
    "</item></list></item></list><paragraph>A <content styleCode='Bold'>bold</content> and <content"
    " revised='delete'>deleted</content> word</paragraph></text>",
)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[ClinicSite]:
    vendor = (shared_data / VENDOR).read_bytes()
    first = {"sum": SUMMARY, "linked": LINKED, "pdf": PDF, "vendor": vendor}
    titles = {"sum": "Discharge summary", "linked": "Linked note", "pdf": "Scan",
              "vendor": "Vendor discharge"}  # fmt: skip
    listed = [
        replace(named(1, name, data, titles[name]), creation_time=f"202611{10 + place}")
        for place, (name, data) in enumerate(first.items())
    ]
    peers = (
        SimPeer(number=1, documents=first, says=THERE, entries=tuple(listed)),
        SimPeer(number=2, documents={"same": SUMMARY, "note": NOTE}, says=THERE, entries=(
            named(2, "same", SUMMARY, "Discharge summary"), named(2, "note", NOTE, "Clinic note"),
        )),
        SimPeer(number=3, documents={"held": NOTE}, says=SOMEBODY),
    )  # fmt: skip
    with clinic_site(tmp_path_factory.mktemp("reader"), *peers) as site:
        yield site


def request(clinic: ClinicSite, page: Page) -> str:
    """The path of a new request of who is signed in at a page."""
    sign_in(page, "clinician")
    page.goto("/records")
    page.get_by_label("Name").fill("Juniper Sample")
    page.get_by_label("Born").fill("1961-03-02")
    page.get_by_label("Sex").select_option("F")
    page.get_by_label("ZIP").fill("00501")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**/records/*")
    path = page.url.removeprefix(clinic.base).partition("?")[0].partition("#")[0]
    browser = clinic.browser()
    browser.session.cookies.update({c["name"]: c["value"] for c in page.context.cookies()})
    ended(browser, path)
    return path


def test_a_clinician_finds_a_word_in_all_documents_and_reads_it_marked(
    chromium: Chromium, clinic: ClinicSite
) -> None:
    with window(chromium, clinic.base, java_script_enabled=False) as page:
        page.goto(request(clinic, page))
        page.get_by_role("link", name="All documents, and find in them").click()
        page.get_by_role("searchbox").fill("breathlessness")
        page.get_by_role("button", name="Find").click()
        page.get_by_text("documents.").first.wait_for()
        page.get_by_role("link", name="Open Clinic note").click()
        assert page.locator("mark").count() == 4
        assert page.url.endswith("#f1")
        assert "breathlessness" not in page.url
        page.get_by_role("link", name="Report a problem").click()
        page.wait_for_url("**/report")
        page.go_back()
        assert page.locator("mark").count() == 4
        page.get_by_role("link", name="Documents", exact=True).click()
        page.get_by_role("link", name="Linked note").click()
        page.get_by_role("link", name="see the result").click()
        assert "#n" in page.url
        assert page.locator("article a[href^='http']").count() == 0


def test_no_page_of_a_document_asks_anybody_else_for_anything(
    chromium: Chromium, clinic: ClinicSite
) -> None:
    with window(chromium, clinic.base) as page:
        path = request(clinic, page)
        asked: list[str] = []
        page.on("request", lambda each: asked.append(each.url))
        for number in range(1, 5):
            page.goto(f"{path}/documents/{number}")
            page.goto(f"{path}/documents/{number}/original?as=text")
        assert {url.startswith(clinic.base) for url in asked} == {True}


def test_axe_finds_nothing_on_the_pages_of_documents(
    chromium: Chromium, clinic: ClinicSite
) -> None:
    checked: dict[str, list[str]] = {}
    with window(chromium, clinic.base) as page:
        path = request(clinic, page)

        def look(name: str) -> None:
            for shown in looks(page, [("light", 1440), ("dark", 390)]):
                checked[f"{name} {shown}"] = violations(page)
                if SHOTS:
                    page.screenshot(path=Path(SHOTS) / f"{name}-{shown}.png", full_page=True)

        pages = {
            "documents": "/documents",
            "document-linked": "/documents/2?empty=show&rows=dense",
            "document-pages": "/documents/3",
            "document-vendor": "/documents/4",
            "document-held": "/documents/7",
        }
        for name, address in pages.items():
            page.goto(f"{path}{address}")
            if name == "document-pages":
                drawn = page.get_by_role("img", name="Page 1 as a picture; its text follows")
                drawn.scroll_into_view_if_needed()
                wide = drawn.evaluate("async i => (await i.decode(), i.naturalWidth)")
                assert wide == 1200
            look(name)
        page.goto(f"{path}/documents/1")
        page.get_by_label("Find in this document").fill("metoprolol")
        page.get_by_role("button", name="In all").click()
        look("documents-found")
        page.get_by_role("link", name="with what was found marked").first.click()
        look("document-found")
        if SHOTS:
            page.emulate_media(media="print")
            for shown in looks(page, [("light", 1440), ("dark", 390)]):
                page.screenshot(path=Path(SHOTS) / f"print-{shown}.png", full_page=True)
    assert {name: found for name, found in checked.items() if found} == {}
