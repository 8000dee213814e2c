"""Finding a patient: one search of everybody, each answer in words, and who may see it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from node.errors import AnswerError
from node.ledger.find import LedgerFilter, find
from node.ledger.private import load_key
from node.model import Outcome
from node.users.tables import SESSION
from tests.console.clinic_world import (
    FORM,
    THERE,
    ClinicSite,
    Following,
    clinic_site,
    ended,
    until,
    world_peers,
)
from tests.console.conftest import PASSWORD
from tests.console.test_access import _users, facts
from tests.sim.fhir_peers import SimFhirServer
from tests.sim.network import SimPeer, entry, hcid

CANARIES = ("Juniper", "Sample", "Sampel", "1961", "Specimen", "Canary-MRN", "00501")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClinicSite]:
    folder = tmp_path_factory.mktemp("clinic")
    with clinic_site(folder, *world_peers()) as made:
        made.opened.index  # noqa: B018  the home is open
        yield made


@pytest.fixture
def browser(clinic: ClinicSite):
    yield clinic.browser("clinician")
    clinic.let_go()


def line(text: str, name: str) -> str:
    """The words of an organization's line."""
    lines = re.findall(r'<li id="leg-\d+"[^>]*>(.*?)</li>', text, re.DOTALL)
    words = (" ".join(html.unescape(re.sub(r"<[^>]*>", " ", each)).split()) for each in lines)
    return next(each for each in words if each.startswith(name))


def test_one_search_asks_everybody_and_says_of_each_what_came(clinic, browser) -> None:
    text = ended(browser, clinic.ask(browser, zip="00501"))
    assert "6 of 8 organizations answered" in text
    assert "1 declined, 1 not reached." in text
    said = {
        "Tamsin Vale Hospital": "found Exact match, 6 documents",
        "Ostravane Regional": "found Exact match, 2 documents",
        "Larkhollow HIE": "found, check Name, birth date and address differ; "
        "3 documents held back Compare",
        "Ironbeck Cardiology": "none held They answered; no such patient there",
        "Mossgarth Children's": "declined The patient opted out Why?",
        "Farrowmere County HIE": "not reached Their system cannot be found on the network "
        "(on the network between us) Why?",
        "Ravensholt Care": "none held They answered; no such patient there",
    }
    for name, words in said.items():
        assert line(text, name) == f"{name} {words}"
    assert "9 to read, 3 held back" in text


def test_nothing_of_the_patient_is_in_an_address_a_title_or_a_name_of_a_header(
    clinic, browser
) -> None:
    answer = browser.post("/records", {"form": browser.form("/records"), **FORM, "zip": ""})
    path = answer.headers["location"]
    assert re.fullmatch(r"/records/[A-Za-z0-9_-]{22}", path)
    text = ended(browser, path)
    title = re.search(r"<title>(.*?)</title>", text)
    addresses = re.findall(r'(?:href|src|action|data-stream)="([^"]*)"', text)
    for canary in CANARIES:
        assert canary not in title[1]
        assert not [each for each in addresses if canary in each]
        assert canary not in repr(answer.headers)


def test_a_search_a_view_an_answer_and_a_stop_are_entries_without_the_person(
    clinic, browser
) -> None:
    clinic.hold(7)
    path = clinic.ask(browser, born="03/02/1961", zip="00502")
    token = path.rpartition("/")[2]
    until(lambda: "found, check" in browser.get(path).text)
    browser.post(f"{path}/people/{identity(browser, path)}",
                 {"form": browser.form(path), "same": "no"})  # fmt: skip
    browser.post(f"{path}/stop", {"form": browser.form(path)})
    found = [each for each in facts(clinic, 60) if token in repr(each[2])]
    acts = [act for act, _, _ in found]
    assert acts[-1] == "records-search"
    assert {"records-stop", "person-reject", "page-view"} <= set(acts)
    assert {who["user_id"] for _, who, _ in found} == {"clinician"}
    key, engine = load_key(clinic.opened.home.path), clinic.opened.engine
    leaves = [repr(e) for e in find(engine, LedgerFilter(), key=key, limit=100).entries]
    assert not [c for c in CANARIES for leaf in leaves if c in leaf]


def identity(browser, path: str) -> str:
    return re.search(r'/people/(\d+)"', browser.get(path).text)[1]


