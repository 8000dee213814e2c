"""The list and the page of an exchange: filters, paging, empty states, no PHI in addresses."""

from __future__ import annotations

import re

import pytest

from node.model import Direction, Outcome, Transaction
from node.policy.reasons import reason
from tests.console import network
from tests.console.conftest import Browser, Site, leg
from tests.ledger.records import CANARIES, PATIENT, USER

ID = re.compile(r'href="/exchanges/([0-9a-f-]{36})"')


def ids(text: str) -> list[str]:
    return list(dict.fromkeys(ID.findall(text)))


@pytest.fixture(scope="module")
def lead(site: Site) -> Browser:
    return site.browser("lead")


def test_one_question_is_one_row_with_its_legs(site: Site, lead: Browser) -> None:
    found = site.write(
        leg(11), leg(12, Outcome.OK_EMPTY), leg(13, Outcome.DECLINED, reason="opted-out"),
        leg(14, Outcome.TIMED_OUT), leg(11, transaction=Transaction.ITI_38, documents=3),
    )  # fmt: skip
    page = lead.get(f"/exchanges?exchange={found}&open={found}").text
    assert ids(page) == [found]
    assert "3 of 5" in page
    assert "opted-out" in page
    assert "3 more legs: 2 ok and 1 none held" in page
    assert "aria-expanded=true" in page


def test_a_leg_leads_to_its_peer_and_says_its_reason_in_words(site: Site, lead: Browser) -> None:
    network.fill(site)
    found = site.write(
        leg(1), leg(1, Outcome.DECLINED, reason="patient-opted-out"),
        leg(91, Outcome.FAILED, reason="odd-code"),
    )  # fmt: skip
    for page in (f"/exchanges?exchange={found}&open={found}", f"/exchanges/{found}"):
        text = lead.get(page).text
        assert '<a href="/peers/2.999.2.1">Farrowmere County HIE</a>' in text, page
        assert f'{reason("patient-opted-out").sentence} <span class="id faint">' in text, page
        assert '<span class="id">odd-code</span>' in text, page
        assert "/peers/2.999.2.91" not in text, page  # the directory does not know it
    assert lead.get("/peers/2.999.2.1").status_code == 200


def test_what_peers_were_asked_for_an_own_system_is_asked_by_us(site: Site, lead: Browser) -> None:
    """Its own request is a served leg of the same exchange, and names the same documents again."""
    found = site.write(
        leg(15, direction=Direction.RESPONDING, transaction=Transaction.ITI_38, documents=3),
        leg(11, transaction=Transaction.ITI_38, documents=3),
    )
    page = lead.get(f"/exchanges/{found}").text
    assert "3 documents." in page
    assert "6 documents" not in page
    assert "named or sent" not in page


def test_the_filter_is_a_sentence_chips_and_the_address(lead: Browser) -> None:
    page = lead.get("/exchanges?outcome=declined%2Cfailed&since=7d").text
    assert "declined" in re.search(r'<p class="sentence">([^<]+)', page)[1]  # type: ignore[index]
    assert page.count('class="x"') == 2
    assert 'aria-label="Remove since:7d"' in page


