"""A selection of cases that survives pages, filters and verbs, without script (G19, G20)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from node.governance.case_model import Person
from node.governance.case_queue import QueueFilter, numbers_of
from node.governance.case_rows import FLAG, Opening
from node.governance.cases import Actor, Cases
from node.ledger.private import load_key
from node.ledger.trust_change import Author
from node.storage.case_tables import MESSAGE
from node.users import selections
from tests.console.conftest import PASSWORD, Browser, Site, made_site
from tests.console.test_access import _users, facts

COUNT = 60
REASON = "The peer's governance contact answers on Monday."


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A console with more cases than two pages show."""
    with made_site(tmp_path_factory.mktemp("many")) as site:
        _users(site).add("second", "The second reviewer", ("reviewer",), PASSWORD, own=True)
        opened = site.opened
        cases = Cases(opened.engine, load_key(opened.home.path), own=opened.home_community_id)
        actor = Actor(person=_person(cases), author=Author(by="user", who={"user_id": "ida"}))
        for number in range(COUNT):
            cases.open(actor, Opening(kind=FLAG, text=f"Flag {number}."), now=datetime.now(UTC))
        yield site


def _person(cases: Cases) -> Person:
    return Person(login="ida", rights=frozenset({"review"}), mark=cases.mark("ida"))


@pytest.fixture
def reviewer(many: Site) -> Browser:
    browser = many.browser("reviewer")
    send(browser, do="none")
    return browser


def send(browser: Browser, path: str = "/review", *, tick: object = (), **fields: str):
    """Send the bulk form as a browser without script does: what it shows, and what is ticked."""
    page = browser.get(path).text
    shown = re.search(r'name="shown" value="([^"]*)"', page)
    form = {"form": browser.form("/review"), "shown": shown[1] if shown else "", **fields}
    return browser.post(path, form | {f"case-{each}": "on" for each in tick})  # type: ignore[union-attr]


def shown(text: str) -> list[str]:
    return re.findall(r'name="case-([0-9-]+)"', text)


def ticked(text: str) -> list[str]:
    return re.findall(r'name="case-([0-9-]+)"[^>]* checked', text)


def comments(site: Site) -> int:
    count = select(func.count()).where(MESSAGE.c.verb == "comment", MESSAGE.c.refusal.is_(None))
    with site.opened.engine.connect() as connection:
        return connection.execute(count).scalar_one()


def test_ticks_survive_paging_filtering_and_are_taken_away_again(reviewer: Browser) -> None:
    first = shown(reviewer.get("/review").text)
    following = re.search(r'name="go" value="([^"]+)">Next', reviewer.get("/review").text)
    assert following is not None
    address = following[1].replace("&amp;", "&")
    went = send(reviewer, tick=first[:2], go=address)
    assert (went.status_code, went.headers["location"]) == (303, address)
    second = shown(reviewer.get(address).text)
    send(reviewer, address, tick=second[:1], do="keep")
    text = reviewer.get("/review?assignee=nobody").text
    assert ticked(text) == first[:2]
    assert "<b>3 selected</b>1 of them not on this page" in text
    assert sorted(ticked(reviewer.get("/review?selected=on").text)) == sorted(
        [*first[:2], second[0]]
    )
    send(reviewer, tick=first[1:2], do="keep")
    assert ticked(reviewer.get("/review").text) == first[1:2]
    send(reviewer, tick=first[1:2], do="none")
    assert "<b>3 selected" not in reviewer.get("/review").text