def test_the_search_is_an_entry_before_anybody_is_asked(clinic, browser) -> None:
    clinic.hold(*range(1, 9))
    asked = len(clinic.peers.calls)
    path = clinic.ask(browser, zip="00503")
    assert facts(clinic, 5)[0][0] == "records-search"
    assert len(clinic.peers.calls) == asked  # they are held
    clinic.let_go()
    ended(browser, path)


def test_answers_come_as_they_are_and_a_slow_one_holds_nobody_up(clinic, browser) -> None:
    clinic.hold(7)
    path = clinic.ask(browser, zip="00504")
    following = Following(browser, path)
    until(lambda: "Exact match" in following.html(8))  # Tamsin Vale, the last by name
    assert "asking" in following.html(5)  # Northmere, the fifth
    assert "so far" in following.html(5)
    until(lambda: following.head().get("answered") == "5 of 8 organizations answered")
    assert following.head()["others"] == "1 declined, 1 not reached, 1 still trying."
    assert not following.over.is_set()
    clinic.let_go(7)
    assert following.over.wait(20)
    assert "1 document" in following.html(5)
    assert following.events[-1][0] == "over"
    assert following.head()["others"] == "1 declined, 1 not reached."


def test_every_line_keeps_its_place_from_the_first_page_to_the_last(clinic, browser) -> None:
    clinic.hold(*range(1, 9))
    path = clinic.ask(browser, zip="00505")
    places = r'<li id="(leg-\d+)"[^>]*><span class="strong">([^<]*)<'
    before = re.findall(places, browser.get(path).text)
    assert len(before) == 8
    clinic.let_go()
    assert re.findall(places, ended(browser, path)) == before


def test_without_script_refresh_leads_to_the_same_page_anew(clinic, browser) -> None:
    clinic.hold(7)
    path = clinic.ask(browser, zip="00506")
    text = browser.get(path).text
    first = re.search(r'href="([^"]*)#as">Refresh', text)[1]
    assert "asking" in line(text, "Northmere Care Network")
    clinic.let_go()
    ended(browser, path)
    again = browser.get(first).text
    assert "found" in line(again, "Northmere Care Network")
    assert "Refresh" not in again


def test_stop_waiting_ends_the_peers_requests_and_enters_each_as_cancelled(clinic, browser) -> None:
    clinic.hold(7, 8)
    path = clinic.ask(browser, zip="00507")
    following = Following(browser, path)
    until(lambda: following.head().get("others", "").endswith("2 still trying."))
    clinic.peers.cancelled.clear()
    answer = browser.post(f"{path}/stop", {"form": browser.form(path)})
    assert answer.headers["location"] == f"{path}#as"
    assert sorted(clinic.peers.cancelled) == [hcid(7), hcid(8)]
    assert following.over.wait(20)
    text = browser.get(path).text
    assert line(text, "Northmere Care Network").endswith("not waited for You stopped waiting")
    assert "1 declined, 1 not reached, 2 not waited for." in text
    legs = find(clinic.opened.engine, LedgerFilter(kind="exchange"), limit=40).entries
    cancelled = [e for e in legs if e.fields["outcome"] == Outcome.CANCELLED.value]
    assert {str(e.fields["peer"]) for e in cancelled[:2]} == {hcid(7), hcid(8)}
    # and again: there is nothing to stop, and no further entry
    browser.post(f"{path}/stop", {"form": browser.form(path)})
    assert [act for act, _, _ in facts(clinic, 12)].count("records-stop") == 1


def test_a_search_goes_on_when_its_page_is_closed(clinic, browser) -> None:
    clinic.hold(7)
    path = clinic.ask(browser, zip="00508")
    following = Following(browser, path)
    until(following.head)
    following.answer.close()
    clinic.let_go(7)
    assert "6 of 8 organizations answered" in ended(browser, path)


