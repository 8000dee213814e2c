"""Breaking the glass on the page, the banner, why nothing is shown, and reporting a problem."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from node.encounter import Does, EncounterClass, EncounterEvent, Part, PractitionerId
from node.governance.access.encounters import Encounters
from node.governance.access.tables import GRANT, GRANT_PATIENT
from node.governance.case_reading import read_file
from node.ledger.private import load_key
from node.ledger.trust_log import NODE
from node.model import PatientId
from node.storage.case_tables import CASE, EVIDENCE
from node.storage.tables import ENTRY
from node.users.tables import SESSION
from tests.console.clinic_world import WHOM, ClinicSite, clinic_site, ended, world_peers
from tests.console.conftest import PASSWORD, Browser
from tests.console.test_access import _users, facts

SETTINGS = (
    "[relationships]\nrequired = true\nbreak_glass_minutes = 90\n"
    'help_desk = "the desk, 4411"\nprivacy_officer = "Dr. Ruth Privy, 4422"'
)
CANARY = "Canaryson was brought by helicopter"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClinicSite]:
    folder = tmp_path_factory.mktemp("glass")
    with clinic_site(folder, *world_peers()[:6], settings=SETTINGS) as made:
        yield made


@pytest.fixture
def browser(clinic: ClinicSite) -> Iterator[Browser]:
    yield clinic.browser("clinician")
    with clinic.opened.engine.begin() as connection:
        connection.execute(GRANT_PATIENT.delete())
        connection.execute(GRANT.delete())


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def old_proof(clinic: ClinicSite) -> None:
    """As if everybody had signed in some time ago."""
    with clinic.opened.engine.begin() as connection:
        connection.execute(update(SESSION).values(proved=0))


def break_glass(browser: Browser, path: str, **given: str):
    form = {"form": browser.form(path), "reason": "emergency", "text": "", "proof": PASSWORD}
    return browser.post(f"{path}/glass", form | given)


def cases(clinic: ClinicSite, kind: str) -> list:
    with clinic.opened.engine.connect() as connection:
        query = select(CASE).where(CASE.c.kind == kind).order_by(CASE.c.id)
        return list(connection.execute(query).all())


def test_the_page_says_what_is_restricted_recorded_and_reviewed(clinic, browser) -> None:
    text = words(browser.get(clinic.ask(browser)).text)
    assert "The node knows of no visit" in text
    assert "to you alone, for 90 minutes, to read" in text
    assert "are recorded" in text
    assert "Dr. Ruth Privy, 4422 looks at it within 2 working days" in text
    assert "It overrides nothing at other organizations" in text


def test_broken_glass_asks_shows_a_banner_and_opens_a_case(clinic, browser) -> None:
    path, before = clinic.ask(browser), len(cases(clinic, "break-glass"))
    old_proof(clinic)
    answer = break_glass(browser, path, text=CANARY)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    text = words(ended(browser, path))
    assert "4 of 6 organizations answered" in text
    assert "You broke the glass for this patient. It is open to you until" in text
    # what declined goes on declining
    assert "Mossgarth Children's declined" in text
    number = re.search(r'href="[^"]*/legs/(\d+)" aria-label="Why', browser.get(path).text)[1]
    assert "You broke the glass" in browser.get(f"{path}/legs/{number}").text
    acts = [act for act, _, _ in facts(clinic, 30)]
    assert {"case-open", "glass-break", "person-prove", "records-search"} <= set(acts)
    (case,) = cases(clinic, "break-glass")[before:]
    assert f"case {case.number}" in text
    with clinic.opened.engine.connect() as connection:
        query = select(EVIDENCE.c.exchange_id).where(EVIDENCE.c.case_id == case.id)
        (exchange,) = connection.execute(query).scalars()
    reviewer = clinic.browser("reviewer")
    page = reviewer.get(f"/cases/{case.number}")
    assert "broke the glass: Emergency treatment." in page.text
    assert CANARY in page.text
    assert exchange in page.text
    home = words(reviewer.get("/").text)
    assert re.search(r"glass broken in 24 hours \d", home)
    assert "break glass" in words(reviewer.get("/review?kind=break-glass").text)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"reason": ""}, "Choose a reason."),
        ({"reason": "other"}, "Write the reason in words."),
        ({"proof": "wrong password of mine"}, "That is not right."),
        ({"proof": ""}, "so that it is you"),
    ],
)
def test_what_is_missing_is_said_beside_its_field_and_nobody_is_asked(
    clinic, browser, given, sentence
) -> None:
    path = clinic.ask(browser)
    before = len(clinic.peers.calls)
    old_proof(clinic)
    answer = break_glass(browser, path, **given)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert len(clinic.peers.calls) == before
    assert browser.get(path).status_code == 403
    _users(clinic).prove_password("clinician", PASSWORD)  # forgets the wrong attempts


def test_a_form_of_another_page_breaks_no_glass(clinic, browser) -> None:
    path = clinic.ask(browser)
    assert break_glass(browser, path, form="forged").status_code == 400
    cross = {"sec-fetch-site": "cross-site"}
    form = {"form": browser.form(path), "reason": "emergency"}
    assert browser.post(f"{path}/glass", form, headers=cross).status_code == 400
    # anew: the connection of a body that was not read is closed
    assert clinic.browser("clinician").get(path).status_code == 403


def test_a_grant_ends_when_it_is_ended_and_when_its_time_is_over(clinic, browser) -> None:
    path = clinic.ask(browser)
    break_glass(browser, path)
    ended(browser, path)
    form = {"form": browser.form("/records")}
    other = clinic.browser("lead")
    assert other.post(f"{path}/glass/end", {"form": other.form()}).status_code in (403, 404)
    assert browser.get(path).status_code == 200
    answer = browser.post(f"{path}/glass/end", form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/records")
    assert browser.get(path).status_code == 403
    assert facts(clinic, 3)[0][0] in ("glass-end", "page-view")
    break_glass(browser, path)
    assert browser.get(path).status_code == 200
    with clinic.opened.engine.begin() as connection:
        past = round((datetime.now(UTC) - timedelta(seconds=1)).timestamp() * 1000)
        connection.execute(update(GRANT).values(until=past))
    assert browser.get(path).status_code == 403
    assert browser.get(f"{path}/legs/1").status_code == 403
    assert browser.get(f"{path}/stream").status_code == 403


def test_another_persons_grant_opens_nothing(clinic, browser) -> None:
    break_glass(browser, clinic.ask(browser))
    users = _users(clinic)
    if users.find("second") is None:
        users.add("second", "Second Clinician", ("clinician",), PASSWORD, own=True)
    second = clinic.browser("second")
    assert second.get(clinic.ask(second)).status_code == 403


def test_another_patient_is_not_opened_by_the_grant(clinic, browser) -> None:
    break_glass(browser, clinic.ask(browser))
    path = clinic.ask(browser, name="Somebody Else", born="1980-01-02")
    assert browser.get(path).status_code == 403


def test_who_treats_the_patient_is_never_asked_for_a_reason(clinic) -> None:
    users = _users(clinic)
    users.add("treating", "Treating Clinician", ("clinician",), PASSWORD, own=True)
    users.set_encounter_ids("treating", ("1234567893@NPI",), ())
    now = datetime.now(UTC)
    event = EncounterEvent(
        does=Does.BEGIN,
        at=now - timedelta(hours=1),
        patients=(PatientId(assigning_authority="2.999.71.1", id="MRN-9"),),
        person=WHOM,
        visit=PatientId(assigning_authority="2.999.71.9", id="V-9"),
        kind=EncounterClass.EMERGENCY,
        people=((Part.ATTENDING, PractitionerId(authority="NPI", id="1234567893")),),
    )
    key = load_key(clinic.opened.home.path)
    encounters = Encounters(clinic.opened.engine, key, own="urn:oid:2.999.71")
    encounters.take([event], author=NODE, source="file", now=now)
    treating = clinic.browser("treating")
    text = ended(treating, clinic.ask(treating))
    assert "organizations answered" in text
    assert "broke the glass" not in text


# --- why, and reporting -------------------------------------------------------------------------


def test_why_says_whose_side_it_is_whether_to_ask_again_and_whom_to_call(clinic, browser) -> None:
    text = words(browser.get("/records/why/connect-failed").text)
    assert "cannot be found on the network" in text
    assert "On the network between us." in text
    assert "Yes, later." in text
    assert "the desk, 4411" in text
    text = words(browser.get("/records/why/no-relationship").text)
    assert "Dr. Ruth Privy, 4422" in text
    assert "a reason of their own" in words(browser.get("/records/why/Acme-7").text)
    odd = browser.get("/records/why/%3Cscript%3E")
    assert "<script>" not in odd.text


def test_each_that_did_not_answer_has_a_page_of_why_and_whom_to_call(clinic, browser) -> None:
    path = clinic.ask(browser)
    break_glass(browser, path)
    found = re.findall(r'href="([^"]*/legs/\d+)" aria-label="Why', ended(browser, path))
    assert len(found) == 2
    for address in found:
        assert "Whom to call" in browser.get(address).text


def test_the_banner_and_the_report_stand_on_a_documents_pages(clinic, browser) -> None:
    path = clinic.ask(browser)
    break_glass(browser, path)
    ended(browser, path)
    for address in (f"{path}/documents", f"{path}/documents/1"):
        answer = browser.get(address)
        assert answer.status_code == 200, address
        assert "You broke the glass for this patient." in answer.text
        assert f'action="{path}/glass/end"' in answer.text
    assert f'href="{path}/documents/1/report"' in answer.text


@pytest.mark.parametrize("what", ["legs", "documents"])
def test_a_reported_problem_is_a_case_with_the_exchange_as_evidence(clinic, browser, what) -> None:
    path = clinic.ask(browser)
    break_glass(browser, path)
    ended(browser, path)
    assert browser.get(f"{path}/documents/1").status_code == 200
    address = f"{path}/{what}/1/report"
    form = {"form": browser.form(address)}
    wrong = browser.post(address, form | {"kind": "nothing", "text": "x"})
    assert (wrong.status_code, "Choose what is wrong." in wrong.text) == (400, True)
    wrong = browser.post(address, form | {"kind": "wrong-person", "text": " "})
    assert (wrong.status_code, "what you saw" in wrong.text) == (400, True)
    before = len(cases(clinic, "reported-problem"))
    answer = browser.post(address, form | {"kind": "wrong-person", "text": CANARY})
    (case,) = cases(clinic, "reported-problem")[before:]
    thanks = answer.headers["location"]
    assert thanks == f"{path}/reported/{case.number}"
    assert "anary" not in thanks
    text = words(browser.get(thanks).text)
    assert f"It is case {case.number} ." in text
    assert "within five working days" in text
    found = read_file(clinic.opened.engine, load_key(clinic.opened.home.path), case.number)
    assert found is not None
    said = found.messages[0].words("text")
    assert CANARY in said
    assert "it is about another person" in said
    assert ("Document " in said) == (what == "documents")
    brought = re.findall(r"Leg ([0-9a-f-]{36}) \(retrieve of the document\)", said)
    assert len(brought) == (what == "documents")
    for each in brought:
        query = select(ENTRY.c.txn).where(ENTRY.c.entry_id == each)
        with clinic.opened.engine.connect() as connection:
            assert connection.execute(query).scalar() == "ITI-39"
    assert len(found.exchanges) == 1
    # who reports does not review, and a reviewer reads it
    assert clinic.browser("reviewer").get(f"/cases/{case.number}").status_code == 200


def test_nothing_is_reported_about_what_there_is_not(clinic, browser) -> None:
    path = clinic.ask(browser)
    break_glass(browser, path)
    for odd in ("legs/99", "documents/9999", "legs/x", "documents/0"):
        assert browser.get(f"{path}/{odd}/report").status_code == 404
    assert browser.get(f"{path}/reported/x").status_code == 404
