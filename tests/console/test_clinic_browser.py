"""A clinician at a real Chromium: keyboard, sizes, schemes, axe (governance-ux 5.9, 9)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from tests.console.chromium import sign_in, violations, window
from tests.console.clinic_world import FORM, ClinicSite, clinic_site, world_peers

SHOTS = os.environ.get("CONSOLE_SHOTS")
"""A folder for pictures, for whoever builds the pages; nothing is made without it."""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClinicSite]:
    with clinic_site(tmp_path_factory.mktemp("clinic"), *world_peers()) as made:
        yield made


def shot(page: Page, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"records-{name}.png", full_page=True)


def ask(page: Page, zip_code: str) -> None:
    page.goto("/records")
    for name, label in (("name", "Name"), ("born", "Born")):
        page.get_by_label(label, exact=True).fill(FORM[name])
    page.get_by_label("Sex").select_option("F")
    page.get_by_label("ZIP").fill(zip_code)
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**/records/*")


def slots(page: Page) -> list[tuple[float, float]]:
    """Where each line is, and how high."""
    boxes = (each.bounding_box() for each in page.locator(".asks > li").all())
    return [(box["y"], box["height"]) for box in boxes if box]


def test_answers_come_into_their_places_and_nothing_moves(
    chromium: Chromium, clinic: ClinicSite
) -> None:
    with window(chromium, clinic.base) as page:
        sign_in(page, "clinician")
        clinic.hold(*range(1, 9))
        ask(page, "00701")
        expect(page.locator(".mark.in-progress")).to_have_count(8)
        shot(page, "asking")
        before = slots(page)
        clinic.let_go(1, 2, 3, 4, 5, 6)
        expect(page.get_by_role("status")).to_contain_text("4 of 8 organizations answered")
        expect(page.get_by_role("status")).to_contain_text("2 still trying")
        shot(page, "coming")
        assert slots(page) == before
        clinic.let_go()
        expect(page.get_by_role("button", name="Stop waiting")).to_be_hidden()
        expect(page.get_by_role("status")).to_contain_text("6 of 8 organizations answered")
        assert slots(page) == before
        assert page.url.count("/") == 4  # the page was not loaded again
        table = page.get_by_role("table", name="Documents, newest first")
        expect(table.locator("a").first).to_be_visible()


def test_documents_that_come_later_wait_behind_a_link(
    chromium: Chromium, clinic: ClinicSite
) -> None:
    with window(chromium, clinic.base) as page:
        sign_in(page, "clinician")
        clinic.hold(7)
        ask(page, "00705")
        rows = page.get_by_role("table", name="Documents, newest first").get_by_role("link")
        expect(rows.first).to_be_visible()
        before = rows.count()
        more = page.get_by_role("link", name="Show what came since")
        expect(more).to_be_hidden()
        clinic.let_go()
        expect(more).to_be_visible()
        assert rows.count() == before
        more.click()
        expect(rows).to_have_count(before + 1)


def test_a_journey_by_keyboard_alone(chromium: Chromium, clinic: ClinicSite) -> None:
    with window(chromium, clinic.base) as page:
        sign_in(page, "clinician")
        page.goto("/records")
        page.get_by_label("Name", exact=True).focus()
        page.keyboard.type(FORM["name"])
        page.keyboard.press("Tab")
        page.keyboard.type(FORM["born"])
        page.keyboard.press("Tab")
        page.keyboard.type("F")
        page.keyboard.press("Tab")
        page.keyboard.type("00702")
        page.keyboard.press("Enter")
        page.wait_for_url("**/records/*")
        compare = page.get_by_role("link", name="Compare with Larkhollow HIE")
        compare.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**compare=*")
        yes = page.get_by_role("button", name="Same person, open 3")
        for _ in range(60):
            if yes.evaluate("e => e === document.activeElement"):
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/records/*#leg-*")
        line = page.locator("li", has_text="Larkhollow HIE")
        expect(line).to_contain_text("Same person, by your answer, 3 documents")


SCHEMES = [("light", (1440, 900)), ("dark", (390, 844)), ("light", (720, 450))]
"""The last one is a window of 1440 pixels at 200 %."""


@pytest.mark.parametrize(("scheme", "size"), SCHEMES, ids=str)
def test_axe_finds_nothing_in_either_scheme_at_phone_width_and_at_twice_the_size(
    chromium: Chromium, clinic: ClinicSite, scheme: str, size: tuple[int, int]
) -> None:
    view = {"width": size[0], "height": size[1]}
    with window(chromium, clinic.base, color_scheme=scheme, viewport=view) as page:
        sign_in(page, "clinician")
        name = f"{scheme}-{size[0]}"
        page.goto("/records")
        shot(page, f"find-{name}")
        assert violations(page) == []
        clinic.hold(7)
        ask(page, f"008{size[0] % 100:02}")
        expect(page.get_by_role("status")).to_contain_text("1 still trying")
        shot(page, f"found-{name}")
        assert violations(page) == []
        clinic.let_go()
        if scheme == "dark":
            return
        expect(page.get_by_role("status")).to_contain_text("6 of 8 organizations answered")
        page.get_by_role("link", name="Why? Mossgarth").click()
        shot(page, f"why-{name}")
        assert violations(page) == []


def test_without_script_it_works_by_links_and_forms(chromium: Chromium, clinic: ClinicSite) -> None:
    with window(chromium, clinic.base, java_script_enabled=False) as page:
        sign_in(page, "clinician")
        clinic.hold(7)
        ask(page, "00704")
        line = page.locator("li", has_text="Northmere")
        expect(line).to_contain_text("asking")
        clinic.let_go()
        for _ in range(100):
            if page.get_by_role("link", name="Refresh").count() == 0:
                break
            page.get_by_role("link", name="Refresh").click()
        expect(line).to_contain_text("Exact match, 1 document")
