"""One case: why it exists, what was said and done, its evidence, and what the reader may do now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.responses import Response

from node.console.case_forms import actor_of, given_of, reviewers
from node.console.case_words import (
    STATES,
    VERBS,
    clock,
    heading,
    item_sentence,
    kind_word,
    outcome_sentence,
    said,
    who_word,
)
from node.console.coming_from import REVIEW, steps
from node.console.detector_words import flag_lines
from node.console.exchange_list import peer_word, who_of
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page, see
from node.governance.case_model import (
    OPEN_STATES,
    Refusal,
    Standing,
    State,
    Verb,
    actions,
    outcomes,
)
from node.governance.case_reading import CaseFile, Said, is_shown, read_file
from node.governance.case_rules import barred, sampled
from node.governance.exchanges import read_exchange
from node.ledger import review

_SHOWN: Final = 50
"""Exchanges of the basket that a page shows."""

_DUE: Final = timedelta(days=5)
_DECISIONS: Final = frozenset(
    {Verb.RESOLVE, Verb.CONFIRM, Verb.SEND_BACK, Verb.DISMISS, Verb.REOPEN, Verb.MERGE}
)
_BY_PEOPLE: Final = ("all", "decisions", "comments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What was amiss with a form: the verb, the field (if it is one), and the sentence."""

    verb: str
    field: str
    sentence: str


def case_detail(visit: Visit) -> Response:
    """``GET /cases/{number}``."""
    visit.console.cases.lapse(now=visit.now)
    return _shown(visit)


def case_act(visit: Visit) -> Response:
    """``POST /cases/{number}``: do something to the case, and show it again."""
    number = str(visit.request.path_params["number"])
    typed = visit.form.get("verb", "")
    cases = visit.console.cases
    if typed not in {verb.value for verb in VERBS}:
        return missing(visit, "There is no such thing to do to a case.")
    ruled = cases.act(
        number, Verb(typed), actor_of(visit), given_of(visit, visit.form), now=visit.now
    )
    if isinstance(ruled, Refusal):
        problem = Problem(verb=typed, field=ruled.field or "", sentence=ruled.sentence)
        return _shown(visit, problem, status=400 if ruled.field else 409)
    if ruled is None:
        return missing(visit, "There is no case with this number.")
    return see(f"/cases/{number}#timeline")


def _shown(visit: Visit, problem: Problem | None = None, *, status: int = 200) -> Response:
    number = str(visit.request.path_params["number"])
    console = visit.console
    found = read_file(console.engine, console.key, number)
    standing = console.cases.standing(number) if found else None
    if found is None or standing is None or not is_shown(standing, found.view.kind, visit.mark):
        return missing(visit, "There is no case with this number.")
    view = found.view
    names = {user.login: user.name for user in console.users.all()}
    why_not = _verbs(visit, standing)
    chosen = visit.request.query_params.get("show", "all")
    return page(
        visit,
        "case.html",
        title=f"Case {number}",
        at="/review",
        status=status,
        case=view,
        steps=steps(visit, REVIEW, number),
        heading=heading(view.text),
        state=STATES[view.state],
        kind=kind_word(view.kind),
        peer=peer_word(visit, view.peer) if view.peer else None,
        owner=names.get(view.assignee or "", view.assignee),
        clock=clock(view.due, visit.now, open_=view.state in OPEN_STATES),
        is_open=view.state in OPEN_STATES,
        items=[(item.id, item_sentence(item), item.cases) for item in found.items],
        found=found,
        flags=flag_lines(visit, number),
        messages=[_message(each, names) for each in found.messages if _is_shown(each, chosen)],
        switch=[(name, name == chosen) for name in _BY_PEOPLE],
        evidence=[_evidence(visit, each) for each in found.exchanges[:_SHOWN]],
        may={verb.value for verb, refusal in why_not.items() if refusal is None},
        words={verb.value: words for verb, words in VERBS.items()},
        why_not=[(VERBS[verb], refusal.sentence) for verb, refusal in why_not.items() if refusal],
        reviewers=[
            (login, user.name)
            for login, user in reviewers(visit).items()
            if login != view.assignee and console.cases.mark(login) not in standing.subjects
        ],
        outcomes=[(code, outcome_sentence(code), row.two) for code, row in outcomes().items()],
        dismissals=[code for code, row in outcomes().items() if row.dismissal],
        actions=list(actions().items()),
        ended=_ended(found, standing),
        confirm_until=standing.confirm_until,
        needs_lead=standing.needs_lead,
        problem=problem,
        typed=defaultdict(str, visit.form),
        soonest=f"{visit.shown(visit.now) + timedelta(days=1):%Y-%m-%d}",
        usual=f"{visit.shown(visit.now) + _DUE:%Y-%m-%d}",
        sampled=view.state is State.CLOSED and _was_dismissed(found) and sampled(number),
    )


def _verbs(visit: Visit, standing: Standing) -> dict[Verb, Refusal | None]:
    """What a person can do to a case now, and of the rest why not."""
    person = actor_of(visit).person
    return {verb: barred(standing, verb, person, now=visit.now) for verb in VERBS}


def _message(message: Said, names: Mapping[str, str]) -> dict[str, object]:
    kind = "refused" if message.refusal else "" if message.who == "node" else "person"
    return {
        "message": message,
        "kind": kind,
        "who": who_word(message, names),
        "said": said(message, names),
        "text": message.words("text"),
        "gone": message.private is None,
        "actions": [actions().get(code, code) for code in message.list("actions")],
    }


def _is_shown(message: Said, chosen: str) -> bool:
    verb = Verb(message.verb)
    if chosen == "decisions":
        return verb in _DECISIONS
    if chosen == "comments":
        return bool(message.words("text")) and not message.refusal
    return True


def _evidence(visit: Visit, exchange_id: str) -> dict[str, object]:
    console = visit.console
    exchange = read_exchange(console.engine, console.key, exchange_id)
    if exchange is None:
        return {"id": exchange_id, "exchange": None}
    flagged = [leg for leg in exchange.legs if leg.text("reason")]
    return {
        "id": exchange_id,
        "exchange": exchange,
        "who": who_of(visit, exchange),
        "reasons": sorted({str(leg.text("reason")) for leg in flagged})[:4],
    }


def _ended(found: CaseFile, standing: Standing) -> dict[str, object] | None:
    """How a case was resolved: who said what, for the second person to read."""
    if standing.outcome is None:
        return None
    last = next(
        (
            each
            for each in reversed(found.messages)
            if each.verb in (Verb.RESOLVE, Verb.DISMISS) and not each.refusal
        ),
        None,
    )
    return {
        "outcome": standing.outcome,
        "sentence": review.outcomes()[standing.outcome],
        "text": last.words("text") if last else "",
        "who": (last.name or last.who) if last else "",
        "actions": [actions().get(code, code) for code in last.list("actions")] if last else [],
    }


def _was_dismissed(found: CaseFile) -> bool:
    accepted = [each for each in found.messages if not each.refusal and each.verb != Verb.COMMENT]
    return bool(accepted) and accepted[-1].verb == Verb.DISMISS
