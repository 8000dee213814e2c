"""The console in a real Chromium: journeys, keyboard, accessibility (facts: governance-ux 9)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from node.model import Outcome, Transaction
from tests.console.conftest import PASSWORD, Site, leg

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa",
                                          "best-practice"]}
}  # fmt: skip
SIZES = [(1440, 900), (390, 844)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    path = shutil.which("chromium")
    assert path, "these tests need Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def exchange(site: Site) -> str:
    return site.write(
        leg(1), leg(2, Outcome.OK_EMPTY), leg(3, Outcome.DECLINED, reason="opted-out"),
        leg(4, Outcome.FAILED, reason="connect-refused"), leg(5, Outcome.TIMED_OUT),
        leg(1, transaction=Transaction.ITI_38, documents=2),
    )  # fmt: skip


@pytest.fixture
def page(chromium: Chromium, site: Site) -> Iterator[Page]:
    context = chromium.new_context(base_url=site.base, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert not [text for text in problems if "content security policy" in text.lower()]


def sign_in(page: Page, login: str) -> None:
    page.goto("/")
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def test_an_auditor_finds_an_exchange_and_sees_that_it_was_written_down(
    page: Page, exchange: str
) -> None:
    sign_in(page, "auditor")
    page.get_by_label("Find by id").fill(exchange)
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Legs: 3 of 6 answered").click()
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_axe_finds_nothing(
    chromium: Chromium, site: Site, exchange: str, scheme: str, width: int, height: int
) -> None:
    context = chromium.new_context(
        base_url=site.base,
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto("/sign-in")
    checked = {"/sign-in": _violations(page)}
    sign_in(page, "lead")
    paths = (
        "/", f"/exchanges?exchange={exchange}&open={exchange}", f"/exchanges/{exchange}",
        "/access", "/exchanges?reason=never-seen-at-all", "/exchanges/nothing",
    )  # fmt: skip
    for path in paths:
        page.goto(path)
        checked[path] = _violations(page)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{path} is {wide} px wider than the window"
    context.close()
    assert {path: found for path, found in checked.items() if found} == {}


def _violations(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]
