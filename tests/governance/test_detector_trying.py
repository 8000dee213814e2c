"""No detector is switched on that was not tried lately; how wrong it was (governance-ux 5.12)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from node.errors import OurFault
from node.governance.detectors.catalogue import State, tried_within
from node.governance.detectors.scoreboard import Score, wilson
from node.governance.detectors.store import settings
from tests.governance.detector_world import LEA, WHY, World


@pytest.fixture
def world(store: Engine) -> World:
    return World(store)


def switch_on(world: World, code: str = "D14", **limits: float) -> State:
    setting = world.parts.detectors.set(
        code, LEA, login="lea", state=State.ON, limits=limits, reason=WHY, now=world.now
    )
    return setting.state


def refused(world: World, code: str = "D14", **limits: float) -> None:
    with pytest.raises(OurFault) as caught:
        switch_on(world, code, **limits)
    assert caught.value.code == "detector-untried"
    assert settings(world.store)[code].state is not State.ON


def test_a_detector_is_switched_on_only_after_a_try_with_the_same_limits(world: World) -> None:
    refused(world)
    world.tried("D14")
    refused(world, run=30)
    refused(world, "D13")
    world.tried("D14", run=30)
    assert switch_on(world, run=30) is State.ON


def test_an_old_try_counts_for_nothing(world: World) -> None:
    world.tried("D14")
    began = world.now
    world.now = began + tried_within() + timedelta(minutes=1)
    refused(world)
    world.now = began + tried_within() - timedelta(minutes=1)
    assert switch_on(world) is State.ON


def test_what_is_on_stays_on_and_what_cannot_be_tried_needs_no_try(world: World) -> None:
    assert switch_on(world, "D07") is State.ON
    world.tried("D14")
    switch_on(world)
    world.now += 2 * tried_within()
    assert switch_on(world, asked=30) is State.ON


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # published values of the Wilson score interval at 95 %
    [(0, 10, 0.0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1.0), (81, 263, 0.255, 0.366)],
)
def test_the_interval_is_wilson_s(part: int, whole: int, low: float, high: float) -> None:
    assert wilson(part, whole) == pytest.approx((low, high), abs=0.001)


def test_the_share_that_was_nothing_has_its_interval(world: World) -> None:
    setting = settings(world.store)["D14"]
    assert Score(setting=setting).wrong is None
    score = Score(setting=setting, confirmed=5, dismissed=5)
    assert score.wrong == pytest.approx((0.237, 0.763), abs=0.001)
