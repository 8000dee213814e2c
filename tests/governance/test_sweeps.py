"""Sweeps: what is new is looked at, nothing is flagged twice, flags become cases (6.6, G16)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import Engine, func, insert, select, text

from directory.model import PinUse
from node.errors import OurFault
from node.governance.access.patient_marks import identifier_marks
from node.governance.access.tables import ENCOUNTER, PATIENT
from node.governance.case_model import Person, State, Verb
from node.governance.case_reading import read_file
from node.governance.cases import Actor, Cases
from node.governance.detector_tables import FLAG, FLAG_ENTRY, SWEEP
from node.governance.detectors.backtest import backtest
from node.governance.detectors.catalogue import State as Set
from node.governance.detectors.flags import flags, last_sweep, read_flag, suppressions
from node.governance.detectors.scoreboard import scoreboard
from node.governance.detectors.store import history, settings
from node.ledger import leaf
from node.ledger.find import LedgerFilter, find
from node.ledger.show import show
from node.ledger.trust_change import Author
from node.model import PatientId
from node.storage.engine import migrate, open_engine
from node.storage.tables import ENTRY
from tests.governance.detector_world import CANARY, NOW, OWN, WHY, World, asked, hcid, opened

NOBODY = ""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "node.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def world(empty: Path, tmp_path: Path) -> Iterator[World]:
    shutil.copy(empty, tmp_path / "node.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    yield World(engine)
    engine.dispose()


def found(world: World, **more) -> list[tuple[str, str, str | None]]:
    return [(f.detector, f.about, f.case_number) for f in flags(world.store, reader=NOBODY, **more)]


def test_a_peer_that_tries_people_out_is_flagged_and_becomes_a_case(store: Engine) -> None:
    """On both engines; the others on SQLite alone."""
    world = World(store)
    world.set("D14")
    world.probing(25)
    swept = world.sweep()
    assert (swept.exchanges, swept.flags, swept.shadow) == (25, 1, 0)
    assert found(world) == [("D14", hcid(1), "2026-0001")]
    (flag,) = flags(world.store, reader=NOBODY)
    assert world.parts.names.sentence(flag) == (
        "Peer 1 asked about 25 people, and 25 of them (100 %) are not known here."
    )
    case = read_file(world.store, world.key, "2026-0001")
    assert case is not None
    assert (case.view.kind, case.view.peer, len(case.exchanges)) == ("detector-d14", hcid(1), 25)
    assert case.view.text == world.parts.names.sentence(flag)
    assert case.messages[0].who == "node"
    setting = settings(store)["D14"]
    assert backtest(store, world.parts.looking(), setting, now=world.now).flags == 1
    (score,) = (s for s in scoreboard(store, reader=NOBODY, now=world.now) if s.flags)
    assert score.setting.state is Set.ON


def test_the_same_incident_is_not_flagged_twice_and_more_of_it_goes_into_its_case(
    world: World,
) -> None:
    world.set("D14")
    world.probing(25)
    world.sweep()
    assert world.sweep().exchanges == 0
    world.probing(19, first=100)
    assert world.sweep().flags == 0  # with those flagged before they would be enough
    world.probing(1, first=200)
    swept = world.sweep()
    assert (swept.flags, swept.cases) == (1, ("2026-0001",))
    case = read_file(world.store, world.key, "2026-0001")
    assert case is not None
    assert [each.verb for each in case.messages] == ["open", "collect"]
    assert len(case.exchanges) == 45


def test_thirty_small_events_by_one_peer_become_one_case(world: World) -> None:
    """Facts G16."""
    world.set("D14", run=1000)
    world.set("T09", times=1)
    for n in range(30):
        world.write(asked(n, purpose="T-PYMNT", started=world.now))
        world.now += timedelta(days=1)
        world.sweep()
    numbers = {case for _, _, case in found(world)}
    assert numbers == {"2026-0001"}
    assert len(found(world)) > 10


def test_two_peers_are_two_cases_and_a_closed_case_takes_no_more(world: World) -> None:
    world.set("D14")
    world.probing(20, peer=1)
    world.probing(20, peer=2, first=50)
    assert world.sweep().cases == ("2026-0001", "2026-0002")
    act(world, "2026-0001", Verb.DISMISS, outcome="false-alarm-rule", text=WHY)
    world.probing(20, peer=1, first=100)
    assert world.sweep().cases == ("2026-0003",)


def act(world: World, number: str, verb: Verb, **given) -> None:
    from node.governance.case_model import Given  # noqa: PLC0415

    cases = Cases(world.store, world.key, own=OWN)
    person = Person(login="ida", rights=frozenset({"review"}))
    actor = Actor(person=person, author=Author(by="user", who={"user_id": "ida"}))
    ruled = cases.act(number, verb, actor, Given(**given), now=world.now)
    assert isinstance(ruled, State), ruled


def test_a_merged_case_takes_its_flags_along(world: World) -> None:
    world.set("D14")
    world.probing(20, peer=1)
    world.probing(20, peer=2, first=50)
    world.sweep()
    cases = Cases(world.store, world.key, own=OWN)
    act(world, "2026-0001", Verb.MERGE, target=cases.standing("2026-0002"))
    assert {case for _, _, case in found(world)} == {"2026-0002"}
    world.probing(20, peer=1, first=100)
    assert world.sweep().cases == ("2026-0002",)


def test_shadow_flags_are_written_down_and_make_no_case(world: World) -> None:
    assert settings(world.store)["D14"].state is Set.SHADOW
    world.probing(25)
    swept = world.sweep()
    assert (swept.flags, swept.shadow, swept.cases) == (0, 1, ())
    assert found(world) == [("D14", hcid(1), None)]


def test_a_detector_that_is_off_does_not_look(world: World) -> None:
    for code in settings(world.store):
        world.set(code, Set.OFF)
    world.probing(25)
    assert world.sweep().shadow == 0
    assert found(world) == []
    assert world.sweep().exchanges == 0  # they were examined all the same


def test_a_sweep_is_an_entry_with_its_numbers_and_no_name(world: World) -> None:
    world.set("D14")
    world.probing(25)
    world.sweep()
    entry, groups = newest(world, "detector-sweep")
    assert (entry["entries"], entry["added"], entry["kept"]) == (25, 1, 0)
    (told,) = groups["wire"]["flags"]  # type: ignore[index]
    assert (told["detector"], told["about"], told["entries"]) == ("D14", hcid(1), 25)
    with world.store.connect() as connection:
        for table in ("detector_flag", "detector_sweep", "detector_flag_entry", "detector_change"):
            rows = connection.execute(text(f"SELECT * FROM {table}")).all()
            assert CANARY not in repr(rows)
    before = entry["seq"]
    world.sweep()
    assert newest(world, "detector-sweep")[0]["seq"] == before  # nothing new, nothing written


def newest(world: World, act_: str) -> tuple[dict[str, str | int], dict[str, dict[str, object]]]:
    (entry,) = find(world.store, LedgerFilter(act=act_), key=world.key, limit=1).entries
    shown = show(world.store, entry.seq, world.key)
    assert shown is not None
    assert not shown.findings
    return dict(entry.fields), {n: g.value for n, g in shown.groups.items()}  # type: ignore[misc]


def test_a_change_is_an_entry_with_author_reason_before_and_after(world: World) -> None:
    world.set("D14", Set.ON, asked=30)
    world.set("D14", None, share=0.9)
    now = settings(world.store)["D14"]
    assert (now.state, now.changed) == (Set.ON, {"asked": 30, "share": 0.9})
    entry, groups = newest(world, "detector-set")
    assert (entry["role"], entry["reason"], entry["ver"]) == ("detector-D14", "on", 1)
    assert groups["who"]["user_id"] == "lea"
    wire = groups["wire"]
    assert wire["reason"] == WHY
    before, after = wire["before"], wire["after"]
    assert before == {"state": "on", "limits": {"asked": 30, "share": 0.8, "run": 12}}
    assert after == {"state": "on", "limits": {"asked": 30, "share": 0.9, "run": 12}}
    assert [each.limits for each in history(world.store, "D14")] == [
        {"asked": 30, "share": 0.9}, {"asked": 30},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "limits", "reason", "error"),
    [
        ("D99", {}, WHY, "detector-unknown"),
        ("D14", {"shar": 0.5}, WHY, "detector-limit-invalid"),
        ("D14", {"share": 1.01}, WHY, "detector-limit-invalid"),
        ("D14", {"share": float("nan")}, WHY, "detector-limit-invalid"),
        ("D14", {"asked": 4}, WHY, "detector-limit-invalid"),
        ("D14", {}, "too short", "detector-reason-short"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(
    world: World, code: str, limits: dict[str, float], reason: str, error: str
) -> None:
    with pytest.raises(OurFault) as caught:
        world.parts.detectors.set(
            code, Author(by="user", who={"user_id": "lea"}), login="lea", state=Set.ON,
            limits=limits, reason=reason, now=NOW,
        )  # fmt: skip
    assert caught.value.code == error
    assert settings(world.store)["D14"].state is Set.SHADOW


def test_a_suppression_keeps_flags_from_cases_until_its_end_and_they_are_counted(
    world: World,
) -> None:
    world.set("D14")
    world.probing(20)
    world.sweep()
    (flag,) = flags(world.store, reader=NOBODY)
    lea = Author(by="user", who={"user_id": "lea"})
    number = world.parts.detectors.suppress(
        flag, lea, login="lea", days=3, reason="Their migration runs until Monday.", now=world.now
    )
    entry, groups = newest(world, "detector-suppress")
    assert (entry["role"], entry["peer"]) == ("detector-D14", hcid(1))
    assert groups["wire"]["reason"] == "Their migration runs until Monday."
    (shown,) = suppressions(world.store, now=world.now, reader=NOBODY)
    assert (shown.id, shown.who, shown.until) == (number, "lea", world.now + timedelta(days=3))
    world.probing(20, first=100)
    assert world.sweep().cases == ()
    score = next(s for s in scoreboard(world.store, reader=NOBODY, now=world.now)
                 if s.setting.detector.id == "D14")  # fmt: skip
    assert (score.flags, score.suppressed) == (2, 1)
    assert world.parts.detectors.end(number, lea, now=world.now)
    assert not world.parts.detectors.end(number, lea, now=world.now)
    assert suppressions(world.store, now=world.now, reader=NOBODY) == ()
    world.probing(20, first=200)
    assert world.sweep().cases == ("2026-0001",)


def test_precision_comes_from_closed_cases_alone(world: World) -> None:
    world.set("D14")
    for peer in (1, 2, 3):
        world.probing(20, peer=peer, first=100 * peer)
    world.sweep()
    world.now += timedelta(hours=5, minutes=45)
    act(world, "2026-0001", Verb.DISMISS, outcome="false-alarm-rule", text=WHY)
    act(world, "2026-0002", Verb.DISMISS, outcome="technical-fault-peer", text=WHY)
    score = next(s for s in scoreboard(world.store, reader=NOBODY, now=world.now)
                 if s.setting.detector.id == "D14")  # fmt: skip
    assert (score.flags, score.confirmed, score.dismissed) == (3, 0, 1)
    assert (score.precision, score.median_hours) == (0, 5.8)


def test_who_is_flagged_does_not_see_the_flag(world: World) -> None:
    world.set("D01", days=5, patients=5)
    for day in range(1, 6):
        world.write(opened(day, started=NOW - timedelta(days=day)))
    world.write(*(opened(100 + n) for n in range(6)))
    assert world.sweep().flags == 1
    (flag,) = flags(world.store, reader=NOBODY)
    assert world.parts.names.sentence(flag).startswith("R. Doe opened outside records of 6 pat")
    own = world.key.token("user", "r.doe").hex()
    assert flag.about == own
    assert flags(world.store, reader=own) == ()
    assert read_flag(world.store, flag.id, reader=own) is None
    assert sum(s.flags for s in scoreboard(world.store, reader=own, now=world.now)) == 0
    case = Cases(world.store, world.key, own=OWN).standing("2026-0001")
    assert case is not None
    assert own in case.subjects


def test_no_care_in_our_records_is_said_where_there_are_records(world: World) -> None:
    world.set("D04")
    world.write(*(opened(n) for n in range(5)))
    assert world.sweep().flags == 0  # no records of our own


def test_no_care_is_said_of_patients_without_encounter_or_document_near(world: World) -> None:
    world.set("D04")
    near, old = NOW - timedelta(days=3), NOW - timedelta(days=40)
    with world.store.begin() as connection:
        for n, when in ((1, near), (2, near), (3, old), (4, old)):
            mark = identifier_marks(world.key, [patient(n)])[0]
            row = {"id": n, "visit": bytes([n]) * 16, "last": leaf.milliseconds(when)}
            connection.execute(insert(ENCOUNTER).values(**row, sealed=b"x"))
            connection.execute(insert(PATIENT).values(mark=mark, encounter_id=n))
    world.write(*(opened(n) for n in range(1, 5)))
    assert world.sweep().flags == 0  # two without care, and it takes three
    world.write(*(opened(n) for n in (3, 4, 5)))
    assert world.sweep().flags == 1
    (flag,) = flags(world.store, reader=NOBODY, detector="D04")
    assert world.parts.names.sentence(flag) == (
        "R. Doe asked about 3 patients with whom our records show no care within 30 days."
    )


def patient(number: int) -> PatientId:
    return PatientId(assigning_authority="2.999.71.5", id=f"MRN{number}")


def test_a_kin_of_a_suspended_peer_is_flagged_once(world: World) -> None:
    world.set("T08")
    world.directory.local.pin(world.ids[0], "ab" * 32, PinUse.TLS, now=NOW)
    world.directory.local.pin(world.ids[1], "ab" * 32, PinUse.TLS, now=NOW)
    world.directory.local.suspend(world.ids[0], "Asks for people it never treats.", now=NOW)
    for round_ in range(3):
        world.probing(1, peer=2, first=10 * round_)
        world.probing(1, peer=1, first=10 * round_ + 5)
        world.sweep()
    assert [about for _, about, _ in found(world, detector="T08")] == [hcid(2)]
    assert "key (Peer 1)" in flags(world.store, reader=NOBODY, detector="T08")[0].sentence


def test_a_sweep_takes_so_many_entries_and_the_next_one_the_rest(world: World) -> None:
    world.set("D14")
    world.probing(25)
    taken = [world.sweep(most=10) for _ in range(4)]
    assert sum(each.exchanges for each in taken) == 25
    assert [each.more for each in taken][-1] is False
    # a rule looks at the window, not at what is new alone
    assert len(found(world, detector="D14")) == 1


def test_a_leg_whose_time_has_not_come_is_looked_at_when_it_has(world: World) -> None:
    world.set("D14")
    world.write(*(asked(n, started=NOW + timedelta(hours=1)) for n in range(25)))
    assert world.sweep().flags == 0
    world.probing(1, first=100)
    assert world.sweep().flags == 0
    world.now += timedelta(hours=1)
    world.probing(1, first=200)
    assert world.sweep().flags == 1


def test_our_own_connectivity_tests_are_about_nobody(world: World) -> None:
    world.set("D14")
    world.write(*(asked(n, synthetic=True) for n in range(25)))
    assert world.sweep().flags == 0
    world.probing(19, first=100)
    assert world.sweep().flags == 0
    world.probing(1, first=200)
    assert world.sweep().flags == 1


def test_one_of_two_sweeps_at_once_writes_nothing(world: World) -> None:
    world.set("D14")
    world.probing(25)
    first = True

    def rest() -> None:
        nonlocal first
        if first:
            first = False
            world.parts.sweeper.run(now=world.now)

    swept = world.parts.sweeper.run(now=world.now, rest=rest)
    assert swept.overtaken
    assert len(found(world)) == 1


def test_what_a_dead_process_left_over_goes_into_a_case_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set("D14")
    world.probing(25)
    with monkeypatch.context() as patched:
        patched.setattr(world.parts.routing, "take", lambda *_, **__: ())
        world.sweep()
    world.sweep(minutes=5)
    assert found(world) == [("D14", hcid(1), None)]
    world.sweep(minutes=6)
    assert found(world) == [("D14", hcid(1), "2026-0001")]


def test_a_detector_that_breaks_is_named_and_the_others_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.governance.detectors import catalogue  # noqa: PLC0415

    def broken(*_: object) -> list[object]:
        raise ZeroDivisionError(CANARY)

    world.set("D14")
    catalogue.detectors.cache_clear()
    with monkeypatch.context() as patched:
        patched.setitem(catalogue._RULES, "T11", broken)  # type: ignore[arg-type]
        world.probing(25)
        swept = world.sweep()
    catalogue.detectors.cache_clear()
    assert (swept.flags, swept.failed) == (1, ("T11",))
    last = last_sweep(world.store)
    assert last is not None
    assert last.failed == ("T11",)


def test_a_back_test_says_what_would_have_been_flagged_and_writes_nothing(world: World) -> None:
    for day in reversed(range(3)):
        world.write(*(asked(100 * day + n, started=NOW - timedelta(days=10 * day, seconds=n))
                      for n in range(25)))  # fmt: skip
    setting = settings(world.store)["D14"]
    tried = backtest(world.store, world.parts.looking(), setting, now=world.now)
    assert (tried.subjects, tried.legs, tried.flags) == (1, 75, 3)
    assert len(tried.examples) == 3
    assert found(world) == []
    assert last_sweep(world.store) is None
    assert count(world, FLAG_ENTRY) == 0


def test_the_first_sweep_begins_so_many_days_back(world: World) -> None:
    world.write(*(asked(n, started=NOW - timedelta(days=31, seconds=n)) for n in range(25)))
    assert world.sweep().exchanges == 0
    world.probing(3, first=50)
    assert world.sweep().exchanges == 3


def test_a_sweep_reads_along_indexes(world: World) -> None:
    """Its own queries: the cost is that of what is new and of each subject's window."""
    world.probing(5)
    world.sweep()
    with world.store.connect() as connection:
        assert connection.execute(select(func.count()).select_from(SWEEP)).scalar() == 1
    plans = []
    for query in (
        select(ENTRY.c.seq).where(ENTRY.c.peer == hcid(1), ENTRY.c.t >= 0,
                                  ENTRY.c.kind == "exchange").order_by(ENTRY.c.t.desc()),
        select(FLAG.c.id).where(FLAG.c.about == hcid(1)),
    ):  # fmt: skip
        with world.store.connect() as connection:
            if connection.dialect.name != "sqlite":
                return
            sql = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
            plans += [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
    assert all("USING" in plan and "INDEX" in plan for plan in plans), plans


def count(world: World, table) -> int:
    with world.store.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar() or 0


def test_the_words_of_a_flag_are_json_ready(world: World) -> None:
    world.set("D14")
    world.probing(25)
    world.sweep()
    assert orjson.dumps(newest(world, "detector-sweep")[1])
