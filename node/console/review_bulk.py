"""What a form of the review queue does: it keeps the selection, or does something to what it holds.

The selection is kept by the node, so that it survives a page, a filter and a verb without script:
the form brings the rows that it showed and which of them are ticked. A verb acts on everything that
is selected. Where that is more than the person sees ticked, it is asked first, with the number and
the verb; what is confirmed is what was asked (``sure`` is a digest of the cases' numbers). Each
case is ruled on by itself, with its own entry, and the page says which could not be done and why.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from node.console.case_forms import actor_of, case_number, day_end, given_of, reviewers
from node.console.parts import Visit
from node.console.rendering import page, see
from node.console.review_filter import VIEW, asked_filter, query_of
from node.console.review_queue import Done, queue_page
from node.console.sign_on import local_address
from node.console.wording import counted as counted_word
from node.governance.case_model import Given, Refusal, State, Verb, actions
from node.governance.case_queue import counted, numbers_of
from node.governance.case_reading import readable, waiting_items
from node.governance.case_rows import Opening
from node.governance.cases import MOST_AT_ONCE
from node.ledger import review
from node.users.selections import MOST


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bulk:
    """A verb for several cases: what a button says, and what was done; ``{n}`` is "3 cases"."""

    verb: Verb
    words: str
    past: str


_BULK: Final = {
    "assign": _Bulk(verb=Verb.ASSIGN, words="Assign {n} to {assignee}", past="assigned"),
    "comment": _Bulk(verb=Verb.COMMENT, words="Comment on {n}", past="commented on"),
    "snooze": _Bulk(verb=Verb.SNOOZE, words="Snooze {n} until {due}", past="snoozed"),
    "wake": _Bulk(verb=Verb.WAKE, words="Wake {n}", past="woken"),
    "resolve": _Bulk(verb=Verb.RESOLVE, words="Resolve {n} as {outcome}", past="resolved"),
    "dismiss": _Bulk(verb=Verb.DISMISS, words="Dismiss {n} as {outcome}", past="dismissed"),
    "merge": _Bulk(
        verb=Verb.MERGE, words="Close {n} as duplicates of {target}", past="closed as duplicates"
    ),
}
_FIELDS: Final = ("do", "assignee", "target", "text", "outcome", "due")


def review_act(visit: Visit) -> Response:
    """``POST /review``: select, do something to the selected, or open a case of what was found."""
    form = visit.form
    does = form.get("do", "")
    if does == "open":
        return _open(visit)
    ticked, left_out = _keep(visit)
    if "go" in form:
        return see(local_address(form["go"]))
    if does == "none":
        visit.console.selections.clear(visit.user.login, VIEW)
        return see(_here(visit))
    if does == "all":
        return _select_all(visit)
    bulk = _BULK.get(does)
    if bulk is None:
        return see(_here(visit))
    return _bulk(visit, bulk, ticked, left_out)


def _keep(visit: Visit) -> tuple[frozenset[str], int]:
    """Keep what the form's page shows as selected; what is ticked, and how much found no room."""
    names = (name.removeprefix("case-") for name in visit.form if name.startswith("case-"))
    ticked = frozenset(number for name in names if (number := case_number(name)))
    seen = {
        number for each in visit.form.get("shown", "").split(",") if (number := case_number(each))
    }
    left_out = visit.console.selections.change(
        visit.user.login, VIEW, add=sorted(ticked), drop=sorted(seen - ticked), now=visit.now
    )
    return ticked, left_out


def _select_all(visit: Visit) -> Response:
    """Select what the filter finds, the first ones of the queue where those are too many."""
    console, chosen = visit.console, asked_filter(visit)
    found = numbers_of(console.engine, chosen, now=visit.now, limit=MOST, reader=visit.mark)
    left_out = console.selections.change(visit.user.login, VIEW, add=found, now=visit.now)
    fit = counted(console.engine, chosen, now=visit.now, reader=visit.mark)
    short = left_out + fit - len(found)
    said = f"{len(found) - left_out:,} of the {fit:,} that fit are selected."
    if short:
        said += f" {short:,} are not: at most {MOST} cases are selected at once."
    return queue_page(visit, Done(sentence=said, ok=not short))


