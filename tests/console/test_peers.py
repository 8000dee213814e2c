"""Peers, a peer and Trust: what is shown, and that every number opens its rows (5.7, 5.8, 6.7)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape

import pytest

from node.ledger.filter_text import from_query
from node.ledger.find import count
from node.ledger.leaf import Kind
from node.model import Direction, Outcome, PrivateFacts, Transaction
from tests.console import network
from tests.console.conftest import Browser, Site, leg, peer
from tests.console.test_access import facts

LINK = re.compile(r'<a(?: class="n")? href="(\?n=[^"]+)">([^<]+)</a>')
FIRST = str(peer(1).home_community_id)


@pytest.fixture(scope="module")
def auditor(site: Site) -> Browser:
    return site.browser("auditor")


def test_a_directory_of_nobody_but_us_says_how_to_begin(auditor: Browser) -> None:
    assert "No peer yet." in auditor.get("/peers").text


@pytest.fixture(scope="module")
def filled(site: Site) -> Site:
    network.fill(site, more=30)
    site.write(leg(1), leg(1, Outcome.TIMED_OUT), leg(1, Outcome.OK_EMPTY), leg(3))
    site.write(leg(1, Outcome.DECLINED, reason="opted-out"))
    for name in ("1.1", "1.2"):  # the same bytes under two ids
        docs = PrivateFacts(docs=[{"id": name, "sha256": "ab" * 32, "size": 9}])
        site.write(leg(1, transaction=Transaction.ITI_39, documents=1, facts=docs))
    site.write(leg(1, transaction=Transaction.ITI_39, documents=2, attempt=2,
                   deviations=("status-missing",)))  # fmt: skip
    site.write(leg(1, direction=Direction.RESPONDING, purpose="T-PYMNT"))
    site.write(
        leg(1, ago=20 * 86_400), leg(1, Outcome.FAILED, ago=60 * 86_400, reason="tls-failed")
    )
    return site


def test_peers_are_read_page_by_page_and_none_is_missed(filled: Site, auditor: Browser) -> None:
    page, names = auditor.get("/peers").text, []
    for _ in range(3):
        names += re.findall(r'<a href="/peers/[0-9.]+">([^<]+)</a>', page)
        following = re.search(r'href="(/peers\?after=[^"]+)">Next', page)
        if not following:
            break
        page = auditor.get(unescape(following[1])).text
    assert names == sorted([*network.NAMES, *(f"Further Practice {n:02}" for n in range(30))])


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("q=farrow", ["Farrowmere County HIE"]),
        (f"q={FIRST}", ["Farrowmere County HIE"]),
        ("state=suspended", ["Penbrisk Clinic"]),
        ("state=suspended&q=penb", ["Penbrisk Clinic"]),
        ("state=suspended&q=corvane", []),
        ("purpose=T-PYMNT", ["Quillhaven Medical Group"]),
        ("q=nobody", []),
        ("q=%3Cscript%3E", []),
        ("q=' OR 1=1 --", []),
    ],
)
def test_filters_narrow_the_list_and_say_what_is_outside(
    filled: Site, auditor: Browser, query: str, shown: list[str]
) -> None:
    page = auditor.get(f"/peers?{query}").text
    assert re.findall(r'<a href="/peers/[0-9.]+">([^<]+)</a>', page) == shown
    assert ("show them" in page) == (not shown)
    assert "<script>" not in page


@pytest.mark.parametrize("after", ["x", "a b c", "é", "x" * 5000])
def test_a_forged_place_in_the_list_breaks_nothing(
    filled: Site, auditor: Browser, after: str
) -> None:
    assert auditor.get("/peers", params={"after": after}).status_code == 200


def test_a_row_has_the_last_exchange_capped_outcomes_and_what_ends(
    filled: Site, auditor: Browser
) -> None:
    page = auditor.get("/peers?q=farrow").text
    assert "expired 2 d ago" in page
    for words in ("6 ok", "1 none held", "1 declined", "1 timed out"):
        assert words in page
    assert "never" in auditor.get("/peers?q=corvane").text


def test_every_number_of_the_scorecard_opens_as_many_legs(filled: Site, auditor: Browser) -> None:
    page = auditor.get(f"/peers/{FIRST}").text
    rows = re.findall(r'<tr><th scope="row">([^<]+)</th>(.*?)</tr>', page)
    seen, opened = {}, 0
    for measure, cells in rows:
        seen[measure] = [words for _, words in LINK.findall(cells)]
        for address, words in LINK.findall(cells):
            legs, opened = rows_behind(filled, auditor, address), opened + 1
            if found := re.fullmatch(r"(?:n )?([0-9,]+)(?: of [0-9]+)?", words):
                assert int(found[1]) == legs, (measure, address)
            else:
                assert words in ("none", "too few"), (measure, address)
    assert opened > 100
    assert seen["Asked by us"] == ["7", "8", "9"]
    assert seen["Answered within the deadline, refusals included"] == [
        "6 of 7", "n 7", "7 of 8", "n 8", "7 of 9", "n 9",
    ]  # fmt: skip
    assert seen["Retrieves with a document under a second id, byte for byte"][:2] == [
        "1 of 3",
        "n 3",
    ]
    assert seen["Second and later attempts that were answered"][:2] == ["1 of 1", "n 1"]
    assert seen["Declined by them without a usable reason"][:2] == ["0 of 1", "n 1"]
    assert seen["Failed or not answered, between us"][-2:] == ["2 of 9", "n 9"]
    assert seen["TLS or certificate chain at fault"] == ["0", "0", "1"]
    assert seen["Deviation status-missing"] == ["1", "1", "1"]
    assert seen["Asked of us: Payment"] == ["1", "1", "1"]


def rows_behind(site: Site, browser: Browser, address: str) -> int:
    """How many legs the page at an address is about."""
    there = browser.get(f"/peers/{FIRST}{address}")
    assert there.status_code == 303
    chosen = from_query(there.headers["location"].partition("?")[2])
    fixed = replace(chosen, kind=Kind.EXCHANGE.value).at(datetime.now(UTC))
    return count(site.opened.engine, fixed).number


def test_the_page_of_a_peer_stays_small(filled: Site, auditor: Browser) -> None:
    assert len(auditor.get(f"/peers/{FIRST}").content) <= 30_000


@pytest.mark.parametrize(
    "rest", ["8.asked", "7.nothing", "d.every", "d9999999.every", "7.took.up.ITI-55", "7.dev.A b",
             "7.purpose.%00", "7.asked%27--", "7." + "a" * 400, "7", ".", "%3Cscript%3E"]
)  # fmt: skip
def test_a_number_that_there_is_not_is_said(filled: Site, auditor: Browser, rest: str) -> None:
    assert auditor.get(f"/peers/{FIRST}?n={rest}").status_code == 404


def test_the_days_of_a_peer_are_a_picture_and_a_table(filled: Site, auditor: Browser) -> None:
    page = auditor.get(f"/peers/{FIRST}").text
    assert "9 legs, 8 on the busiest day; 1 failed" in page  # one is older than the picture
    days = re.findall(r'href="(\?n=d[0-9]+\.every)">([0-9]+)</a>', page)
    assert [rows_behind(filled, auditor, each) for each, _ in days] == [int(n) for _, n in days]
    assert 'role="img" aria-labelledby="sp-t sp-d"' in page


def test_a_suspended_peer_says_who_when_and_why(filled: Site, auditor: Browser) -> None:
    page = auditor.get(f"/peers/{peer(2).home_community_id}").text
    assert "suspended by us" in page
    assert "T. Arnbeck" in page
    assert network.WHY in page
    assert "Nothing exchanged yet." in page


def test_a_peer_shows_endpoints_pins_and_purposes_seen(filled: Site, auditor: Browser) -> None:
    page = auditor.get(f"/peers/{FIRST.removeprefix('urn:oid:')}").text
    assert "https://gateway0.example/1/iti-55" in page
    assert "abababab" in page
    assert "Asked of us: Payment" in page
    assert "expired 2 d ago" in page


@pytest.mark.parametrize("hcid", ["nobody", "2.999.404", "urn:oid:", "9" * 400, "%3Cb%3E"])
def test_a_peer_that_there_is_not_is_said(auditor: Browser, hcid: str) -> None:
    answer = auditor.get(f"/peers/{hcid}")
    assert answer.status_code == 404
    assert "<b>" not in answer.text.partition("<main")[2].partition("</h1>")[0]


def test_trust_shows_identities_anchors_ends_and_changes(filled: Site, auditor: Browser) -> None:
    page = auditor.get("/trust").text
    for words in ("Lake root", "T. Arnbeck", "tls-server", "no network was joined", "expired 2 d"):
        assert words in page
    assert ">log</th>" in page[page.index("Our identities") : page.index("Calendar of")]
    assert network.WHY in page[page.index("What was changed lately") :]


def test_trust_shows_the_crls_that_are_kept(filled: Site, auditor: Browser) -> None:
    page = auditor.get("/trust").text
    section = page[page.index('id="crls"') : page.index('id="changes"')]
    assert "CN=Lake CA" in section
    assert 'data-l="Number">7</td>' in section
    assert 'data-l="Revoked">1</td>' in section


def test_what_cannot_be_read_is_said_and_the_rest_stands(filled: Site, auditor: Browser) -> None:
    file = next(filled.opened.home.anchors.glob("*.toml"))
    kept = file.read_bytes()
    file.write_bytes(b"label = ")
    try:
        answer = auditor.get("/trust")
    finally:
        file.write_bytes(kept)
    assert answer.status_code == 200
    assert "missing below" in answer.text
    assert network.WHY in answer.text


def test_a_look_at_a_peer_is_an_entry(filled: Site, auditor: Browser) -> None:
    auditor.get(f"/peers/{FIRST}")
    act, _, about = facts(filled)[0]
    assert (act, about) == ("page-view", {"page": f"/peers/{FIRST}", "right": "peers"})