def test_more_than_is_seen_is_asked_first_with_number_and_verb_and_stays_selected(
    many: Site, reviewer: Browser
) -> None:
    page = reviewer.get("/review").text
    assert f"Select all {COUNT} that fit" in page
    chosen = send(reviewer, do="all")
    assert f"{COUNT} of the {COUNT} that fit are selected." in chosen.text
    for verb, words in (
        ({"do": "assign", "assignee": "second"}, f"Assign {COUNT} cases to The second reviewer"),
        ({"do": "comment", "text": "All of one morning."}, f"Comment on {COUNT} cases"),
    ):
        before = comments(many)
        asked = send(reviewer, tick=shown(page), **verb)
        assert f"{words}?" in asked.text
        assert comments(many) == before
        sure = re.search(r'name="sure" value="([0-9a-f]+)"', asked.text)
        assert sure is not None
        form = {"form": reviewer.form("/review"), **verb}
        assert f"{words}?" in reviewer.post("/review", form | {"sure": "0" * 64}).text
        done = reviewer.post("/review", form | {"sure": sure[1]})
        assert f"{COUNT} of {COUNT} cases" in done.text
        assert f"<b>{COUNT} selected</b>" in done.text
    assert comments(many) == COUNT
    entries = [act for act, _, _ in facts(many, COUNT)]
    assert entries.count("case-comment") == COUNT


def test_what_could_not_be_done_is_named_with_its_reason(many: Site, reviewer: Browser) -> None:
    opened = many.opened
    numbers = numbers_of(opened.engine, QueueFilter(), now=datetime.now(UTC), limit=3)
    day = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}"
    answer = send(reviewer, tick=[*numbers, "2026-9999"], do="snooze", due=day, text=REASON)
    assert "3 of 4 cases snoozed." in answer.text
    assert "There is no such case." in answer.text
    assert "2026-9999" in answer.text
    assert "3 snoozed besides" in reviewer.get("/review").text
    assert not set(numbers) & set(shown(reviewer.get("/review").text))
    assert set(numbers) <= set(shown(reviewer.get("/review?snoozed=on").text))
    woken = send(reviewer, "/review?snoozed=on", tick=numbers[:2], do="wake")
    assert "2 of 2 cases woken." in woken.text
    send(reviewer, do="none")
    late = send(
        reviewer, "/review?snoozed=on", tick=numbers[2:], do="snooze", text=REASON,
        due=f"{datetime.now(UTC) + timedelta(days=90):%Y-%m-%d}",
    )  # fmt: skip
    assert late.status_code == 409
    assert "snoozed until then at most" in late.text


def test_a_selection_has_a_limit_that_is_said(
    reviewer: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("node.console.review_bulk", "node.console.review_queue"):
        monkeypatch.setattr(f"{module}.MOST", 40)
    monkeypatch.setattr(selections, "MOST", 40)
    assert "Select the first 40 of" in reviewer.get("/review").text
    answer = send(reviewer, do="all")
    assert "at most 40 cases are selected at once." in answer.text
    assert "<b>40 selected</b>" in answer.text


def test_a_selection_is_of_one_person_and_in_no_address(many: Site, reviewer: Browser) -> None:
    first = shown(reviewer.get("/review").text)
    answer = send(reviewer, tick=first[:3], do="keep")
    assert first[0] not in answer.headers["location"]
    assert "<b>3 selected" not in many.browser("lead").get("/review").text
    assert send(many.browser("auditor"), do="all").status_code == 403


def test_the_page_stays_small(reviewer: Browser) -> None:
    send(reviewer, do="all")
    assert len(reviewer.get("/review").content) < 30_000


@pytest.mark.parametrize("go", ["https://other.example/", "//other.example", "javascript:x"])
def test_going_on_leads_nowhere_else(reviewer: Browser, go: str) -> None:
    assert send(reviewer, go=go).headers["location"] == "/"


def test_a_given_form_is_not_the_selection(many: Site) -> None:
    """What a case needs is still ruled on for each: a comment without words is none."""
    reviewer = many.browser("reviewer")
    send(reviewer, do="none")
    number = shown(reviewer.get("/review").text)[0]
    answer = send(reviewer, tick=[number], do="comment", text=" ")
    assert answer.status_code == 409
    assert "0 of 1 case commented on." in answer.text
    assert "Write what this is about." in answer.text
