"""A real Chromium for the console's tests: pages, signing in, what axe finds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

RULES = {
    # what passes is thousands of nodes, and nobody reads it
    "resultTypes": ["violations", "incomplete"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa",
                                          "best-practice"]}
}  # fmt: skip
SIZES = [(1440, 900), (390, 844)]
LOOKS = [("light", 1280), ("dark", 390)]
"""A scheme and a width: a screen by day, a phone in the dark."""

_HEIGHT = 900
_SHORT = """options => axe.run(document, options).then(found => ({
  violations: found.violations.map(rule => ({id: rule.id, nodes: [{html: rule.nodes[0].html}]})),
  incomplete: found.incomplete.flatMap(rule => rule.nodes).map(
    node => ({html: node.html, any: node.any.map(check => ({data: check.data}))})),
}))"""
"""Of what axe finds only what is read here: all of it is half a megabyte from each page."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    path = shutil.which("chromium")
    assert path, "these tests need Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def window(chromium: Chromium, base: str, **more: object) -> Iterator[Page]:
    """A page of its own; what the security policy stops makes the test fail."""
    settings = {"viewport": {"width": 1440, "height": 900}, **more}
    context = chromium.new_context(base_url=base, **settings)  # type: ignore[arg-type]
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert not [text for text in problems if "content security policy" in text.lower()]


def sign_in(page: Page, login: str, password: str = "several words nobody knows") -> None:
    page.goto("/")
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def violations(page: Page) -> list[str]:
    """What axe finds on a page, and whether it is wider than the window."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    results = page.evaluate(_SHORT, RULES)
    # text of its ground's colour axe leaves to a person, who sees nothing there
    unseen = [node for node in results["incomplete"] if _unseen(node)]
    found = [*results["violations"], *({"id": "unseen", "nodes": [node]} for node in unseen)]
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    too_wide = [f"{wide} px wider than the window"] if wide > 0 else []
    return too_wide + [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


def looks(page: Page, wanted: Sequence[tuple[str, int]] = LOOKS) -> Iterator[str]:
    """Show a loaded page in each scheme and width; their names, for pictures. The last one stays.

    Colours change at once: half-way from one scheme to the other they are of neither.
    """
    for scheme, width in wanted:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": _HEIGHT})
        yield f"{scheme}-{width}"


def _unseen(node: dict[str, Any]) -> bool:
    data = [check["data"] for check in node["any"]]
    return any(isinstance(each, dict) and each.get("messageKey") == "equalRatio" for each in data)