def test_a_weak_match_is_shown_beside_whom_was_asked_and_held_back_until_a_person_says_so(
    clinic, browser
) -> None:
    path = clinic.ask(browser, zip="00509")
    text = ended(browser, path)
    assert "Is this the same person?" in text
    rows = re.findall(r'<tr><th scope="row">([\w ]+)</th>(.*?)</tr>', text, re.DOTALL)
    words = {name: " ".join(re.sub(r"<[^>]*>", " ", rest).split()) for name, rest in rows}
    assert words["Name"] == "Juniper Sample June Sampel differs"
    assert words["Birth date"] == "2 Mar 1961 12 Mar 1961 differs"
    assert words["Sex"] == "Female Female"
    assert words["Telephone"] == "not known here +1-555-0100"
    person = f"{path}/people/{identity(browser, path)}"
    browser.post(person, {"form": browser.form(path), "same": "yes"})
    text = browser.get(path).text
    assert "Same person, by your answer, 3 documents" in line(text, "Larkhollow HIE")
    assert "12 to read" in text
    assert facts(clinic, 3)[1][0] == "person-confirm"

    browser.post(person, {"form": browser.form(path), "same": "no"})
    text = browser.get(path).text
    assert "not this person By your answer; 3 documents hidden" in line(text, "Larkhollow HIE")
    assert "9 to read, 3 hidden" in text


def test_the_same_answer_twice_is_one_entry_and_another_word_is_no_answer(clinic, browser) -> None:
    path = clinic.ask(browser, zip="00510")
    ended(browser, path)
    person = f"{path}/people/{identity(browser, path)}"
    for same in ("yes", "yes", "perhaps"):
        browser.post(person, {"form": browser.form(path), "same": same})
    acts = [act for act, _, about in facts(clinic, 20) if path.rpartition("/")[2] in repr(about)]
    assert acts.count("person-confirm") == 1
    assert browser.post(person, {"form": browser.form(path)}).status_code == 404


def test_somebody_elses_request_is_refused_like_one_that_there_is_not(clinic, browser) -> None:
    _users(clinic).add("other", "Another", ("clinician",), PASSWORD, own=True)
    other = clinic.browser("other")
    path = clinic.ask(browser, zip="00511")
    ended(browser, path)
    for address in ("", "/stream", "/legs/1"):
        theirs = other.get(path + address)
        nobodys = other.get("/records/" + "A" * 22 + address)
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert theirs.text.replace(path, "") == nobodys.text.replace("/records/" + "A" * 22, "")
    form = other.form("/records")
    for address in ("/stop", "/people/1"):
        answer = other.post(path + address, {"form": form, "same": "yes"})
        assert answer.status_code == 404
    assert path not in other.get("/records").text


@pytest.mark.parametrize("token", ["x", "..%2f..", "a" * 300, "%00", "é", "<script>"])
def test_a_bad_token_is_no_request_and_says_what_may_be_the_reason(browser, token: str) -> None:
    answer = browser.get(f"/records/{token}")
    assert answer.status_code == 404
    if token == "x":
        assert "it is too old, or it is not yours" in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "Type the given and the family name, or a record number."),
        ({"name": "Sample"}, "Type the given and the family name, or a record number."),
        ({"name": "<script>alert(1)</script>"}, "Type the given and the family name"),
        ({"born": "1961-02-30"}, "Type the day of birth as yyyy-mm-dd, a day of the past."),
        ({"born": "2961-02-03"}, "Type the day of birth as yyyy-mm-dd, a day of the past."),
        ({"zip": "5"}, "A ZIP code has five digits."),
        ({"sex": "X"}, "Choose one of the list."),
        ({"number": "a b'--"}, "A record number has letters, digits"),
        ({"number": "4711"}, "Our records have nobody with this number."),
    ],
)
def test_what_cannot_be_asked_with_is_said_beside_its_field_and_nobody_is_asked(
    clinic, browser, change, words
) -> None:
    asked = len(clinic.peers.calls)
    answer = browser.post("/records", {"form": browser.form("/records"), **FORM, **change})
    assert answer.status_code == 400
    assert answer.text.count(words) == 2  # in the summary, and at the field
    assert 'aria-invalid="true"' in answer.text
    assert "<script>alert" not in answer.text
    assert len(clinic.peers.calls) == asked


def test_a_form_that_is_sent_twice_is_one_search(clinic, browser) -> None:
    data = {"form": browser.form("/records"), **FORM, "zip": "00512"}
    first, second = browser.post("/records", data), browser.post("/records", data)
    assert first.headers["location"] == second.headers["location"]
    ended(browser, first.headers["location"])


def test_two_tabs_follow_the_same_search(clinic, browser) -> None:
    clinic.hold(7)
    path = clinic.ask(browser, zip="00513")
    tabs = [Following(browser, path), Following(clinic.browser("clinician"), path)]
    for tab in tabs:
        until(lambda tab=tab: "found" in tab.html(8))
    clinic.let_go()
    assert all(tab.over.wait(20) for tab in tabs)
    assert tabs[0].html(5).count("found") == tabs[1].html(5).count("found") == 1


