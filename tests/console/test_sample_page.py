"""The outcome sample on the console: cases in the queue, shares and the verdicts behind them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from node.governance.lots import days_of, month_to_draw
from node.governance.sample_reading import drawn_months, drawn_of
from node.governance.sample_tables import DRAW
from node.governance.watching import watching
from node.ledger.private import load_key
from node.model import Direction, Outcome, PrivateFacts, Transaction
from tests.console.conftest import Browser, Site, leg, peer
from tests.console.network import fill
from tests.console.test_detector_pages import WHY, change

CANARY = "Zedillo"


def hcid(number: int) -> str:
    return str(peer(number).home_community_id)


def drawn(site: Site):
    """Eight questions of peer 1 and one of ours in the month that is drawn; T12 is on."""
    now = datetime.now(UTC)
    began = days_of(month_to_draw(now))[2]
    ago = (now - began).total_seconds()
    facts = PrivateFacts(who={"user_id": "clerk"}, patient={"ids": [f"{CANARY}^^^&2.999.9&ISO"]})
    for number in range(8):
        site.write(leg(1, Outcome.OK, ago - 60 * number, direction=Direction.RESPONDING,
                       transaction=Transaction.ITI_55, facts=facts))  # fmt: skip
    site.write(leg(2, ago=ago, direction=Direction.INITIATING))
    change(site.browser("lead"), "T12", state="on", reason=WHY)
    node = site.opened
    parts = watching(node.engine, load_key(node.home.path), node.directory, node.index,
                     own=node.home_community_id)  # fmt: skip
    return parts.sampler.run(now=now)


@pytest.fixture(scope="module")
def lead(site: Site) -> Browser:
    fill(site)
    assert "Nothing was drawn yet" in site.browser("auditor").get("/reports/sample").text
    assert len(drawn(site).cases) == 4
    return site.browser("lead")


def numbers(site: Site) -> list[str]:
    found = drawn_of(site.opened.engine, drawn_months(site.opened.engine), hcid(1), limit=9)
    return [str(each.case) for each in found]


def test_what_was_drawn_waits_in_the_queue_as_a_kind_of_its_own(site: Site, lead: Browser) -> None:
    text = lead.get("/review?kind=outcome-sample").text
    assert "outcome sample" in text
    assert "Drawn by lot from the 8 that Farrowmere County HIE asked for" in text
    assert all(number in text for number in numbers(site))
    assert CANARY not in text


def test_verdicts_become_a_share_that_opens_its_exchanges(site: Site, lead: Browser) -> None:
    first, second, third = numbers(site)
    for number in (first, second):
        done = lead.post(f"/cases/{number}", {
            "form": lead.form("/review"), "verb": "dismiss", "outcome": "appropriate", "text": WHY,
        })  # fmt: skip
        assert done.status_code == 303, done.text[:2000]
    text = lead.get("/reports/sample").text
    row = next(each for each in text.split("<tr") if "Farrowmere County HIE" in each)
    assert "0 % (95 %: 0 to 66 %)" in row
    assert re.findall(r'<td class="num"[^>]*>(?:<a[^>]*>)?([0-9]+)', row) == [
        "8",
        "3",
        "1",
        "2",
        "0",
    ]
    address = re.search(r'href="(/reports/sample\?[^"]+)"', row)
    assert address is not None
    rows = lead.get(address[1].replace("&amp;", "&")).text
    assert rows.count('class="mark ok">in order<') == 2
    assert f'href="/cases/{third}"' in rows
    exchange = re.search(r'href="(/exchanges/[0-9a-f-]{36})"', rows)
    assert exchange is not None
    assert lead.get(exchange[1]).status_code == 200
    for table in (text, rows):
        assert CANARY not in table


def test_the_numbers_are_a_file_and_a_month_that_is_none_is_all(site: Site, lead: Browser) -> None:
    (month,) = drawn_months(site.opened.engine)
    told = lead.get(f"/reports/sample.json?month={month}").json()
    assert {row["name"] for row in told["askers"]} == {"We ourselves", "Farrowmere County HIE"}
    assert lead.get("/reports/sample.csv").text.startswith("asker,name,exchanges,drawn,judged")
    for bad in ("?month=2019-13", "?month=%27%3B--", "?asker=%3Cscript%3E", "?asker="):
        assert lead.get(f"/reports/sample{bad}").status_code == 200


def test_who_may_not_read_reports_does_not_read_it(site: Site, lead: Browser) -> None:
    for login in ("integrator", "clinician"):
        assert site.browser(login).get("/reports/sample").status_code == 403
    text = lead.get("/detectors").text
    assert "/reports/sample" in text
    assert "It draws by lot and flags nothing" in lead.get("/detectors/T12").text


def test_a_full_page_is_at_most_30_kilobytes(site: Site, lead: Browser) -> None:
    t = int((datetime.now(UTC) - timedelta(days=1)).timestamp() * 1000)
    rows = [
        {"month": "2025-01", "asker": f"urn:oid:2.16.840.1.113883.3.9999.{100_000 + number}",
         "exchanges": 123_456, "drawn": 3, "t": t, "entry": 1}
        for number in range(50)
    ]  # fmt: skip
    with site.opened.engine.begin() as connection:
        connection.execute(insert(DRAW), rows)
    found = lead.get("/reports/sample")
    assert found.text.count("<tr>") == 31
    assert "There are more; the file has all." in found.text
    assert len(found.content) <= 30_000
