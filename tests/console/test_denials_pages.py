"""The pages of the register of denials: who reads, who writes down, what is owed (5.5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from node.gateway.turned_away import Throttle
from node.governance.throttles import limits
from node.ledger.find import LedgerFilter, count
from node.ledger.trust_log import NODE
from node.model import Direction, Outcome
from node.opened import trust_log
from node.throttled import write_throttles
from tests.console import network
from tests.console.conftest import Browser, Site, leg
from tests.console.test_access import facts

WHY = "The record cannot be parted from one that is withheld."
SEQ = re.compile(r'href="/denials/([0-9]+)"')


def refuse(site: Site, reason: str | None, **more: object) -> None:
    site.write(leg(5, Outcome.DECLINED, reason=reason, direction=Direction.RESPONDING, **more))


@pytest.fixture(scope="module")
def reviewer(site: Site) -> Browser:
    return site.browser("reviewer")


def newest(browser: Browser) -> str:
    main = browser.get("/denials").text.partition("<table")[2]
    return SEQ.findall(main)[0]


def test_a_refusal_is_a_row_with_its_reason_citation_and_rules(
    site: Site, reviewer: Browser
) -> None:
    refuse(site, "patient-opted-out", ago=1)
    text = reviewer.get("/denials").text
    assert "The patient asked this organisation not to share records." in text
    assert "45 CFR 171.202(e)" in text
    assert "in-1-purpose, in-2-peer" in text
    assert "in the transaction" in text


def test_what_has_no_reason_is_in_the_banner_until_it_is_written_down(
    site: Site, reviewer: Browser
) -> None:
    refuse(site, None, ago=0)
    seq = newest(reviewer)
    assert "1 refusal of ours lacks a reason" in reviewer.get("/denials").text
    text = reviewer.get(f"/denials/{seq}").text
    assert "nothing that is documented" in text
    form = {"form": reviewer.form(), "exception": "infeasibility", "text": WHY}
    assert reviewer.post(f"/denials/{seq}", form).status_code == 303
    text = reviewer.get("/denials").text
    assert "1 refusal of ours lacks a reason or the written answer" in text
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    form |= {"form": reviewer.form(), "answered": today}
    assert reviewer.post(f"/denials/{seq}", form).status_code == 303
    text = reviewer.get("/denials").text
    assert "of ours lacks" not in text
    assert "in writing," in text
    assert facts(site, 5)[0][0] == "page-view"
    assert any(act == "denial-note" for act, _, _ in facts(site, 10))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"exception": ""}, "Choose what the refusal stands on."),
        ({"exception": "<script>"}, "Choose what the refusal stands on."),
        ({"text": "short"}, "Write at least 20 characters; this has 5."),
        ({"answered": "2031-01-01"}, "between the refusal"),
        ({"answered": "1999-01-01"}, "between the refusal"),
        ({"answered": "' OR 1=1"}, "between the refusal"),
    ],
)
def test_a_note_that_lacks_something_is_not_taken(
    site: Site, reviewer: Browser, changes: dict[str, str], sentence: str
) -> None:
    refuse(site, "peer-suspended", ago=0)
    form = {"form": reviewer.form(), "exception": "security", "text": WHY, **changes}
    answer = reviewer.post(f"/denials/{newest(reviewer)}", form)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert "<script>" not in answer.text


def test_an_auditor_reads_the_register_and_writes_nothing(site: Site) -> None:
    refuse(site, "peer-suspended", ago=0)
    auditor = site.browser("auditor")
    seq = newest(auditor)
    assert "<form" not in auditor.get(f"/denials/{seq}").text.partition("<main")[2]
    assert auditor.post(f"/denials/{seq}", {"form": auditor.form()}).status_code == 403


def test_refusals_of_others_and_faults_of_ours_stand_apart(site: Site, reviewer: Browser) -> None:
    site.write(leg(6, Outcome.DECLINED, reason="no-consent", ago=0))
    site.write(leg(7, Outcome.TIMED_OUT, reason="timeout", direction=Direction.RESPONDING, ago=0))
    assert "no consent" in reviewer.get("/denials?side=theirs").text
    faults = reviewer.get("/denials?side=faults").text
    assert "Interference we caused" in faults
    assert "2.999.2.7" in faults


@pytest.mark.parametrize("number", ["0", "x", "99999", "%00", "1'--", "9" * 30])
def test_a_refusal_that_there_is_not_is_said_to_be_none(reviewer: Browser, number: str) -> None:
    assert reviewer.get(f"/denials/{number}").status_code == 404


LETTER = {
    "why": "The record cannot be parted from another one.", "contact": "privacy@lake.example",
    "alternative": "", "as": "txt",
}  # fmt: skip


def test_the_written_answer_is_made_from_the_refusal_and_is_an_entry(
    site: Site, reviewer: Browser
) -> None:
    refuse(site, "peer-suspended", ago=0)
    seq = newest(reviewer)
    answer = reviewer.post(f"/denials/{seq}/letter", {"form": reviewer.form(), **LETTER})
    assert answer.status_code == 200
    assert "45 CFR 171.203" in answer.text
    assert f"notice-{seq}.txt" in answer.headers["content-disposition"]
    act, who, about = facts(site, 1)[0]
    assert (act, who["user_id"]) == ("denial-letter", "reviewer")
    assert about["text"] == LETTER["why"]
    form = {"form": reviewer.form(), **LETTER, "as": "pdf"}
    assert reviewer.post(f"/denials/{seq}/letter", form).content.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"why": "no"}, "Write at least 20 characters on why; this has 2."),
        ({"why": "<script>alert(1)"}, "Write at least 20 characters"),
        ({"contact": " "}, "Say whom the requester may ask."),
        ({"as": "'; DROP"}, "Choose one of the two files."),
        ({"alternative": "x" * 4001}, "Each field has at most 4000 characters."),
    ],
)
def test_a_letter_that_lacks_something_is_not_made(
    site: Site, reviewer: Browser, changes: dict[str, str], sentence: str
) -> None:
    refuse(site, "peer-suspended", ago=0)
    form = {"form": reviewer.form(), **LETTER, **changes}
    answer = reviewer.post(f"/denials/{newest(reviewer)}/letter", form)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert "<script>alert" not in answer.text


def test_what_stands_on_nothing_has_no_letter_and_an_unknown_number_none(
    site: Site, reviewer: Browser
) -> None:
    refuse(site, None, ago=0)
    form = {"form": reviewer.form(), **LETTER}
    answer = reviewer.post(f"/denials/{newest(reviewer)}/letter", form)
    assert answer.status_code == 400
    for number in ("x", "99999999", "-1"):
        assert reviewer.post(f"/denials/{number}/letter", form).status_code == 404


def test_what_was_turned_away_at_a_limit_is_a_row_of_the_register(
    site: Site, reviewer: Browser
) -> None:
    opened = site.opened
    network.fill(site)
    turn_away = opened.turnstile.at("gateway")
    for key in ("ab" * 32, "cd" * 32, None, None):
        turn_away(Throttle.CONNECTIONS, key)
    opened.turnstile.at("fhir")(Throttle.RATE, None)
    recorder = trust_log(opened, NODE)
    write_throttles(opened, recorder)
    write_throttles(opened, recorder)  # nothing is written twice
    assert count(opened.engine, LedgerFilter(act="turn-away")).number == 4
    rows = reviewer.get("/denials?side=limits").text.partition("<tbody")[2].split("</tr>")
    said = {re.search(r'data-l="Who">([^<]+)', row)[1]: row for row in rows if "data-l" in row}  # type: ignore[index]
    assert f">{network.NAMES[0]}<" in said[network.NAMES[0]]
    assert "a key that is tied to nobody" in said
    unknown = [row for row in rows if "nobody who was identified yet" in row]
    assert len(unknown) == 2
    (connections,) = (row for row in unknown if "limit-connections" in row)
    assert 'data-l="How many">2<' in connections
    assert "the gateway for peers: limits.connections" in connections
    assert "with 503 at once; not in writing" in connections
    assert "45 CFR 171.205" in connections


def test_each_limit_has_words() -> None:
    assert set(limits()) == {each.value for each in Throttle}


def test_the_address_is_the_filter_the_sentence_and_the_chips(
    site: Site, reviewer: Browser
) -> None:
    refuse(site, "purpose-not-offered", ago=2)
    refuse(site, "purpose-not-offered", ago=9 * 86_400)
    refuse(site, "patient-opted-out", ago=3)
    address = "/denials?side=ours&reason=purpose-not-offered"
    text = reviewer.get(address).text
    assert len(set(SEQ.findall(text.partition("<table")[2]))) == 2
    assert '<span class="chip"><span>reason:purpose-not-offered</span>' in text
    said = re.search(r'<p class="sentence">([^<]+)</p>', text)
    assert said is not None
    assert "purpose-not-offered" in said[1]
    week = re.search(r'href="([^"]+)">7 days</a>', text)
    assert week is not None
    narrowed = reviewer.get(week[1].replace("&amp;", "&")).text
    assert len(set(SEQ.findall(narrowed.partition("<table")[2]))) == 1
    without = re.search(r'href="([^"]+)" aria-label="Remove reason:', narrowed)
    assert without is not None
    assert "patient-opted-out" not in without[1]
    wider = reviewer.get(without[1].replace("&amp;", "&")).text
    assert "reason:purpose" not in wider
    assert "since:7d" in wider
    rows = reviewer.get(f"/denials.json{address.removeprefix('/denials')}").json()["denials"]
    assert {row["reason"] for row in rows} == {"purpose-not-offered"}


def test_what_narrows_stands_on_each_row_and_stays_over_sides(
    site: Site, reviewer: Browser
) -> None:
    refuse(site, "purpose-not-offered", ago=1)
    text = reviewer.get("/denials?since=7d").text
    rows = text.partition("<tbody>")[2].split("</tr>")
    row = next(each for each in rows if "reason=purpose-not-offered" in each)
    links = [each.replace("&amp;", "&") for each in re.findall(r'href="(/denials\?[^"]+)"', row)]
    assert len(links) == 2
    for link, name in zip(links, ("peer", "reason"), strict=True):
        assert f"&{name}=" in link
        assert "&since=7d" in link
        assert "since:7d" in reviewer.get(link).text
    assert '/denials?side=theirs&amp;since=7d"' in text
    assert "None fits." in reviewer.get("/denials?reason=never-seen").text
    assert reviewer.get("/denials?side=limits&since=7d").status_code == 200


@pytest.mark.parametrize("bad", ["?nonsense=1", "?since=%3Cscript%3E", "?peer=%27--", "?after=x"])
def test_a_filter_that_is_none_is_said(reviewer: Browser, bad: str) -> None:
    answer = reviewer.get(f"/denials{bad}")
    assert answer.status_code == (200 if "after" in bad else 400)
    assert "<script>" not in answer.text.partition("<main")[2]


def test_the_side_says_how_it_ended_whatever_the_address_says(
    site: Site, reviewer: Browser
) -> None:
    refuse(site, "patient-opted-out", ago=1)
    text = reviewer.get("/denials?outcome=ok&direction=initiating&kind=cert").text
    assert SEQ.findall(text.partition("<table")[2])
    assert 'class="chip"' not in text
