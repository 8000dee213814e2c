"""Cases in the database: the messages are the state, and each is an entry of the log (6.1, 6.3)."""

from __future__ import annotations

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from node.governance.case_model import Given, Person, Refusal, Standing, State, Verb
from node.governance.case_queue import QueueFilter, counted, numbers_of
from node.governance.case_reading import case_with
from node.governance.case_rows import FLAG, Opening
from node.governance.cases import Actor, Cases
from node.ledger import leaf, review
from node.ledger.find import LedgerFilter, find
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.show import show
from node.ledger.trust_change import Author
from node.model import Direction, PrivateFacts
from node.storage.case_tables import CASE, EVIDENCE, MESSAGE
from tests.ledger.records import new_id, record

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
OWN = "urn:oid:2.999.71"
PEER = "urn:oid:2.999.2"
CANARY = "Canaryson 1969-12-31 was not on the roster"
REASON = "It was looked into and is in order."


class World:
    """A store with cases, and the people who work on them."""

    def __init__(self, store: Engine) -> None:
        self.store = store
        self.key = LedgerKey(os.urandom(32))
        self.cases = Cases(store, self.key, own=OWN)
        self.now = NOW

    def actor(self, login: str, *rights: str) -> Actor:
        held = frozenset(rights or ("review",))
        person = Person(login=login, rights=held, mark=self.cases.mark(login))
        return Actor(person=person, author=Author(by="user", who={"user_id": login}))

    def open(self, **more) -> str:
        opening = Opening(**{"kind": FLAG, "text": CANARY, **more})
        number = self.cases.open(self.actor("ida"), opening, now=self.now)
        assert isinstance(number, str)
        return number

    def act(self, number: str, verb: Verb, login: str = "ida", **given) -> object:
        self.now += timedelta(minutes=1)
        rights = ("review", "lead") if login == "lea" else ("review",)
        actor = self.actor(login, *rights)
        return self.cases.act(number, verb, actor, Given(**given), now=self.now)

    def exchange(self, user: str = "r.doe", direction: Direction = Direction.INITIATING) -> str:
        made = new_id()
        ledger = ExchangeLedger(self.store, self.key)
        facts = PrivateFacts(who={"user_id": user})
        one = record(exchange_id=made, direction=direction, facts=facts)
        asyncio.run(ledger.append(one))
        ledger.close()
        return made

    def messages(self, number: str) -> list[tuple[str, str, str, str | None]]:
        columns = (MESSAGE.c.verb, MESSAGE.c.who, MESSAGE.c.state, MESSAGE.c.refusal)
        query = select(*columns).join(CASE, CASE.c.id == MESSAGE.c.case_id)
        query = query.where(CASE.c.number == number).order_by(MESSAGE.c.number)
        with self.store.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]  # type: ignore[misc]

    def entries(self) -> list[tuple[dict[str, str | int], dict[str, object]]]:
        """The entries about cases, oldest first: leaf, private groups."""
        found = find(self.store, LedgerFilter(kind="admin"), key=self.key, limit=200).entries
        made = []
        for entry in reversed(found):
            shown = show(self.store, entry.seq, self.key)
            assert shown is not None
            assert not shown.findings
            groups = {name: each.value for name, each in shown.groups.items()}
            made.append((dict(entry.fields), groups))
        return made


def standing(world: World, number: str) -> Standing:
    """A case but for its due date."""
    found = world.cases.standing(number)
    assert found is not None
    return replace(found, due=None)


@pytest.fixture
def world(store: Engine) -> World:
    return World(store)


