"""`[` and `]`: from an exchange or a case to its neighbours in the list, as links (5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from node.users.lists import KEPT, MOST, Lists
from tests.console.conftest import Browser, Site, leg

LINK = re.compile(r'href="([^"]*)" data-press="([\[\]])"')


def links(browser: Browser, path: str) -> dict[str, str]:
    text = browser.get(path).text
    return {key: address.replace("&amp;", "&") for address, key in LINK.findall(text)}


@pytest.fixture(scope="module")
def exchanges(site: Site) -> list[str]:
    """Ids of 30 exchanges, newest first: more than one page."""
    return [site.write(leg(1, ago=10 + number)) for number in range(30)]


def test_an_exchange_leads_to_its_neighbours_and_the_list_s_pages(
    site: Site, exchanges: list[str]
) -> None:
    browser = site.browser("auditor")
    assert links(browser, f"/exchanges/{exchanges[3]}") == {}
    browser.get("/exchanges?since=1d")
    for before, after in pairwise(exchanges[:4]):
        assert links(browser, f"/exchanges/{before}")["]"] == f"/exchanges/{after}"
        assert links(browser, f"/exchanges/{after}")["["] == f"/exchanges/{before}"
    assert links(browser, f"/exchanges/{exchanges[0]}")["["] == "/exchanges?since=1d"
    on = links(browser, f"/exchanges/{exchanges[24]}")["]"]
    assert on.startswith("/exchanges?since=24h&after=")
    browser.get(on)
    assert links(browser, f"/exchanges/{exchanges[25]}")["["] == on
    assert "]" not in links(browser, f"/exchanges/{exchanges[29]}")
    assert (
        "1 of 25 exchanges on the page of the list"
        in browser.get(f"/exchanges/{exchanges[0]}").text
    )


def test_the_list_is_the_one_that_the_person_saw_last(site: Site, exchanges: list[str]) -> None:
    browser = site.browser("integrator")
    other = site.write(leg(2, ago=11))
    browser.get("/exchanges?since=1d")
    assert links(browser, f"/exchanges/{other}")["]"].startswith("/exchanges/")
    browser.get("/exchanges?since=1d&peer=2.999.2.2")
    assert "1 of 1 exchange on" in browser.get(f"/exchanges/{other}").text
    assert "]" not in links(browser, f"/exchanges/{other}")
    assert "]" in links(browser, f"/exchanges/{exchanges[2]}")  # that stands in the former one
    assert links(site.browser("lead"), f"/exchanges/{other}") == {}


def test_a_case_leads_to_its_neighbours_in_the_queue(site: Site, exchanges: list[str]) -> None:
    browser = site.browser("reviewer")
    for exchange in exchanges[:3]:
        form = {"form": browser.form(), "text": "Looks unusual.", "case": ""}
        browser.post(f"/exchanges/{exchange}/flag", form)
    numbers = re.findall(r'<a href="/cases/([0-9-]+)">', browser.get("/review").text)
    assert links(browser, f"/cases/{numbers[1]}") == {
        "[": f"/cases/{numbers[0]}", "]": f"/cases/{numbers[2]}",
    }  # fmt: skip


def test_the_keys_page_names_them(site: Site) -> None:
    assert "<kbd>[, ]</kbd>" in site.browser("auditor").get("/keys").text


def test_few_pages_are_kept_and_not_for_long(site: Site) -> None:
    lists, now = Lists(site.opened.engine), datetime.now(UTC)
    for number in range(MOST + 2):
        at = now + timedelta(seconds=number)
        lists.keep("new.user", "x", address=f"/x?{number}", things=[f"t{number}", "all"], now=at)
    assert lists.near("new.user", "x", "t1", now=now) is None
    near = lists.near("new.user", "x", "all", now=now)
    assert near is not None
    assert near.address == f"/x?{MOST + 1}"
    assert lists.near("new.user", "x", "all", now=now + KEPT + timedelta(minutes=1)) is None
    lists.keep("new.user", "x", address="/x", things=["y" * 3000], now=now + timedelta(hours=1))
    assert lists.near("new.user", "x", "y" * 3000, now=now) is None