def _bulk(visit: Visit, bulk: _Bulk, ticked: frozenset[str], left_out: int) -> Response:
    console = visit.console
    chosen = console.selections.of(visit.user.login, VIEW, now=visit.now)
    given = given_of(visit, visit.form)
    problem = None
    if left_out:
        problem = f"At most {MOST} cases are selected at once; {left_out} found no room."
    elif not chosen:
        problem = "No case is selected."
    elif bulk.verb is Verb.MERGE and given.target is None:
        problem = "Say into which case: its number."
    elif bulk.verb is Verb.SNOOZE and given.due is None:
        problem = "Say until which day."
    if problem:
        return queue_page(visit, Done(sentence=problem), status=400)
    sure = hashlib.sha256(",".join(chosen).encode()).hexdigest()
    if not ticked.issuperset(chosen) and visit.form.get("sure") != sure:
        return _ask(visit, bulk, len(chosen), sure)
    may = readable(console.engine, chosen, reader=visit.mark)
    done, failed = 0, defaultdict[str, list[str]](list)
    for number in chosen:
        ruled = _one(visit, number, bulk.verb, given) if number in may else None
        if isinstance(ruled, State):
            done += 1
        else:
            failed[ruled.sentence if ruled else "There is no such case."].append(number)
    console.selections.change(visit.user.login, VIEW, drop=sorted(set(chosen) - may), now=visit.now)
    said = f"{done} of {counted_word(len(chosen), 'case')} {bulk.past}."
    why = tuple((sentence, tuple(numbers)) for sentence, numbers in failed.items())
    return queue_page(
        visit,
        Done(sentence=said, ok=not failed, failed=why),
        status=200 if done or not failed else 409,
    )


def _ask(visit: Visit, bulk: _Bulk, number: int, sure: str) -> Response:
    """Ask before more is done than the person sees ticked: with the number and the verb."""
    form = visit.form
    due = day_end(visit, form.get("due", ""))
    chosen = reviewers(visit).get(form.get("assignee", ""))
    words = bulk.words.format(
        n=counted_word(number, "case"),
        assignee=chosen.name if chosen else "nobody",
        due=f"{visit.shown(due):%-d %B %Y}" if due else "no day",
        outcome=form.get("outcome", "") or "nothing",
        target=form.get("target", ""),
    )
    kept = {name: form[name] for name in _FIELDS if name in form}
    kept |= {f"action-{code}": "on" for code in actions() if f"action-{code}" in form}
    return page(
        visit,
        "review-sure.html",
        title="Are you sure",
        at="/review",
        crumb="Review",
        each=" Each gets an entry of the log, like one alone.",
        words=words,
        text=form.get("text", ""),
        fields={**kept, "sure": sure},
        back=_here(visit),
    )


def _one(visit: Visit, number: str, verb: Verb, given: Given) -> State | Refusal | None:
    """Do something to one of several cases."""
    cases = visit.console.cases
    if verb is Verb.ASSIGN and (at := cases.standing(number)) is not None:
        verb = Verb.HAND_OVER if at.state is State.WORKING else Verb.ASSIGN
    return cases.act(number, verb, actor_of(visit), given, now=visit.now)


def _open(visit: Visit) -> Response:
    items = _items(visit.form)
    if not items:
        return queue_page(visit, Done(sentence="Nothing of what the node found is selected."), 400)
    waiting, _ = waiting_items(visit.console.engine, limit=review.PAGE_LIMIT)
    kind = next((item.kind for item in waiting if item.id in items), "found")
    opening = Opening(kind=kind, text=visit.form.get("text", ""), items=tuple(items))
    number = visit.console.cases.open(actor_of(visit), opening, now=visit.now)
    if isinstance(number, Refusal):
        return queue_page(visit, Done(sentence=number.sentence), status=400)
    return see(f"/cases/{number}")


def _items(form: Mapping[str, str]) -> Sequence[int]:
    names = (name.removeprefix("item-") for name in form if name.startswith("item-"))
    return [int(each) for each in names if each.isdecimal() and each.isascii()][:MOST_AT_ONCE]


def _here(visit: Visit) -> str:
    query = query_of(asked_filter(visit))
    return f"/review?{query}" if query else "/review"
