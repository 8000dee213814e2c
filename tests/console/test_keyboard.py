"""Single keys in a real Chromium: rows, places, fields; and that they can be turned off."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser as Chromium

from tests.console.chromium import sign_in, violations, window
from tests.console.conftest import Site, leg


@pytest.fixture(scope="module")
def exchange(site: Site) -> str:
    site.write(leg(2, ago=90))
    return site.write(leg(1, ago=60))


def test_keys_move_open_flag_and_go_and_can_be_turned_off(
    chromium: Chromium, site: Site, exchange: str
) -> None:
    with window(chromium, site.base) as page:
        sign_in(page, "lead")
        keys = page.keyboard
        keys.press("g")
        keys.press("e")
        page.wait_for_url("**/exchanges")
        assert violations(page) == []
        keys.press("j")
        keys.press("Enter")
        page.wait_for_url(f"**/exchanges/{exchange}")
        keys.press("f")
        assert page.evaluate("document.activeElement.id") == "flag-text"
        keys.type("gex?/j")  # letters of a text, and no keys
        assert page.input_value("#flag-text") == "gex?/j"
        keys.press("Escape")
        keys.press("/")
        assert page.evaluate("document.activeElement.id") == "q"
        keys.press("Escape")
        keys.press("?")
        page.wait_for_url("**/keys")
        assert violations(page) == []
        page.get_by_role("button", name="Turn single keys off").click()
        page.goto("/exchanges")
        keys.press("j")
        assert page.evaluate("document.activeElement === document.body")
