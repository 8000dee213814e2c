"""Every row of the table of states, and every pair that it does not have (governance-ux 6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from node.governance.case_model import (
    NODE,
    OPEN_STATES,
    Given,
    Person,
    Refusal,
    Standing,
    State,
    Verb,
    actions,
    outcomes,
    table,
)
from node.governance.case_rules import barred, decide, sampled
from node.ledger import leaf, review

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
ITOYA = Person(login="m.itoya", rights=frozenset({"review"}), mark="aa")
ARNBECK = Person(login="t.arnbeck", rights=frozenset({"review"}), mark="bb")
LEAD = Person(login="lead", rights=frozenset({"review", "lead"}), mark="cc")
AUDITOR = Person(login="auditor", rights=frozenset({"cases"}), mark="dd")
CLOCK = Person(login=NODE)
OTHER = Standing(number="2026-0002", state=State.NEW)
REASON = "They were not on the roster that day."
FULL = Given(
    text=REASON, outcome="appropriate", assignee=ARNBECK, whom="Manager of registration",
    due=NOW + timedelta(days=3), target=OTHER, evidence=("0190",),
)  # fmt: skip

# the facts' table 6.1 in its own order, then what stands beside it; the test below holds the data
# file to it
ROWS = {
    (None, Verb.OPEN): State.NEW,
    (State.NEW, Verb.TAKE): State.WORKING,
    (State.NEW, Verb.ASSIGN): State.WORKING,
    (State.NEW, Verb.MERGE): State.MERGED,
    (State.WORKING, Verb.MERGE): State.MERGED,
    (State.WORKING, Verb.ASK): State.WAITING,
    (State.WAITING, Verb.ANSWER): State.WORKING,
    (State.WAITING, Verb.LAPSE): State.WORKING,
    (State.WORKING, Verb.RESOLVE): State.RESOLVED,
    (State.RESOLVED, Verb.CONFIRM): State.CLOSED,
    (State.RESOLVED, Verb.SEND_BACK): State.WORKING,
    (State.NEW, Verb.DISMISS): State.CLOSED,
    (State.WORKING, Verb.DISMISS): State.CLOSED,
    (State.CLOSED, Verb.REOPEN): State.WORKING,
    (State.WORKING, Verb.HAND_OVER): State.WORKING,
    **{(state, Verb.SNOOZE): state for state in (State.NEW, State.WORKING)},
    **{(state, Verb.COMMENT): state for state in OPEN_STATES},
    **{(state, Verb.COLLECT): state for state in OPEN_STATES[:3]},
}
PAIRS = list(product((None, *State), Verb))


def case(state: State | None, **changes) -> Standing | None:
    """A case of m.itoya's as it stands in a state."""
    if state is None:
        return None
    made = Standing(number="2026-0001", state=state)
    if state is not State.NEW:
        made = replace(made, assignee="m.itoya")
    if state in (State.RESOLVED, State.CLOSED):
        made = replace(made, resolver="m.itoya", outcome="appropriate", resolved=NOW)
    return replace(made, **changes)


def right_person(verb: Verb) -> Person:
    """Who may do a verb to a case of m.itoya's."""
    if verb is Verb.LAPSE:
        return CLOCK
    return ITOYA if verb is Verb.RESOLVE else LEAD


@pytest.mark.parametrize(("state", "verb"), PAIRS)
def test_the_table_has_these_transitions_and_no_others(state: State | None, verb: Verb) -> None:
    ruled = decide(case(state), verb, right_person(verb), FULL, now=NOW)
    if (state, verb) in ROWS:
        assert ruled is ROWS[state, verb]
    else:
        assert isinstance(ruled, Refusal)
        assert ruled.code == "case-state"
        assert ruled.sentence.endswith(".")


@pytest.mark.parametrize(("state", "verb"), sorted(ROWS, key=str))
def test_who_only_reads_cases_does_nothing_to_them(state: State | None, verb: Verb) -> None:
    ruled = decide(case(state), verb, AUDITOR, FULL, now=NOW)
    assert isinstance(ruled, Refusal)
    assert ruled.code == ("case-clock" if verb is Verb.LAPSE else "right-missing")


@pytest.mark.parametrize(("state", "verb"), sorted(ROWS, key=str))
def test_nobody_acts_on_a_case_about_themselves(state: State | None, verb: Verb) -> None:
    if state is None or verb is Verb.LAPSE:
        return  # there is no case yet; the clock is nobody
    actor = right_person(verb)
    ruled = decide(case(state, subjects=frozenset({actor.mark})), verb, actor, FULL, now=NOW)
    assert isinstance(ruled, Refusal)
    assert ruled.code == "case-own"


