"""Somebody at a browser who knows nothing of the node but what the page before them says.

Everything is found by role and name, as a person or a screen reader finds it; the one address that
is typed is the printed one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

PATIENT, BORN = "Marisol Abernathy-Quist", "1964-09-17"
NEW_PASSWORD = "a sentence that only I know"
REFERRAL, DISCHARGE = "Referral to Endocrinology", "Discharge Summary: Atrial Fibrillation"
WHY = {
    "Pinewood Urgent Care": ("not reached", "Their system does not run at its address"),
    "Sandstone Regional Hospital": ("not reached", "No answer within 6 s"),
    "Willow Creek Behavioral Health": (
        "declined", "The patient asked this organisation not to share records",
    ),
}  # fmt: skip
_SHOTS = os.environ.get("CONSOLE_SHOTS")


def shot(page: Page, name: str) -> None:
    """A picture for the manual, where ``make screenshots`` asks for them."""
    if _SHOTS:
        page.screenshot(path=Path(_SHOTS) / f"journey-{name}.png", full_page=True)


def sign_in(page: Page, base: str, login: str, first: str) -> None:
    """Open the printed address and sign in, for the first time or again."""
    page.goto(base)
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    if page.get_by_text("Login and password do not").count() or page.get_by_label("Login").count():
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(first)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("New password").fill(NEW_PASSWORD)
        page.get_by_label("The same again").fill(NEW_PASSWORD)
        page.get_by_role("button", name="Keep this password").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.wait_for_load_state()  # the button stands above what is counted on the page


def find(page: Page) -> None:
    """From wherever one is to the answers about the patient."""
    page.get_by_role("link", name="Find a patient").first.click()
    page.get_by_label("Name").fill(PATIENT)
    page.get_by_label("Born").fill(BORN)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status")).to_contain_text("of 6 organizations answered")


def line(page: Page, organization: str) -> Locator:
    return page.get_by_role("listitem").filter(has_text=organization)


def tell_why(page: Page) -> None:
    """Each that gave nothing says why in its line; its page says whose side, and whom to call."""
    expect(page.get_by_role("status")).to_contain_text("3 of 6 organizations answered")
    expect(page.get_by_role("status")).to_contain_text("1 declined, 2 not reached.")
    expect(line(page, "Northgate Family Clinic")).to_contain_text("none held")
    expect(line(page, "Northgate Family Clinic")).to_contain_text("They answered; no such patient")
    for organization, (word, sentence) in WHY.items():
        expect(line(page, organization)).to_contain_text(word)
        expect(line(page, organization)).to_contain_text(sentence)
        line(page, organization).get_by_role("link", name="Why?").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(f"{organization}: {word}.")
        for question in ("Whose side", "Ask again?", "Whom to call"):
            expect(page.get_by_role("term").filter(has_text=question)).to_be_visible()
        expect(page.get_by_role("main")).to_contain_text("does not mean that there is nothing")
        page.get_by_role("link", name="Back to all answers").click()


def medicines(page: Page, title: str) -> str:
    """The medication list of a document, from the answers and back."""
    page.get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    expect(page.get_by_text("Name and birth date in this document match")).to_be_visible()
    sections = page.get_by_role("navigation", name="Sections")
    sections.get_by_role("link", name=re.compile("^Medications")).click()
    heading = page.get_by_role("columnheader", name="Medication", exact=True)
    said = page.get_by_role("table").filter(has=heading).inner_text()
    if title == DISCHARGE:
        shot(page, "document")
    page.get_by_role("link", name="All answers").click()
    return said


def report(page: Page, text: str, *, twice: bool = False) -> str:
    """Report a document as wrong from its page; the number of the case."""
    page.get_by_role("link", name="Report a problem").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(DISCHARGE)
    page.get_by_label("What is wrong").select_option("Something in it is wrong")
    page.get_by_label("What you saw").fill(text)
    button = page.get_by_role("button", name="Report it")
    button.dblclick() if twice else button.click()
    thanks = page.get_by_role("heading", name=re.compile("Thank you. It is case"))
    expect(thanks).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("within five working days")
    shot(page, "reported")
    found = re.search(r"case (\d{4}-\d{4})", thanks.inner_text())
    assert found
    return found[1]


def tab_to(page: Page, wanted: Locator) -> None:
    """Go on with the Tab key alone until it is the one that has the focus."""
    for _ in range(90):
        if wanted.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key does not come to {wanted}")