def test_a_case_goes_from_the_flag_to_the_end_and_each_step_is_an_entry(world: World) -> None:
    exchange = world.exchange()
    number = world.open(exchanges=(exchange,))
    assert number == "2026-0001"
    ida = world.actor("ida").person
    assert world.act(number, Verb.ASSIGN, "lea", assignee=ida) is State.WORKING
    assert world.act(number, Verb.COMMENT, text="Looking.") is State.WORKING
    due = world.now + timedelta(days=3)
    assert world.act(number, Verb.ASK, whom="Registration", text="Why?", due=due) is State.WAITING
    assert world.act(number, Verb.ANSWER, text="They were on call.") is State.WORKING
    ended = world.act(
        number, Verb.RESOLVE, outcome="confirmed-inappropriate", text=REASON, actions=("education",)
    )
    assert ended is State.RESOLVED
    assert world.act(number, Verb.CONFIRM, "lea") is State.CLOSED
    assert world.messages(number) == [
        ("open", "ida", "new", None), ("assign", "lea", "working", None),
        ("comment", "ida", "working", None), ("ask", "ida", "waiting", None),
        ("answer", "ida", "working", None), ("resolve", "ida", "resolved", None),
        ("confirm", "lea", "closed", None),
    ]  # fmt: skip
    entries = world.entries()
    assert [fields["act"] for fields, _ in entries] == [
        "case-open", "case-assign", "case-comment", "case-ask", "case-answer", "case-resolve",
        "case-confirm",
    ]  # fmt: skip
    digest = leaf.from_bytes(hashlib.sha256(number.encode()).digest())
    assert {fields["thing"] for fields, _ in entries} == {digest}
    assert entries[5][0]["reason"] == "confirmed-inappropriate"
    assert entries[5][1]["who"] == {"user_id": "ida"}
    assert entries[5][1]["wire"]["actions"] == ["education"]  # type: ignore[index]


def test_law_6_what_people_write_is_in_the_private_group_alone(world: World) -> None:
    number = world.open()
    world.act(number, Verb.COMMENT, text=CANARY)
    world.act(number, Verb.TAKE)
    world.act(number, Verb.ASK, whom=CANARY, text=CANARY, due=NOW + timedelta(days=2))
    for fields, groups in world.entries():
        assert "Canaryson" not in str(fields)
        assert "c_wire" in fields
        assert groups["wire"]["case"] == number  # type: ignore[index]
    with world.store.connect() as connection:
        for table in (CASE, MESSAGE, EVIDENCE):
            assert "Canaryson" not in str(connection.execute(select(table)).all())


def test_a_refusal_is_a_message_and_an_entry_and_changes_nothing(world: World) -> None:
    number = world.open()
    ruled = world.act(number, Verb.CONFIRM, "bob")
    assert isinstance(ruled, Refusal)
    assert world.messages(number)[-1] == ("confirm", "bob", "new", "case-state")
    fields, groups = world.entries()[-1]
    assert (fields["act"], fields["reason"]) == ("case-refuse", "case-state")
    assert groups["wire"] == {"case": number, "tried": "confirm"}
    assert standing(world, number) == Standing(number=number, state=State.NEW)


def test_a_form_that_lacks_something_is_no_event(world: World) -> None:
    number = world.open()
    ruled = world.act(number, Verb.DISMISS, outcome="appropriate", text="short")
    assert isinstance(ruled, Refusal)
    assert ruled.field == "text"
    assert len(world.messages(number)) == 1


def test_who_asked_in_an_exchange_does_not_act_on_a_case_about_it(world: World) -> None:
    number = world.open(exchanges=(world.exchange("r.doe"),))
    for verb in (Verb.TAKE, Verb.COMMENT):
        ruled = world.act(number, verb, "r.doe", text="x")
        assert isinstance(ruled, Refusal)
        assert ruled.code == "case-own"
    later = world.open()
    assert world.act(later, Verb.TAKE, "r.doe") is State.WORKING
    assert world.act(later, Verb.COLLECT, evidence=(world.exchange("r.doe"),)) is State.WORKING
    ruled = world.act(later, Verb.RESOLVE, "r.doe", outcome="appropriate", text=REASON)
    assert isinstance(ruled, Refusal)
    assert ruled.code == "case-own"


def test_a_user_of_a_peer_is_nobody_of_ours_whatever_the_name(world: World) -> None:
    served = world.exchange("bob", Direction.RESPONDING)
    number = world.open(exchanges=(served,))
    assert world.act(number, Verb.TAKE, "bob") is State.WORKING