@pytest.mark.parametrize(("state", "verb"), sorted(ROWS, key=str))
def test_the_node_itself_opens_collects_and_lets_lapse_and_no_more(
    state: State | None, verb: Verb
) -> None:
    ruled = decide(case(state), verb, CLOCK, FULL, now=NOW)
    if verb in (Verb.OPEN, Verb.COLLECT, Verb.LAPSE):
        assert ruled is ROWS[state, verb]
    else:
        assert ruled == Refusal(code="case-person", sentence="A person has to do this.")


LEADS = {Verb.REOPEN, Verb.HAND_OVER}


@pytest.mark.parametrize(("state", "verb"), sorted(ROWS, key=str))
def test_a_reviewer_does_all_but_what_is_a_leads(state: State | None, verb: Verb) -> None:
    if verb is Verb.LAPSE:
        return
    actor = ITOYA if verb is Verb.RESOLVE else ARNBECK
    given = replace(FULL, assignee=ITOYA if state is State.NEW else LEAD)
    ruled = decide(case(state), verb, actor, given, now=NOW)
    if verb in LEADS:
        assert ruled == Refusal(code="right-missing", sentence="A lead does this.")
    else:
        assert ruled is ROWS[state, verb]


def test_only_who_has_the_case_resolves_it() -> None:
    ruled = decide(case(State.WORKING), Verb.RESOLVE, LEAD, FULL, now=NOW)
    assert isinstance(ruled, Refusal)
    assert ruled.sentence == "Only who has the case does this; m.itoya has it."


# --- the second person ---------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [Verb.CONFIRM, Verb.SEND_BACK])
def test_who_resolved_is_no_second_person(verb: Verb) -> None:
    for outcome in outcomes():
        resolved = case(State.RESOLVED, outcome=outcome, resolver="lead")
        ruled = decide(resolved, verb, LEAD, FULL, now=NOW)
        assert isinstance(ruled, Refusal)
        assert ruled.code == "case-same-person"


@pytest.mark.parametrize("outcome", sorted(outcomes()))
def test_a_finding_is_confirmed_by_a_lead_and_anything_else_by_a_second_reviewer(
    outcome: str,
) -> None:
    resolved = case(State.RESOLVED, outcome=outcome)
    assert decide(resolved, Verb.CONFIRM, LEAD, now=NOW) is State.CLOSED
    ruled = decide(resolved, Verb.CONFIRM, ARNBECK, now=NOW)
    if outcome in ("confirmed-inappropriate", "peer-misuse-confirmed"):
        assert isinstance(ruled, Refusal)
        assert ruled.code == "case-needs-lead"
    else:
        assert ruled is State.CLOSED


def test_a_request_to_confirm_a_finding_expires_after_72_hours() -> None:
    grave = case(State.RESOLVED, outcome="peer-misuse-confirmed")
    short = NOW + timedelta(hours=72) - timedelta(seconds=1)
    assert decide(grave, Verb.CONFIRM, LEAD, now=short) is State.CLOSED
    ruled = decide(grave, Verb.CONFIRM, LEAD, now=NOW + timedelta(hours=72))
    assert isinstance(ruled, Refusal)
    assert ruled.code == "case-expired"
    later = NOW + timedelta(days=30)
    assert decide(grave, Verb.SEND_BACK, LEAD, FULL, now=later) is State.WORKING
    assert decide(case(State.RESOLVED), Verb.CONFIRM, ARNBECK, now=later) is State.CLOSED


# --- what has to come with a verb ----------------------------------------------------------------

