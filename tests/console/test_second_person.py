"""What needs two people at the console: peers suspended and reinstated, refusals confirmed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from node.ledger.find import LedgerFilter, find
from node.ledger.private import load_key
from node.model import Direction, Outcome
from tests.console import network
from tests.console.conftest import PASSWORD, Browser, Site, leg, made_site, peer
from tests.console.test_access import _users, facts

HCID = str(peer(1).home_community_id)
WHY = "It asks for people whom it never treats, says case 2026-0001."


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with made_site(tmp_path_factory.mktemp("pair")) as site:
        network.fill(site)
        users = _users(site)
        users.add("lead.two", "Second Lead", ("lead",), PASSWORD, own=True)
        users.add("reviewer.two", "Second Reviewer", ("reviewer",), PASSWORD, own=True)
        yield site


def ask(browser: Browser, path: str, to: str, **form: str):
    return browser.post(to, {"form": browser.form(path), "text": WHY, **form})


def suspended(site: Site, number: int = 1) -> bool:
    found = site.opened.directory.by_home_community_id(str(peer(number).home_community_id))
    return found[0].suspended


def decide(browser: Browser, where: str, verb: str, **form: str):
    page = browser.get(where).text
    digest = re.search(r'name="digest" value="([0-9a-f]{64})"', page)
    whole = {"form": browser.form(where), "verb": verb, "digest": digest[1] if digest else ""}
    return browser.post(where, whole | form)


def trust_steps(site: Site, kind: str = "directory") -> list[tuple[object, object]]:
    """The newest changes of whom we exchange with."""
    key = load_key(site.opened.home.path)
    found = find(site.opened.engine, LedgerFilter(kind=kind), key=key, limit=4).entries
    return [(each.fields["act"], each.fields["step"]) for each in found]


def test_a_peer_is_suspended_when_a_second_person_approves_and_reinstated_alike(
    pair: Site,
) -> None:
    reviewer, lead = pair.browser("reviewer"), pair.browser("lead")
    where = ask(reviewer, f"/peers/{HCID}", f"/peers/{HCID}/ask").headers["location"]
    assert not suspended(pair)
    assert "Suspend a peer" in lead.get("/requests").text
    page = lead.get(where).text
    assert WHY in page
    assert "Farrowmere County HIE" in page
    assert decide(lead, where, "approve").status_code == 303
    assert suspended(pair)
    acts = [act for act, _, _ in facts(pair, 6)]
    assert trust_steps(pair)[:2] == [("peer-suspend", "done"), ("peer-suspend", "begun")]
    assert "two-person-approve" in acts
    assert "two-person-done" in acts
    assert "approved and done" in lead.get(where).text.lower()
    assert "suspended by us" in lead.get(f"/peers/{HCID}").text
    back = ask(reviewer, f"/peers/{HCID}", f"/peers/{HCID}/ask").headers["location"]
    assert "reinstate a peer" in lead.get(back).text
    assert decide(lead, back, "approve").status_code == 303
    assert not suspended(pair)


def test_nobody_is_their_own_second_person(pair: Site) -> None:
    lead = pair.browser("lead")
    where = ask(lead, f"/peers/{HCID}", f"/peers/{HCID}/ask").headers["location"]
    assert 'value="approve"' not in lead.get(where).text
    digest = re.search(r"[0-9a-f]{64}", lead.get(where).text)
    answer = decide(lead, where, "approve", digest=digest[0] if digest else "")
    assert answer.status_code == 400
    assert "somebody else has to decide" in answer.text
    assert facts(pair)[0][0] == "two-person-stop"
    assert not suspended(pair)
    assert decide(lead, where, "withdraw").status_code == 303
    assert decide(pair.browser("lead.two"), where, "approve").status_code == 400
    assert not suspended(pair)


def test_who_may_not_decide_sees_the_request_and_cannot(pair: Site) -> None:
    reviewer, other = pair.browser("reviewer"), pair.browser("reviewer.two")
    where = ask(reviewer, f"/peers/{HCID}", f"/peers/{HCID}/ask").headers["location"]
    assert 'value="approve"' not in other.get(where).text
    assert decide(other, where, "approve").status_code == 400
    assert pair.browser("auditor").get(where).status_code == 404
    assert pair.browser("auditor").post(f"/peers/{HCID}/ask", {"text": WHY}).status_code == 403
    refused = decide(pair.browser("lead"), where, "refuse", text="The case was closed as nothing.")
    assert refused.status_code == 303
    assert not suspended(pair)


def test_what_is_approved_is_what_was_shown(pair: Site) -> None:
    where = ask(pair.browser("reviewer"), f"/peers/{HCID}", f"/peers/{HCID}/ask").headers[
        "location"
    ]
    answer = decide(pair.browser("lead"), where, "approve", digest="00" * 32)
    assert answer.status_code == 400
    assert not suspended(pair)


def test_a_short_reason_asks_for_nothing(pair: Site) -> None:
    answer = ask(pair.browser("reviewer"), f"/peers/{HCID}", f"/peers/{HCID}/ask", text="because")
    assert answer.status_code == 400
    assert "Write 20 to" in answer.text


def test_an_approval_after_its_time_does_nothing(
    pair: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "node.governance.two_person_steps.stands_for", timedelta
    )  # not 72 hours but none
    reviewer = pair.browser("reviewer")
    where = ask(reviewer, f"/peers/{HCID}", f"/peers/{HCID}/ask").headers["location"]
    answer = decide(pair.browser("lead"), where, "approve")
    assert answer.status_code == 400
    assert "The time of this request is over" in answer.text
    assert not suspended(pair)


def test_a_refusal_s_note_is_confirmed_by_somebody_else(pair: Site) -> None:
    pair.write(leg(4, Outcome.DECLINED, direction=Direction.RESPONDING, reason="opted-out"))
    reviewer, other = pair.browser("reviewer"), pair.browser("reviewer.two")
    entry = re.search(r"/denials/([0-9]+)", reviewer.get("/denials").text)
    where = f"/denials/{entry[1]}"  # type: ignore[index]
    assert "/confirm" not in reviewer.get(where).text
    option = re.search(r'<option value="([a-z0-9-]+)"', reviewer.get(where).text)
    note = {"form": reviewer.form(where), "text": WHY, "exception": option[1]}  # type: ignore[index]
    assert reviewer.post(where, note).status_code == 303
    asked = ask(reviewer, where, f"{where}/confirm").headers["location"]
    assert "Confirm a refusal of ours" in other.get("/requests").text
    assert decide(other, asked, "approve").status_code == 303
    page = reviewer.get(where).text
    assert "Second Reviewer" in page
    assert facts(pair)[1][0] == "two-person-done" or "two-person-done" in [
        act for act, _, _ in facts(pair, 6)
    ]
    again = {**note, "form": reviewer.form(where), "text": f"{WHY} And more."}
    assert reviewer.post(where, again).status_code == 303
    assert "Second Reviewer" not in reviewer.get(where).text  # a new note needs a new confirmation


def test_the_home_s_key_opens_what_was_asked(pair: Site, tmp_path: Path) -> None:
    """What people wrote is in the private part of the log alone, not in a table."""
    assert load_key(pair.opened.home.path)
    data = b"".join(
        file.read_bytes() for file in pair.opened.home.path.glob("node.db*") if file.is_file()
    )
    assert WHY.encode() not in data
    assert b"Second Reviewer" in data  # names of users are
    assert not list(tmp_path.iterdir())
