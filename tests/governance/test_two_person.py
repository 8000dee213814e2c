"""Two people for what one must not do alone: another person, 72 hours, once, exactly (6.3)."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from sqlalchemy import Engine, select

from node.errors import OurFault
from node.governance import two_person_steps
from node.governance.case_model import Refusal
from node.governance.two_person import TwoPerson
from node.governance.two_person_model import Request, Step, Who, digest_of, verbs
from node.ledger import leaf
from node.ledger.private import LedgerKey
from node.ledger.show import erase
from node.ledger.trust_change import Author, acts
from node.storage.tables import ENTRY
from node.users.roles import role_table

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
WHAT = {"filter": "peer:2.999.2.7", "rows": 12_000}
WHY = "Canaryson's lawyer wants to see every row."


def who(login: str, *rights: str) -> Who:
    return Who(
        login=login, rights=frozenset(rights), author=Author(by="user", who={"user_id": login})
    )


IDA, BEN = who("ida", "exports"), who("ben", "exports")


class World:
    def __init__(self, store: Engine) -> None:
        self.store = store
        self.key = LedgerKey(os.urandom(32))
        self.two = TwoPerson(store, self.key, own="urn:oid:2.999.71")

    def ask(self, now: datetime = NOW) -> Request:
        asked = self.two.request("export", WHAT, IDA, text=WHY, about="7", now=now)
        assert isinstance(asked, Request)
        return asked

    def approve(
        self, asked: Request, by: Who = BEN, now: datetime = NOW
    ) -> Request | Refusal | None:
        return self.two.approve(asked.number, by, digest=asked.digest, now=now)

    def take(self, asked: Request, what: dict[str, object] = WHAT, now: datetime = NOW):
        return self.two.take(asked.number, "export", what, who=IDA.author, now=now)

    def acts(self) -> list[str]:
        with self.store.connect() as connection:
            rows = connection.execute(select(ENTRY.c.leaf).order_by(ENTRY.c.seq)).scalars()
            return [str(leaf.decode(row)["act"]).removeprefix("two-person-") for row in rows]


@pytest.fixture
def world(store: Engine) -> World:
    return World(store)


def code(answer: object) -> str:
    assert isinstance(answer, Refusal)
    return answer.code


def test_asked_approved_by_another_and_done_each_an_entry(world: World) -> None:
    asked = world.ask()
    assert asked.until == NOW + timedelta(hours=72)
    assert [each.number for each in world.two.waiting(now=NOW)] == [asked.number]
    seen = world.two.asked_for(asked)
    assert seen is not None
    assert (seen.what, seen.text) == (WHAT, WHY)
    approved = world.approve(asked)
    assert isinstance(approved, Request)
    assert (approved.step, approved.decider) == (Step.APPROVED, "ben")
    assert world.two.waiting(now=NOW) == ()
    done = world.take(asked)
    assert isinstance(done, Request)
    assert world.two.read(asked.number) == done
    assert world.acts() == ["ask", "approve", "done"]


def test_what_is_asked_for_is_in_no_leaf_and_no_row(world: World) -> None:
    world.approve(world.ask())
    with world.store.connect() as connection:
        leaves = b"".join(connection.execute(select(ENTRY.c.leaf)).scalars())
        rows = str(list(connection.exec_driver_sql("SELECT * FROM two_person_request")))
    assert b"Canaryson" not in leaves
    assert "Canaryson" not in rows
    assert "2.999.2.7" not in rows


def test_who_asked_is_not_the_second_person(world: World) -> None:
    asked = world.ask()
    assert code(world.approve(asked, IDA)) == "same-person"
    assert code(world.two.refuse(asked.number, IDA, text=WHY, now=NOW)) == "same-person"
    assert code(world.take(asked)) == "request-asked"
    assert world.acts() == ["ask", "stop", "stop", "stop"]


def test_the_second_person_needs_the_right_and_has_to_have_read_it(world: World) -> None:
    asked = world.ask()
    assert code(world.approve(asked, who("cleo", "review"))) == "right-missing"
    other = digest_of("export", WHAT | {"rows": 1})
    assert code(world.two.approve(asked.number, BEN, digest=other, now=NOW)) == "other-content"
    assert world.two.read(asked.number) == asked


def test_an_approval_does_nothing_else_and_nothing_twice(world: World) -> None:
    asked = world.ask()
    world.approve(asked)
    assert code(world.take(asked, WHAT | {"rows": 12_001})) == "other-content"
    assert code(world.two.take(asked.number, "delete", WHAT, who=IDA.author, now=NOW)) == (
        "other-content"
    )
    assert isinstance(world.take(asked), Request)
    assert code(world.take(asked)) == "request-done"
    assert code(world.approve(asked)) == "request-done"


@pytest.mark.parametrize("approved", [False, True])
def test_after_72_hours_a_request_is_nothing_any_more(world: World, *, approved: bool) -> None:
    asked = world.ask()
    if approved:
        world.approve(asked)
    just, over = asked.until - timedelta(milliseconds=1), asked.until
    assert len(world.two.waiting(now=just)) == (not approved)
    assert world.two.waiting(now=over) == ()
    late = world.take(asked, now=over) if approved else world.approve(asked, now=over)
    assert code(late) == "request-expired"
    assert world.acts()[-2:] == ["expire", "stop"]


def test_a_round_ends_what_is_over_once(world: World) -> None:
    asked = world.ask()
    world.ask(NOW + timedelta(hours=1))
    assert world.two.expire(now=asked.until) == 1
    assert world.two.expire(now=asked.until) == 0
    found = world.two.read(asked.number)
    assert found is not None
    assert found.step is Step.EXPIRED


def test_refused_and_withdrawn_requests_stay_so(world: World) -> None:
    first, second = world.ask(), world.ask()
    assert code(world.two.refuse(first.number, BEN, text="No.", now=NOW)) == "text-length"
    refused = world.two.refuse(first.number, BEN, text="The court has not asked.", now=NOW)
    assert isinstance(refused, Request)
    assert code(world.approve(first)) == "request-refused"
    world.approve(second)
    assert code(world.two.withdraw(second.number, BEN, now=NOW)) == "not-yours"
    assert isinstance(world.two.withdraw(second.number, IDA, now=NOW), Request)
    assert code(world.take(second)) == "request-withdrawn"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"text": "Why not"}, "text-length"),
        ({"text": "x" * 2001}, "text-length"),
        ({"what": {"filter": "x" * 20_000}}, "too-large"),
        ({"about": "x" * 65}, "too-large"),
        ({"who": who("dan", "review")}, "right-missing"),
    ],
)
def test_what_lacks_something_is_not_asked(
    world: World, change: dict[str, object], expected: str
) -> None:
    given = {"what": WHAT, "who": IDA, "text": WHY, "about": None} | change
    refusal = world.two.request("export", given.pop("what"), given.pop("who"), now=NOW, **given)
    assert code(refusal) == expected
    assert world.acts() == []


def test_one_person_has_so_many_open_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_person_steps, "MOST_OPEN", 2)
    world.ask()
    world.ask()
    refusal = world.two.request("export", WHAT, IDA, text=WHY, now=NOW)
    assert code(refusal) == "too-many"
    later = NOW + timedelta(hours=72)
    assert isinstance(world.two.request("export", WHAT, IDA, text=WHY, now=later), Request)


def test_two_people_at_once_decide_once(world: World) -> None:
    asked = world.ask()
    answers: list[object] = []
    people = [who(f"p{number}", "exports") for number in range(4)]
    threads = [
        Thread(target=lambda by=by: answers.append(world.approve(asked, by))) for by in people
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(answer, Request) for answer in answers) == 1
    assert sorted(world.acts()) == ["approve", "ask", "stop", "stop", "stop"]


def test_what_the_log_cannot_take_is_not_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = world.ask()

    def broken(*_: object, **__: object) -> object:
        raise OurFault("trust-change-unrecorded", "The log is away.")

    monkeypatch.setattr(two_person_steps, "write_fact", broken)
    with pytest.raises(OurFault):
        world.approve(asked)
    assert world.two.read(asked.number) == asked


def test_an_erased_request_has_no_content_and_an_unknown_one_is_none(world: World) -> None:
    asked = world.ask()
    with world.store.begin() as connection:
        erase(connection, asked.seq, "wire")
    assert world.two.asked_for(asked) is None
    assert world.two.read(99) is None
    assert world.two.approve(99, BEN, digest=b"", now=NOW) is None


def test_every_verb_has_rights_that_there_are_and_every_step_has_its_act() -> None:
    rights = set(role_table().rights)
    assert all({verb.ask, verb.decide} <= rights for verb in verbs().values())
    steps = ("ask", "approve", "refuse", "withdraw", "expire", "done", "stop")
    assert {f"two-person-{step}" for step in steps} <= set(acts())
