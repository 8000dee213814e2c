"""The pages of exports: ask, wait, decide, take along, cancel; and what is refused (5.15, 6.3)."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from node.ledger.private import load_key
from node.model import PatientId, PrivateFacts
from node.users.sessions import Session, Sessions
from node.users.store import Users
from tests.console.conftest import PASSWORD, Browser, Site, leg, made_site
from tests.console.test_access import facts

PERSON = PatientId(assigning_authority="2.999.71.1", id="CANARYMRN9")
WHY = "The network asks who was asked about whom."
ABOVE = 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = f"[exports]\nsecond_person_above = {ABOVE}\n"
    with made_site(tmp_path_factory.mktemp("exports"), settings) as made:
        users = Users(made.opened.engine, load_key(made.opened.home.path), made.opened.clock.now)
        users.add("second", "Second Reviewer", ("reviewer",), PASSWORD, own=True)
        private = PrivateFacts(who={"user_id": "x"}, patient={"ids": [PERSON.cx]})
        for number in range(ABOVE + 2):
            made.write(leg(number + 1, ago=number, facts=private))
        yield made


@pytest.fixture(scope="module")
def reviewer(site: Site) -> Browser:
    return site.browser("reviewer")


@pytest.fixture(scope="module")
def second(site: Site) -> Browser:
    return site.browser("second")


def ask(browser: Browser, **more: str) -> requests.Response:
    form = {"form": browser.form(), "source": "exchanges", "filter": "since:7d",
            "format": "csv", "tokens": "no", "text": WHY} | more  # fmt: skip
    return browser.post("/exports", form)


def made(browser: Browser, **more: str) -> str:
    """The address of a new export."""
    answer = ask(browser, **more)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def act(browser: Browser, address: str, **fields: str) -> requests.Response:
    return browser.post(address, {"form": browser.form(), **fields})


def until_whole(browser: Browser, address: str) -> str:
    for _ in range(400):
        text = browser.get(address).text
        if "Look again" not in text:
            return text
        threading.Event().wait(0.05)
    pytest.fail("It was not written.")


def digest_on(text: str) -> str:
    found = re.search(r'name="digest" value="([0-9a-f]{64})"', text)
    assert found is not None
    return found[1]


def test_the_list_of_exchanges_leads_to_the_form_with_its_sentence(reviewer: Browser) -> None:
    listed = reviewer.get("/exchanges?since=7d").text
    address = re.search(r'href="(/exports/new\?[^"]+)"', listed)
    assert address is not None
    text = reviewer.get(address[1]).text
    assert f"<b>{ABOVE + 2}</b> legs" in text
    assert "The entries of the last 7 days." in text
    assert "waits for a second person" in text


def test_a_file_is_written_and_taken_along_by_who_asked(
    site: Site, reviewer: Browser, second: Browser
) -> None:
    address = made(reviewer)
    text = until_whole(reviewer, address)
    answer = reviewer.get(f"{address}/file")
    assert answer.status_code == 200
    assert hashlib.sha256(answer.content).hexdigest() in text
    assert "no-store" in answer.headers["cache-control"]
    assert "script" not in answer.headers["content-security-policy"].replace("script-src", "")
    assert answer.text.count("\r\n") == ABOVE + 3
    act_, who, _ = facts(site, 1)[0]
    assert (act_, who["user_id"]) == ("export-download", "reviewer")
    assert second.get(f"{address}/file").status_code == 403
    assert "1 times" in second.get(address).text
    listed = second.get("/exports").text
    assert f'href="{address}"' in listed
    assert "The entries begun at or after" in listed


def test_with_tokens_another_one_reads_and_approves(
    site: Site, reviewer: Browser, second: Browser
) -> None:
    address = made(reviewer, tokens="yes")
    assert reviewer.get(f"{address}/file").status_code == 410
    text = reviewer.get(address).text
    assert 'value="approve"' not in text
    digest = digest_on(second.get(address).text)
    assert WHY in second.get(address).text
    assert "wait" in second.get("/exports").text
    answer = act(reviewer, address, verb="approve", digest=digest)
    assert answer.status_code == 409
    assert "somebody else has to decide" in answer.text
    assert act(second, address, verb="approve", digest="0" * 64).status_code == 409
    assert act(second, address, verb="approve", digest=digest).status_code == 303
    until_whole(reviewer, address)
    token = load_key(site.opened.home.path).patient_token(PERSON).hex()
    data = reviewer.get(f"{address}/file").text
    assert token in data
    assert "CANARY" not in data
    assert "second, " in reviewer.get(address).text
    assert '<span class="n" aria-hidden="true">3</span>' in reviewer.get(address).text


def test_who_approves_proves_anew_that_it_is_them(
    reviewer: Browser, second: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = made(reviewer, tokens="yes")
    real = Sessions.find

    def find(self: Sessions, token: str) -> Session | None:
        found = real(self, token)
        return replace(found, proved=False) if found else None

    monkeypatch.setattr(Sessions, "find", find)
    text = second.get(address).text
    assert 'name="proof"' in text
    approval = {"verb": "approve", "digest": digest_on(text)}
    for typed in ({}, {"proof": "not the password"}):
        answer = act(second, address, **approval, **typed)
        assert answer.status_code == 400
        assert 'id="proof-err"' in answer.text
        assert "waits for" in answer.text or 'value="approve"' in answer.text
    assert act(second, address, **approval, proof=PASSWORD).status_code == 303
    assert "Taken along" in until_whole(reviewer, address)


def test_a_file_that_was_changed_on_the_disk_is_not_handed_out(
    site: Site, reviewer: Browser
) -> None:
    address = made(reviewer)
    until_whole(reviewer, address)
    (site.opened.home.exports / f"export-{address.rpartition('/')[2]}.csv").write_bytes(b"seq,id")
    answer = reviewer.get(f"{address}/file")
    assert answer.status_code == 410
    assert "Ask for it again." in answer.text


def test_a_refusal_has_a_reason_and_ends_it(reviewer: Browser, second: Browser) -> None:
    address = made(reviewer, tokens="yes")
    answer = act(second, address, verb="refuse", text="no")
    assert answer.status_code == 400
    assert "20 to 2000 characters" in answer.text
    text = "Nobody outside has to know that."
    assert act(second, address, verb="refuse", text=text).status_code == 303
    assert "refused" in reviewer.get(address).text
    digest = "0" * 64
    assert act(second, address, verb="approve", digest=digest).status_code == 409


def test_who_asked_cancels_and_nobody_else(reviewer: Browser, second: Browser) -> None:
    address = made(reviewer, tokens="yes")
    assert act(second, address, verb="cancel").status_code == 409
    assert act(reviewer, address, verb="cancel").status_code == 303
    assert "cancelled" in reviewer.get(address).text
    assert act(reviewer, address, verb="cancel").status_code == 409
    assert reviewer.get(f"{address}/file").status_code == 410


def test_a_person_in_the_filter_stands_nowhere_in_the_clear(site: Site, reviewer: Browser) -> None:
    address = made(reviewer, filter=f'patient:"{PERSON.cx}"')
    for page in (address, "/exports"):
        assert "CANARY" not in reviewer.get(page).text
    assert "(withheld)" in reviewer.get("/exports").text
    assert "CANARY" not in repr(facts(site))


def test_the_access_log_is_for_who_may_read_it(site: Site, reviewer: Browser) -> None:
    assert reviewer.get("/exports/new?source=access").status_code == 404
    assert ask(reviewer, source="access", tokens="yes").status_code == 404
    lead = site.browser("lead")
    assert "entries of the access log" in lead.get("/exports/new?source=access").text
    address = made(lead, source="access", tokens="yes", filter="act:sign-in since:7d")
    assert "Access log" in lead.get("/exports").text
    assert "with patients" in lead.get(address).text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "exe"}, "Choose one of the two formats."),
        ({"format": "<script>alert(1)</script>"}, "Choose one of the two formats."),
        ({"filter": "<script>alert(1)</script>"}, "is no qualifier"),
        ({"filter": "' OR 1=1 --"}, "is no qualifier"),
        ({"filter": "outcome:never"}, "outcome"),
        ({"filter": "peer:urn:oid:2.999.99"}, "nothing to export"),
        ({"tokens": "yes", "text": "short"}, "20 to 2000 characters on why; this has 5"),
        ({"tokens": "yes", "text": "x" * 2001}, "this has 2001"),
    ],
)
def test_what_cannot_be_meant_is_said(
    reviewer: Browser, changes: dict[str, str], sentence: str
) -> None:
    answer = ask(reviewer, **changes)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("number", ["0", "999999", "1;DROP", "-1", "%27", "9" * 30, "..%5c"])
def test_an_export_that_there_is_not_is_not_found(reviewer: Browser, number: str) -> None:
    for address in (f"/exports/{number}", f"/exports/{number}/file"):
        assert reviewer.get(address).status_code == 404
    assert act(reviewer, f"/exports/{number}", verb="cancel").status_code == 404


def test_an_unknown_verb_does_nothing(reviewer: Browser) -> None:
    address = made(reviewer, tokens="yes")
    for verb in ("", "delete", "<b>"):
        assert act(reviewer, address, verb=verb).status_code == 404
    assert act(reviewer, address, verb="cancel").status_code == 303


def test_markup_in_a_reason_is_text(reviewer: Browser, second: Browser) -> None:
    address = made(reviewer, tokens="yes", text="<script>alert(1)</script> is why I ask")
    text = second.get(address).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    act(reviewer, address, verb="cancel")


def test_an_auditor_exports_nothing(site: Site) -> None:
    auditor = site.browser("auditor")
    assert auditor.get("/exports").status_code == 403
    assert ask(auditor).status_code == 403


def pack(browser: Browser, **more: str) -> requests.Response:
    form = {"form": browser.form(), "filter": "since:7d", "for": "inquiry"} | more
    return browser.post("/packets", form)


def test_a_packet_of_a_filter_is_an_entry_before_it_leaves(site: Site, reviewer: Browser) -> None:
    answer = pack(reviewer)
    assert answer.status_code == 200
    act_, who, about = facts(site, 1)[0]
    assert (act_, who["user_id"]) == ("packet-export", "reviewer")
    assert "last 7 days" not in str(about["filter"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as held:
        names = held.namelist()
        manifest = json.loads(held.read("manifest.json"))
    assert manifest["by"] == "reviewer"
    assert {"summary.pdf", "entries.ndjson", "audit-events.ndjson", "README.txt"} <= set(names)
    assert "packet of" in reviewer.get("/exports").text


def test_a_packet_for_a_peer_is_neutral_and_names_nobody_of_ours(reviewer: Browser) -> None:
    answer = pack(reviewer, **{"for": "peer", "filter": "peer:urn:oid:2.999.2.1"})
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as held:
        whole = b"".join(held.read(name) for name in held.namelist())
        lines = held.read("entries.ndjson").splitlines()
    assert {json.loads(line)["peer"] for line in lines} == {"urn:oid:2.999.2.1"}
    assert b"reviewer" not in whole


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"for": "press"}, "Choose whom the packet is for."),
        ({"for": "peer"}, "needs a filter with that one peer"),
        ({"filter": "<script>alert(1)</script>"}, "is no qualifier"),
        ({"filter": "peer:urn:oid:2.999.99"}, "nothing to pack"),
    ],
)
def test_a_packet_that_cannot_be_meant_is_refused(
    reviewer: Browser, changes: dict[str, str], sentence: str
) -> None:
    answer = pack(reviewer, **changes)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert "<script>alert" not in answer.text
