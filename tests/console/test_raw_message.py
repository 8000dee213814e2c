"""Messages as they were on the wire: for a reason, after proof, escaped, capped, entered (5.2)."""

from __future__ import annotations

import pytest

from node.console.raw_message import without_secrets
from node.ledger.bodies import Captured, body_of, keep_bodies, load_capture_key
from node.ledger.find import LedgerFilter, find
from tests.console.conftest import Site, leg
from tests.console.test_access import facts
from tests.console.test_revealing import WHY, ask, old

__all__ = ["old"]  # a fixture

CANARY = "<b>Canaryson</b><script>alert(1)</script>"
SIGNED = f"<x><ds:SignatureValue>c2VjcmV0\n</ds:SignatureValue><y>{'z' * 20_000}</y>{CANARY}</x>"
ANSWER = f"<a>{CANARY}".encode()


@pytest.fixture(scope="module")
def path(site: Site) -> str:
    """The address of a leg whose messages are kept."""
    exchange = site.write(leg(1))
    (entry,) = find(site.opened.engine, LedgerFilter(exchange_id=exchange)).entries
    kept = Captured(
        seq=entry.seq,
        entry_id=entry.entry_id,
        t=0,
        request=body_of(SIGNED.encode(), 10**6),
        response=body_of(ANSWER * 3, len(ANSWER)),
    )
    with site.opened.engine.begin() as connection:
        keep_bodies(connection, load_capture_key(site.opened.home.path), [kept])
    return f"/exchanges/{exchange}/raw/{entry.seq}"


def test_only_who_may_is_led_to_the_messages(site: Site, path: str) -> None:
    page = path.partition("/raw/")[0]
    for role, may in (("lead", True), ("reviewer", False), ("auditor", False)):
        browser = site.browser(role)
        assert (path in browser.get(page).text) is may, role
        assert (browser.get(path).status_code == 200) is may, role


def test_a_look_says_why_is_entered_and_shows_escaped_text(site: Site, path: str) -> None:
    browser = site.browser("lead")
    assert "Canaryson" not in browser.get(path).text
    answer = ask(browser, path)
    assert answer.status_code == 200
    assert len(answer.content) <= 30_000
    assert "&lt;b&gt;Canaryson&lt;/b&gt;&lt;script&gt;" in answer.text
    assert "<script>alert" not in answer.text
    assert "c2VjcmV0" not in answer.text
    assert "[SHA-256 " in answer.text
    assert f"of which the first {len(ANSWER)} are kept" in answer.text
    act, who, about = facts(site)[0]
    assert (act, who["user_id"]) == ("body-view", "lead")  # type: ignore[index]
    assert (about["why"], about["way"]) == (WHY, "page")  # type: ignore[index]
    assert "Canaryson" not in repr(facts(site))


def test_the_whole_can_be_saved_and_that_is_an_entry_of_its_own(site: Site, path: str) -> None:
    browser = site.browser("lead")
    answer = ask(browser, path, save="request")
    assert answer.content == SIGNED.encode()
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert facts(site)[0][2]["way"] == "request"  # type: ignore[index]


def test_without_a_reason_nothing_is_opened(site: Site, path: str) -> None:
    answer = ask(site.browser("lead"), path, why="because")
    assert answer.status_code == 400
    assert "Canaryson" not in answer.text
    assert facts(site)[0][0] == "page-view"


@pytest.mark.usefixtures("old")
def test_an_old_proof_does_not_count(site: Site, path: str) -> None:
    answer = ask(site.browser("lead"), path)
    assert answer.status_code == 400
    assert "Canaryson" not in answer.text


def test_a_leg_without_messages_says_what_would_keep_them(site: Site, path: str) -> None:
    exchange = site.write(leg(2))
    (entry,) = find(site.opened.engine, LedgerFilter(exchange_id=exchange)).entries
    browser = site.browser("lead")
    assert "[capture]" in browser.get(f"/exchanges/{exchange}").text
    assert "None kept." in browser.get(f"/exchanges/{exchange}/raw/{entry.seq}").text
    seq = path.rpartition("/")[2]
    for address in (f"/exchanges/{exchange}/raw/{seq}", f"/exchanges/{exchange}/raw/x", path + "9"):
        assert browser.get(address).status_code == 404


def test_secrets_in_cut_text_and_other_prefixes_are_fingerprints() -> None:
    text = '<X509Certificate a="b">MIIC</X509Certificate><s:SignatureValue>zzzz'
    shown = without_secrets(text)
    assert "MIIC" not in shown
    assert "zzzz" not in shown
    assert without_secrets("<DigestValue></DigestValue>") == "<DigestValue></DigestValue>"
