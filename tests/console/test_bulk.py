"""Several exchanges at once, and cases about the same one together (5.1, 5.3, G16, G20)."""

from __future__ import annotations

import re

import pytest

from node.model import Direction, Outcome
from tests.console.conftest import Browser, Site, leg
from tests.console.network import fill

WHY = "All of them came within one minute."


@pytest.fixture(scope="module")
def reviewer(site: Site) -> Browser:
    fill(site)
    return site.browser("reviewer")


def post(browser: Browser, *numbers: int | str, **fields: str):
    picked = {f"x-{each}": "on" for each in numbers}
    return browser.post(
        "/exchanges?since=7d", {"form": browser.form("/review"), **picked, **fields}
    )


def test_several_exchanges_are_flagged_as_one_case_and_more_are_added(
    site: Site, reviewer: Browser
) -> None:
    ids = [site.write(leg(1, Outcome.DECLINED)) for _ in range(4)]
    numbers = [site.number(each) for each in ids]
    page = reviewer.get("/exchanges").text
    assert all(f"name=x-{each} " in page for each in numbers)
    flagged = post(reviewer, *numbers[:3], do="flag", text=WHY)
    case = flagged.headers["location"]
    assert all(each in reviewer.get(case).text for each in ids[:3])
    added = post(reviewer, numbers[3], do="collect", case=case.removeprefix("/cases/"))
    assert added.headers["location"] == case
    assert ids[3] in reviewer.get(case).text


def test_what_cannot_be_done_keeps_the_selection(site: Site, reviewer: Browser) -> None:
    exchange = site.number(site.write(leg(1)))
    for fields, said in (
        ({"do": "flag", "text": " "}, "Write what this is about."),
        ({"do": "collect", "case": "2026-9999"}, "There is no such case."),
    ):
        answer = post(reviewer, exchange, **fields)
        assert answer.status_code == 400
        assert said in answer.text
        assert re.search(rf"name=x-{exchange} [^>]* checked", answer.text)
    post(reviewer, do="none")
    assert "No exchange is selected." in post(reviewer, do="flag", text=WHY).text
    for name in ("<script>", 999_999_999, "\u0661", "9" * 40):
        assert "No exchange is selected." in post(reviewer, name, do="flag", text=WHY).text


def test_who_may_not_review_selects_nothing(site: Site) -> None:
    auditor = site.browser("auditor")
    exchange = site.number(site.write(leg(1)))
    assert "name=x-" not in auditor.get("/exchanges").text
    assert post(auditor, exchange, do="flag", text=WHY).status_code == 403


def test_cases_about_the_same_one_stand_together(site: Site, reviewer: Browser) -> None:
    for number in (1, 2, 1):
        exchange = site.write(leg(number, direction=Direction.INITIATING))
        post(reviewer, site.number(exchange), do="flag", text=f"About peer {number}.")
    page = reviewer.get("/review?group=peer").text
    heads = re.findall(r'scope="rowgroup" colspan="10">([^<]+)</th>', page)
    assert sorted(heads) == sorted(set(heads))
    assert {"Farrowmere County HIE", "Penbrisk Clinic"} <= set(heads)
    for how, words in (("actor", "One of ours, u_"), ("patient", "Patient p_")):
        assert words in reviewer.get(f"/review?group={how}").text
    assert 'scope="rowgroup"' not in reviewer.get("/review?group=<script>").text