def test_evidence_is_what_the_log_has_and_each_exchange_once(world: World) -> None:
    first, second = world.exchange(), world.exchange()
    number = world.open(exchanges=(first, new_id(), first))
    assert world.act(number, Verb.COLLECT, evidence=(first, second)) is State.NEW
    ruled = world.act(number, Verb.COLLECT, evidence=(new_id(),))
    assert isinstance(ruled, Refusal)
    assert ruled.field == "evidence"
    with world.store.connect() as connection:
        held = set(connection.execute(select(EVIDENCE.c.exchange_id)).scalars())
        assert connection.execute(select(CASE.c.incidents)).scalar_one() == 2
    assert held == {first, second}


def test_a_question_lapses_when_its_time_is_over(world: World) -> None:
    number = world.open()
    world.act(number, Verb.TAKE)
    due = NOW + timedelta(days=1)
    world.act(number, Verb.ASK, whom="A manager", text="Why?", due=due)
    assert world.cases.lapse(now=due - timedelta(seconds=1)) == 0
    assert world.cases.lapse(now=due) == 1
    assert world.cases.lapse(now=due) == 0
    assert world.messages(number)[-1] == ("lapse", "node", "working", None)
    assert world.entries()[-1][0]["by"] == "node"


def test_review_items_go_with_their_case(world: World) -> None:
    found = [
        review.Found(source="reconciliation", kind="outcome", peer=PEER, window=None, seq=n)
        for n in range(3)
    ]
    review.open_items(world.store, found, now=NOW)
    number = world.open(kind="outcome", items=(1, 2, 99))
    again = world.cases.open(
        world.actor("bob"), Opening(kind="outcome", text="x", items=(1,)), now=NOW
    )
    assert isinstance(again, Refusal)
    assert [item.id for item in review.items(world.store)] == [1, 2, 3]
    assert [case_with(world.store, item) for item in (1, 2, 3)] == [number, number, None]
    world.act(number, Verb.DISMISS, outcome="technical-fault-peer", text=REASON)
    assert [item.id for item in review.items(world.store)] == [3]
    assert case_with(world.store, 1) is None
    (done, _) = review.items(world.store, state="resolved")
    assert (done.outcome, done.reason, done.who) == (
        "technical-fault-peer", f"Case {number}.", "ida",
    )  # fmt: skip
    world.act(number, Verb.REOPEN, "lea", text=REASON)
    assert len(review.items(world.store)) == 3
    with world.store.connect() as connection:
        row = connection.execute(select(CASE)).mappings().one()
        assert (row["peer"], row["incidents"], row["outcome"]) == (PEER, 2, None)


def test_a_case_that_is_merged_gives_what_it_holds_to_the_other(world: World) -> None:
    exchange = world.exchange("r.doe")
    one, other = world.open(exchanges=(exchange,)), world.open()
    target = Standing(number=other, state=State.CLOSED)  # what is given is read again
    assert world.act(one, Verb.MERGE, target=target) is State.MERGED
    assert world.messages(other)[-1] == ("collect", "ida", "new", None)
    standing = world.cases.standing(other)
    assert standing is not None
    assert standing.subjects == {world.cases.mark("r.doe")}
    with world.store.connect() as connection:
        held = connection.execute(select(EVIDENCE.c.case_id, EVIDENCE.c.exchange_id)).all()
        assert [tuple(row) for row in held] == [(1, exchange), (2, exchange)]
    gone = Standing(number="2026-9999", state=State.NEW)
    third = world.open()
    ruled = world.act(third, Verb.MERGE, target=gone)
    assert isinstance(ruled, Refusal)
    assert ruled.field == "target"


def test_nobody_merges_a_case_into_one_about_themselves(world: World) -> None:
    about, other = world.open(exchanges=(world.exchange("bob"),)), world.open()
    ruled = world.act(other, Verb.MERGE, "bob", target=Standing(number=about, state=State.NEW))
    assert isinstance(ruled, Refusal)
    assert (ruled.code, ruled.field) == ("case-own", "target")
    assert standing(world, other) == Standing(number=other, state=State.NEW)


