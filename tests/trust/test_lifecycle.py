"""Every pair of state and verb: either the table allows it or it is refused, and nothing leaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.errors import TrustError
from trust.lifecycle import (
    GONE,
    MAX_STEPS,
    MAX_VERSIONS,
    TRANSITIONS,
    IdentityRecord,
    State,
    Step,
    Verb,
    active,
    compromised_keys,
    next_version,
    read_history,
    replaced,
    settled,
    switched,
    used_keys,
    waiting,
    write_history,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PATH = (Verb.GENERATE, Verb.REQUEST, Verb.RECEIVE, Verb.VERIFY, Verb.ACTIVATE)


def record(state: State, version: int = 1, spki: str | None = None) -> IdentityRecord:
    return IdentityRecord(version=version, state=state, spki_sha256=spki)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", Verb)
def test_each_pair_of_state_and_verb_is_in_the_table_or_refused(state: State, verb: Verb) -> None:
    before = record(state)
    if verb in TRANSITIONS[state]:
        later = before.after(verb, now=NOW)
        assert later.state is TRANSITIONS[state][verb]
        assert later.steps == (Step(verb=verb, state=later.state, at=NOW),)
        assert later.since == NOW
    else:
        with pytest.raises(TrustError) as refused:
            before.after(verb, now=NOW)
        assert refused.value.code == "lifecycle-refused"
    assert before.state is state


def test_the_ordinary_life_runs_through_every_state_of_the_facts() -> None:
    life = [record(State.PLANNED)]
    for verb in (*PATH, Verb.SUPERSEDE, Verb.RETIRE):
        life.append(life[-1].after(verb, now=NOW))
    assert [each.state for each in life] == [
        State.PLANNED, State.KEY_GENERATED, State.CSR_ISSUED, State.STAGED, State.VERIFIED,
        State.ACTIVE, State.RETIRING, State.RETIRED,
    ]  # fmt: skip


def test_nothing_becomes_active_unverified_and_nothing_returns_from_the_dead() -> None:
    for state, verbs in TRANSITIONS.items():
        for verb, target in verbs.items():
            if target is State.ACTIVE and state is not State.ACTIVE and verb is not Verb.ADOPT:
                assert state in {State.VERIFIED, State.RETIRING}
            if state in GONE:
                assert target is State.COMPROMISED
    assert set(TRANSITIONS) == set(State)


@given(st.lists(st.tuples(st.sampled_from(Verb), st.integers(1, 4)), max_size=60))
def test_never_two_active_whatever_is_tried(tried: list[tuple[Verb, int]]) -> None:
    records = tuple(record(State.PLANNED, version) for version in range(1, 5))
    for verb, version in tried:
        try:
            if verb is Verb.ACTIVATE:
                records = switched(records, version, now=NOW)
            elif verb is not Verb.ADOPT:
                one = next(r for r in records if r.version == version)
                records = replaced(records, one.after(verb, now=NOW))
        except TrustError as refused:
            if refused.code != "lifecycle-refused":
                raise
        assert sum(each.state is State.ACTIVE for each in records) <= 1
        assert read_history(write_history(records)) == records


@given(st.lists(st.sampled_from(State), max_size=6), st.integers(0, 6))
def test_what_is_live_is_active_or_the_history_is_refused(states: list[State], live: int) -> None:
    one_active = [s for i, s in enumerate(states) if s is not State.ACTIVE or s not in states[:i]]
    records = tuple(record(state, number) for number, state in enumerate(one_active, 1))
    try:
        later = settled(records, live or None, now=NOW)
    except TrustError as refused:
        if refused.code not in {"lifecycle-refused", "version-unknown"}:
            raise
        return
    found = active(later)
    assert (found.version if found else 0) == live


def test_a_switch_supersedes_the_one_before_and_can_be_undone() -> None:
    first = (record(State.ACTIVE, 1), record(State.VERIFIED, 2))
    later = switched(first, 2, now=NOW)
    assert [each.state for each in later] == [State.RETIRING, State.ACTIVE]
    assert [each.state for each in switched(later, 1, now=NOW)] == [State.ACTIVE, State.RETIRING]


def test_a_switch_to_what_is_not_verified_or_not_there_is_refused() -> None:
    for records, code in (
        ((record(State.ACTIVE, 1), record(State.STAGED, 2)), "lifecycle-refused"),
        ((record(State.ACTIVE, 1),), "version-unknown"),
    ):
        with pytest.raises(TrustError) as refused:
            switched(records, 2, now=NOW)
        assert refused.value.code == code


def test_the_newest_waiting_version_is_the_one_to_go_on_with() -> None:
    records = (record(State.CSR_ISSUED, 1), record(State.ACTIVE, 2), record(State.STAGED, 3))
    found = waiting(records)
    assert found is not None
    assert found.version == 3
    assert waiting((record(State.RETIRED),)) is None


def test_a_key_that_was_used_before_is_not_new_again() -> None:
    records = (
        record(State.RETIRED, 1, "aa"),
        record(State.RETIRING, 2, "bb"),
        record(State.ACTIVE, 3, "cc"),
        record(State.COMPROMISED, 4, "dd"),
        record(State.CSR_ISSUED, 5, "ee"),
        record(State.PLANNED, 6),
    )
    assert used_keys(records) == {"aa", "bb", "cc", "dd"}
    assert compromised_keys(records) == {"dd"}


def test_the_key_in_use_is_renewed_only_when_that_was_asked_for() -> None:
    in_use = record(State.VERIFIED, 1, "aa").after(Verb.ACTIVATE, now=NOW)
    assert used_keys((in_use,)) == {"aa"}
    asked = in_use.after(Verb.REQUEST, now=NOW)
    assert used_keys((asked,)) == frozenset()
    retiring = asked.after(Verb.SUPERSEDE, now=NOW)
    assert used_keys((retiring,)) == {"aa"}


def test_the_number_of_versions_and_of_steps_is_bounded() -> None:
    assert next_version(()) == 1
    assert next_version((record(State.RETIRED, 7),)) == 8
    with pytest.raises(TrustError) as refused:
        next_version((record(State.RETIRED, MAX_VERSIONS),))
    assert refused.value.code == "versions-exhausted"
    one = record(State.CSR_ISSUED)
    for number in range(MAX_STEPS + 5):
        one = one.after(Verb.REQUEST, now=NOW + timedelta(days=number))
    assert len(one.steps) == MAX_STEPS
    assert one.since == NOW + timedelta(days=MAX_STEPS + 4)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b'{"versions": [1]}', b'{"versions": [{"version": 1}]}',
        write_history((record(State.ACTIVE, 1), record(State.ACTIVE, 2))),
        write_history((record(State.RETIRED, 2), record(State.RETIRED, 1))),
        write_history((record(State.RETIRED, 1),)).replace(b"retired", b"asleep"),
        b" " * (16 * 1024 * 1024 + 1),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_history_that_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(TrustError) as refused:
        read_history(data)
    assert refused.value.code == "identity-history-invalid"
