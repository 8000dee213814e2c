"""The start page of each role: what is due, overdue, waits, is down; and nothing else (5.13)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from node.governance.outages import LEAST, outages
from node.model import Direction, Outcome
from node.storage.case_tables import CASE
from node.users.roles import role_table
from tests.console import network
from tests.console.conftest import Browser, Site, leg, made_site, peer

HCID = str(peer(1).home_community_id)
WHY = "It asks for people whom it never treats, says case 2026-0001."


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A case that is overdue, a request for a second person, and a peer that is down."""
    with made_site(tmp_path_factory.mktemp("busy")) as site:
        network.fill(site)
        down = {"direction": Direction.INITIATING, "reason": "connect-refused"}
        site.write(leg(3, ago=400, direction=Direction.INITIATING))
        for ago in (300, 200, 100):
            exchange = site.write(leg(3, Outcome.FAILED, ago=ago, **down))
        reviewer = site.browser("reviewer")
        form = {"form": reviewer.form(), "text": "Looks unusual.", "case": ""}
        reviewer.post(f"/exchanges/{exchange}/flag", form)
        late = int((datetime.now(UTC) - timedelta(days=1)).timestamp() * 1000)
        with site.opened.engine.begin() as connection:
            connection.execute(CASE.update().values(due=late))
        asked = reviewer.post(
            f"/peers/{HCID}/ask", {"form": reviewer.form(f"/peers/{HCID}"), "text": WHY}
        )
        assert asked.status_code == 303
        yield site


def main(browser: Browser) -> str:
    return browser.get("/").text.partition("<main")[2].partition("</main>")[0]


def number(text: str, words: str) -> str | None:
    found = re.search(rf"<dt>{words}</dt><dd><a[^>]*>([^<]*)</a>", text)
    urgent = re.search(rf"<b>([0-9,]+)</b> {words}</a>", text)
    return urgent[1] if urgent else found[1] if found else None


@pytest.mark.parametrize("role", list(role_table().roles))
def test_every_number_opens_its_rows_for_who_sees_it(busy: Site, role: str) -> None:
    browser = busy.browser(role)
    text = main(browser)
    addresses = set(re.findall(r'href="(/[^"#]*)', text))
    assert addresses
    for address in addresses:
        assert browser.get(address.replace("&amp;", "&")).status_code == 200, address
    assert len(browser.get("/").content) < 30_000


def test_a_reviewer_and_a_lead_see_what_is_late_and_who_waits_for_them(busy: Site) -> None:
    reviewer, lead = main(busy.browser("reviewer")), main(busy.browser("lead"))
    assert number(reviewer, "cases overdue") == number(lead, "cases overdue") == "1"
    assert number(reviewer, "you asked, undecided") == "1"
    assert number(lead, "wait for you as second person") == "1"
    assert number(reviewer, "wait for you as second person") == "0"
    assert number(reviewer, "with you") == "0"


def test_a_role_is_told_no_count_of_what_it_may_not_read(busy: Site) -> None:
    for role, words in (
        ("clinician", ("cases overdue", "refusals to explain", "checks fail", "peers suspended")),
        ("integrator", ("cases overdue", "refusals to explain", "glass broken")),
        ("administrator", ("cases overdue", "peers suspended", "certificates and lists")),
        ("auditor", ("with you", "checks fail", "patients' requests")),
    ):
        text = main(busy.browser(role))
        assert not [each for each in words if each in text], role


def test_each_role_has_its_own_part(busy: Site) -> None:
    for role, words in (
        ("integrator", ("checks fail", "certificates and lists to renew")),
        ("administrator", ("checks fail",)),
        ("auditor", ("attempts stopped in 24 hours", "peers suspended by us")),
        ("clinician", ("Your requests for outside records", "Peers that do not answer us")),
    ):
        text = main(busy.browser(role))
        assert [each for each in words if each in text] == list(words), role


def test_peers_that_are_down_are_named_with_since_when_and_whose_side(busy: Site) -> None:
    (found,) = outages(busy.opened.engine, now=datetime.now(UTC))
    assert (found.peer, found.legs, found.code) == (
        str(peer(3).home_community_id), 3, "connect-refused",
    )  # fmt: skip
    text = main(busy.browser("clinician"))
    row = re.search(r"<h2 id=\"down\".*?</table>", text, re.DOTALL)
    assert row is not None
    # the words of a search's answers
    assert "Their system does not run at its address (on their side)" in row[0]
    assert "connect-refused" in row[0]
    assert f'href="/peers/{found.peer}"' not in text
    assert f'href="/peers/{found.peer}"' in main(busy.browser("integrator"))
    assert "Peers that do not answer us" not in main(busy.browser("administrator"))


def test_one_failure_is_no_outage_and_an_answer_ends_one(busy: Site) -> None:
    asked = {"direction": Direction.INITIATING}
    busy.write(leg(5, Outcome.FAILED, ago=50, reason="timeout", **asked))
    busy.write(leg(3, Outcome.DECLINED, ago=5, reason="opted-out", **asked))
    assert LEAST > 1
    assert outages(busy.opened.engine, now=datetime.now(UTC)) == ()
    assert "<b>None.</b> Whoever we asked" in main(busy.browser("clinician"))
