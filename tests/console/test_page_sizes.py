"""A full first page of every list is at most 30,000 bytes of HTML (issue 6, point 6).

The bytes are those before any compression: the console compresses nothing, because its pages
repeat what was asked beside the proof of their forms (BREACH).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

import pytest

from node.console.drawing import seal
from node.ledger import review
from node.model import Direction, Outcome
from tests.bench.organizations import rows_of
from tests.console.conftest import Site, leg, made_site, peer
from tests.console.network import entry, fill
from tests.ledger.records import private

LIMIT = 30_000
ROWS = 25
PEERS = 60
HOUR, DAY = 3600.0, 86_400.0
"""Seconds."""

WORDS = (
    "St. Bartholomew-Featherstonehaugh Regional Medical Center",
    "Confederated Health Information Exchange of the Northern Plains",
    "Upper Peninsula Behavioral Health & Recovery Associates, LLC",
)
PEOPLE = ("Dr. Maximiliane von Featherstonehaugh-Okonkwo", "Aleksandra Wojciechowska, RN",
          "Dr. Bartholomew Okafor")  # fmt: skip
WHY = (
    "Asked about 214 people in one hour, 190 of whom were never seen by anybody of this practice"
    " or of those that it says it belongs to"
)
# of a question to twelve: most answer or hold nothing, some do not
ENDS = (
    *(Outcome.OK, Outcome.OK_EMPTY) * 4, Outcome.FAILED, Outcome.DECLINED, Outcome.PARTIAL,
    Outcome.TIMED_OUT,
)  # fmt: skip

FILTER = (
    "since=2026-01-01T00:00:00Z&until=2061-12-31T23:59:59Z&peer="
    + ",".join(str(peer(100 + number).home_community_id) for number in range(3))
    + "&purpose=T-TRTMNT"
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """More than a page of everything, with names as long as real ones are."""
    with made_site(tmp_path_factory.mktemp("full")) as site:
        fill(site)
        named = [entry(100 + n, f"{WORDS[n % 3]}, Site {n:03}") for n in range(PEERS)]
        rows = chain.from_iterable(rows_of(each) for each in named)
        site.opened.directory.import_rows(rows, source="long", now=datetime.now(UTC))
        facts = private()
        people = [
            replace(facts, who={"user_id": "somebody@hospital.example", "subject_id": name})
            for name in PEOPLE
        ]
        asked = []
        for number in range(ROWS + 1):
            asked.append(site.write(*(
                leg(100 + place % 3, end, ago=HOUR * number + 60, facts=people[number % 3],
                    reason="peer-certificate-untrusted" if end is Outcome.FAILED else None)
                for place, end in enumerate(ENDS)
            )))  # fmt: skip
        for number in range(ROWS + 1):
            for direction, end in (
                (Direction.RESPONDING, Outcome.DECLINED), (Direction.RESPONDING, Outcome.FAILED),
                (Direction.INITIATING, Outcome.DECLINED),
            ):  # fmt: skip
                site.write(leg(130 + number, end, ago=DAY * number + 50, direction=direction,
                               reason="patient-opted-out" if number % 2 else None))  # fmt: skip
        reviewer = site.browser("reviewer")
        form = {"form": reviewer.form(), "do": "flag"}
        for number, each in enumerate(asked):
            flagged = {f"x-{site.number(each)}": "on", "text": f"{WHY} ({number})."}
            assert reviewer.post("/exchanges?since=1d", form | flagged).status_code == 303
        found = [
            review.Found(source="reconciliation", kind="lost", seq=number,
                         peer=str(peer(100 + number).home_community_id))
            for number in range(ROWS + 1)
        ]  # fmt: skip
        review.open_items(site.opened.engine, found, now=datetime.now(UTC))
        yield site


LISTS = (
    f"/exchanges?{FILTER}", "/exchanges?since=30d", "/review", "/review?group=peer", "/denials",
    "/denials?side=theirs", "/denials?side=faults", "/peers", "/trust", "/detectors", "/requests",
    "/exports", "/reports", "/patients", "/",
)  # fmt: skip


@pytest.mark.parametrize("address", LISTS)
def test_a_full_first_page_is_small(full: Site, address: str) -> None:
    answer = full.browser("lead").get(address)
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
    size = len(answer.content)
    assert size <= LIMIT, f"{address}: {size} bytes"


def test_the_access_log_s_page_is_small(full: Site) -> None:
    """Its rows are about what people opened: addresses of long filters, and reasons."""
    auditor = full.browser("auditor")
    for number in range(ROWS * 2):
        auditor.get(f"/exchanges?{FILTER}&after={number}.{number}")
    size = len(auditor.get("/access").content)
    assert size <= LIMIT, f"{size} bytes"


@pytest.mark.parametrize("address", ["/exchanges?since=30d", "/review", "/denials", "/peers"])
def test_these_pages_are_full(full: Site, address: str) -> None:
    """Otherwise the sizes above say nothing."""
    page = full.browser("lead").get(address).text
    table = page[page.index("<tbody>") : page.index("</table>")]
    assert table.count("<tr>") >= ROWS - 1


def test_a_seal_costs_no_page_its_size() -> None:
    """Trust has one for each key, and every page one in its foot."""
    assert len(seal("8e8817f0" * 8)) < 400
