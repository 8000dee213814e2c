"""A patient's name is shown to who may, proves themselves again and says why (facts: 5.1, 5.6)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest

from node.users.sessions import Sessions
from tests.console.conftest import PASSWORD, Browser, Site, leg
from tests.console.test_access import _users, facts

WHY = "Asked by the patient's family on the phone."
NAME = "19691231"  # the birth date, which nothing else shows


@pytest.fixture(scope="module")
def exchange(site: Site) -> str:
    return site.write(leg(1))


@pytest.fixture
def old(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions whose people proved themselves too long ago."""
    real = Sessions.find

    def find(self, token):
        found = real(self, token)
        return replace(found, proved=False) if found else None

    monkeypatch.setattr(Sessions, "find", find)


def ask(browser: Browser, path: str, **form: str):
    whole = {"form": browser.form(path), "why": WHY, **form}
    return browser.post(path, whole)


def test_the_list_and_the_exchange_lead_to_the_name_for_who_may(site: Site, exchange: str) -> None:
    for role, may in (("reviewer", True), ("lead", True), ("auditor", False)):
        browser = site.browser(role)
        for page in ("/exchanges?since=1d", f"/exchanges/{exchange}"):
            text = browser.get(page).text
            assert bool(re.search(r'href="/exchanges/[^"]+/person"', text)) is may, (role, page)
            assert NAME not in text
    led = site.browser("lead").get(f"/exchanges/{site.number(exchange)}/person")
    assert led.headers["location"] == f"/exchanges/{exchange}/person"
    assert site.browser("lead").get("/exchanges/999999999/person").status_code == 404


def test_a_name_is_shown_with_a_reason_and_that_is_an_entry(site: Site, exchange: str) -> None:
    browser = site.browser("reviewer")
    path = f"/exchanges/{exchange}/person"
    assert NAME not in browser.get(path).text
    answer = ask(browser, path)
    assert answer.status_code == 200
    assert NAME in answer.text
    assert "CANARYMRN888^^^&amp;2.999.1.1&amp;ISO" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    act, who, about = facts(site)[0]
    assert (act, who["user_id"]) == ("patient-reveal", "reviewer")  # type: ignore[index]
    assert about["exchange"] == exchange  # type: ignore[index]
    assert about["why"] == WHY  # type: ignore[index]
    assert about["patient"].startswith("~")  # type: ignore[index]
    assert NAME not in repr(facts(site))
    seen = site.browser("auditor").get("/access").text
    assert WHY.replace("'", "&#39;") in seen
    assert NAME not in seen


def test_without_a_reason_no_name(site: Site, exchange: str) -> None:
    browser = site.browser("reviewer")
    answer = ask(browser, f"/exchanges/{exchange}/person", why="because")
    assert answer.status_code == 400
    assert NAME not in answer.text
    assert facts(site)[0][0] == "page-view"


@pytest.mark.usefixtures("old")
def test_an_old_proof_does_not_count_and_a_password_does(site: Site, exchange: str) -> None:
    browser, path = site.browser("lead"), f"/exchanges/{exchange}/person"
    assert 'name="proof" type="password"' in browser.get(path).text
    assert ask(browser, path).status_code == 400
    wrong = ask(browser, path, proof="not the password")
    assert wrong.status_code == 400
    assert NAME not in wrong.text
    assert facts(site, 2)[0][0] == "person-prove-refuse"
    right = ask(browser, path, proof=PASSWORD)
    assert NAME in right.text
    assert [act for act, _, _ in facts(site, 2)] == ["patient-reveal", "person-prove"]
    assert PASSWORD not in repr(facts(site))


@pytest.mark.usefixtures("old")
def test_who_has_one_time_codes_types_the_code_of_now_once(site: Site, exchange: str) -> None:
    _users(site).add("coded", "Coded", ("reviewer",), PASSWORD, own=True)
    browser, path = site.browser("coded"), f"/exchanges/{exchange}/person"
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    totp, users = pyotp.TOTP(secret), _users(site)
    now = site.opened.clock.now()
    assert users.set_code("coded", secret, totp.at(now - timedelta(seconds=30)))
    assert 'autocomplete="one-time-code"' in browser.get(path).text
    assert ask(browser, path, proof=PASSWORD).status_code == 400
    code = totp.at(now)
    assert NAME in ask(browser, path, proof=code).text
    assert ask(browser, path, proof=code).status_code == 400  # a code counts once


@pytest.mark.usefixtures("old")
def test_guessing_locks_the_account(site: Site, exchange: str) -> None:
    _users(site).add("guessed", "Guessed", ("reviewer",), PASSWORD, own=True)
    browser, path = site.browser("guessed"), f"/exchanges/{exchange}/person"
    for _ in range(5):
        last = ask(browser, path, proof="a wrong guess")
    assert "Too many attempts" in last.text
    assert "Too many attempts" in ask(browser, path, proof=PASSWORD).text


def test_a_patient_who_was_looked_up_is_shown_from_our_own_records_alone(site: Site) -> None:
    browser = site.browser("reviewer")
    form = {"form": browser.form("/patients"), "patient": "CANARYMRN888^^^&2.999.1.1&ISO"}
    where = browser.post("/patients", form).headers["location"]
    assert f"{where}/person" in browser.get(where).text
    answer = ask(browser, f"{where}/person")
    assert "Nobody whose name is known" in answer.text
    assert facts(site)[0][0] == "patient-reveal"
    assert site.browser("lead").get(f"{where}/person").status_code == 404
