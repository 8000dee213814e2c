"""The staleness policy as a table (facts pki B3.3 rule 4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.network_world import BEGIN, NetworkWorld
from trust.network_list.staleness import Level, level_at, standing

HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("late", "level"),
    [
        (-HOUR, Level.FRESH),
        (-MOMENT, Level.FRESH),
        (0 * HOUR, Level.WARN),
        (24 * HOUR, Level.WARN),
        (24 * HOUR + MOMENT, Level.DEGRADED),
        (7 * 24 * HOUR, Level.DEGRADED),
        (7 * 24 * HOUR + MOMENT, Level.REFUSED),
        (1000 * 24 * HOUR, Level.REFUSED),
    ],
)
def test_the_ladder(late, level):
    assert level_at(BEGIN, BEGIN + late) is level


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    world = NetworkWorld(tmp_path_factory.mktemp("network"))
    world.publish()
    return world.joined().applied()


@pytest.mark.parametrize(
    ("late", "exchange", "changes"),
    [(-HOUR, True, True), (HOUR, True, True), (25 * HOUR, True, False), (169 * HOUR, False, False)],
)
def test_what_a_level_allows(listed, late, exchange, changes):
    found = standing(listed, listed.expires["timestamp"] + late)
    assert (found.allows_exchange, found.allows_changes) == (exchange, changes)
    assert (found.reason_code is None) == (found.level is Level.FRESH)


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_the_role_that_expires_first_decides(listed, role):
    later = dict.fromkeys(listed.expires, BEGIN + timedelta(days=900))
    found = standing(replace(listed, expires=later | {role: BEGIN}), BEGIN + HOUR)
    assert found.level is Level.WARN
    assert role in found.sentence


def test_a_clock_within_the_allowed_skew_is_no_matter(listed):
    assert standing(listed, BEGIN - timedelta(seconds=300)).level is Level.FRESH
    assert standing(listed, BEGIN - timedelta(seconds=301)).reason_code == "network-clock-behind"