WRONG = [
    (None, Verb.OPEN, {"text": "  "}, "text"),
    (State.NEW, Verb.ASSIGN, {"assignee": None}, "assignee"),
    (State.NEW, Verb.ASSIGN, {"assignee": AUDITOR}, "assignee"),
    (State.WORKING, Verb.HAND_OVER, {"assignee": ITOYA}, "assignee"),
    (State.WORKING, Verb.MERGE, {"target": None}, "target"),
    (State.WORKING, Verb.MERGE, {"target": case(State.NEW)}, "target"),
    (State.WORKING, Verb.MERGE, {"target": replace(OTHER, state=State.CLOSED)}, "target"),
    (State.WORKING, Verb.MERGE, {"target": replace(OTHER, state=State.MERGED)}, "target"),
    (State.WORKING, Verb.ASK, {"whom": " "}, "whom"),
    (State.WORKING, Verb.ASK, {"text": ""}, "text"),
    (State.WORKING, Verb.ASK, {"due": None}, "due"),
    (State.WORKING, Verb.ASK, {"due": NOW}, "due"),
    (State.WORKING, Verb.ASK, {"due": NOW + timedelta(days=400)}, "due"),
    (State.WAITING, Verb.ANSWER, {"text": ""}, "text"),
    (State.WORKING, Verb.RESOLVE, {"outcome": None}, "outcome"),
    (State.WORKING, Verb.RESOLVE, {"outcome": "whatever"}, "outcome"),
    (State.WORKING, Verb.RESOLVE, {"text": "Not on the roster"}, "text"),
    (State.WORKING, Verb.RESOLVE, {"actions": ("dance",)}, "actions"),
    (State.RESOLVED, Verb.SEND_BACK, {"text": "no"}, "text"),
    (State.NEW, Verb.DISMISS, {"outcome": None}, "outcome"),
    (State.NEW, Verb.DISMISS, {"outcome": "confirmed-inappropriate"}, "outcome"),
    (State.NEW, Verb.DISMISS, {"text": "x" * 19}, "text"),
    (State.CLOSED, Verb.REOPEN, {"text": ""}, "text"),
    (State.NEW, Verb.COMMENT, {"text": "\n"}, "text"),
    (State.NEW, Verb.COMMENT, {"text": "x" * 4001}, "text"),
    (State.NEW, Verb.SNOOZE, {"text": "later"}, "text"),
    (State.NEW, Verb.SNOOZE, {"due": None}, "due"),
    (State.NEW, Verb.SNOOZE, {"due": NOW}, "due"),
    (State.NEW, Verb.COLLECT, {"evidence": ()}, "evidence"),
]


@pytest.mark.parametrize(("state", "verb", "change", "field"), WRONG)
def test_what_is_missing_is_named_with_its_field(
    state: State | None, verb: Verb, change: dict[str, object], field: str
) -> None:
    given = replace(FULL, **change)  # type: ignore[arg-type]
    ruled = decide(case(state), verb, right_person(verb), given, now=NOW)
    assert isinstance(ruled, Refusal)
    assert (ruled.code, ruled.field) == ("case-incomplete", field)


def test_every_need_of_the_table_has_such_a_case() -> None:
    needed = {(verb, need) for verb, row in table().items() for need in row.needs}
    names = {"reason": "text", "dismissal": "outcome", "snooze": "due"}
    tried = {(verb, field) for _, verb, _, field in WRONG}
    assert {(verb, names.get(need, need)) for verb, need in needed} <= tried


def test_a_case_is_not_given_to_who_it_is_about() -> None:
    about = case(State.NEW, subjects=frozenset({ARNBECK.mark}))
    ruled = decide(about, Verb.ASSIGN, LEAD, FULL, now=NOW)
    assert isinstance(ruled, Refusal)
    assert ruled.sentence == "The case is about this person."


# --- the tables ----------------------------------------------------------------------------------


def test_what_bars_a_person_is_known_before_the_form_is_filled_in() -> None:
    assert barred(case(State.WORKING), Verb.RESOLVE, ITOYA, now=NOW) is None
    assert barred(case(State.WORKING), Verb.CONFIRM, LEAD, now=NOW) is not None


def test_the_outcomes_are_those_of_reviews_and_each_says_what_it_counts_for() -> None:
    assert set(outcomes()) == set(review.outcomes())
    assert {row.counts for row in outcomes().values()} == {"hit", "miss", "neither"}
    for code, row in outcomes().items():
        assert leaf.fits("reason", code)
        assert not (row.two and row.dismissal)


def test_codes_of_verbs_and_actions_have_the_form_of_a_leafs_field() -> None:
    assert set(table()) == set(Verb)
    for code in (*(verb.value for verb in Verb), *actions()):
        assert leaf.fits("setting", code.replace("-", "_"))


def test_one_dismissed_case_in_twenty_is_looked_at_again() -> None:
    chosen = sum(sampled(f"2026-{number:04}") for number in range(10_000))
    assert 400 < chosen < 600
    assert sampled("2026-0001") == sampled("2026-0001")