def test_each_exchange_is_on_one_page_and_in_order(site: Site, lead: Browser) -> None:
    """Also when the legs of several exchanges lie between one another."""
    written = []
    for number in range(60):
        written.append(
            site.write(
                *(
                    leg(40, ago=3600 - number + later * 3, reason="paging-test")
                    for later in range(4)
                )
            )
        )
    seen: list[str] = []
    address = "/exchanges?reason=paging-test"
    for _ in range(10):
        page = lead.get(address).text
        seen += ids(page)
        older = re.search(r'class="btn" form="bulk" name="go" value="([^"]+)">Older', page)
        if older is None:
            break
        address = older[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 60
    assert set(seen) == set(written)


def test_empty_lists_say_why(site: Site, lead: Browser) -> None:
    site.write(leg(50, ago=3 * 86_400, reason="three-days-ago"))
    page = lead.get("/exchanges?reason=three-days-ago&since=24h").text
    assert "No exchange fits" in page
    assert "1 legs in 7 days" in page or "1 leg in 7 days" in page
    page = lead.get("/exchanges?reason=never-seen-at-all").text
    assert "Take a condition away" in page


def test_a_page_answers_the_eight_questions(site: Site, lead: Browser) -> None:
    found = site.write(leg(61, documents=2), leg(62, Outcome.FAILED, reason="connect-refused"))
    page = lead.get(f"/exchanges/{found}").text
    for name in ("Who", "On behalf of", "About whom", "Why", "Authority", "What left",
                 "What came", "Decision"):  # fmt: skip
        assert f"<dt>{name}</dt>" in page
    assert "Dr. Canaryson" in page  # the person who asked
    assert "All 2 entries agree" in page
    assert "connect-refused" in page
    assert "<svg viewBox" in page


def test_a_served_request_is_told_from_the_other_side(site: Site, lead: Browser) -> None:
    found = site.write(leg(71, direction=Direction.RESPONDING))
    page = lead.get(f"/exchanges/{found}").text
    sentence = re.search(r'<h1 class="sentence">(.*?)</h1>', page, re.DOTALL)
    assert sentence is not None
    assert sentence[1].startswith("<b>2.999.2.71</b> asked <b>Lake Hospital</b>")


def test_a_patient_is_a_token_on_every_page(site: Site, lead: Browser) -> None:
    found = site.write(leg(81))
    for path in (f"/exchanges/{found}", f"/exchanges?exchange={found}", "/access"):
        text = lead.get(path).text
        assert PATIENT.id not in text
        assert "Canary Lane" not in text
        assert "19691231" not in text


@pytest.mark.parametrize("typed", [PATIENT.cx, USER, "CANARYDOC.1"])
def test_what_identifies_a_person_is_found_and_never_in_an_address(
    site: Site, lead: Browser, typed: str
) -> None:
    found = site.write(leg(91, ago=1))
    answer = lead.post("/search", {"form": lead.form(), "q": typed})
    assert answer.status_code == 303
    where = answer.headers["location"]
    assert not any(canary in where for canary in CANARIES)
    assert typed not in where
    assert found in ids(lead.get(where).text)


def test_any_identifier_leads_to_its_rows_in_one_step(site: Site, lead: Browser) -> None:
    found = site.write(leg(95, message_id="urn:uuid:00000000-0000-7000-0000-00000000abcd"))
    for typed in (
        found,
        found.upper(),
        "urn:uuid:00000000-0000-7000-0000-00000000abcd",
        "00000000-0000-7000-0000-00000000abcd",
        "2.999.2.95",
        "urn:oid:2.999.2.95",
        "peer:2.999.2.95 outcome:ok",
    ):
        answer = lead.post("/search", {"form": lead.form(), "q": typed})
        assert answer.status_code == 303, typed
        assert found in ids(lead.get(answer.headers["location"]).text), typed


def test_a_patient_typed_into_an_address_is_refused_and_not_repeated(lead: Browser) -> None:
    answer = lead.get("/exchanges", params={"patient": PATIENT.cx})
    assert answer.status_code == 400
    assert "cannot stand in an address" in answer.text
    assert "Type it into the search box" in answer.text
    assert not any(canary in answer.text for canary in CANARIES)


HOSTILE = (
    "<script>alert(1)</script>", "'; DROP TABLE ledger_entry; --", '"><img src=x onerror=1>',
    "{{7*7}}", "%00", "a:b:c", "peer:", "-peer:2.999.1", "outcome:nonsense", "\x00\x1b[31m",
    "x" * 9000, "since:99999w", "until:-5d", 'reason:"',
)  # fmt: skip


@pytest.mark.parametrize("typed", HOSTILE)
def test_hostile_words_in_the_search_box_are_told_and_not_run(lead: Browser, typed: str) -> None:
    answer = lead.post("/search", {"form": lead.form(), "q": typed})
    assert answer.status_code in (303, 400)
    assert "<script>" not in answer.text
    assert "<img src" not in answer.text
    assert "49" not in re.findall(r"<h1[^>]*>([^<]*)", answer.text or "<h1>")[0:1]


@pytest.mark.parametrize("name", ["peer", "since", "outcome", "after", "open", "patient", "x", ""])
@pytest.mark.parametrize("typed", ["<script>alert(1)</script>", "' OR 1=1 --", "9" * 40, "~" * 33])
def test_hostile_addresses_are_told_and_not_run(lead: Browser, name: str, typed: str) -> None:
    answer = lead.get("/exchanges", params={name: typed})
    assert answer.status_code == 200
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "wrong", ["x", "0" * 36, "..%2f..%2fetc", "00000000-0000-7000-8000-000000000000", "%00", "'"]
)
def test_an_exchange_that_there_is_not_is_said_to_be_none(lead: Browser, wrong: str) -> None:
    answer = lead.get(f"/exchanges/{wrong}")
    assert answer.status_code == 404
