"""Breaking the glass: the case that opens by itself, the grant, and what the log says (5.11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog
from sqlalchemy import Engine, select

from node.governance.access.break_glass import BreakGlass, Breaking, GlassRules, glass_reasons
from node.governance.access.grants import Grant
from node.governance.access.patient_marks import AskedPatient
from node.governance.access.tables import GRANT
from node.governance.case_model import Person, Refusal, Verb
from node.governance.case_reading import read_file
from node.governance.cases import Actor, Cases
from node.ledger.trust_change import Author
from node.policy.relationship import Clinician
from node.storage.case_tables import CASE, EVIDENCE
from tests.access_world import JANE, NOW, OTHER, OWN, AccessWorld, person
from tests.ledger.records import new_id

STRANGER = Clinician()


class World(AccessWorld):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.cases = Cases(self.store, self.key, own=OWN)
        rules = GlassRules(lasts=timedelta(hours=2), review_days=2)
        self.glass = BreakGlass(self.cases, self.grants, self.key, rules)

    def actor(self, login: str) -> Actor:
        mark = self.cases.mark(login)
        who = Person(login=login, rights=frozenset({"review", "lead"}), mark=mark)
        return Actor(person=who, author=Author(by="user", who={"user_id": login}))

    def break_it(self, now: datetime = NOW, **more) -> Grant | Refusal:
        asked = {
            "login": "ida",
            "name": "Ida Sample",
            "author": Author(by="user", who={"user_id": "ida"}),
            "patient": AskedPatient(identifiers=(JANE,), person=person()),
            "token": "ab" * 16,
            "exchange_id": new_id(),
            "reason": "emergency",
            "text": "",
        }
        return self.glass.give(Breaking(**(asked | more)), now=now)


@pytest.fixture
def world(store: Engine) -> World:
    return World(store)


def test_a_grant_opens_the_patient_for_two_hours_and_a_case_is_opened(world: World) -> None:
    with structlog.testing.capture_logs() as logs:
        grant = world.break_it()
    assert isinstance(grant, Grant)
    assert grant.until == NOW + timedelta(hours=2)
    assert world.access(JANE, clinician=STRANGER).grant == grant
    assert not world.access(OTHER, clinician=STRANGER).allowed
    assert [leaf["act"] for leaf, _ in world.entries()] == ["case-open", "glass-break"]
    assert logs == [{
        "event": "access.glass-broken", "reason": "emergency", "where": f"case {grant.case}",
        "log_level": "warning",
    }]  # fmt: skip


def test_the_case_is_due_in_two_working_days_and_says_who_and_why(world: World) -> None:
    friday = datetime(2026, 11, 27, 16, 0, tzinfo=UTC)
    grant = world.break_it(friday, reason="other", text="The ambulance brought a twin.")
    assert isinstance(grant, Grant)
    with world.store.connect() as connection:
        (row,) = connection.execute(select(CASE)).all()
        evidence = connection.execute(select(EVIDENCE.c.exchange_id)).scalars().all()
    assert row.kind == "break-glass"
    assert datetime.fromtimestamp(row.due / 1000, UTC) == friday + timedelta(days=4)
    assert len(evidence) == 1
    found = read_file(world.store, world.key, grant.case)
    assert found is not None
    text = found.messages[0].words("text")
    assert "Ida Sample (ida) broke the glass: Something else." in text
    assert "The ambulance brought a twin." in text


def test_who_broke_the_glass_does_not_review_it(world: World) -> None:
    grant = world.break_it()
    assert isinstance(grant, Grant)
    own = world.cases.act(grant.case, Verb.TAKE, world.actor("ida"), now=NOW)
    assert isinstance(own, Refusal)
    assert own.code == "case-own"
    assert world.cases.act(grant.case, Verb.TAKE, world.actor("rob"), now=NOW) == "working"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": "curiosity"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "other"}, "text"),
        ({"reason": "other", "text": "   "}, "text"),
        ({"text": "x" * 1001}, "text"),
        ({"patient": AskedPatient(person=person(born="1961"))}, None),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_given(
    world: World, given: dict[str, object], field: str | None
) -> None:
    refused = world.break_it(**given)
    assert isinstance(refused, Refusal)
    assert refused.field == field
    assert world.entries() == []
    with world.store.connect() as connection:
        assert connection.execute(select(GRANT)).all() == []


def test_leaves_say_nothing_of_the_patient_and_the_private_part_finds_them(world: World) -> None:
    world.break_it(text="Canaryson 1961 came by helicopter")
    for leaf, groups in world.entries():
        assert "anaryson" not in str(leaf)
        if leaf["act"] == "glass-break":
            assert groups["wire"]["patient"] == f"~{'ab' * 16}"  # type: ignore[index]


def test_breaking_it_again_is_another_grant_and_another_case(world: World) -> None:
    one, two = world.break_it(), world.break_it(NOW + timedelta(minutes=30))
    assert isinstance(one, Grant)
    assert isinstance(two, Grant)
    assert one.case != two.case
    found = world.access(JANE, clinician=STRANGER, now=NOW + timedelta(minutes=31)).grant
    assert found == two
    assert world.grants.count_since(NOW) == 2


def test_the_reasons_are_those_of_the_facts() -> None:
    assert list(glass_reasons()) == ["emergency", "unconscious", "consult", "other"]
