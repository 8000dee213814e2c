"""The lists as files: the rows of the page, its filters, its right, and an entry of the log."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from node.console.list_files import LISTS
from node.ledger import review
from node.model import Direction, Outcome
from node.users.roles import role_table
from tests.console.conftest import Browser, Site, leg
from tests.console.network import fill
from tests.console.test_access import facts
from tests.console.test_sample_page import drawn

EVIL = '=HYPERLINK("http://evil.example","open")'
PATHS = [each.path for each in LISTS]


@pytest.fixture(scope="module")
def lists(site: Site) -> Site:
    fill(site)
    for number in range(3):
        site.write(leg(number + 1, Outcome.DECLINED, direction=Direction.RESPONDING, ago=number))
    site.write(leg(1, Outcome.DECLINED, ago=9))
    reviewer = site.browser("reviewer")
    for text in (EVIL, "Asked for people it never treats."):
        picked = {f"x-{site.number(site.write(leg(2)))}": "on"}
        form = {"form": reviewer.form(), "do": "flag", "text": text, **picked}
        assert reviewer.post("/exchanges?since=1d", form).status_code == 303
    found = review.Found(source="reconciliation", kind="lost", peer="urn:oid:2.999.2.1", seq=1)
    review.open_items(site.opened.engine, [found], now=datetime.now(UTC))
    drawn(site)
    return site


@pytest.fixture(scope="module")
def lead(lists: Site) -> Browser:
    return lists.browser("lead")


def rows_of(browser: Browser, address: str) -> list[dict[str, str]]:
    answer = browser.get(address)
    assert answer.status_code == 200, answer.text
    text = "\n".join(line for line in answer.text.splitlines() if not line.startswith("#"))
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("each", LISTS, ids=PATHS)
def test_a_list_is_the_same_rows_in_every_form_and_each_is_an_entry(
    lists: Site, lead: Browser, each
) -> None:
    whole = lead.get(f"{each.path}.json").json()
    rows = whole[each.noun]
    assert rows
    assert list(rows[0]) == list(each.columns)
    assert whole["next"] is None
    act, _, about = facts(lists, 1)[0]
    assert (act, about["page"]) == ("page-view", f"{each.path}.json")
    lines = lead.get(f"{each.path}.ndjson").text.splitlines()
    table = rows_of(lead, f"{each.path}.csv")
    # the access log grows with each of these requests
    more = each.path == "/access"
    assert json.loads(lines[-1])["rows"] == len(rows) + more
    assert len(table) == len(rows) + 2 * more
    assert list(table[0]) == list(each.columns)
    assert lead.get(f"{each.path}.xlsx").status_code == 404


@pytest.mark.parametrize("each", LISTS, ids=PATHS)
def test_the_page_leads_to_its_files_with_its_filter(lead: Browser, each) -> None:
    strict = each.path in ("/denials", "/access")  # these take no condition that is none
    query = "since=7d" if strict else "x=1"
    assert f'href="{each.path}.csv?{query}"' in lead.get(f"{each.path}?{query}").text


@pytest.mark.parametrize("each", LISTS, ids=PATHS)
def test_the_right_is_the_page_s(lists: Site, each) -> None:
    for role in role_table().roles:
        browser = lists.browser(role)
        page, file = browser.get(each.path), browser.get(f"{each.path}.csv")
        assert page.status_code == file.status_code, role


def test_filters_are_those_of_the_page(lead: Browser) -> None:
    ours, theirs = rows_of(lead, "/denials.csv"), rows_of(lead, "/denials.csv?side=theirs")
    assert ({row["side"] for row in ours}, len(ours)) == ({"ours"}, 3)
    assert ({row["direction"] for row in theirs}, len(theirs)) == ({"out"}, 1)
    assert rows_of(lead, "/review.csv?assignee=lead") == []
    assert [row["name"] for row in rows_of(lead, "/peers.csv?state=suspended")] == [
        "Penbrisk Clinic"
    ]


def test_a_cell_that_a_spreadsheet_would_run_is_guarded(lead: Browser) -> None:
    cells = [row["what"] for row in rows_of(lead, "/review.csv")]
    assert f"'{EVIL}" in cells
    cases = lead.get("/review.json").json()["cases"]
    assert EVIL in [row["what"] for row in cases]


def test_a_long_list_says_where_it_goes_on(lists: Site, lead: Browser) -> None:
    auditor = lists.browser("auditor")
    for _ in range(101):
        auditor.get("/exchanges?since=1h")
    first = auditor.get("/access.json").json()
    assert len(first["entries"]) == 100
    second = auditor.get(first["next"]).json()
    assert second["entries"][0]["entry"] < first["entries"][-1]["entry"]
