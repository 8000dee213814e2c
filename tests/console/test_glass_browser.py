"""Breaking the glass in a real Chromium: axe, the keyboard, the countdown, and pictures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from tests.console.chromium import SIZES, sign_in, violations, window
from tests.console.clinic_world import clinic_site, world_peers

SHOTS = os.environ.get("CONSOLE_SHOTS")
SETTINGS = '[relationships]\nrequired = true\nprivacy_officer = "Dr. Ruth Privy, 4422"'


def look(page: Page, name: str) -> None:
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert violations(page) == [], name
        if SHOTS:
            page.screenshot(path=str(Path(SHOTS) / f"glass-{name}-{width}.png"), full_page=True)


@pytest.mark.timeout(240)
def test_a_clinician_breaks_the_glass_and_reports_a_problem_as_the_screen_says(
    chromium: Chromium, tmp_path: Path
) -> None:
    with (
        clinic_site(tmp_path, *world_peers()[:6], settings=SETTINGS) as site,
        window(chromium, site.base) as page,
    ):
        sign_in(page, "clinician")
        page.goto("/records")
        page.get_by_label("Name").fill("Juniper Sample")
        page.get_by_label("Born").fill("1961-03-02")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Break the glass").wait_for()
        look(page, "whole")
        page.get_by_label("Reason").select_option("other")
        page.get_by_role("button", name="Break the glass and ask").click()
        page.get_by_text("Write the reason in words.").wait_for()
        look(page, "wrong")
        page.get_by_label("In words").fill("Brought in after a fall, nobody was booked")
        page.get_by_role("button", name="Break the glass and ask").click()
        page.get_by_text("4 of 6 organizations answered").wait_for()
        page.get_by_role("region", name="Broken glass").wait_for()
        look(page, "broken")
        # the clock of the banner goes on without the page being loaded again
        page.clock.install()
        page.reload()
        said = page.locator("[data-until]").inner_text()
        page.clock.fast_forward("40:00")
        page.wait_for_function(
            "was => document.querySelector('[data-until]').innerText !== was", arg=said
        )
        page.get_by_role("link", name="Why? Farrowmere").click()
        page.get_by_role("link", name="Report a problem").click()
        look(page, "report")
        page.get_by_label("What is wrong").select_option("missing")
        page.get_by_label("What you saw").fill("They treated her in May.")
        page.get_by_role("button", name="Report it").click()
        page.get_by_role("heading", name="Thank you.").wait_for()
        look(page, "thanks")
        page.goto("/records/why/patient-opted-out")
        look(page, "why")
        page.go_back()
        page.get_by_role("button", name="End now").click()
        page.wait_for_url("**/records")
