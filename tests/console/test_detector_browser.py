"""The detectors' pages in a real Chromium: axe, no script, and pictures where they are wanted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from tests.console.chromium import sign_in, violations, window
from tests.console.conftest import Site
from tests.console.network import fill
from tests.console.test_detector_pages import WHY, asked, change, newest_flag, sweep
from tests.console.test_sample_page import drawn, hcid

SHOTS = os.environ.get("CONSOLE_SHOTS")


@pytest.mark.timeout(240)
def test_the_pages_of_detectors_have_no_violations(chromium: Chromium, site: Site) -> None:
    fill(site)
    for n in range(24):
        site.write(asked(n, seconds=(25 - n) / 100))
    change(site.browser("lead"), "D14", state="on", reason=WHY)
    assert sweep(site).flags == 1
    flag = newest_flag(site, "D14")
    drawn(site)
    with window(chromium, site.base) as page:
        sign_in(page, "lead")
        for name, path in (
            ("detectors", "/detectors"), ("detector", "/detectors/D14"), ("flag", f"/flags/{flag}"),
            ("drawing", "/detectors/T12"), ("sample", "/reports/sample"),
            ("sample-of", f"/reports/sample?asker={hcid(1)}"),
        ):  # fmt: skip
            page.goto(path)
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            if SHOTS:
                for scheme in ("dark", "light"):
                    page.emulate_media(color_scheme=scheme)
                    shot = Path(SHOTS) / f"{name}-{scheme}.png"
                    page.screenshot(path=str(shot), full_page=True)
        page.goto("/detectors/D14")
        page.get_by_role("button", name="Try on 30 days").click()
        page.get_by_role("heading", name="On the last 30 days: 1 flag").wait_for()
        assert violations(page) == []
        if SHOTS:
            page.screenshot(path=str(Path(SHOTS) / "tried.png"), full_page=True)
