"""The rules of a case: who may do what to it, when, and where that leads. Pure.

``decide`` answers one verb of one person: the new state, or a refusal with the sentence that the
person reads. A refusal is a value: it is written down like what was done.

Nobody acts on a case about themselves. Who confirms is never who resolved. A finding against
somebody is confirmed by a lead, within 72 hours; after that it goes back and is resolved anew
(facts: governance-ux 6.1, 6.3).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from node.governance.case_model import (
    LEAD,
    NODE,
    OPEN_STATES,
    REVIEW,
    Given,
    Person,
    Refusal,
    Row,
    Standing,
    State,
    Verb,
    actions,
    outcomes,
    table,
)

REASON_LENGTH: Final = 20
"""Characters that a reason has at least (facts: governance-ux 5.4)."""

TEXT_LIMIT: Final = 4000
LONGEST_DUE: Final = timedelta(days=366)
_SAMPLE: Final = 20

NOTHING: Final = Given()


def decide(
    case: Standing | None, verb: Verb, actor: Person, given: Given = NOTHING, *, now: datetime
) -> State | Refusal:
    """The state that a verb leads to, or why it is refused.

    Args:
        case: the case, ``None`` before there is one.
        verb: what is to be done.
        actor: who does it.
        given: what comes with it.
        now: the current time.
    """
    refused = barred(case, verb, actor, now=now) or _lacking(case, verb, given, now=now)
    if refused is not None:
        return refused
    return table()[verb].to or (case.state if case is not None else State.NEW)


def barred(case: Standing | None, verb: Verb, actor: Person, *, now: datetime) -> Refusal | None:
    """Why a person may not do something to a case now, whatever comes with it."""
    row = table()[verb]
    state = case.state if case is not None else None
    awake = verb is Verb.WAKE and case is not None and case.snoozed is None
    if state not in row.sources or awake:
        return Refusal(code="case-state", sentence=_wrong_state(row, state, awake=awake))
    if actor.login == NODE:
        return None if NODE in row.who else _NOT_A_PERSON
    if row.who == (NODE,):
        return Refusal(code="case-clock", sentence="The clock does this; nobody else can.")
    if case is not None and actor.mark in case.subjects:
        return _OWN_CASE
    right = LEAD if row.who == ("lead",) else REVIEW
    if right not in actor.rights:
        return _RIGHTS[right]
    return _not_the_one(case, verb, row, actor, now) if case is not None else None


def _not_the_one(
    case: Standing, verb: Verb, row: Row, actor: Person, now: datetime
) -> Refusal | None:
    if "assignee" in row.who and actor.login != case.assignee:
        whose = f"{case.assignee} has it" if case.assignee else "nobody has it"
        return Refusal(code="case-not-yours", sentence=f"Only who has the case does this; {whose}.")
    return _no_second(case, verb, actor, now) if "second" in row.who else None


def _no_second(case: Standing, verb: Verb, actor: Person, now: datetime) -> Refusal | None:
    """Why somebody is not the second person that a resolved case needs."""
    if actor.login == case.resolver:
        return Refusal(
            code="case-same-person",
            sentence="You resolved this case yourself; a second person has to look at it.",
        )
    if verb is not Verb.CONFIRM:
        return None
    if case.needs_lead and LEAD not in actor.rights:
        return Refusal(
            code="case-needs-lead", sentence="This outcome is a finding: a lead confirms it."
        )
    if case.confirm_until is not None and now >= case.confirm_until:
        return Refusal(
            code="case-expired",
            sentence="It was resolved more than 72 hours ago, and the request has expired."
            " Send it back, and have it resolved again.",
        )
    return None


def _lacking(case: Standing | None, verb: Verb, given: Given, *, now: datetime) -> Refusal | None:
    """What has to come with a verb and does not."""
    for need in table()[verb].needs:
        if (refused := _CHECKS[need](case, given, now)) is not None:
            return refused
    if len(given.text) > TEXT_LIMIT:
        return _incomplete("text", f"A text has at most {TEXT_LIMIT:,} characters.")
    if set(given.actions) - actions().keys():
        return _incomplete("actions", "There is no such action.")
    return None


def _text(_case: Standing | None, given: Given, _now: datetime) -> Refusal | None:
    return None if given.text.strip() else _incomplete("text", "Write what this is about.")


def _reason(_case: Standing | None, given: Given, _now: datetime) -> Refusal | None:
    length = len(given.text.strip())
    if length >= REASON_LENGTH:
        return None
    return _incomplete("text", f"Write at least {REASON_LENGTH} characters; this has {length}.")


def _outcome(_case: Standing | None, given: Given, _now: datetime) -> Refusal | None:
    return None if given.outcome in outcomes() else _incomplete("outcome", "Choose an outcome.")


def _dismissal(_case: Standing | None, given: Given, _now: datetime) -> Refusal | None:
    row = outcomes().get(given.outcome or "")
    if row is not None and row.dismissal:
        return None
    return _incomplete("outcome", "A case is not dismissed with this outcome; resolve it.")


def _assignee(case: Standing | None, given: Given, _now: datetime) -> Refusal | None:
    person = given.assignee
    if person is None or REVIEW not in person.rights:
        return _incomplete("assignee", "Choose somebody who reviews.")
    if case is not None and person.mark in case.subjects:
        return _incomplete("assignee", "The case is about this person.")
    if case is not None and person.login == case.assignee:
        return _incomplete("assignee", "This person has the case already.")
    return None


def _target(case: Standing | None, given: Given, _now: datetime) -> Refusal | None:
    target = given.target
    if target is None:
        return _incomplete("target", "There is no case with this number.")
    if case is not None and target.number == case.number:
        return _incomplete("target", "A case is not merged into itself.")
    if target.state not in OPEN_STATES:
        return _incomplete("target", f"Case {target.number} is not open any more.")
    return None


def _whom(_case: Standing | None, given: Given, _now: datetime) -> Refusal | None:
    return None if given.whom.strip() else _incomplete("whom", "Say whom you ask.")


def _due(_case: Standing | None, given: Given, now: datetime) -> Refusal | None:
    if given.due is None or not now < given.due <= now + LONGEST_DUE:
        return _incomplete("due", "Choose a day that is to come, within a year.")
    return None


def _snooze(case: Standing | None, given: Given, now: datetime) -> Refusal | None:
    """The day of a snooze: to come, and no later than the case is due, so that it hides nothing."""
    if given.due is None or given.due <= now:
        return _incomplete("due", "Choose a day that is to come.")
    if case is None or case.due is None or given.due <= case.due:
        return None
    if case.due <= now:
        return _incomplete("due", "The case is overdue; it is not snoozed.")
    return _incomplete(
        "due", f"The case is due on {case.due:%-d %B %Y}; it is snoozed until then at most."
    )


def _evidence(_case: Standing | None, given: Given, _now: datetime) -> Refusal | None:
    if given.evidence:
        return None
    return _incomplete("evidence", "There is no exchange with this id in the log.")


_CHECKS: Final = {
    "text": _text,
    "reason": _reason,
    "outcome": _outcome,
    "dismissal": _dismissal,
    "assignee": _assignee,
    "target": _target,
    "whom": _whom,
    "due": _due,
    "snooze": _snooze,
    "evidence": _evidence,
}


def _incomplete(field: str, sentence: str) -> Refusal:
    return Refusal(code="case-incomplete", sentence=sentence, field=field)


_NOT_A_PERSON: Final = Refusal(code="case-person", sentence="A person has to do this.")
_OWN_CASE: Final = Refusal(
    code="case-own", sentence="Nobody may act on a case that is about themselves."
)
_RIGHTS: Final = {
    REVIEW: Refusal(
        code="right-missing", sentence="Your role reads cases and does not act on them."
    ),
    LEAD: Refusal(code="right-missing", sentence="A lead does this."),
}


def _wrong_state(row: Row, state: State | None, *, awake: bool) -> str:
    if awake:
        return "The case is not snoozed."
    wanted = " or ".join(source.value for source in row.sources if source is not None)
    if state is None:
        return f"There is no such case yet; this is for one that is {wanted}."
    if not wanted:
        return "There is this case already."
    return f"The case is {state.value}; this is for one that is {wanted}."


def sampled(number: str) -> bool:
    """Whether a dismissed case is looked at again: one in twenty, by its number alone."""
    return hashlib.sha256(number.encode()).digest()[0] % _SAMPLE == 0
