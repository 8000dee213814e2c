"""CAs are trusted, and not any more, by two people at the console (governance-ux 6.3, G23)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from node.trust_changes import of_anchor
from tests.console.conftest import PASSWORD, Browser, Site, made_site
from tests.console.test_access import _users, facts
from tests.console.test_second_person import decide, trust_steps
from trust.anchors import load_anchors
from trust.ca import create_ca
from trust.certificates import fingerprint

WHY = "The network's new root, its fingerprint read out by its owner."


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with made_site(tmp_path_factory.mktemp("anchors")) as site:
        _users(site).add("lead.two", "Second Lead", ("lead",), PASSWORD, own=True)
        yield site


@pytest.fixture(scope="module")
def authority():
    return create_ca("Fenwick Root", now=datetime.now(UTC))


def pem(authority) -> str:
    return authority.certificate.public_bytes(Encoding.PEM).decode()


def ask(browser: Browser, certificate: str = "", **more: str):
    form = {
        "form": browser.form("/trust"), "do": "add", "certificate": certificate, "text": WHY,
        "label": "Fenwick", "use-tls-server": "on", "use-saml-signer": "on", **more,
    }  # fmt: skip
    return browser.post("/trust/anchors", form)


def anchors(site: Site) -> list[str]:
    return [each.fingerprint for each in load_anchors(site.opened.home.anchors)]


def test_a_ca_is_trusted_when_a_second_person_approves_and_removed_alike(
    pair: Site, authority
) -> None:
    lead, other = pair.browser("lead"), pair.browser("integrator")
    before = anchors(pair)
    print_of = fingerprint(authority.certificate)
    where = ask(lead, pem(authority)).headers["location"]
    assert anchors(pair) == before
    assert "/requests" in other.get("/").text
    assert "Trust a CA" in other.get("/requests").text
    page = other.get(where).text
    for said in (print_of, "Fenwick Root", "tls-server, saml-signer", WHY):
        assert said.replace("'", "&#39;") in page
    assert decide(other, where, "approve").status_code == 303
    (added,) = set(anchors(pair)) - set(before)
    assert added == print_of
    anchor = next(
        each for each in load_anchors(pair.opened.home.anchors) if each.fingerprint == added
    )
    assert (anchor.label, [str(use) for use in anchor.uses]) == (
        "Fenwick", ["tls-server", "saml-signer"],
    )  # fmt: skip
    assert trust_steps(pair, kind="cert")[:2] == [("anchor-add", "done"), ("anchor-add", "begun")]
    assert of_anchor("anchor-add", anchor).thing == print_of
    assert "This CA is trusted already." in ask(lead, pem(authority)).text
    gone = ask(other, do="remove", fingerprint=print_of).headers["location"]
    assert "Stop trusting a CA" in lead.get("/requests").text
    assert decide(lead, gone, "approve").status_code == 303
    assert anchors(pair) == before
    assert trust_steps(pair, kind="cert")[0] == ("anchor-remove", "done")


def test_the_same_person_is_refused_and_that_is_logged(pair: Site, authority) -> None:
    lead = pair.browser("lead")
    before = anchors(pair)
    where = ask(lead, pem(authority)).headers["location"]
    page = lead.get(where).text
    assert 'value="approve"' not in page
    answer = decide(lead, where, "approve", digest=page.partition('title="')[2][:64])
    assert answer.status_code == 400
    assert "somebody else has to decide" in answer.text
    assert facts(pair)[0][0] == "two-person-stop"
    assert anchors(pair) == before
    assert decide(pair.browser("lead.two"), where, "refuse", text=WHY).status_code == 303
    assert anchors(pair) == before


def test_who_asks_has_to_prove_themselves_again(pair: Site, authority) -> None:
    browser = pair.browser("lead.two")
    later = datetime.now(UTC) - timedelta(hours=1)
    with pair.opened.engine.begin() as connection:
        from node.users.tables import SESSION  # noqa: PLC0415

        connection.execute(SESSION.update().values(proved=int(later.timestamp() * 1000)))
    answer = ask(browser, pem(authority))
    assert answer.status_code == 400
    assert "Type your password, so that it is you." in answer.text
    assert ask(browser, pem(authority), proof=PASSWORD).status_code == 303


def test_what_is_no_ca_is_not_asked_for(pair: Site, authority) -> None:
    lead = pair.browser("lead.two")
    for certificate in ("", "<script>alert(1)</script>", pem(authority) * 2, "x" * 15_000):
        answer = ask(lead, certificate, proof=PASSWORD)
        assert answer.status_code == 400
        assert "<script>alert" not in answer.text
    assert "must be printable" in ask(lead, pem(authority), label="x" * 101).text
    missing = ask(lead, do="remove", fingerprint="00" * 32, proof=PASSWORD)
    assert missing.status_code == 400


def test_who_only_reads_about_trust_asks_for_nothing(pair: Site, authority) -> None:
    auditor = pair.browser("auditor")
    assert "/trust/anchors" not in auditor.get("/trust").text
    form = {"form": auditor.form("/"), "do": "add", "certificate": pem(authority), "text": WHY}
    assert auditor.post("/trust/anchors", form).status_code == 403