def test_two_who_confirm_at_once_are_decided_about_one_after_the_other(world: World) -> None:
    number = world.open()
    world.act(number, Verb.TAKE)
    world.act(number, Verb.RESOLVE, outcome="appropriate", text=REASON)
    later = world.now + timedelta(minutes=1)

    def confirm(login: str) -> object:
        return world.cases.act(number, Verb.CONFIRM, world.actor(login), now=later)

    with ThreadPoolExecutor(4) as pool:
        ruled = list(pool.map(confirm, ["bob", "cid", "dan", "eve"]))
    assert sum(each is State.CLOSED for each in ruled) == 1
    assert len(world.messages(number)) == 7  # open, take, resolve, confirm, three refusals


def test_the_row_of_a_case_is_what_its_messages_say(world: World) -> None:
    number = world.open()
    world.act(number, Verb.TAKE)
    world.act(number, Verb.CONFIRM, "bob")  # refused
    world.act(number, Verb.RESOLVE, outcome="appropriate", text=REASON)
    world.act(number, Verb.SEND_BACK, "bob", text=REASON)
    standing = world.cases.standing(number)
    assert standing is not None
    accepted = [state for _, _, state, refusal in world.messages(number) if not refusal]
    assert standing.state.value == accepted[-1]
    assert (standing.assignee, standing.resolver, standing.outcome) == ("ida", None, None)


def test_numbers_begin_anew_each_year(world: World) -> None:
    assert [world.open(), world.open()] == ["2026-0001", "2026-0002"]
    world.now = datetime(2027, 1, 1, tzinfo=UTC)
    assert world.open() == "2027-0001"


def test_nothing_is_done_that_the_log_cannot_take(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = world.open()
    monkeypatch.setattr("node.governance.cases.write_fact", _full)
    with pytest.raises(OSError, match="full"):
        world.act(number, Verb.TAKE)
    assert standing(world, number) == Standing(number=number, state=State.NEW)
    assert len(world.messages(number)) == 1


def _full(*_args: object, **_more: object) -> None:
    raise OSError("full")


def test_a_snoozed_case_is_counted_apart_and_comes_back_by_itself_both_audited(
    world: World,
) -> None:
    number, other = world.open(), world.open()
    until = NOW + timedelta(days=2)
    assert world.act(number, Verb.SNOOZE, text=REASON, due=until) is State.NEW
    asleep = QueueFilter(snoozed=True)
    assert counted(world.store, QueueFilter(), now=NOW) == 1
    assert counted(world.store, asleep, now=NOW) == 1
    assert counted(world.store, QueueFilter(), now=until) == 2
    assert numbers_of(world.store, asleep, now=NOW, limit=9) == (number,)
    assert world.cases.lapse(now=until - timedelta(seconds=1)) == 0
    assert world.cases.lapse(now=until) == 1
    assert [(verb, who) for verb, who, _, _ in world.messages(number)][1:] == [
        ("snooze", "ida"), ("wake", "node"),
    ]  # fmt: skip
    found = find(world.store, LedgerFilter(kind="admin"), key=world.key, limit=9).entries
    assert {"case-snooze", "case-wake"} <= {each.fields["act"] for each in found}
    assert len(world.messages(other)) == 1


def test_a_snooze_ends_at_the_latest_when_the_case_is_due(world: World) -> None:
    number = world.open()
    due = world.cases.standing(number).due  # type: ignore[union-attr]
    late = world.act(number, Verb.SNOOZE, text=REASON, due=due + timedelta(days=1))  # type: ignore[operator]
    assert isinstance(late, Refusal)
    assert "snoozed until then at most" in late.sentence
    world.now = due + timedelta(days=1)  # type: ignore[operator]
    over = world.act(number, Verb.SNOOZE, text=REASON, due=world.now + timedelta(days=1))
    assert isinstance(over, Refusal)
    assert over.sentence == "The case is overdue; it is not snoozed."


def test_what_comes_into_a_snoozed_case_wakes_it_and_a_comment_does_not(world: World) -> None:
    number = world.open()
    world.act(number, Verb.SNOOZE, text=REASON, due=NOW + timedelta(days=2))
    world.act(number, Verb.COMMENT, text="They promised to answer.")
    assert counted(world.store, QueueFilter(snoozed=True), now=world.now) == 1
    world.act(number, Verb.COLLECT, evidence=(world.exchange(),))
    assert counted(world.store, QueueFilter(snoozed=True), now=world.now) == 0