def test_more_searches_than_one_may_run_are_refused_with_advice(clinic, browser) -> None:
    clinic.hold(*range(1, 9))
    running = [clinic.ask(browser, zip=f"0060{n}") for n in range(3)]
    data = {"form": browser.form("/records"), **FORM, "zip": "00604"}
    answer = browser.post("/records", data)
    assert answer.status_code == 409
    assert "Too many searches run now" in answer.text
    clinic.let_go()
    for path in running:
        ended(browser, path)


def test_the_purpose_is_the_roles_and_no_other_is_taken(clinic, browser) -> None:
    text = browser.get("/records").text
    assert "Purpose: <b>Treatment</b>, from your role." in text
    assert "find-purpose" not in text  # of the role's two the node's own entry lists one
    for purpose, words in (
        ("T-PYMNT", "Your role does not ask for this purpose"),
        ("T-TREAT", "does not list"),  # of the role, and not one of the node's own
    ):
        data = {"form": browser.form("/records"), **FORM, "purpose": purpose}
        answer = browser.post("/records", data)
        assert answer.status_code == 409
        assert words in answer.text


def test_peers_are_told_who_asks_and_for_what(clinic, browser) -> None:
    ended(browser, clinic.ask(browser, zip="00514"))
    principal = clinic.peers.calls[-1][2].principal
    assert (principal.user_id, principal.subject_id) == ("clinician", "The clinician")
    assert principal.purpose.code == "T-TRTMNT"
    assert principal.role.code == "59058001"


def test_a_request_in_the_list_has_a_name_only_for_who_has_just_proved_themselves(
    clinic, browser
) -> None:
    path = clinic.ask(browser, zip="00515")
    ended(browser, path)
    mine = re.compile(rf'<a href="{path}">([^<]*)</a>')
    assert mine.search(browser.get("/records").text)[1] == "Juniper Sample"  # signed in just now

    with clinic.opened.engine.begin() as connection:
        connection.execute(update(SESSION).values(proved=0))
    token = f"Request {path.rpartition('/')[2][:6]}"
    for address in ("/records", "/"):
        text = browser.get(address).text
        assert mine.search(text)[1] == token
        assert "Juniper" not in text
    wrong = {"form": browser.form("/records"), "proof": "not the password"}
    assert browser.post("/records/names", wrong).status_code == 403
    assert mine.search(browser.get("/records").text)[1] == token
    right = {"form": browser.form("/records"), "proof": PASSWORD}
    assert browser.post("/records/names", right).headers["location"] == "/records#mine"
    assert mine.search(browser.get("/records").text)[1] == "Juniper Sample"


def test_why_leads_to_the_organizations_own_page_with_the_code(clinic, browser) -> None:
    path = clinic.ask(browser, zip="00516")
    text = ended(browser, path)
    address = re.search(r'href="([^"]*/legs/\d+)" aria-label="Why\? Mossgarth', text)[1]
    page = browser.get(address).text
    assert "declined. The patient opted out." in " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert "AnswerNotAvailable" in page
    assert browser.get(f"{path}/legs/99").status_code == 404
    assert browser.get(f"{path}/legs/1e9").status_code == 404


def test_who_has_no_relationship_with_a_patient_asks_nobody_and_is_told_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder, required = tmp_path_factory.mktemp("barred"), "[relationships]\nrequired = true"
    with clinic_site(folder, *world_peers()[:2], settings=required) as site:
        browser = site.browser("clinician")
        path = site.ask(browser)
        answer = browser.get(path)
        assert answer.status_code == 403
        assert "The node knows of no visit" in answer.text
        assert browser.get(f"{path}/stream").status_code == 403
        assert site.peers.calls == []
        assert [act for act, _, _ in facts(site, 3)].count("records-bar") == 1
        assert "Nobody was asked" in browser.get("/records").text


