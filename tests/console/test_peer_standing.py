"""How a peer stands, and its sheet: on watch by itself, never further; nothing to accuse (6.7)."""

from __future__ import annotations

import pytest

from tests.console.conftest import PASSWORD, Browser, Site, peer
from tests.console.network import fill
from tests.console.test_access import _users
from tests.console.test_detector_pages import WHY, asked, change, sweep
from tests.console.test_review_pages import act

FIRST = str(peer(1).home_community_id).removeprefix("urn:oid:")


@pytest.fixture(scope="module")
def people(site: Site) -> dict[str, Browser]:
    fill(site)
    _users(site).add("second", "The second reviewer", ("reviewer",), PASSWORD, own=True)
    return {login: site.browser(login) for login in ("reviewer", "second", "lead", "integrator")}


def test_a_flag_puts_a_peer_on_watch_and_the_end_of_its_case_takes_it_off(
    site: Site, people: dict[str, Browser]
) -> None:
    lead, reviewer = people["lead"], people["reviewer"]
    assert "new: under 30 days with us" in lead.get(f"/peers/{FIRST}").text
    for n in range(24):
        site.write(asked(n, seconds=(25 - n) / 100))
    change(lead, "D14", state="on", reason=WHY)
    assert sweep(site).flags == 1
    page = lead.get(f"/peers/{FIRST}").text
    assert "on watch" in page
    assert "trying out people" in page
    act(reviewer, "2026-0001", "dismiss", outcome="false-alarm-rule", text=WHY)
    page = lead.get(f"/peers/{FIRST}").text
    assert "on watch" not in page
    assert "closed, false-alarm-rule" in page


def test_a_finding_keeps_a_peer_on_watch_and_suspends_nobody(
    site: Site, people: dict[str, Browser]
) -> None:
    reviewer, lead = people["reviewer"], people["lead"]
    for n in range(24):
        site.write(asked(100 + n, seconds=(25 - n) / 100))
    sweep(site)
    act(reviewer, "2026-0002", "take")
    act(reviewer, "2026-0002", "resolve", outcome="peer-misuse-confirmed", text=WHY)
    assert act(lead, "2026-0002", "confirm").status_code == 303
    page = lead.get(f"/peers/{FIRST}").text
    assert "on watch" in page
    assert "suspended by us" not in page
    assert not site.opened.directory.by_home_community_id(f"urn:oid:{FIRST}")[0].suspended
    # who may not read cases sees the state and not why
    page = people["integrator"].get(f"/peers/{FIRST}").text
    assert "on watch" in page
    assert "2026-0002" not in page


def test_the_sheet_has_the_numbers_and_nothing_to_accuse(people: dict[str, Browser]) -> None:
    sheet = people["lead"].get(f"/peers/{FIRST}/sheet")
    assert sheet.status_code == 200
    main = sheet.text.partition("<main")[2]
    assert "Retrieves by them that we served" in main
    assert "48" in main
    for word in ("/cases/", "/flags/", "/exchanges?", "watch", "misuse", "D14", "M. Itoya"):
        assert word not in main
    assert people["lead"].get("/peers/1.2.3/sheet").status_code == 404
