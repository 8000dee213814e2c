"""The access log answers who looked at this, and what did this person do (governance-ux 5.15)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from node.console.access_log import _KINDS, READ
from node.ledger.trust_change import acts
from tests.console.conftest import Browser, Site, leg, made_site
from tests.console.test_access import ROLES

ENTRY = re.compile(r'data-l="Entry" class="mono">([0-9,]+)<')
WHO = re.compile(r'data-l="Who">([^<]*)<')
WHERE = re.compile(r'data-l="Where">(?:<[^>]+>)?([^<]*)<')


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """Two people looked at one exchange, one of them at another one."""
    with made_site(tmp_path_factory.mktemp("access")) as site:
        one, other = site.write(leg(1)), site.write(leg(2))
        for role, seen in (("reviewer", one), ("integrator", one), ("integrator", other)):
            site.browser(role).get(f"/exchanges/{seen}")
        site.browser("clinician").get("/exchanges")
        yield site, one


def find(browser: Browser, path: str = "/access", **typed: str) -> str:
    answer = browser.post(path, {"form": browser.form("/access"), **typed})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_who_looked_at_an_exchange_is_one_link_away_from_it(looked: tuple[Site, str]) -> None:
    site, exchange = looked
    auditor = site.browser("auditor")
    page = auditor.get(f"/exchanges/{exchange}").text
    assert f'href="/access?about={exchange}">Who looked at this exchange</a>' in page
    shown = auditor.get(f"/access?about={exchange}").text
    assert {"reviewer", "integrator"} <= set(WHO.findall(shown)) <= {
        "reviewer", "integrator", "auditor",
    }  # fmt: skip
    assert f'href="/exchanges/{exchange}">/exchanges/{exchange}</a>' in shown
    assert "/access?about=" not in site.browser("reviewer").get(f"/exchanges/{exchange}").text


def test_what_a_person_did_is_found_by_their_login_which_is_in_no_address(
    looked: tuple[Site, str],
) -> None:
    site, exchange = looked
    auditor = site.browser("auditor")
    for typed in ("integrator", "The integrator"):
        address = find(auditor, who=typed)
        assert re.fullmatch(r"/access\?user=~[0-9a-f]{32}", address)
        shown = auditor.get(address).text
        assert set(WHO.findall(shown)) == {"integrator"}
        assert "user:integrator" in shown
        assert 'value="integrator"' in shown
    both = find(auditor, address, who="integrator", about=exchange)
    rows = auditor.get(both).text
    assert set(WHERE.findall(rows)) == {f"/exchanges/{exchange}"}
    assert find(auditor, both, who="", about="") == "/access"
    assert "None fits." in auditor.get(find(auditor, who="nobody.we.know")).text


def test_the_kinds_to_choose_from_are_acts_that_there_are(looked: tuple[Site, str]) -> None:
    site, _ = looked
    assert {act for each in _KINDS.values() for act in each} <= set(acts())
    auditor = site.browser("auditor")
    page = auditor.get("/access").text
    address = re.search(r'<a href="(/access\?act=[^"]+)">Refused</a>', page)
    assert address
    refused = auditor.get(address[1].replace("&amp;", "&")).text
    assert set(WHO.findall(refused)) == {"clinician"}
    assert "(right-missing)" in refused
    assert 'aria-current="true">Refused</a>' in refused
    file = auditor.get(address[1].replace("/access", "/access.json")).json()
    assert {row["reason"] for row in file["entries"]} == {"right-missing"}


def test_a_filter_that_is_none_is_said_and_nothing_else_is_shown(looked: tuple[Site, str]) -> None:
    site, _ = looked
    answer = site.browser("auditor").get("/access?act=no-such-act")
    assert answer.status_code == 400
    assert not ENTRY.search(answer.text)


@pytest.mark.parametrize("role", ROLES)
def test_everybody_reads_what_the_log_has_of_them_and_of_nobody_else(
    looked: tuple[Site, str], role: str
) -> None:
    site, _ = looked
    browser = site.browser(role)
    assert 'href="/access/own"' in browser.get("/").text
    for address in ("/access/own", "/access/own?user=reviewer", "/access/own?about=/"):
        shown = browser.get(address).text
        assert set(WHO.findall(shown)) == {role}, address


def test_looking_for_one_thing_reads_so_many_entries_and_says_where_it_goes_on(
    looked: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, exchange = looked
    auditor = site.browser("auditor")
    for _ in range(51):
        auditor.get("/keys")
    assert READ == 2_000
    monkeypatch.setattr("node.console.access_log.READ", 50)
    page = auditor.get(f"/access?about=/exchanges/{exchange}").text
    assert "None so far." in page
    assert "Older reads on." in page
    seen: list[str] = []
    while older := re.search(r'<a class="btn" href="([^"]+)">Older</a>', page):
        page = auditor.get(older[1].replace("&amp;", "&")).text
        seen += WHO.findall(page)
    assert {"reviewer", "integrator"} <= set(seen)


def test_what_was_done_is_said_with_its_numbers(looked: tuple[Site, str]) -> None:
    site, _ = looked
    lead = site.browser("lead")
    exchange = site.write(leg(3))
    flagged = {"form": lead.form(), "text": "This one has to be looked into.", "case": ""}
    case = lead.post(f"/exchanges/{exchange}/flag", flagged).headers["location"].split("#")[0]
    assert lead.get(f"{case}/evidence").status_code == 200
    shown = lead.get("/access").text
    assert re.search(r"The evidence of a case was taken out: [0-9]+ entr(y|ies)\.", shown)
    assert "{" not in "".join(re.findall(r'data-l="What">([^<]*)<', shown))
