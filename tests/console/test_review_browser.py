"""Review in a real Chromium: a journey of two people, the keyboard, axe (governance-ux 9)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from node.model import Direction, Outcome
from tests.console.chromium import looks, sign_in, violations, window
from tests.console.conftest import PASSWORD, Site, leg
from tests.console.test_access import _users

SHOTS = os.environ.get("CONSOLE_SHOTS")
"""A folder for pictures, for whoever builds the pages; nothing is made without it."""

REASON = "The patient was admitted here that day; the visit was booked late."


@pytest.fixture(scope="module")
def site_of_two(site: Site) -> Site:
    _users(site).add("m.itoya", "M. Itoya", ("reviewer",), PASSWORD, own=True)
    _users(site).add("t.arnbeck", "T. Arnbeck", ("lead",), PASSWORD, own=True)
    return site


def flagged(site: Site, page: Page, words: str) -> str:
    """Flag a new exchange from its page; the address of the case."""
    exchange = site.write(
        leg(1, documents=2), leg(2, Outcome.OK_EMPTY), leg(3, Outcome.DECLINED, reason="opted-out")
    )
    page.goto(f"/exchanges/{exchange}")
    page.get_by_label("Why it should be looked into").fill(words)
    page.get_by_role("button", name="Flag this exchange").click()
    page.wait_for_url("**/cases/**")
    return page.url


def test_two_people_carry_a_flag_to_a_closed_case(chromium: Chromium, site_of_two: Site) -> None:
    site = site_of_two
    with window(chromium, site.base) as page, window(chromium, site.base) as second:
        sign_in(page, "m.itoya")
        sign_in(second, "t.arnbeck")
        case = flagged(site, page, "Documents came back after an opt-out.")
        page.get_by_role("link", name="Assign", exact=True).click()
        page.get_by_label("To whom").select_option("m.itoya")
        page.get_by_role("button", name="Assign").click()
        page.get_by_text("gave the case to M. Itoya").wait_for()
        page.get_by_label("Comment").fill("The opt-out is of the day before.")
        page.get_by_role("button", name="Add comment").click()
        page.get_by_label("Whom").fill("Manager of registration")
        page.get_by_label("Question").fill("When was the visit booked?")
        page.get_by_role("button", name="Note that you asked").click()
        page.get_by_text("Waiting for an answer").wait_for()
        page.get_by_label("What was answered").fill("A day late, on the ninth.")
        page.get_by_role("button", name="Write it down").click()
        page.get_by_label("Outcome").select_option("confirmed-inappropriate")
        page.get_by_label("Reason", exact=True).fill("Too short")
        page.get_by_role("button", name="Send for confirmation").click()
        page.get_by_text("Write at least 20 characters; this has 9.").wait_for()
        page.get_by_label("Reason", exact=True).fill(REASON)
        page.get_by_label("Education given").check()
        page.get_by_role("button", name="Send for confirmation").click()
        page.get_by_text("A finding: a lead confirms it").wait_for()
        assert page.get_by_role("button", name="Confirm and close").count() == 0

        second.goto("/review?state=resolved")
        second.get_by_role("link", name="Documents came back after an opt-out.").click()
        second.get_by_text(REASON).first.wait_for()
        second.get_by_role("button", name="Confirm and close").click()
        second.get_by_text("confirmed it, and closed the case").wait_for()

        page.goto(case)
        assert page.get_by_text("T. Arnbeck confirmed it, and closed the case").is_visible()
        page.goto("/review?state=closed")
        assert page.get_by_role("link", name="Documents came back").first.is_visible()


def test_the_keyboard_alone_takes_a_case(chromium: Chromium, site_of_two: Site) -> None:
    with window(chromium, site_of_two.base) as page:
        sign_in(page, "m.itoya")
        flagged(site_of_two, page, "Taken by the keyboard alone.")
        page.goto("/review?assignee=nobody")
        _tab_to(page, "document.activeElement.textContent == 'Taken by the keyboard alone.'")
        page.keyboard.press("Enter")
        page.wait_for_url("**/cases/**")
        _tab_to(page, "document.activeElement.textContent == 'Take it'")
        page.keyboard.press("Enter")
        page.get_by_text("took the case").wait_for()
        _tab_to(page, "document.activeElement.id == 'comment-text'")
        page.keyboard.type("On it.")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_text("M. Itoya commented").wait_for()


def _tab_to(page: Page, condition: str) -> None:
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    raise AssertionError(condition)


def test_axe_finds_nothing_on_the_pages_of_review(chromium: Chromium, site_of_two: Site) -> None:
    checked: dict[str, list[str]] = {}

    def look(name: str, page: Page) -> None:
        for shown in looks(page):
            checked[f"{name} {shown}"] = violations(page)
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"{name}-{shown}.png", full_page=True)

    with window(chromium, site_of_two.base) as page:
        sign_in(page, "m.itoya")
        case = flagged(site_of_two, page, "Three patients of one street.")
        look("case-new", page)
        page.get_by_role("button", name="Take it").click()
        page.get_by_label("Comment").fill("Looking into it.")
        page.get_by_role("button", name="Add comment").click()
        page.get_by_label("Outcome").select_option("policy-violation")
        page.get_by_label("Reason", exact=True).fill("Not on the roster")
        page.get_by_role("button", name="Send for confirmation").click()
        page.get_by_text("Write at least 20 characters; this has 17.").wait_for()
        look("case-working", page)
        page.get_by_label("Reason", exact=True).fill(REASON)
        page.get_by_role("button", name="Send for confirmation").click()
        page.get_by_text("A second reviewer confirms it.").wait_for()
        look("case-resolved", page)
        for name, address in (
            ("review", "/review"), ("review-empty", "/review?due=late"),
        ):  # fmt: skip
            page.goto(address)
            look(name, page)
        site_of_two.write(leg(5, Outcome.DECLINED, direction=Direction.RESPONDING, ago=0))
        site_of_two.write(
            leg(6, Outcome.DECLINED, direction=Direction.RESPONDING, reason="patient-opted-out")
        )
        page.goto("/")
        look("home", page)
        page.goto("/denials")
        look("denials", page)
        page.locator("table a.mono").first.click()
        page.get_by_label("Exception").wait_for()
        look("denial", page)
    with window(chromium, site_of_two.base) as page:
        sign_in(page, "auditor")
        page.goto(case)
        look("case-auditor", page)
    assert {name: found for name, found in checked.items() if found} == {}
