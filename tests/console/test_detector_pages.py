"""Detectors on the console: the table, one of them, a flag; who may see and do what (5.12, 6.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from node.governance.detectors.flags import flags
from node.ledger.private import load_key
from node.model import Direction, Outcome, PrivateFacts, Transaction
from tests.console.conftest import PASSWORD, Browser, Site, leg
from tests.console.network import fill
from tests.console.test_access import _users, facts
from tests.console.test_review_pages import act

WHY = "The last 30 days show nothing that is wrong."


def asked(number: int, seconds: float, of: int = 1) -> dict[str, object]:
    """A peer asks about somebody whom we do not know."""
    person = {"identifiers": [{"assigning_authority": "2.999.2.9", "id": f"M{number * 3}"}]}
    return leg(
        of, Outcome.OK_EMPTY, ago=seconds, direction=Direction.RESPONDING,
        transaction=Transaction.ITI_55,
        facts=PrivateFacts(who={"user_id": "clerk"}, query={"demographics": person}),
    )  # fmt: skip


def opened(number: int, when: timedelta) -> dict[str, object]:
    """The reviewer themself asked about a patient."""
    facts_ = PrivateFacts(
        who={"user_id": "reviewer", "subject_id": "The reviewer"},
        patient={"ids": [f"P{number}^^^&2.999.2.2.1&ISO"]},
    )
    return leg(2, ago=when.total_seconds(), direction=Direction.INITIATING, facts=facts_)


@pytest.fixture(scope="module")
def people(site: Site) -> dict[str, Browser]:
    fill(site)
    _users(site).add("second", "The second reviewer", ("reviewer",), PASSWORD, own=True)
    return {login: site.browser(login) for login in ("reviewer", "second", "lead", "auditor")}


def sweep(site: Site):
    from node.governance.watching import watching  # noqa: PLC0415

    node = site.opened
    parts = watching(node.engine, load_key(node.home.path), node.directory, node.index,
                     own=node.home_community_id)  # fmt: skip
    return parts.sweeper.run(now=datetime.now(UTC))


def change(browser: Browser, code: str, **fields: str):
    form = browser.form("/review")
    if fields.get("state") == "on":  # it is tried first, with the same limits
        browser.post(f"/detectors/{code}", {"form": form, **fields, "do": "try"})
    return browser.post(f"/detectors/{code}", {"form": form, "do": "set", **fields})


def newest_flag(site: Site, detector: str) -> int:
    return flags(site.opened.engine, reader="", detector=detector)[0].id


def test_from_the_try_to_the_flag_to_the_closed_case(
    site: Site, people: dict[str, Browser]
) -> None:
    reviewer, second, lead = people["reviewer"], people["second"], people["lead"]
    assert "The detectors have not looked yet." in reviewer.get("/detectors").text
    for n in range(24):
        site.write(asked(n, seconds=(25 - n) / 100))
    tried = change(lead, "D14", do="try", reason="")
    assert "On the last 30 days: 1 flag" in tried.text
    assert "Farrowmere County HIE asked about 24 people" in tried.text
    assert (
        change(lead, "D14", **{"state": "on", "limit-asked": "22", "reason": WHY}).status_code
        == 303
    )
    page = lead.get("/detectors/D14").text
    assert f"The lead: shadow to on, asked 20 to 22. “{WHY}”" in page
    assert (sweep(site).flags, sweep(site).flags) == (1, 0)
    page = reviewer.get("/detectors").text
    row = page[page.index('href="/detectors/D14"') : page.index('href="/detectors/D15"')]
    assert re.search(r'flags=month#flags">1</a>', row)
    flag = newest_flag(site, "D14")
    page = reviewer.get(f"/flags/{flag}").text
    assert "24 of them (100 %) are not known here" in page
    assert page.count('href="/exchanges/') >= 24
    (number,) = set(re.findall(r"/cases/([0-9-]+)", page))
    page = reviewer.get(f"/cases/{number}").text
    assert f'href="/flags/{flag}"' in page
    assert "trying out people" in page
    assert act(reviewer, number, "take").status_code == 303
    reason = "They tried out a list of people who are none of their patients."
    act(reviewer, number, "resolve", outcome="peer-misuse-confirmed", text=reason)
    assert act(second, number, "confirm").status_code == 409
    assert act(lead, number, "confirm").status_code == 303
    page = lead.get("/detectors/D14?flags=confirmed").text
    assert "100 % of 1" in page
    assert f'href="/flags/{flag}"' in page
    assert f'href="/flags/{flag}"' not in lead.get("/detectors/D14?flags=dismissed").text
    acts = [name for name, _, _ in facts(site, 60)]
    assert {"detector-backtest", "detector-set"} <= set(acts)


@pytest.mark.parametrize("who", ["reviewer", "auditor"])
def test_only_a_lead_changes_a_detector(people: dict[str, Browser], who: str) -> None:
    assert change(people[who], "D14", state="off", reason=WHY).status_code == 403
    page = people[who].get("/detectors/D14")
    assert page.status_code == 200
    assert 'name="limit-asked"' not in page.text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": "on", "reason": "short"}, "at least 20 characters"),
        ({"limit-share": "7", "reason": WHY}, "share is from 0.1 to 1"),
        ({"limit-share": "many", "reason": WHY}, "share is a number"),
        ({"limit-share": "nan", "reason": WHY}, "share is from 0.1 to 1"),
    ],
)
def test_a_change_that_cannot_be_comes_back_with_what_was_typed(
    people: dict[str, Browser], fields: dict[str, str], said: str
) -> None:
    answer = change(people["lead"], "D14", **fields)
    assert answer.status_code == 400
    assert said in answer.text
    assert f">{fields['reason']}</textarea>" in answer.text


def test_a_flag_in_shadow_becomes_a_case_when_a_person_says_so(
    site: Site, people: dict[str, Browser]
) -> None:
    for n in range(25):
        site.write(asked(1000 + n, (25 - n) / 100, of=4))
    change(people["lead"], "D14", state="shadow", reason=WHY)
    assert sweep(site).flags == 0
    flag, reviewer = newest_flag(site, "D14"), people["reviewer"]
    assert "In shadow, so it made no case." in reviewer.get(f"/flags/{flag}").text
    auditor = people["auditor"]
    data = {"form": auditor.form("/review"), "do": "case"}
    assert auditor.post(f"/flags/{flag}", data).status_code == 403
    data = {"form": reviewer.form("/review"), "do": "case"}
    first = reviewer.post(f"/flags/{flag}", data)
    assert first.status_code == 303
    assert reviewer.post(f"/flags/{flag}", data).headers["location"] == first.headers["location"]


def test_a_suppression_has_a_reason_and_an_end_and_is_shown(
    site: Site, people: dict[str, Browser]
) -> None:
    flag, reviewer = newest_flag(site, "D14"), people["reviewer"]
    data = {"form": reviewer.form("/review"), "do": "suppress", "days": "7", "reason": "no"}
    answer = reviewer.post(f"/flags/{flag}", data)
    assert answer.status_code == 400
    assert "at least 20 characters" in answer.text
    data["reason"] = "Their migration runs until the end of the week."
    assert reviewer.post(f"/flags/{flag}", data).status_code == 303
    page = reviewer.get("/detectors/D14").text
    assert "Kept out of cases for now" in page
    assert "by The reviewer: “Their migration runs until the end of the week.”" in page
    number = re.search(r'name="suppression" value="([0-9]+)"', reviewer.get(f"/flags/{flag}").text)
    assert number
    data = {"form": reviewer.form("/review"), "do": "end", "suppression": number[1]}
    assert reviewer.post(f"/flags/{flag}", data).status_code == 303
    assert "Kept out of cases for now" not in reviewer.get("/detectors/D14").text


def test_nobody_sees_a_flag_or_its_case_about_themselves(
    site: Site, people: dict[str, Browser]
) -> None:
    reviewer, second, lead = people["reviewer"], people["second"], people["lead"]
    for day in range(1, 6):
        site.write(opened(day, timedelta(days=day)))
    site.write(*(opened(50 + n, timedelta(seconds=60 - n)) for n in range(6)))
    change(lead, "D01", **{"state": "on", "limit-days": "5", "limit-patients": "5", "reason": WHY})
    assert sweep(site).flags == 1
    flag = newest_flag(site, "D01")
    page = second.get(f"/flags/{flag}")
    assert "The reviewer opened outside records of 6 patients in a day" in page.text
    (number,) = set(re.findall(r"/cases/([0-9-]+)", page.text))
    assert reviewer.get(f"/flags/{flag}").status_code == 404
    assert reviewer.get(f"/cases/{number}").status_code == 404
    assert reviewer.get(f"/cases/{number}/evidence").status_code == 404
    assert "that you may see" in reviewer.get(f"/exchanges?case={number}").text
    assert "that you may see" not in second.get(f"/exchanges?case={number}").text
    assert number not in reviewer.get("/review").text
    assert number in second.get("/review").text
    assert f"/flags/{flag}" not in reviewer.get("/detectors/D01").text
    assert 'flags=month#flags">0</a>' in reviewer.get("/detectors/D01").text
    assert act(reviewer, number, "take").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/detectors/D99", "/detectors/%3Cscript%3E", "/flags/0", "/flags/x", "/flags/9" + "9" * 30],
)
def test_what_there_is_not_is_a_page_that_says_so(people: dict[str, Browser], path: str) -> None:
    answer = people["lead"].get(path)
    assert answer.status_code == 404
    assert "<script>" not in answer.text


def test_the_queue_says_when_the_detectors_looked(people: dict[str, Browser]) -> None:
    page = people["lead"].get("/review?due=late&state=waiting").text
    assert 'href="/detectors"' in page
