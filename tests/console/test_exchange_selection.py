"""A selection of exchanges that survives pages, filters and refusals, without script (G19)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from node.governance.case_reading import read_file
from node.ledger.private import load_key
from node.users import selections
from tests.console.conftest import Browser, Site, leg, made_site

COUNT = 60
WHY = "All of them came within one minute."
ALL = "/exchanges?since=7d"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A console with more exchanges than two pages show."""
    with made_site(tmp_path_factory.mktemp("many")) as site:
        for number in range(COUNT):
            site.write(leg(1 + number % 2, ago=COUNT - number))
        yield site


@pytest.fixture
def reviewer(many: Site) -> Browser:
    browser = many.browser("reviewer")
    send(browser, do="none")
    return browser


def send(browser: Browser, path: str = ALL, *, tick: object = (), **fields: str):
    """Send the form as a browser without script does: what it shows, and what is ticked."""
    shown = re.search(r'name="shown" value="([^"]*)"', browser.get(path).text)
    form = {"form": browser.form("/review"), "shown": shown[1] if shown else "", **fields}
    return browser.post(path, form | {f"x-{each}": "on" for each in tick})  # type: ignore[union-attr]


def shown(text: str) -> list[str]:
    return re.findall(r"name=x-([0-9]+)", text)


def ticked(text: str) -> list[str]:
    return re.findall(r"name=x-([0-9]+) [^>]* checked", text)


def older(text: str) -> str:
    found = re.search(r'name="go" value="([^"]+)">Older', text)
    assert found is not None
    return found[1].replace("&amp;", "&")


def test_ticks_survive_paging_and_filtering_and_are_taken_away_again(reviewer: Browser) -> None:
    first = shown(reviewer.get(ALL).text)
    address = older(reviewer.get(ALL).text)
    went = send(reviewer, tick=first[:2], go=address)
    assert (went.status_code, went.headers["location"]) == (303, address)
    second = shown(reviewer.get(address).text)
    assert not set(first) & set(second)
    send(reviewer, address, tick=second[:1], do="keep")
    text = reviewer.get(f"{ALL}&outcome=ok").text
    assert ticked(text) == first[:2]
    assert "<b>3 selected</b>1 of them not on this page" in text
    mine = reviewer.get("/exchanges?selected=on").text
    assert sorted(ticked(mine)) == sorted([*first[:2], second[0]]) == sorted(shown(mine))
    assert "The exchanges that you selected." in mine
    send(reviewer, tick=first[1:2], do="keep")
    assert ticked(reviewer.get(ALL).text) == first[1:2]
    send(reviewer, do="none")
    assert "Nothing is selected." in reviewer.get("/exchanges?selected=on").text


def test_what_was_not_seen_is_asked_about_before_it_is_done(many: Site, reviewer: Browser) -> None:
    first = shown(reviewer.get(ALL).text)
    address = older(reviewer.get(ALL).text)
    send(reviewer, tick=first[:3], do="keep")
    asked = send(reviewer, address, tick=shown(reviewer.get(address).text)[:1], do="flag", text=WHY)
    assert asked.status_code == 200
    assert "Flag 4 exchanges as one case?" in asked.text
    assert WHY in asked.text
    sure = re.search(r'name="sure" value="([0-9a-f]{64})"', asked.text)
    assert sure is not None
    form = {"form": reviewer.form("/review"), "do": "flag", "text": WHY, "sure": sure[1]}
    changed = reviewer.post(address, {**form, "sure": "0" * 64})
    assert "Flag 4 exchanges as one case?" in changed.text  # not what was asked
    done = reviewer.post(address, form)
    assert done.status_code == 303
    number = done.headers["location"].removeprefix("/cases/")
    node = many.opened
    case = read_file(node.engine, load_key(node.home.path), number)
    assert case is not None
    assert len(case.exchanges) == 4
    assert ticked(reviewer.get(ALL).text) == []  # they are in the case now


def test_all_that_fit_are_selected_and_go_into_one_basket(
    many: Site, reviewer: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.console import flagging  # noqa: PLC0415

    monkeypatch.setattr(flagging, "MOST_AT_ONCE", 25)  # three messages
    assert send(reviewer, do="all").status_code == 303
    assert f"<b>{COUNT} selected</b>{COUNT - 25} of them not on this page" in reviewer.get(ALL).text
    pages, address = [], "/exchanges?selected=on"
    for _ in range(3):
        text = reviewer.get(address).text
        pages += shown(text)
        address = older(text) if "Older" in text else ""
    assert (len(pages), len(set(pages)), address) == (COUNT, COUNT, "")
    asked = send(reviewer, tick=shown(reviewer.get(ALL).text), do="flag", text=WHY)
    sure = re.search(r'name="sure" value="([0-9a-f]{64})"', asked.text)
    assert sure is not None
    form = {"form": reviewer.form("/review"), "do": "flag", "text": WHY, "sure": sure[1]}
    number = reviewer.post(ALL, form).headers["location"].removeprefix("/cases/")
    node = many.opened
    case = read_file(node.engine, load_key(node.home.path), number)
    assert case is not None
    assert len(case.exchanges) == COUNT
    assert [each.verb for each in case.messages] == ["open", "collect", "collect"]


def test_more_than_there_is_room_for_is_said(
    reviewer: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.console import flagging  # noqa: PLC0415

    monkeypatch.setattr(flagging, "MOST", 30)
    monkeypatch.setattr(selections, "MOST", 30)
    answer = send(reviewer, do="all")
    assert answer.status_code == 400
    assert "30 of those that fit are selected, the newest ones; not all." in answer.text
    assert len(ticked(reviewer.get(ALL).text)) == 25
    address = older(reviewer.get(older(reviewer.get(ALL).text)).text)
    full = send(reviewer, address, tick=shown(reviewer.get(address).text), do="flag", text=WHY)
    assert full.status_code == 400
    assert "found no room" in full.text


def test_selected_ones_are_exported_by_their_ids(reviewer: Browser) -> None:
    first = shown(reviewer.get(ALL).text)
    went = send(reviewer, tick=first[:2], do="export")
    assert went.status_code == 303
    assert went.headers["location"].startswith("/exports/new?exchange=")
    assert reviewer.get(went.headers["location"]).status_code == 200
    many = send(reviewer, tick=first, do="export")
    assert many.status_code == 400
    assert "An export names 20 exchanges at most, and 25 are selected." in many.text


def test_what_is_no_number_selects_nothing_and_leads_nowhere(reviewer: Browser) -> None:
    for bad in ("<script>", "9" * 40, "-1", "1;--"):
        send(reviewer, tick=(bad,), shown=bad, do="keep")
    assert ticked(reviewer.get(ALL).text) == []
    went = send(reviewer, go="https://evil.example/")
    assert "evil" not in went.headers["location"]
    for bad in ("after=9.9", "after=x", "selected=<script>"):
        assert reviewer.get(f"/exchanges?selected=on&{bad}").status_code == 200


def test_a_selection_is_of_one_person(many: Site, reviewer: Browser) -> None:
    send(reviewer, tick=shown(reviewer.get(ALL).text)[:1], do="keep")
    assert ticked(many.browser("lead").get(ALL).text) == []
