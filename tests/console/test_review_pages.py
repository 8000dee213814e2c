"""Review on the console: flag, queue, case; who may do what, and what is said (5.3, 5.4, 6)."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from node.errors import LogError
from node.ledger import review
from node.ledger.leaf import leaf_hash
from node.ledger.tlog.checkpoint import parse_checkpoint
from node.ledger.tlog.note import parse_note
from node.ledger.tlog.policy import of_log
from node.ledger.tlog.proof import parse_proof, verify_proof
from node.model import Outcome
from node.yearly_sealer import YearlySealer, verifier_keys
from tests.console.conftest import PASSWORD, Browser, Site, leg
from tests.console.test_access import _users, facts

REASON = "It was looked into and is in order."


@pytest.fixture(scope="module")
def people(site: Site) -> dict[str, Browser]:
    """Browsers of two reviewers, a lead and an auditor."""
    _users(site).add("second", "The second reviewer", ("reviewer",), PASSWORD, own=True)
    return {login: site.browser(login) for login in ("reviewer", "second", "lead", "auditor")}


@pytest.fixture
def reviewer(people: dict[str, Browser]) -> Browser:
    return people["reviewer"]


def flag(site: Site, browser: Browser, text: str = "Documents came back for a stranger.") -> str:
    """The number of a new case about a new exchange."""
    exchange = site.write(leg(1), leg(2, Outcome.DECLINED, reason="opted-out"))
    answer = browser.post(
        f"/exchanges/{exchange}/flag", {"form": browser.form(), "text": text, "case": ""}
    )
    assert answer.status_code == 303
    return answer.headers["location"].removeprefix("/cases/")


def act(browser: Browser, number: str, verb: str, **fields: str):
    return browser.post(
        f"/cases/{number}", {"form": browser.form("/review"), "verb": verb, **fields}
    )


def test_a_case_goes_from_the_flag_to_the_end_with_two_people(
    site: Site, people: dict[str, Browser]
) -> None:
    reviewer, second, lead = people["reviewer"], people["second"], people["lead"]
    number = flag(site, reviewer)
    assert act(lead, number, "assign", assignee="reviewer").status_code == 303
    assert act(reviewer, number, "comment", text="Looking into it.").status_code == 303
    due = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}"
    asked = act(reviewer, number, "ask", whom="Registration", text="Who was on?", due=due)
    assert asked.status_code == 303
    assert number in _all(reviewer, "/review?state=waiting")
    assert act(reviewer, number, "answer", text="The night shift.").status_code == 303
    ended = act(
        reviewer, number, "resolve",
        **{"outcome": "appropriate", "text": REASON, "action-education": "on"},
    )  # fmt: skip
    assert ended.status_code == 303
    assert act(second, number, "confirm").status_code == 303
    text = second.get(f"/cases/{number}").text
    for said in (
        "opened the case", "gave the case to The reviewer", "Looking into it.",
        "asked Registration", "The night shift.", "Education given".lower(),
        "confirmed it, and closed the case",
    ):  # fmt: skip
        assert said in text
    assert [act for act, _, _ in facts(site, 40) if act.startswith("case-")][:3] == [
        "case-confirm", "case-resolve", "case-answer",
    ]  # fmt: skip


def test_a_form_that_lacks_something_comes_back_with_what_was_typed(
    site: Site, reviewer: Browser
) -> None:
    number = flag(site, reviewer)
    act(reviewer, number, "take")
    answer = act(reviewer, number, "resolve", outcome="appropriate", text="Not on the roster")
    assert answer.status_code == 400
    assert "Write at least 20 characters; this has 17." in answer.text
    assert ">Not on the roster</textarea>" in answer.text
    assert '<option value="appropriate" selected>' in answer.text


def test_what_is_refused_is_said_and_written_down(site: Site, reviewer: Browser) -> None:
    number = flag(site, reviewer)
    act(reviewer, number, "take")
    act(reviewer, number, "resolve", outcome="peer-misuse-confirmed", text=REASON)
    answer = act(reviewer, number, "confirm")
    assert answer.status_code == 409
    assert "a second person has to look at it" in answer.text
    assert "was refused: who resolved a case does not confirm it" in answer.text
    act_, who, about = facts(site)[0]
    assert (act_, who["user_id"]) == ("case-refuse", "reviewer")  # type: ignore[index]
    assert about == {"case": number, "tried": "confirm"}


def test_a_finding_is_confirmed_by_a_lead(site: Site, people: dict[str, Browser]) -> None:
    number = flag(site, people["reviewer"])
    act(people["reviewer"], number, "take")
    act(people["reviewer"], number, "resolve", outcome="confirmed-inappropriate", text=REASON)
    assert act(people["second"], number, "confirm").status_code == 409
    assert act(people["lead"], number, "confirm").status_code == 303


def test_an_auditor_reads_cases_and_can_do_nothing_to_them(
    site: Site, people: dict[str, Browser]
) -> None:
    number = flag(site, people["reviewer"])
    auditor = people["auditor"]
    page = auditor.get(f"/cases/{number}")
    assert page.status_code == 200
    main = page.text.partition("<main")[2]
    assert "<form" not in main
    assert "Your role reads cases and does not act on them." in main
    assert "checkbox" not in auditor.get("/review").text
    assert act(auditor, number, "take").status_code == 403


def test_who_asked_cannot_act_on_a_case_about_it(site: Site, people: dict[str, Browser]) -> None:
    """The log's test exchanges are asked by this user; the console has one of the same name."""
    from tests.ledger.records import USER  # noqa: PLC0415

    login = USER.lower()
    if not _users(site).find(login):
        _users(site).add(login, "The asker", ("reviewer",), PASSWORD, own=True)
    number = flag(site, people["reviewer"])
    answer = act(site.browser(login), number, "take")
    assert answer.status_code == 409
    assert "about themselves" in answer.text


