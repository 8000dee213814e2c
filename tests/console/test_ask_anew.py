"""Asking anew: a new exchange of who asks now, linked both ways with the earlier one (5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from node.governance.exchanges import read_exchange
from node.ledger.find import LedgerFilter, find
from node.ledger.private import load_key
from node.model import Direction
from tests.console.clinic_world import ClinicSite, clinic_site, ended, world_peers
from tests.console.conftest import PASSWORD, Browser, leg
from tests.console.test_access import _users, facts
from tests.console.test_revealing import WHY
from tests.ledger.records import private

NAME = "Canaryson"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClinicSite]:
    with clinic_site(tmp_path_factory.mktemp("anew"), world_peers()[0]) as made:
        _users(made).add("both", "Both", ("clinician", "reviewer"), PASSWORD, own=True)
        yield made


@pytest.fixture(scope="module")
def browser(clinic: ClinicSite) -> Browser:
    return clinic.browser("both")


@pytest.fixture
def earlier(clinic: ClinicSite) -> str:
    return clinic.write(leg(1))


def anew(browser: Browser, exchange: str, **form: str):
    path = f"/exchanges/{exchange}/anew"
    whole = {"form": browser.form(path), "why": WHY, "purpose": "T-TRTMNT", **form}
    return browser.post(path, whole)


def test_a_new_exchange_asks_and_both_name_each_other(
    clinic: ClinicSite, browser: Browser, earlier: str
) -> None:
    assert f"/exchanges/{earlier}/anew" in browser.get(f"/exchanges/{earlier}").text
    assert NAME not in browser.get(f"/exchanges/{earlier}/anew").text
    answer = anew(browser, earlier)
    assert answer.status_code == 303, answer.text
    ended(browser, answer.headers["location"])
    (later,) = re.findall(
        r'asked anew by <a class="id" href="/exchanges/([0-9a-f-]+)"',
        browser.get(f"/exchanges/{earlier}").text,
    )
    assert later != earlier
    text = browser.get(f"/exchanges/{later}").text
    assert f'asks anew what <a class="id" href="/exchanges/{earlier}">' in text
    key = load_key(clinic.opened.home.path)
    made, former = (read_exchange(clinic.opened.engine, key, each) for each in (later, earlier))
    assert made is not None
    assert former is not None
    assert made.who["user_id"] == "both"
    assert former.who["user_id"] != "both"
    ids = [{leg.text("msg") for leg in each.legs} for each in (made, former)]
    assert not ids[0] & ids[1]
    (said,) = (about for act, _, about in facts(clinic, 40) if act == "exchange-ask-anew")
    assert (said["exchange"], said["later"], said["why"]) == (earlier, later, WHY)  # type: ignore[index]
    assert NAME not in repr(said)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"why": "because"}, "Write 10 to 500 characters"),
        ({"purpose": ""}, "Choose a purpose."),
        ({"purpose": "T-PYMNT"}, "Choose a purpose."),
        ({"purpose": "<script>"}, "Choose a purpose."),
    ],
)
def test_without_purpose_and_reason_nobody_is_asked(
    clinic: ClinicSite, browser: Browser, earlier: str, form: dict[str, str], told: str
) -> None:
    answer = anew(browser, earlier, **form)
    assert answer.status_code == 400
    assert told in answer.text
    assert "asked anew by" not in browser.get(f"/exchanges/{earlier}").text
    assert not [act for act, _, _ in facts(clinic, 2) if act in ("records-search", "records-bar")]


def test_who_may_not_ask_or_not_read_exchanges_has_no_way_there(
    clinic: ClinicSite, earlier: str
) -> None:
    reviewer, clinician = clinic.browser("reviewer"), clinic.browser("clinician")
    assert f'href="/exchanges/{earlier}/anew"' not in reviewer.get(f"/exchanges/{earlier}").text
    assert reviewer.get(f"/exchanges/{earlier}/anew").status_code == 403
    assert clinician.get(f"/exchanges/{earlier}/anew").status_code == 404


def test_a_clinician_asks_anew_what_they_asked_at_the_address_that_a_reviewer_reads(
    clinic: ClinicSite,
) -> None:
    """Roles as they are shipped: ``ask`` alone is enough for what one asked oneself."""
    clinician, reviewer = clinic.browser("clinician"), clinic.browser("reviewer")
    by = {"user_id": "clinician", "subject_id": "The clinician"}
    mine = clinic.write(leg(1, facts=replace(private(), who=by)))
    text = reviewer.get(f"/exchanges/{mine}").text
    (address,) = re.findall(r"<code>(/exchanges/[0-9a-f-]+/anew)</code>", text)
    page = clinician.get(address).text
    for path in re.findall(r'href="(/[^"]*)"', page):
        assert clinician.get(path).status_code == 200, path
    assert NAME not in page
    answer = anew(clinician, mine)
    assert answer.status_code == 303, answer.text
    ended(clinician, answer.headers["location"])
    assert "It was asked anew by" in reviewer.get(f"/exchanges/{mine}").text


def test_what_others_asked_us_and_what_there_is_not_cannot_be_asked_anew(
    clinic: ClinicSite, browser: Browser
) -> None:
    served = clinic.write(leg(1, direction=Direction.RESPONDING))
    assert "/anew" not in browser.get(f"/exchanges/{served}").text
    for each in (served, "x", served.replace("7", "8")):
        assert browser.get(f"/exchanges/{each}/anew").status_code == 404
    assert find(clinic.opened.engine, LedgerFilter(act="exchange-ask-anew")).entries
