"""The reports of a QHIN: counted from the log, each number with its rows, golden files (4.13)."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from directory.model import Organization
from directory.store import DirectoryStore
from directory.tables import create_tables
from node.errors import SettingsError
from node.governance import qhin_reading, qhin_tally
from node.governance.downtime import Downtime, Span, downtime
from node.governance.qhin import parts_of
from node.governance.qhin_files import make, to_csv, to_json
from node.governance.qhin_model import Basis, Part, Qhin, Report, rules, stated_names
from node.governance.qhin_pdf import to_pdf
from node.governance.qhin_period import How, last_whole, read_period, read_windows, recent
from node.governance.qhin_reading import QhinReports, Wanted
from node.governance.qhin_stated import read_stated
from node.governance.qhin_tally import Alike, Tally, together
from node.ledger.entry_source import write_heartbeat
from node.ledger.find import count
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.model import Direction, HomeCommunityId, Outcome, Peer, Transaction
from node.policy.reasons import reasons
from tests.bench.organizations import rows_of
from tests.governance.golden import golden, text_of
from tests.ledger.records import record
from trust.errors import error_table

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
OCTOBER = read_period(How.MONTHLY, "2026-10")
QUARTER = read_period(How.QUARTERLY, "2026-Q3")
OWN_CODES = frozenset({"", *error_table("node"), *error_table("trust"), *reasons()})
ONE, TWO = "urn:oid:2.999.2", "urn:oid:2.999.3"


def alike(**more: object) -> Alike:
    made = {
        "direction": "initiating", "transaction": "ITI-55", "peer": ONE, "purpose": "T-TRTMNT",
        "outcome": "ok", "reason": None,
    } | more  # fmt: skip
    return Alike(**made)  # type: ignore[arg-type]


def tally() -> Tally:
    made = Tally(synthetic=3, own=2)
    made.add(alike(), took=400, documents=0, legs=4)
    made.add(alike(outcome="ok-empty"), took=100, documents=0)
    made.add(alike(peer=TWO, purpose="T-PH"), took=900, documents=0)
    made.add(alike(transaction="ITI-39", outcome="partial", reason="XDSDocumentUniqueIdError"),
             took=50, documents=7)  # fmt: skip
    made.add(alike(transaction="ITI-38", outcome="failed", reason="XDSRegistryBusy"), took=9,
             documents=0, legs=2)  # fmt: skip
    made.add(alike(outcome="timed-out", reason="timeout"), took=9, documents=0, legs=3)
    made.add(alike(outcome="failed", reason="soap-malformed"), took=9, documents=0)
    made.add(alike(peer=None, outcome="failed"), took=9, documents=0)
    made.add(alike(transaction="ITI-78"), took=9, documents=0)
    made.add(alike(direction="responding", peer=TWO, purpose="T-PH", transaction="ITI-38"),
             took=60, documents=2, legs=2)  # fmt: skip
    made.add(alike(direction="responding", peer=ONE), took=10, documents=0)
    made.add(alike(transaction="ITI-80", purpose="T-PH"), took=70, documents=3)
    made.add(alike(transaction="ITI-80", outcome="failed", reason="XDSRepositoryError"), took=9,
             documents=5)  # fmt: skip
    made.add(alike(direction="responding", transaction="ITI-80", purpose="T-PH"), took=10,
             documents=1, legs=2)  # fmt: skip
    return made


def of_peer(hcid: str | None) -> Qhin:
    names = {ONE: "Lakes QHIN", TWO: '=HYPERLINK("x")', None: "not named"}
    return Qhin(hcid=hcid, name=names[hcid])


def parts(how: How = How.MONTHLY, **more: object) -> dict[str, Part]:
    down = Downtime(planned=timedelta(minutes=120), unplanned=timedelta(minutes=7, seconds=40),
                    unknown=timedelta(0), gaps=())  # fmt: skip
    basis = Basis(tally=tally(), down=down, **more)  # type: ignore[arg-type]
    period = OCTOBER if how is How.MONTHLY else QUARTER
    made = parts_of(how, basis, of_peer=of_peer, own_codes=OWN_CODES, period=period)
    return {part.code: part for part in made}


def cells(part: Part) -> list[tuple[str | int, ...]]:
    return [row.cells for row in part.rows]


def report(how: How = How.MONTHLY) -> Report:
    stated = {"hospital": 3, "clinicians": 1200}
    period = OCTOBER if how is How.MONTHLY else QUARTER
    return Report(
        period=period, own_name="Lake Hospital", own_id="urn:oid:2.999.71", made=NOW, by="ida",
        due=period.span.end.date().replace(day=15), lacks=("The period is not over.",),
        listed=rules()["listed"],
        parts=tuple(parts(how, stated=stated, levels={"Participant": 4}).values()),
    )  # fmt: skip


def test_every_part_that_the_rule_lists_is_there_and_no_other() -> None:
    assert list(parts()) == [row["code"] for row in rules()["monthly"]]
    assert list(parts(How.QUARTERLY)) == [row["code"] for row in rules()["quarterly"]]


def test_successes_are_per_qhin_purpose_and_message() -> None:
    assert cells(parts()["successes"]) == [
        (f'=HYPERLINK("x") ({TWO})', "T-PH", "PD", 1),
        (f"Lakes QHIN ({ONE})", "T-PH", "MD", 1),
        (f"Lakes QHIN ({ONE})", "T-TRTMNT", "DR", 1),
        (f"Lakes QHIN ({ONE})", "T-TRTMNT", "PD", 5),
    ]


def test_each_error_is_in_one_of_the_three_parts() -> None:
    made = parts()
    assert cells(made["errors"]) == [
        (f"Lakes QHIN ({ONE})", "XDSDocumentUniqueIdError", 1),
        (f"Lakes QHIN ({ONE})", "XDSRegistryBusy", 2),
        (f"Lakes QHIN ({ONE})", "XDSRepositoryError", 1),
    ]
    assert cells(made["connectivity"]) == [(f"Lakes QHIN ({ONE})", 3)]
    assert cells(made["other-errors"]) == [
        (f"Lakes QHIN ({ONE})", "soap-malformed", 1),
        ("not named", "no code", 1),
    ]


def test_means_are_over_what_was_answered() -> None:
    made = parts()
    assert (f"Lakes QHIN ({ONE})", "PD", 100, 5) in cells(made["initiator-times"])
    assert (TWO, "DQ", 30, 2) in cells(made["responder-times"])


def test_documents_are_per_purpose_and_what_is_not_required_has_its_volumes() -> None:
    made = parts()
    assert cells(made["retrieved"]) == [("T-TRTMNT", 7)]
    assert cells(made["delivered"]) == [("T-PH", 3)]
    assert cells(made["received"]) == [(ONE, 2)]
    assert cells(made["non-required"]) == [
        ("T-PH", "Public Health", 2, 2, 4, "IHE XCA, IHE XCDR, IHE XCPD"),
    ]


def test_downtime_is_per_actor_in_whole_minutes() -> None:
    assert cells(parts()["downtime"]) == [
        ("Initiating gateway", 120, 7), ("Responding gateway", 120, 7),
    ]  # fmt: skip


def test_what_nobody_stated_is_said_and_never_guessed() -> None:
    made = parts(How.QUARTERLY, stated={"hospital": 3})
    assert ("Hospital", 3, "stated") in cells(made["organizations"])
    assert ("Clinic", "not stated", "") in cells(made["organizations"])
    assert ("Clinicians", "not stated", "") in cells(made["people"])


def test_a_leg_that_nobody_is_named_in_has_no_filter_and_others_have_one() -> None:
    rows = {row.cells[0]: row.rows for row in parts()["other-errors"].rows}
    assert rows["not named"] is None
    assert rows[f"Lakes QHIN ({ONE})"] is not None


@pytest.mark.parametrize("how", list(How))
def test_the_files_are_as_they_were(how: How) -> None:
    made = report(how)
    golden(f"qhin-{how.value}.csv", to_csv(made))
    golden(f"qhin-{how.value}.json", to_json(made))
    golden(f"qhin-{how.value}.txt", text_of(to_pdf(made)).encode())


def test_the_same_report_gives_the_same_bytes_and_its_act_has_the_digest() -> None:
    assert to_pdf(report()) == to_pdf(report())
    made = make(report(), "json")
    assert json.loads(made.data)["period"] == "2026-10"
    assert made.change.private["format"] == "json"


def test_a_peers_words_are_no_formula() -> None:
    assert b"\"'=HYPERLINK" in to_csv(report())


def test_days_add_up_and_too_many_kinds_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert together([tally(), tally()]).rows[alike()].legs == 8
    monkeypatch.setattr(qhin_tally, "MOST_ROWS", 2)
    folded = tally()
    assert folded.folded == 17
    assert sum(row.legs for row in folded.rows.values()) == 22


@pytest.mark.parametrize(
    ("how", "text", "begin", "end"),
    [
        (How.MONTHLY, "2026-12", (2026, 12), (2027, 1)),
        (How.MONTHLY, "2026-02", (2026, 2), (2026, 3)),
        (How.QUARTERLY, "2026-Q4", (2026, 10), (2027, 1)),
        (How.QUARTERLY, "2026-Q1", (2026, 1), (2026, 4)),
    ],
)
def test_a_period_is_a_month_or_a_quarter(
    how: How, text: str, begin: tuple[int, int], end: tuple[int, int]
) -> None:
    span = read_period(how, text).span
    assert (span.begin, span.end) == (
        datetime(*begin, 1, tzinfo=UTC), datetime(*end, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "2026-13", "2026-00", "2026-Q5", "1999-01", "2026-1", "2026-Q3'--", "<script>"]
)
def test_any_other_period_is_refused(text: str) -> None:
    for how in How:
        with pytest.raises(SettingsError, match="has a period such as"):
            read_period(how, text)


def test_periods_that_are_over_the_newest_first() -> None:
    january = datetime(2027, 1, 5, tzinfo=UTC)
    assert [each.text for each in recent(How.MONTHLY, january, 3)] == [
        "2026-12", "2026-11", "2026-10",
    ]  # fmt: skip
    assert last_whole(How.QUARTERLY, NOW).text == "2026-Q3"
    assert last_whole(How.QUARTERLY, january).text == "2026-Q4"


@pytest.mark.parametrize(
    "text",
    ["2026-10-03T02:00", "2026-10-03T04:00/2026-10-03T02:00", "2026-10-33T02:00/2026-10-34T02:00",
     "' OR 1=1", "2026-10-03T02:00/2026-10-03T04:00 " * 51],
)  # fmt: skip
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_windows(text)
    assert caught.value.code == "report-window-invalid"


@pytest.mark.parametrize(
    ("code", "text"),
    [("hospital", "-1"), ("hospital", "1e9"), ("hospital", "99999999999"), ("beds", "1")],
)
def test_a_number_that_is_none_is_refused(code: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_stated([(code, text)])
    assert caught.value.code == "report-number-invalid"


def test_an_empty_number_states_nothing() -> None:
    assert read_stated((code, " ") for code in stated_names()) == {}


MINUTE = timedelta(minutes=1)
T = OCTOBER.span.begin


def beats(*minutes: int) -> list[datetime]:
    return [T + each * MINUTE for each in minutes]


def down(times: list[datetime], *planned: Span, now: datetime = NOW) -> Downtime:
    period = Span(begin=T, end=T + 1000 * MINUTE)
    return downtime(times, period=period, every=10 * MINUTE, planned=planned, now=now)


def test_a_gap_of_heartbeats_is_down_from_when_the_next_was_due() -> None:
    steady = list(range(-10, 1011, 10))
    assert down(beats(*steady)).unplanned == timedelta(0)
    made = down(beats(*[each for each in steady if not 100 < each < 160]))
    assert made.unplanned == 50 * MINUTE
    assert made.gaps == (Span(begin=T + 110 * MINUTE, end=T + 160 * MINUTE),)


def test_what_was_planned_is_counted_once_and_apart() -> None:
    steady = [each for each in range(-10, 1011, 10) if not 100 < each < 160]
    window = Span(begin=T + 100 * MINUTE, end=T + 130 * MINUTE)
    made = down(beats(*steady), window, Span(begin=T + 120 * MINUTE, end=T + 135 * MINUTE))
    assert (made.planned, made.unplanned) == (25 * MINUTE, 25 * MINUTE)


def test_before_the_first_heartbeat_nothing_is_known_and_the_future_is_not_down() -> None:
    assert down([]).unknown == 1000 * MINUTE
    made = down(beats(*range(300, 1011, 10)))
    assert (made.unknown, made.unplanned) == (300 * MINUTE, timedelta(0))
    made = down(beats(-5, 5, 15), now=T + 60 * MINUTE)
    assert made.unplanned == 35 * MINUTE
    assert down(beats(-10), now=T + 5 * MINUTE).unplanned == timedelta(0)


BROKEN = {
    "transaction": Transaction.ITI_38, "outcome": Outcome.FAILED, "reason": "XDSRegistryError",
}  # fmt: skip


class World:
    """A log, and a directory with two QHINs and what is below one."""

    def __init__(self, store: Engine) -> None:
        self.store = store
        self.key = LedgerKey(os.urandom(32))
        create_tables(store)
        self.directory = DirectoryStore(store)
        entries = (
            Organization(id="us", name="Lake", type="QHIN",
                         home_community_ids=("urn:oid:2.999.71",)),
            Organization(id="us-1", name="Lake North", type="Participant", part_of="us"),
            Organization(id="us-2", name="Lake Clinic", type="Subparticipant", part_of="us-1"),
            Organization(id="us-3", name="Gone", type="Child", part_of="us-1", active=False),
            Organization(id="q", name="Other QHIN", type="QHIN", home_community_ids=(TWO,)),
            Organization(id="p", name="Clinic", type="Participant", part_of="q",
                         home_community_ids=(ONE,)),
        )  # fmt: skip
        for entry in entries:
            self.directory.import_rows(rows_of(entry), source=entry.id, now=NOW)
        self.reports = QhinReports(
            store, self.directory, own_name="Lake", own_id="urn:oid:2.999.71",
            organization_id="us", heartbeat=10 * MINUTE,
        )  # fmt: skip

    async def write(self, *legs: dict[str, object]) -> None:
        ledger = ExchangeLedger(self.store, self.key)
        for leg in map(dict, legs):
            hcid = HomeCommunityId(str(leg.pop("hcid", ONE)))
            peer = Peer(organization_id="p", home_community_id=hcid, name="x",
                        address="https://x.example/")  # fmt: skip
            changes = {"purpose": "T-TRTMNT", "started": T + timedelta(days=3), "peer": peer}
            await ledger.append(record(**(changes | leg)))
        ledger.close()

    def report(
        self, how: How = How.MONTHLY, *, now: datetime = NOW, most: int | None = None
    ) -> Report:
        period = OCTOBER if how is How.MONTHLY else QUARTER
        return self.reports.report(Wanted(period=period, by="ida", now=now, stated={}), most=most)


@pytest.fixture
def world(store: Engine) -> World:
    return World(store)


def part(made: Report, code: str) -> Part:
    return next(each for each in made.parts if each.code == code)


async def test_the_months_legs_are_counted_under_the_qhin_and_no_others(world: World) -> None:
    await world.write(
        {"duration_ms": 10}, {"duration_ms": 30, "hcid": TWO},
        {"started": T - MINUTE}, {"started": OCTOBER.span.end}, {"started": T},
        {"hcid": "urn:oid:2.999.71"},
        BROKEN,
        {"direction": Direction.RESPONDING},
    )  # fmt: skip
    made = world.report()
    assert cells(part(made, "successes")) == [(f"Other QHIN ({TWO})", "T-TRTMNT", "PD", 3)]
    assert cells(part(made, "errors")) == [(f"Other QHIN ({TWO})", "XDSRegistryError", 1)]
    assert "Questions of our own systems are not counted: 1." in made.lacks
    assert str(made.due) == "2026-11-15"


async def test_every_number_of_legs_is_what_its_filter_finds(world: World) -> None:
    await world.write(
        {}, {}, {"hcid": TWO}, {"purpose": "T-PH"}, {"outcome": Outcome.OK_EMPTY},
        {"outcome": Outcome.TIMED_OUT, "reason": "timeout"},
        BROKEN,
        {"outcome": Outcome.FAILED, "reason": "soap-malformed"},
        {"direction": Direction.RESPONDING}, {"started": T - MINUTE},
    )  # fmt: skip
    made = world.report()
    looked = 0
    for code in ("successes", "errors", "connectivity", "other-errors", "initiator-times",
                 "responder-times"):  # fmt: skip
        for row in part(made, code).rows:
            assert row.rows is not None
            assert count(world.store, row.rows).number == row.cells[-1], (code, row.cells)
            looked += 1
    assert looked == 7


async def test_a_large_month_is_counted_in_several_calls_and_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qhin_reading, "PAGE", 2)
    for day in range(3):
        started = T + timedelta(days=day, hours=1)
        await world.write(*({"started": started} for _ in range(3)))
    first = world.report(most=4)
    assert "29 days of the period are not counted yet" in first.lacks[0]
    assert cells(part(first, "successes"))[0][-1] == 6
    second = world.report(most=4)
    assert not any("not counted yet" in line for line in second.lacks)
    assert cells(part(second, "successes"))[0][-1] == 9


async def test_a_day_that_may_still_get_entries_is_counted_anew(world: World) -> None:
    now = T + timedelta(days=3, hours=4)
    await world.write({})
    assert cells(part(world.report(now=now), "successes"))[0][-1] == 1
    await world.write({})
    made = world.report(now=now)
    assert cells(part(made, "successes"))[0][-1] == 2
    assert "The period is not over." in made.lacks


def test_downtime_comes_from_the_logs_heartbeats(world: World) -> None:
    for minutes in (-10, 0, 10, 20, 100, 110):
        now = T + minutes * MINUTE
        write_heartbeat(world.store, world.key, own="urn:oid:2.999.71", now=now)
    made = world.report(now=T + 115 * MINUTE)
    assert cells(part(made, "downtime"))[0] == ("Initiating gateway", 0, 70)


def test_members_are_counted_by_level_below_our_own_entry(world: World) -> None:
    made = world.report(How.QUARTERLY)
    assert cells(part(made, "levels")) == [("Participant", 1), ("Subparticipant", 1)]
    assert made.due is None
