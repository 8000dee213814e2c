"""The console in a real Chromium: journeys, keyboard, accessibility (facts: governance-ux 9)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from node.model import Outcome, Transaction
from tests.console import network
from tests.console.chromium import looks, sign_in, violations, window
from tests.console.conftest import PASSWORD, Site, leg

SHOTS = os.environ.get("CONSOLE_SHOTS")
"""A folder for pictures of the pages."""


@pytest.fixture(scope="module")
def exchange(site: Site) -> str:
    network.fill(site)
    return site.write(
        leg(1), leg(2, Outcome.OK_EMPTY), leg(3, Outcome.DECLINED, reason="opted-out"),
        leg(4, Outcome.FAILED, reason="connect-refused"), leg(5, Outcome.TIMED_OUT),
        leg(1, transaction=Transaction.ITI_38, documents=2),
    )  # fmt: skip


@pytest.fixture
def page(chromium: Chromium, site: Site) -> Iterator[Page]:
    with window(chromium, site.base) as page:
        yield page


def test_an_auditor_finds_an_exchange_and_sees_that_it_was_written_down(
    page: Page, exchange: str
) -> None:
    sign_in(page, "auditor")
    page.get_by_label("Find by id").fill(exchange)
    page.get_by_role("button", name="Find").click()
    page.get_by_role("button", name="3 of 6").click()
    assert page.get_by_text("opted-out").is_visible()
    page.get_by_role("link", name="All 6 legs").click()
    assert page.get_by_text("All 6 entries agree").is_visible()
    page.get_by_role("link", name="Access log").click()
    assert page.get_by_text(f"/exchanges/{exchange}").first.is_visible()
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_role("heading", name="Sign in").is_visible()


def test_the_keyboard_alone_is_enough(page: Page, exchange: str) -> None:
    page.goto("/sign-in")
    keys = page.keyboard
    for _ in range(12):
        keys.press("Tab")
        if page.evaluate("document.activeElement.id") == "login":
            break
    keys.type("lead")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    page.wait_for_url("**/")
    keys.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    for _ in range(30):
        keys.press("Tab")
        if page.evaluate("document.activeElement.id") == "q":
            break
    keys.type(exchange)
    keys.press("Enter")
    page.wait_for_url("**/exchanges?**")
    for _ in range(40):
        keys.press("Tab")
        if page.evaluate("document.activeElement.pathname") == f"/exchanges/{exchange}":
            break
    keys.press("Enter")
    page.wait_for_url(f"**/exchanges/{exchange}")


def test_axe_finds_nothing(chromium: Chromium, site: Site, exchange: str) -> None:
    pages = {
        "home": "/",
        "exchanges": f"/exchanges?exchange={exchange}&open={exchange}",
        "exchange": f"/exchanges/{exchange}",
        "access-log": "/access",
        "exchanges-none": "/exchanges?reason=never-seen-at-all",
        "problem": "/exchanges/nothing",
        "peers": "/peers",
        "peer": "/peers/2.999.2.1",
        "trust": "/trust",
        "reports": "/reports",
        "exports": "/exports",
    }
    checked = {}

    def look(page: Page, name: str, path: str) -> None:
        page.goto(path)
        for shown in looks(page):
            checked[f"{path} {shown}"] = violations(page)
            if SHOTS:
                shot = Path(SHOTS) / f"{name}-{shown}.png"
                folders = page.get_by_text("node.toml")  # of this machine
                page.screenshot(path=shot, full_page=True, mask=[folders], mask_color="#999")

    for login, theirs in (("lead", pages), ("integrator", {"operations": "/operations"})):
        with window(chromium, site.base) as page:
            if login == "lead":
                look(page, "sign-in", "/sign-in")
            sign_in(page, login)
            for name, path in theirs.items():
                look(page, name, path)
    assert {path: found for path, found in checked.items() if found} == {}