def test_the_page_says_what_can_be_done_now_and_why_not_the_rest(
    site: Site, reviewer: Browser
) -> None:
    number = flag(site, reviewer)
    text = reviewer.get(f"/cases/{number}").text
    assert "Take it" in text
    assert "The case is new; this is for one that is resolved." in text
    assert "A lead does this." in text or "this is for one that is working" in text


def test_evidence_shows_the_flagged_legs_and_is_added_by_id(site: Site, reviewer: Browser) -> None:
    number = flag(site, reviewer)
    text = reviewer.get(f"/cases/{number}").text
    assert "opted-out" in text
    assert "1 exchange<" in text
    more = site.write(leg(3))
    assert act(reviewer, number, "collect", evidence=more).status_code == 303
    assert "2 exchanges<" in reviewer.get(f"/cases/{number}").text
    answer = act(reviewer, number, "collect", evidence="0" * 36)
    assert "There is no exchange with this id in the log." in answer.text
    assert f"Case {number}" in reviewer.get(f"/exchanges/{more}").text
    flagged = reviewer.post(
        f"/exchanges/{site.write(leg(4))}/flag",
        {"form": reviewer.form(), "text": "The same again.", "case": f"CASE-{number}"},
    )
    assert flagged.headers["location"] == f"/cases/{number}"
    assert "3 exchanges<" in reviewer.get(f"/cases/{number}").text


def test_the_exchanges_of_a_case_are_listed_for_those_who_may_see_cases(
    site: Site, reviewer: Browser
) -> None:
    number = flag(site, reviewer)
    address = f"/exchanges?case={number}"
    assert f'href="{address}"' in reviewer.get(f"/cases/{number}").text
    listed = reviewer.get(address).text
    assert f"in the case {number}" in listed
    assert listed.count("type=checkbox name=x-") == 1
    text = site.browser("integrator").get(address).text
    assert "Cases can be looked for by those who may see them." in text
    assert f"in the case {number}" not in text
    none = "There is no case 2031-0001 that you may see."
    assert none in reviewer.get("/exchanges?case=2031-0001").text
    assert none in reviewer.get("/exports/new?case=2031-0001").text
    answer = reviewer.post("/packets", {"form": reviewer.form(), "filter": "case:2031-0001"})
    assert none in answer.text


def test_a_flag_without_words_is_not_taken(site: Site, reviewer: Browser) -> None:
    exchange = site.write(leg(1))
    answer = reviewer.post(f"/exchanges/{exchange}/flag", {"form": reviewer.form(), "text": " "})
    assert answer.status_code == 400
    assert "Write what this is about." in answer.text


