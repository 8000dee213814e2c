"""Sessions: idle and absolute ends, stages, what the database holds (facts: governance-ux 10)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from node.users.sessions import Stage, form_holds
from node.users.tables import SESSION
from tests.users.conftest import PASSWORD, World


@pytest.fixture
def token(world: World) -> str:
    world.users.add("m.itoya", "M. Itoya", ("reviewer",), PASSWORD)
    return world.sessions.begin("m.itoya", Stage.WHOLE)


def test_a_session_is_found_by_its_token_alone(world: World, token: str) -> None:
    found = world.sessions.find(token)
    assert found is not None
    assert found.user.login == "m.itoya"
    for wrong in ("", token[:-1], token + "x", "é"):
        assert world.sessions.find(wrong) is None


def test_the_database_does_not_hold_the_token(world: World, token: str) -> None:
    with world.sessions._engine.connect() as connection:
        rows = connection.execute(select(SESSION)).all()
    assert token not in repr(rows)


def test_it_ends_after_fifteen_idle_minutes(world: World, token: str) -> None:
    world.clock.pass_by(minutes=14)
    assert world.sessions.find(token) is not None
    world.clock.pass_by(minutes=14)
    assert world.sessions.find(token) is not None  # a request kept it
    world.clock.pass_by(minutes=15)
    assert world.sessions.find(token) is None
    world.clock.pass_by(minutes=-15)
    assert world.sessions.find(token) is None  # and it does not come back


def test_it_ends_after_twelve_hours_whatever_is_done(world: World, token: str) -> None:
    for _ in range(71):
        world.clock.pass_by(minutes=10)
        assert world.sessions.find(token) is not None
    world.clock.pass_by(minutes=10)
    assert world.sessions.find(token) is None


def test_it_ends_when_the_person_is_locked_or_gets_other_roles(world: World, token: str) -> None:
    world.users.change_roles("m.itoya", ("auditor",))
    assert world.sessions.find(token) is None
    again = world.sessions.begin("m.itoya", Stage.WHOLE)
    world.users.set_active("m.itoya", active=False)
    assert world.sessions.find(again) is None


def test_the_next_stage_has_another_token(world: World) -> None:
    world.users.add("m.itoya", "M. Itoya", ("reviewer",), PASSWORD)
    first = world.sessions.begin("m.itoya", Stage.CODE)
    session = world.sessions.find(first)
    assert session is not None
    second = world.sessions.advance(session, Stage.WHOLE)
    assert world.sessions.find(first) is None
    found = world.sessions.find(second)
    assert found is not None
    assert found.stage is Stage.WHOLE


def test_a_step_up_counts_for_five_minutes(world: World, token: str) -> None:
    world.clock.pass_by(minutes=6)
    found = world.sessions.find(token)
    assert found is not None
    assert not found.proved
    world.sessions.prove(found)
    world.clock.pass_by(minutes=4)
    later = world.sessions.find(token)
    assert later is not None
    assert later.proved


def test_a_form_of_another_session_does_not_hold(world: World, token: str) -> None:
    found = world.sessions.find(token)
    assert found is not None
    assert form_holds(found, found.form)
    assert not form_holds(found, "")
    other = world.sessions.find(world.sessions.begin("m.itoya", Stage.WHOLE))
    assert other is not None
    assert not form_holds(found, other.form)