def test_a_fhir_server_alone_a_silent_peer_and_nobody_at_all_are_said_in_words(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    reference = {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "date": "2026-05-01T10:00:00Z",
        "type": {"coding": [{"system": "http://loinc.org", "code": "18842-5"}]},
        "content": [{"attachment": {"contentType": "application/pdf", "title": "Discharge",
                                    "url": "Binary/b1", "size": 7}}],
        "subject": {"reference": "Patient/p1"},
    }  # fmt: skip
    alone = SimFhirServer(number=9, patient="p1", holds=[reference], alone=True)
    silent, empty = SimPeer(number=1, hang=True), SimPeer(number=2, knows=False)
    folder = tmp_path_factory.mktemp("kinds")
    with clinic_site(folder, silent, empty, fhir=(alone,), seconds=1.0) as site:
        browser = site.browser("clinician")
        # the server's person is another one than was asked for: by the rules, to be looked at
        text = ended(browser, site.ask(browser))
        assert line(text, "Peer 9") == (
            "Peer 9 found, check Name and birth date differ; 1 document held back Compare"
        )
        assert line(text, "Tamsin Vale Hospital") == (
            "Tamsin Vale Hospital not reached No answer within 1 s "
            "(on their side, or on the network between us) Why?"
        )
        site.servers.servers.clear()
        text = ended(browser, site.ask(browser, zip="00520"))
        assert "No organization that answered holds records for this person. 1 did not answer." in (
            " ".join(text.split())
        )
        assert "No results" not in text
        site.directory.entries.pop()
        site.directory.entries[0] = entry(1, name="<script>alert(1)</script>")
        text = ended(browser, site.ask(browser, zip="00521"))
        assert "No organization answered, so nobody can say whether there are records." in text
        assert "<script>alert" not in text  # what a directory calls somebody is text, too
        assert "&lt;script&gt;alert(1)&lt;/script&gt;</span>" in text


def test_the_document_of_a_fhir_server_alone_opens_and_says_why_where_it_does_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def reference(id_: str) -> dict[str, object]:
        attachment = {"contentType": "text/plain", "title": f"Note {id_}", "url": f"Binary/{id_}"}
        return {
            "resourceType": "DocumentReference", "id": id_, "status": "current",
            "content": [{"attachment": attachment}], "subject": {"reference": "Patient/p1"},
        }  # fmt: skip

    gone = AnswerError("fhir-attachment-absent", "The peer's server does not have the document.")
    penicillin = {"resourceType": "AllergyIntolerance", "code": {"text": "Penicillin"}}
    resources = json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": penicillin}]}
    ).encode()
    alone = SimFhirServer(
        number=9, patient="p1", alone=True,
        holds=[reference("b1"), reference("b2"), reference("b3")],
        files={"Binary/b1": b"Keeps well on metoprolol.", "Binary/b2": gone,
               "Binary/b3": resources},
    )  # fmt: skip
    with clinic_site(tmp_path_factory.mktemp("linked"), fhir=(alone,)) as site:
        browser = site.browser("clinician")
        path = site.ask(browser, name="Alice Canary-Newman", born="1970-05-01", sex="F", zip="")
        ended(browser, path)
        assert "3 to read" in browser.get(f"{path}/documents").text
        page = browser.get(f"{path}/documents/1")
        assert page.status_code == 200
        assert "Keeps well on metoprolol." in page.text
        page = browser.get(f"{path}/documents/2")
        assert page.status_code == 502
        assert "Peer 9 does not have this document any more." in page.text
        page = browser.get(f"{path}/documents/3").text
        assert ">Penicillin<" in page
        assert "This is the node's own list" in page
        kept = browser.get(f"{path}/documents/3/original")
        assert kept.content == resources
        assert kept.headers["content-disposition"].endswith('.json"')
        why = browser.get("/records/why/fhir-attachment-absent")
        assert "replaced or withdrawn" in why.text


def test_a_record_number_asks_with_what_our_own_record_says(clinic, browser) -> None:
    people = [("000-0042", THERE)]
    clinic.opened.index.add_patients(people, clinic.opened.clock.now())
    typed = {"name": "", "born": "", "sex": "", "zip": "", "number": "000-0042"}
    text = ended(browser, clinic.ask(browser, **typed))
    assert "Our record 000-0042" in text
    assert "14 Specimen Row" in text  # beside whom Larkhollow found
    private = [about for act, _, about in facts(clinic, 30) if act == "records-search"]
    assert re.fullmatch("~[0-9a-f]{32}", private[0]["patient"])


def test_the_start_page_has_a_clinicians_newest_requests(clinic, browser) -> None:
    path = clinic.ask(browser, zip="00522")
    ended(browser, path)
    home = browser.get("/").text
    assert path in home
    assert 'href="/records">Find a patient' in home
    assert path not in clinic.browser("auditor").get("/").text
