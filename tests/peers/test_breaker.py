"""The circuit breaker's state table, every (state, verb) pair."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.peers.breaker import (
    Breaker,
    BreakerRules,
    Breakers,
    State,
    admit,
    failed,
    released,
    succeeded,
)

RULES = BreakerRules(threshold=3, pause=10, longest_pause=40, probe=60)
CLOSED = Breaker(failures=1)
OPEN = Breaker(state=State.OPEN, failures=3, pause=10, until=110)
PROBING = Breaker(state=State.HALF_OPEN, failures=3, pause=10, until=200)


@pytest.mark.parametrize(
    ("before", "now", "admitted", "after"),
    [
        (CLOSED, 100, True, State.CLOSED),
        (OPEN, 109, False, State.OPEN),
        (OPEN, 110, True, State.HALF_OPEN),
        (PROBING, 150, False, State.HALF_OPEN),
        (PROBING, 200, True, State.HALF_OPEN),
    ],
)
def test_admit(before, now, admitted, after):
    breaker, answer = admit(before, RULES, now)
    assert (breaker.state, answer) == (after, admitted)


@pytest.mark.parametrize("before", [CLOSED, OPEN, PROBING])
def test_an_answer_closes(before):
    assert succeeded(before) == Breaker()


def test_failures_open_at_the_threshold():
    breaker = Breaker()
    for count in (1, 2):
        breaker = failed(breaker, RULES, 100)
        assert (breaker.state, breaker.failures) == (State.CLOSED, count)
    breaker = failed(breaker, RULES, 100)
    assert (breaker.state, breaker.until) == (State.OPEN, 110)


def test_a_failed_probe_doubles_the_pause_up_to_the_longest():
    breaker, pauses = OPEN, []
    for _ in range(4):
        breaker, _ = admit(breaker, RULES, breaker.until)
        breaker = failed(breaker, RULES, breaker.until)
        pauses.append(breaker.pause)
    assert pauses == [20, 40, 40, 40]


def test_a_late_failure_does_not_prolong_the_pause():
    assert failed(OPEN, RULES, 105).until == OPEN.until


def test_a_cancelled_probe_may_be_repeated_at_once():
    breaker = released(PROBING, 120)
    assert admit(breaker, RULES, 120)[1]
    assert released(CLOSED, 120) == CLOSED
    assert released(OPEN, 120) == OPEN


@given(st.lists(st.sampled_from(["admit", "ok", "bad", "drop"]), max_size=60))
def test_an_open_circuit_always_opens_again_one_day(verbs):
    breakers, now = Breakers(RULES), 0.0
    for verb in verbs:
        now += 1
        match verb:
            case "admit":
                breakers.admit("p", now)
            case "ok":
                breakers.succeeded("p")
            case "bad":
                breakers.failed("p", now)
            case "drop":
                breakers.released("p", now)
    assert breakers.admit("p", now + max(RULES.longest_pause, RULES.probe))


def test_peers_do_not_share_a_circuit_and_are_forgotten_in_order():
    breakers = Breakers(BreakerRules(threshold=1), most=2)
    for peer in ("a", "b", "c"):
        breakers.failed(peer, 0)
    assert breakers.state("a") is State.CLOSED
    assert breakers.state("b") is breakers.state("c") is State.OPEN
    assert breakers.admit("d", 0)