def test_the_evidence_is_one_archive_whose_digest_is_an_entry(
    site: Site, people: dict[str, Browser]
) -> None:
    reviewer = people["reviewer"]
    number = flag(site, reviewer)
    act(reviewer, number, "comment", text="Looking into it.")
    assert people["auditor"].get(f"/cases/{number}/evidence").status_code == 403
    answer = reviewer.get(f"/cases/{number}/evidence")
    assert answer.headers["content-disposition"] == f'attachment; filename="case-{number}.zip"'
    act_, _, about = facts(site)[0]
    assert (act_, about) == ("case-export", {"case": number, "proved": 0})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as made:
        manifest = json.loads(made.read("manifest.json"))
        for name, digest in manifest["sha256"].items():
            assert hashlib.sha256(made.read(name)).hexdigest() == digest
        case = json.loads(made.read("case.json"))
    assert (manifest["entries"], len(manifest["not sealed yet, or not as sealed"])) == (4, 4)
    assert case["messages"][1]["written"] == {"case": number, "text": "Looking into it."}
    assert reviewer.get("/cases/2026-9999/evidence").status_code == 404


def test_what_is_sealed_is_proved_to_whoever_has_the_logs_key(
    site: Site, reviewer: Browser
) -> None:
    number = flag(site, reviewer)
    sealer = YearlySealer(site.opened)
    try:
        sealer.run()
    finally:
        sealer.close()
    act(reviewer, number, "take")
    with zipfile.ZipFile(io.BytesIO(reviewer.get(f"/cases/{number}/evidence").content)) as made:
        manifest = json.loads(made.read("manifest.json"))
        files = {name: made.read(name) for name in made.namelist()}
    entries = {name[8:-5] for name in files if name.startswith("entries/")}
    proofs = {name[7:-11] for name in files if name.startswith("proofs/")}
    (taken,) = manifest["not sealed yet, or not as sealed"]
    assert len(entries) == 4
    assert proofs == entries - {str(taken)}
    opened = site.opened
    for seq in proofs:
        proof = parse_proof(files[f"proofs/{seq}.tlog-proof"])
        origin = parse_checkpoint(parse_note(proof.checkpoint).text).origin
        keys = verifier_keys(opened.home, opened.settings, origin, now=datetime.now(UTC))
        verify_proof(proof, leaf_hash(files[f"entries/{seq}.json"]), of_log(*keys))
    wrong = parse_proof(files[f"proofs/{max(proofs, key=int)}.tlog-proof"])
    with pytest.raises(LogError):
        verify_proof(wrong, leaf_hash(files[f"entries/{min(proofs, key=int)}.json"]), of_log(*keys))


# --- the queue -----------------------------------------------------------------------------------

NUMBERS = re.compile(r'href="/cases/([0-9]{4}-[0-9]+)">')


def test_the_queue_is_filtered_by_its_address(site: Site, reviewer: Browser) -> None:
    mine, free = flag(site, reviewer), flag(site, reviewer)
    act(reviewer, mine, "take")
    for query, found, left_out in (
        ("assignee=reviewer", mine, free), ("assignee=nobody", free, mine),
        ("state=working", mine, free), ("state=new", free, mine), ("kind=flag", free, None),
    ):  # fmt: skip
        listed = _all(reviewer, f"/review?{query}")
        assert found in listed, query
        assert left_out not in listed, query
    assert "No case fits" in reviewer.get("/review?due=late").text
    assert 'aria-label="Remove overdue"' in reviewer.get("/review?due=late").text


def _all(browser: Browser, address: str) -> list[str]:
    """The numbers on all pages of a queue."""
    seen: list[str] = []
    for _ in range(20):
        text = browser.get(address).text
        seen += NUMBERS.findall(text)
        following = re.search(r'name="go" value="([^"]+)">Next', text)
        if following is None:
            return seen
        address = following[1].replace("&amp;", "&")
    raise AssertionError(address)


def test_each_case_is_on_one_page_and_due_first(site: Site, reviewer: Browser) -> None:
    written = {flag(site, reviewer) for _ in range(30)}
    seen = _all(reviewer, "/review?assignee=nobody")
    assert len(seen) == len(set(seen))
    assert written <= set(seen)


