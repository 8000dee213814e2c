"""The report of a connectivity run: what it says, what changed, what it never holds."""

from __future__ import annotations

from asyncio import sleep
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from node.errors import SettingsError
from node.exchange.ports import PeerEntry
from node.model import HomeCommunityId, Outcome, Transaction
from node.policy.purposes import purpose_register
from node.probe.layers import Layer, ProbeReport, State, found, ok
from node.probe.report import Result, RunReport, changes_since, markdown, row_of
from node.probe.report_files import earlier_run, write_report
from node.probe.run import probe_all
from node.probe.target import choose_purpose
from node.probe.walk import ProbeTarget

NOW = datetime(2041, 5, 1, 12, tzinfo=UTC)
GOOD = ok(Layer.ANSWER, "It answered in 5 ms that it knows nobody of that name.")
DEAD = found(Layer.TCP, "connect-refused", "Nobody listens: 192.0.2.1 port 443.")
LATE = found(Layer.CHAIN, "certificate-ends-soon", "It ends.", state=State.WARN)


def probe(name: str, *layers, outcome=Outcome.OK_EMPTY) -> ProbeReport:
    return ProbeReport(
        organization_id=f"org-{name}",
        home_community_id=HomeCommunityId("urn:oid:2.999.7"),
        name=name,
        transaction=Transaction.ITI_55,
        address="https://a.example/xcpd",
        purpose="T-TRTMNT",
        started=NOW,
        layers=layers,
        outcome=outcome,
        answer_ms=5,
    )


def run(*probes: ProbeReport, **changes) -> RunReport:
    report = RunReport(
        node="Lake",
        home_community_id="urn:oid:2.999.1",
        scope="all",
        started=NOW,
        ended=NOW,
        complete=True,
        rows=tuple(map(row_of, probes)),
    )
    return replace(report, **changes)


def test_a_peer_is_good_warned_or_failed() -> None:
    rows = run(
        probe("a", GOOD), probe("b", LATE, GOOD), probe("c", DEAD, outcome=None)
    ).rows  # fmt: skip
    assert [row.result for row in rows] == [Result.GOOD, Result.WARN, Result.FAILED]
    assert (rows[2].layer, rows[2].side, rows[2].code) == ("tcp", "theirs", "connect-refused")
    assert rows[2].next_step


def test_a_run_is_good_only_when_every_peer_is_and_it_came_to_its_end() -> None:
    assert run(probe("a", GOOD), probe("b", LATE, GOOD)).all_good
    assert not run(probe("a", GOOD), probe("c", DEAD, outcome=None)).all_good
    assert not run(probe("a", GOOD), complete=False).all_good


def test_the_second_run_says_what_changed(tmp_path) -> None:
    first = run(probe("a", GOOD), probe("b", GOOD), probe("gone", GOOD))
    write_report(tmp_path / "reports", first)
    write_report(
        tmp_path / "reports", run(probe("a", DEAD), started=NOW + timedelta(1), complete=False)
    )
    earlier = earlier_run(tmp_path / "reports", "all")
    assert earlier.started == NOW  # a run that was stopped is none to compare with
    now = run(probe("a", GOOD), probe("b", DEAD, outcome=None), probe("new", GOOD))
    told = {c.name: (c.before, c.now) for c in changes_since(earlier.standings, now.rows)}
    assert told == {
        "b": ("good", "failed at tcp (connect-refused)"),
        "new": ("not in the run before", "good"),
        "gone": ("good", "no longer tested"),
    }
    assert earlier_run(tmp_path / "reports", "another scope") is None


def test_a_damaged_report_is_no_run_to_compare_with(tmp_path) -> None:
    (tmp_path / "connectivity-20410501T000000000000Z.json").write_text('{"complete": true}')
    (tmp_path / "connectivity-20410502T000000000000Z.json").write_text("no JSON")
    assert earlier_run(tmp_path, "all") is None


def test_a_report_is_never_written_over(tmp_path) -> None:
    write_report(tmp_path / "reports", run(probe("a", GOOD)))
    with pytest.raises(FileExistsError):
        write_report(tmp_path / "reports", run(probe("a", GOOD)))


def test_both_forms_say_who_fails_where_and_what_is_next(tmp_path) -> None:
    report = run(probe("Hill | <b>Clinic</b>", DEAD, outcome=None), probe("a", GOOD))
    data, text = write_report(tmp_path / "reports", report)
    (bad, good) = orjson.loads(data.read_bytes())["rows"]
    assert (bad["result"], bad["layer"], bad["side"]) == ("failed", "tcp", "theirs")
    assert good["result"] == "good"
    shown = text.read_text(encoding="utf-8")
    assert shown == markdown(report)
    assert "fails at tcp, side: theirs. Nobody listens" in shown
    assert "Next: The host is there" in shown
    assert "| Hill \\| &lt;b>Clinic&lt;/b> | urn:oid:2.999.7 | failed |" in shown
    assert "result: 1 good, 0 warn, 1 failed, 0 not tested" in shown


# --- whom and what for --------------------------------------------------------------------------

REGISTER = purpose_register()


@pytest.mark.parametrize(
    ("asked", "preferred", "own", "responds", "chosen"),
    [
        ("T-PYMNT", "", {"T-TRTMNT"}, set(), "T-PYMNT"),
        ("", "T-PYMNT", {"T-PYMNT", "T-TRTMNT"}, set(), "T-PYMNT"),
        ("", "T-PYMNT", {"T-PYMNT", "T-TRTMNT"}, {"T-TRTMNT"}, "T-TRTMNT"),
        ("", "", {"T-PYMNT"}, {"T-TRTMNT"}, "T-PYMNT"),
    ],
)
def test_the_purpose_is_one_that_both_entries_list(asked, preferred, own, responds, chosen) -> None:
    code = choose_purpose(
        asked,
        preferred,
        own_initiates=frozenset(own),
        responds=frozenset(responds),
        register=REGISTER,
    )
    assert code.code == chosen


def test_a_purpose_that_is_not_in_force_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        choose_purpose(
            "TREATMENT", "", own_initiates=frozenset(), responds=frozenset(), register=REGISTER
        )
    assert caught.value.code == "purpose-missing"


async def test_a_run_tests_no_more_than_so_many_at_a_time_and_stops_when_told() -> None:
    running, most, seen = 0, 0, 0

    async def one(target: ProbeTarget) -> ProbeReport:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await sleep(0)
        running -= 1
        return probe(target.entry.name, GOOD)

    reports = probe_all([target(n) for n in range(20)], one, concurrency=4)
    async for _ in reports:
        seen += 1
        if seen == 7:
            break
    await reports.aclose()
    assert most == 4
    assert seen == 7


def target(number: int) -> ProbeTarget:
    entry = PeerEntry(
        organization_id=str(number),
        home_community_id=f"urn:oid:2.999.{number}",
        name=str(number),
        active=True,
        initiates=frozenset(),
        responds={},
        addresses={},
    )
    return ProbeTarget(entry=entry, transaction=Transaction.ITI_55, asker=None, decision=None)
