"""The outcome sample: random n per asker and month, judged in cases, a share with its interval.

Facts: tefca 11.2 no. 12.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from node.governance.case_model import Given, Person, State, Verb
from node.governance.case_reading import read_file
from node.governance.cases import Actor, Cases
from node.governance.detectors.catalogue import State as Set
from node.governance.lots import Lots, days_of, month_to_draw
from node.governance.peer_states import PeerState, peer_standing
from node.governance.sample_reading import drawn_months, drawn_of, results
from node.governance.sample_tables import SAMPLE
from node.ledger.find import LedgerFilter, find
from node.ledger.trust_change import Author
from node.model import Outcome
from node.storage.engine import migrate, open_engine
from tests.governance.detector_world import NOW, OWN, WHY, World, asked, hcid, opened


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
    yield filled(World(engine))
    engine.dispose()


def filled(world: World) -> World:
    """In the month before: 40 questions of peer 1, 2 of peer 2, 6 of ours; then the next month."""
    month = datetime(NOW.year, NOW.month, 10, tzinfo=UTC)
    world.write(
        *(asked(n, 1, started=month + timedelta(hours=n)) for n in range(40)),
        *(asked(n, 2, started=month + timedelta(minutes=n)) for n in range(2)),
        *(opened(n, started=month + timedelta(hours=n)) for n in range(6)),
    )
    world.now = month + timedelta(days=31)
    return world


def run(world: World):
    return world.parts.sampler.run(now=world.now)


def drawn(world: World) -> set[tuple[str, str]]:
    with world.store.connect() as connection:
        return {
            tuple(row) for row in connection.execute(select(SAMPLE.c.asker, SAMPLE.c.exchange_id))
        }


def judge(world: World, number: str, outcome: str, *, dismissed: bool) -> None:
    cases = Cases(world.store, world.key, own=OWN)

    def act(login: str, verb: Verb, **given) -> None:
        person = Person(login=login, rights=frozenset({"review", "lead"}))
        actor = Actor(person=person, author=Author(by="user", who={"user_id": login}))
        ruled = cases.act(number, verb, actor, Given(**given), now=world.now)
        assert isinstance(ruled, State), ruled

    if dismissed:
        act("ida", Verb.DISMISS, outcome=outcome, text=WHY)
        return
    act("ida", Verb.TAKE)
    act("ida", Verb.RESOLVE, outcome=outcome, text=WHY)
    act("lea", Verb.CONFIRM)


def cases_of(world: World, asker: str) -> list[str]:
    found = drawn_of(world.store, drawn_months(world.store), asker, limit=100)
    return [each.case for each in found if each.case]


def test_so_many_of_each_asker_are_drawn_and_each_becomes_a_case(store: Engine) -> None:
    """On both engines; the others on SQLite alone."""
    world = filled(World(store))
    world.set("T12")
    sampled = run(world)
    assert (sampled.drawn, len(sampled.cases)) == (8, 8)
    assert Counter(asker for asker, _ in drawn(world)) == {hcid(1): 3, hcid(2): 2, OWN: 3}
    assert {each.asker: each.exchanges for each in results(store, drawn_months(store))} == {
        hcid(1): 40, hcid(2): 2, OWN: 6,
    }  # fmt: skip
    case = read_file(store, world.key, cases_of(world, hcid(1))[0])
    assert case is not None
    assert (case.view.kind, case.view.peer, len(case.exchanges)) == ("outcome-sample", hcid(1), 1)
    assert case.view.text is not None
    assert case.view.text.startswith("Drawn by lot from the 40 that Peer 1 asked for in 20")
    again = run(world)
    assert (again.drawn, again.cases) == (0, ())
    (entry,) = find(store, LedgerFilter(act=("sample-draw",)), key=world.key, limit=5).entries
    assert (entry.fields["entries"], entry.fields["added"]) == (48, 8)


def test_the_share_found_wrong_has_its_interval_and_opens_its_verdicts(world: World) -> None:
    world.set("T12", exchanges=6)
    run(world)
    first, second, third, fourth, *_ = cases_of(world, hcid(1))
    judge(world, first, "appropriate", dismissed=True)
    judge(world, second, "appropriate", dismissed=True)
    judge(world, third, "insufficient-evidence", dismissed=True)
    before = peer_standing(world.store, hcid(1), suspended=False, now=world.now)
    assert before.state is not PeerState.WATCH  # to be drawn is no suspicion
    judge(world, fourth, "peer-misuse-confirmed", dismissed=False)
    found = {each.asker: each for each in results(world.store, drawn_months(world.store))}
    peer = found[hcid(1)]
    assert (peer.drawn, peer.judged, peer.wrong, peer.neither, peer.waiting) == (6, 3, 1, 1, 2)
    assert peer.share == pytest.approx(1 / 3)
    assert peer.interval == pytest.approx((0.0615, 0.7923), abs=0.0005)  # Wilson, 1 of 3
    assert found[hcid(2)].interval is None
    verdicts = drawn_of(world.store, drawn_months(world.store), hcid(1), limit=10)
    assert Counter(each.counts for each in verdicts) == {"miss": 2, "neither": 1, "hit": 1, None: 2}
    assert {each.who for each in verdicts if each.counts} == {"ida"}
    after = peer_standing(world.store, hcid(1), suspended=False, now=world.now)
    assert after.state is PeerState.WATCH  # a finding is one


def test_a_draw_can_be_repeated_with_the_key_alone(world: World) -> None:
    """The lowest lots: what the draw took, worked out anew from the log."""
    world.set("T12")
    run(world)
    (month,) = drawn_months(world.store)
    page = find(world.store, LedgerFilter(peer=hcid(1)), key=world.key, limit=100)
    ids = {str(each.fields["exch"]) for each in page.entries if each.fields["kind"] == "exchange"}
    ranked = sorted(ids, key=lambda each: world.key.token("outcome-sample", f"{month} {each}"))
    assert {each for asker, each in drawn(world) if asker == hcid(1)} == set(ranked[:3])


def test_in_shadow_it_is_drawn_without_cases_and_off_it_is_not_drawn(world: World) -> None:
    world.set("T12", Set.OFF)
    assert run(world).drawn == 0
    assert drawn_months(world.store) == ()
    world.set("T12", Set.SHADOW)
    assert (run(world).drawn, cases_of(world, hcid(1))) == (8, [])
    world.set("T12")  # on: what was drawn of the newest month is judged
    assert len(run(world).cases) == 8


def test_a_draw_that_was_cut_off_goes_on(world: World) -> None:
    world.set("T12")

    class Ended(Exception):
        pass

    steps = 0

    def rest() -> None:
        nonlocal steps
        steps += 1
        if steps > 33:  # after the days of the month, among the cases
            raise Ended

    with pytest.raises(Ended):
        world.parts.sampler.run(now=world.now, rest=rest)
    before = drawn(world)
    assert len(before) == 8
    left = run(world)
    assert (left.drawn, drawn(world)) == (0, before)
    cases = [case for asker in (hcid(1), hcid(2), OWN) for case in cases_of(world, asker)]
    assert (len(cases), len(set(cases))) == (8, 8)
    assert 0 < len(left.cases) < 8


def test_no_more_than_the_limit_and_of_an_asker_all_or_none(world: World) -> None:
    world.set("T12", exchanges=3, cases=5)
    run(world)
    counted = Counter(asker for asker, _ in drawn(world))
    assert counted[OWN] == 3
    assert counted in ({OWN: 3, hcid(2): 2}, {OWN: 3})


def test_whoever_asked_does_not_judge_it(world: World) -> None:
    world.set("T12")
    run(world)
    cases = Cases(world.store, world.key, own=OWN)
    person = Person(login="r.doe", rights=frozenset({"review"}), mark=cases.mark("r.doe"))
    actor = Actor(person=person, author=Author(by="user", who={"user_id": "r.doe"}))
    given = Given(outcome="appropriate", text=WHY)
    ruled = cases.act(cases_of(world, OWN)[0], Verb.DISMISS, actor, given, now=world.now)
    assert not isinstance(ruled, State)
    assert ruled is not None
    assert ruled.code == "case-own"


def test_each_outcome_is_drawn_and_a_test_of_ours_is_not(world: World) -> None:
    month = datetime(NOW.year, NOW.month, 12, tzinfo=UTC)
    world.write(
        asked(1, 3, started=month, outcome=Outcome.DECLINED, reason="opted-out"),
        asked(2, 3, started=month, synthetic=True),
    )
    world.set("T12")
    run(world)
    (row,) = (e for e in results(world.store, drawn_months(world.store)) if e.asker == hcid(3))
    assert (row.exchanges, row.drawn) == (1, 1)


def lot(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def test_legs_of_one_exchange_are_one_and_each_exchange_is_as_likely() -> None:
    drawn_by: Counter[str] = Counter()
    for number in range(400):
        lots = Lots(f"month {number}", lot, each=2)
        for _ in range(2):  # a second leg
            for name in "abcdefgh":
                lots.add("peer", name)
        assert lots.counted == {"peer": 8}
        drawn_by.update(lots.drawn(most=10, first="us")["peer"])
    assert sum(drawn_by.values()) == 800
    assert all(60 <= drawn_by[name] <= 140 for name in "abcdefgh")  # 100 each on average


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2026-11-01T23:59", "2026-09"),
        ("2026-11-02T00:00", "2026-10"),
        ("2026-01-15T08:00", "2025-12"),
    ],
)
def test_a_month_is_drawn_a_day_after_its_end(now: str, month: str) -> None:
    assert month_to_draw(datetime.fromisoformat(now).replace(tzinfo=UTC)) == month
    days = days_of(month)
    assert f"{days[0]:%Y-%m-%d}" == f"{month}-01"
    assert days[-1].day == 1
    assert len(days) in (31, 32)