def test_several_cases_are_assigned_at_once_and_stay_selected(
    site: Site, people: dict[str, Browser]
) -> None:
    lead = people["lead"]
    numbers = [flag(site, lead) for _ in range(3)]
    act(lead, numbers[2], "dismiss", outcome="duplicate", text=REASON)
    picked = {f"case-{number}": "on" for number in numbers}
    answer = lead.post(
        "/review?state=working",
        {"form": lead.form(), "do": "assign", "assignee": "second", **picked},
    )
    assert "2 of 3 cases assigned." in answer.text
    assert "The case is closed" in answer.text
    assert answer.text.count(" checked>") == 2
    assert "gave the case to The second reviewer" in lead.get(f"/cases/{numbers[0]}").text


def test_duplicates_are_closed_at_once(site: Site, reviewer: Browser) -> None:
    kept, one, other = (flag(site, reviewer) for _ in range(3))
    form = {"form": reviewer.form(), "do": "merge", f"case-{one}": "on", f"case-{other}": "on"}
    assert "Say into which case" in reviewer.post("/review", form).text
    answer = reviewer.post("/review", {**form, "target": kept})
    assert "2 of 2 cases closed as duplicates." in answer.text
    text = reviewer.get(f"/cases/{kept}").text
    assert "3 exchanges<" in text
    assert f"from case {one}" in text
    assert f'See <a href="/cases/{kept}">' in reviewer.get(f"/cases/{one}").text


def test_what_the_node_found_becomes_a_case(site: Site, reviewer: Browser) -> None:
    found = [
        review.Found(source="reconciliation", kind="lost", peer="urn:oid:2.999.2.9", seq=seq)
        for seq in range(2)
    ]
    review.open_items(site.opened.engine, found, now=datetime.now(UTC))
    text = reviewer.get("/review").text
    assert "The node found 2 more" in text
    (first, second) = re.findall(r'name="(item-[0-9]+)"', text)
    form = {"form": reviewer.form(), "do": "open", first: "on", second: "on"}
    assert "Write what this is about." in reviewer.post("/review", form).text
    answer = reviewer.post("/review", {**form, "text": "Two answers never arrived."})
    assert answer.status_code == 303
    assert "2.999.2.9" in reviewer.get(answer.headers["location"]).text
    assert "nobody has looked into</a>" not in reviewer.get("/review").text


# --- what does not belong there ------------------------------------------------------------------

HOSTILE = ("<script>alert(1)</script>", "'; DROP TABLE governance_case; --", "{{7*7}}",
           "\x00\x1b[31m", "é" * 1000, "../../etc/passwd", "2026-9999")  # fmt: skip


@pytest.mark.parametrize("typed", HOSTILE)
def test_hostile_words_in_every_field_are_kept_as_words(
    site: Site, reviewer: Browser, typed: str
) -> None:
    number = flag(site, reviewer, f"Why: {typed[:3000]}")
    for verb in ("assign", "collect", "merge", "dismiss", "comment", "take", "ask", "resolve"):
        fields = ("assignee", "evidence", "target", "outcome", "text", "whom", "due")
        answer = act(reviewer, number, verb, **dict.fromkeys(fields, typed))
        assert answer.status_code in (303, 400), verb
        assert "<script>" not in answer.text
    text = reviewer.get(f"/cases/{number}").text
    assert "<script>" not in text
    for name in ("state", "kind", "assignee", "due", "after"):
        assert reviewer.get("/review", params={name: typed}).status_code == 200


@pytest.mark.parametrize("number", ["2026-9999", "x", "%00", "2026-0001'--"])
def test_a_case_that_there_is_not_is_said_to_be_none(reviewer: Browser, number: str) -> None:
    assert reviewer.get(f"/cases/{number}").status_code == 404
    assert act(reviewer, number, "take").status_code == 404


def test_a_verb_that_there_is_not_does_nothing(site: Site, reviewer: Browser) -> None:
    number = flag(site, reviewer)
    for verb in ("", "open", "lapse", "delete"):
        assert act(reviewer, number, verb).status_code == 404


def test_a_case_is_found_by_its_number(site: Site, reviewer: Browser) -> None:
    number = flag(site, reviewer)
    for typed in (number, f"CASE-{number}", f"case {number}"):
        answer = reviewer.post("/search", {"form": reviewer.form(), "q": typed})
        assert answer.headers["location"] == f"/cases/{number}"
