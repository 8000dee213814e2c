"""Operations: checks with a next step, what waits, faults in groups, and a report without PHI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.bug_report import bug_report, shown_settings
from node.governance.traffic import faults, faulty, recent, traffic
from node.model import Outcome
from node.settings import parse_settings
from tests.console import network
from tests.console.conftest import PASSWORD, Site, leg, made_site
from tests.console.test_access import facts

SECRETS = ("hunter2secret", "client-file-name", "sign-on.example")
SETTINGS = """
[sign_on]
issuer = "https://sign-on.example/staff"
client_id = "hunter2secret-client"
console_url = "https://console.example"
login_claim = "hunter2secret-claim"
logins = ["hunter2secret@*"]

[sign_on.roles]
hunter2secret = "lead"

[acme]
contact = "mailto:hunter2secret@sign-on.example"
ca_file = "client-file-name"
"""
CANARIES = ("canary", "19691231", *SECRETS, "The lead", "Lake Hospital", PASSWORD)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("busy")
    with made_site(folder, SETTINGS) as site:
        network.fill(site)
        for ago in (30, 4000, 8000):
            site.write(leg(1, ago=ago), leg(2, Outcome.FAILED, ago=ago, reason="connect-refused"))
        site.write(leg(3, Outcome.TIMED_OUT, ago=100), leg(1, Outcome.DECLINED, ago=100))
        yield site


def test_the_page_says_what_is_wrong_first_and_what_to_do(busy: Site) -> None:
    text = busy.browser("integrator").get("/operations").text
    assert "checks fail" in text
    assert text.index("There is no server certificate.") < text.index(">ledger key<")
    assert "`cert request server`" in text.replace("&#39;", "'")
    assert "entries under no checkpoint yet" in text
    assert "the node makes none; " in text


def test_faults_of_one_code_and_peer_are_one_row_that_opens_its_legs(busy: Site) -> None:
    browser = busy.browser("integrator")
    text = browser.get("/operations").text
    assert text.count("connect-refused</span>") == 1
    found = faults(busy.opened.engine, window=timedelta(days=7), now=datetime.now(UTC))
    groups = {(each.code, each.peer, each.number) for each in found.groups}
    assert groups == {
        ("connect-refused", "urn:oid:2.999.2.2", 3), ("timed-out", "urn:oid:2.999.2.3", 1)
    }  # fmt: skip
    refused = next(each for each in found.groups if each.code == "connect-refused")
    assert refused.last - refused.first > timedelta(hours=2)
    assert browser.get(f"/exchanges/{refused.example}").status_code == 200
    address = "/exchanges?since=7d&amp;peer=urn:oid:2.999.2.2&amp;reason=connect-refused"
    assert address in text
    assert busy.browser("administrator").get("/operations").text.count("/exchanges") == 0


def test_each_peer_has_a_picture_and_its_numbers(busy: Site) -> None:
    text = busy.browser("integrator").get("/operations").text
    assert text.count('role="img" aria-labelledby="ht') == 3
    assert "Penbrisk Clinic: legs by the hour" in text
    found = traffic(busy.opened.engine, now=datetime.now(UTC))
    assert [(each.number, each.bad) for each in found.peers] == [(4, 0), (3, 3), (1, 1)]
    assert found.peers[0].hours[-1].number >= 1


def test_what_is_counted_is_read_by_an_index(busy: Site) -> None:
    with busy.opened.engine.connect() as connection:
        for query, index in ((faulty(0, 10), "outcome"), (recent(0, 10), "time")):
            text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
            plan = repr(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all())
            assert f"ix_ledger_entry_{index}" in plan, plan


def test_the_bug_report_has_no_patient_no_person_and_no_secret(busy: Site) -> None:
    browser = busy.browser("integrator")
    answer = browser.post("/operations/report", {"form": browser.form("/operations")})
    assert answer.status_code == 200
    assert facts(busy)[0][0] == "bug-report"
    assert_redacted(answer.text, busy.opened.home.path)
    found = answer.json()
    assert {each["code"] for each in found["faults"]["groups"]} == {"connect-refused", "timed-out"}
    assert found["settings"]["console"]["port"] == 8447
    assert found["settings"]["sign_on"]["client_id"] == "(set, not shown)"
    assert found["settings"]["sign_on"]["roles"] == "(1 values, not shown)"
    assert len(found["checks"]) > 8


def assert_redacted(text: str, home: Path) -> None:
    for canary in CANARIES:
        assert canary.casefold() not in text.casefold(), canary
    assert str(home) not in text
    json.loads(text)


def test_every_text_that_somebody_set_is_left_out_of_the_report(busy: Site) -> None:
    """Whatever section is added later: a text that is no default never shows."""
    text = busy.opened.home.settings_file.read_text(encoding="utf-8")
    shown = json.dumps(shown_settings(parse_settings(text)))
    assert "Lake Hospital" not in shown
    assert "2.999.71" not in shown
    assert "hunter2secret" not in shown
    report = bug_report(busy.opened, (), now=datetime.now(UTC)).decode()
    assert_redacted(report, busy.opened.home.path)
