"""Saved views, columns, the picture over time, rows for programs, new rows behind a button."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import pytest

from node.governance.histogram import histogram
from node.ledger.filter import LedgerFilter
from node.ledger.filter_sql import statement_of_times
from node.ledger.private import load_key
from node.model import Outcome
from tests.console.conftest import Browser, Site, leg, made_site
from tests.console.test_access import facts
from tests.ledger.records import CANARIES


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with made_site(tmp_path_factory.mktemp("listed")) as site:
        for ago in range(60, 80_000, 4000):
            site.write(leg(1, ago=ago), leg(2, Outcome.FAILED, ago=ago, reason="connect-refused"))
        site.write(leg(3, Outcome.DECLINED, ago=50, reason="opted-out"))
        yield site


PURPOSE = '<th scope="col">Purpose</th>'


@pytest.fixture(scope="module")
def lead(listed: Site) -> Browser:
    return listed.browser("lead")


def post(browser: Browser, path: str, **form: str):
    return browser.post(path, {"form": browser.form("/exchanges"), **form})


def test_a_saved_view_is_on_the_list_and_on_home_and_others_see_it_when_shared(
    listed: Site, lead: Browser
) -> None:
    saved = post(lead, "/views", name="Refused today", query="outcome=declined&since=1d")
    assert saved.headers["location"] == "/exchanges?since=24h&outcome=declined"
    for page in ("/", "/exchanges"):
        assert "Refused today" in lead.get(page).text
        assert "Refused today" not in listed.browser("auditor").get(page).text
    post(lead, "/views", name="Refused today", query="outcome=declined", shared="on")
    seen = listed.browser("auditor").get("/exchanges").text
    assert 'href="/exchanges?outcome=declined"' in seen
    assert seen.count("Refused today") == 1  # replaced, and not theirs to delete
    number = re.search(r'name="forget" value="(\d+)"', lead.get("/exchanges/view").text)
    auditor = listed.browser("auditor")
    post(auditor, "/views", forget=number[1])  # type: ignore[index]
    assert "Refused today" in lead.get("/exchanges").text
    post(lead, "/views", forget=number[1])  # type: ignore[index]
    assert "Refused today" not in lead.get("/exchanges").text


@pytest.mark.parametrize("form", [{"name": ""}, {"name": "x" * 65}, {"name": "a\x00b"}])
def test_a_view_that_cannot_be_kept_is_said(lead: Browser, form: dict[str, str]) -> None:
    assert post(lead, "/views", query="since=1d", **form).status_code == 400


def test_a_view_never_keeps_a_patient_in_the_clear(lead: Browser) -> None:
    answer = post(lead, "/views", name="x", query="patient=1%5E%5E%5E%262.999%26ISO")
    assert answer.status_code == 400


def test_the_markup_of_a_view_s_name_is_text(lead: Browser) -> None:
    post(lead, "/views", name="<script>alert(1)</script>", query="since=1d")
    for address in ("/exchanges", "/exchanges/view"):
        page = lead.get(address).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page
    number = re.search(r'name="forget" value="(\d+)"', page)
    post(lead, "/views", forget=number[1])  # type: ignore[index]


def test_columns_are_chosen_for_oneself_and_stay(listed: Site, lead: Browser) -> None:
    whole = lead.get("/exchanges").text
    assert PURPOSE in whole
    post(lead, "/preferences/columns", **{"column-who": "on", "column-reason": "on"})
    chosen = listed.browser("lead").get("/exchanges").text
    assert PURPOSE not in chosen
    assert "<td class=w>" in chosen
    assert "<td class=x>opted-out" in chosen
    assert PURPOSE in listed.browser("auditor").get("/exchanges").text
    post(lead, "/preferences/columns", usual="on")
    assert PURPOSE in lead.get("/exchanges").text


def test_the_picture_over_time_has_its_numbers_in_a_table(listed: Site, lead: Browser) -> None:
    page = lead.get("/exchanges?since=1d").text
    assert '<title id="hg">41 legs over time, by outcome</title>' in page
    led = re.search(r'<a href="([^"]+)">The numbers</a>', page)[1]  # type: ignore[index]
    table = lead.get(led).text
    assert '<title id="hg">41 legs over time, by outcome</title>' in table
    numbers = [
        int(each) for each in re.findall(r'<td class="num"><a href="[^"]+">(\d+)</a>', table)
    ]
    assert sum(numbers) == 41
    address = re.search(r'<td class="num"><a href="([^"]+)">', table)[1]  # type: ignore[index]
    assert "until=" in address
    assert lead.get(address.replace("&amp;", "&")).status_code == 200
    key = load_key(listed.opened.home.path)
    narrow = LedgerFilter(kind="exchange", outcome="failed")
    found = histogram(listed.opened.engine, key, narrow, now=listed.opened.clock.now())
    assert found is not None
    assert (found.number, found.capped) == (20, False)
    assert {name for span in found.spans for name in span.numbers} == {"failed"}


def test_the_times_of_a_filter_are_read_by_its_index(listed: Site) -> None:
    key = load_key(listed.opened.home.path)
    with listed.opened.engine.connect() as connection:
        for chosen, index in (
            (LedgerFilter(kind="exchange"), "time"),
            (LedgerFilter(kind="exchange", peer="urn:oid:2.999.2.1"), "peer"),
        ):
            query = statement_of_times(chosen, key, limit=10)
            text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
            plan = repr(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all())
            assert f"ix_ledger_entry_{index}" in plan, plan


def test_rows_for_programs_are_those_of_the_list_and_each_page_is_an_entry(
    listed: Site, lead: Browser
) -> None:
    whole = lead.get("/exchanges.json?since=1d").json()
    assert len(whole["exchanges"]) == 21
    assert whole["next"] is None
    first = whole["exchanges"][0]
    assert (first["outcome"], first["reasons"], first["legs"]) == ("declined", "opted-out", 1)
    assert facts(listed)[0][2] == {
        "page": "/exchanges.json", "right": "exchanges", "query": "since=1d"
    }  # fmt: skip
    lines = lead.get("/exchanges.ndjson?since=1d").text.splitlines()
    assert len(lines) == 22
    assert lines[-1] == '{"rows":21,"next":null}'
    text = lead.get("/exchanges.csv?since=1d").text
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 23
    assert rows[-1] == ["# 21 exchanges; end"]
    assert not [canary for canary in CANARIES if canary in text and canary not in first["who"]]
    assert listed.browser("clinician").get("/exchanges.json").status_code == 403
    assert lead.get("/exchanges.xml").status_code == 404


def test_a_page_that_is_not_the_last_says_where_to_go_on(
    lead: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.console.exchange_rows.PAGE", 8)
    address, seen = "/exchanges.json?since=1d", []
    for _ in range(5):
        answer = lead.get(address)
        seen += [each["exchange"] for each in answer.json()["exchanges"]]
        address = answer.json()["next"]
        if address is None:
            break
        assert answer.headers["link"] == f'<{address}>; rel="next"'
    assert len(seen) == len(set(seen)) == 21
    assert "more at /exchanges.csv?since=24h&after=" in lead.get("/exchanges.csv?since=1d").text


def test_one_exchange_for_programs_has_its_legs(listed: Site, lead: Browser) -> None:
    exchange = listed.write(leg(9, documents=2), leg(8, Outcome.TIMED_OUT))
    found = lead.get(f"/exchanges/{exchange}.json").json()
    assert found["exchange"] == exchange
    assert {each["outcome"] for each in found["legs"]} == {"ok", "timed-out"}
    assert lead.get("/exchanges/00000000-0000-7000-8000-000000000000.json").status_code == 404


def test_new_rows_are_counted_without_an_entry_and_without_moving_the_page(
    listed: Site, lead: Browser
) -> None:
    page = lead.get("/exchanges?since=1d&live=on").text
    address = re.search(r'data-newer="([^"]+)"', page)[1].replace("&amp;", "&")  # type: ignore[index]
    assert lead.get(address).json() == {"newer": 0, "more": False}
    before = facts(listed)[0]
    listed.write(leg(1), leg(2))
    listed.write(leg(1))
    assert lead.get(address).json() == {"newer": 2, "more": False}
    assert facts(listed)[0] == before
    assert "data-newer" not in lead.get("/exchanges?since=1d").text


def test_a_window_before_the_log_says_when_the_log_begins(lead: Browser) -> None:
    page = lead.get("/exchanges?until=2020-01-01").text
    assert "The log here begins on" in page


def test_single_keys_can_be_turned_off(listed: Site, lead: Browser) -> None:
    assert 'data-keys="on"' in lead.get("/").text
    post(lead, "/keys", to="off")
    assert 'data-keys="off"' in listed.browser("lead").get("/exchanges").text
    assert "Turn single keys on" in lead.get("/keys").text
    post(lead, "/keys", to="on")
    assert 'data-keys="on"' in lead.get("/").text
