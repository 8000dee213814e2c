"""The review queue: cases that somebody has to act on, those due first standing first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from node.console.case_forms import actor_of, given_of, reviewers
from node.console.case_words import STATES, Clock, clock, heading, item_sentence, kind_word
from node.console.detector_words import sweep_words
from node.console.exchange_list import peer_word
from node.console.parts import Visit
from node.console.rendering import page, see
from node.console.wording import counted as counted_word
from node.governance.case_model import OPEN_STATES, Given, Refusal, State, Verb
from node.governance.case_reading import (
    GROUPS,
    NOBODY,
    CaseView,
    QueueFilter,
    any_case,
    counted,
    grouped,
    kinds,
    queue,
    waiting_items,
)
from node.governance.case_rows import Opening
from node.governance.cases import MOST_AT_ONCE
from node.ledger import review
from node.users.model import LOGIN

PAGE: Final = 25
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})", re.ASCII)
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_DUE: Final = {"late": "overdue", "soon": "due within 7 days"}
_VERBS: Final = {
    "assign": (Verb.ASSIGN, "assigned"),
    "merge": (Verb.MERGE, "closed as duplicates"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A case as the table shows it."""

    case: CaseView
    heading: str
    clock: Clock
    state: str
    kind: str
    peer: str
    owner: str
    is_picked: bool
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a form about several cases."""

    sentence: str
    failed: tuple[tuple[str, str], ...] = ()


def review_queue(visit: Visit) -> Response:
    """``GET /review``."""
    visit.console.cases.lapse(now=visit.now)
    return _shown(visit)


def review_act(visit: Visit) -> Response:
    """``POST /review``: assign or merge the chosen cases, or open one about what the node found."""
    if visit.form.get("do") == "open":
        return _open(visit)
    found = _VERBS.get(visit.form.get("do", ""))
    if found is None:
        return see("/review")
    verb, past = found
    numbers = _picked(visit.form, "case-")
    given = given_of(visit, visit.form)
    if not numbers:
        return _shown(visit, Done(sentence="No case is selected."), status=400)
    if verb is Verb.MERGE and given.target is None:
        return _shown(visit, Done(sentence="Say into which case: its number."), status=400)
    done, failed = 0, []
    for number in numbers:
        ruled = _one(visit, number, verb, given)
        if isinstance(ruled, State):
            done += 1
        else:
            failed.append((number, ruled))
    said = f"{done} of {counted_word(len(numbers), 'case')} {past}."
    return _shown(
        visit, Done(sentence=said, failed=tuple(failed)), status=200 if done or not failed else 409
    )


def _one(visit: Visit, number: str, verb: Verb, given: Given) -> State | str:
    """Do something to one of several cases; a sentence where it was refused."""
    if verb is Verb.ASSIGN and (at := visit.console.cases.standing(number)) is not None:
        verb = Verb.HAND_OVER if at.state is State.WORKING else Verb.ASSIGN
    ruled = visit.console.cases.act(number, verb, actor_of(visit), given, now=visit.now)
    if isinstance(ruled, State):
        return ruled
    return ruled.sentence if ruled is not None else "There is no such case."


def _open(visit: Visit) -> Response:
    items = tuple(int(number) for number in _picked(visit.form, "item-") if number.isdecimal())
    if not items:
        return _shown(visit, Done(sentence="Nothing of what the node found is selected."), 400)
    waiting, _ = waiting_items(visit.console.engine, limit=review.PAGE_LIMIT)
    kind = next((item.kind for item in waiting if item.id in items), "found")
    opening = Opening(kind=kind, text=visit.form.get("text", ""), items=items)
    number = visit.console.cases.open(actor_of(visit), opening, now=visit.now)
    if isinstance(number, Refusal):
        return _shown(visit, Done(sentence=number.sentence), status=400)
    return see(f"/cases/{number}")


def _picked(form: Mapping[str, str], before: str) -> list[str]:
    found = (name.removeprefix(before) for name in form if name.startswith(before))
    return list(found)[:MOST_AT_ONCE]


def _shown(visit: Visit, done: Done | None = None, status: int = 200) -> Response:
    console = visit.console
    chosen = _filter(visit)
    at = _CURSOR.fullmatch(visit.request.query_params.get("after", ""))
    found = queue(
        console.engine,
        console.key,
        chosen,
        now=visit.now,
        limit=PAGE,
        after=(int(at[1]), int(at[2])) if at else None,
        reader=visit.mark,
    )
    names = {user.login: user.name for user in console.users.all()}
    base = _query(chosen)
    items, items_in_all = waiting_items(console.engine)
    following = found.following
    after = f"{following[0]}.{following[1]}" if following else ""
    how = visit.request.query_params.get("group", "")
    how = how if how in GROUPS else ""
    rows = _in_groups(visit, [_row(visit, case, names) for case in found.cases], how)
    keep = f"{base}{'&' if base else ''}"
    return page(
        visit,
        "review.html",
        title="Review",
        at="/review",
        status=status,
        sentence=_sentence(visit),
        rows=rows,
        queues=_queues(visit, chosen),
        chips=_chips(chosen, names),
        base=f"{keep}group={how}" if how else base,
        how=how,
        ways=[(way, f"/review?{keep}group={way}") for way in GROUPS],
        ungrouped=f"/review?{base}",
        older=f"/review?{keep}{f'group={how}&' if how else ''}after={after}" if following else None,
        newest=f"/review?{base}" if at else None,
        never=not rows and not any_case(console.engine),
        outside=_outside(visit, chosen) if not rows else 0,
        may_act=visit.may("review"),
        reviewers=[(login, user.name) for login, user in reviewers(visit).items()],
        me=visit.user.login,
        items=[
            (item, item_sentence(item), clock(item.due_at, visit.now), peer_word(visit, item.peer))
            for item in items
        ],
        items_in_all=items_in_all,
        kinds=[(kind, kind_word(kind)) for kind in kinds(console.engine)],
        done=done,
        typed=visit.form,
        sweep=sweep_words(visit),
    )


def _in_groups(visit: Visit, rows: list[Row], how: str) -> list[Row]:
    """The page's cases, those about the same one together, in the order of their first ones."""
    if not how:
        return rows
    keys = grouped(visit.console.engine, (row.case for row in rows), how)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        words = _group_word(visit, how, keys.get(row.case.id))
        groups.setdefault(words, []).append(replace(row, group=words))
    return [row for each in groups.values() for row in each]


def _group_word(visit: Visit, how: str, key: str | None) -> str:
    if key is None:
        return {"peer": "No one peer", "actor": "Nobody of ours", "patient": "No patient"}[how]
    if how == "peer":
        return peer_word(visit, key)
    return f"{'One of ours, u' if how == 'actor' else 'Patient p'}_{key[:6]}"


def _filter(visit: Visit) -> QueueFilter:
    """The filter of the address; a value that there is not is as none."""
    asked = visit.request.query_params
    state, kind = asked.get("state", ""), asked.get("kind", "")
    assignee, due = asked.get("assignee", ""), asked.get("due", "")
    return QueueFilter(
        state=State(state) if state in list(State) else None,
        kind=kind if _KIND.fullmatch(kind) else None,
        assignee=assignee if assignee == NOBODY or LOGIN.fullmatch(assignee) else None,
        due=due if due in _DUE else None,
    )


def _query(chosen: QueueFilter) -> str:
    state = chosen.state.value if chosen.state else None
    values = {
        "state": state,
        "kind": chosen.kind,
        "assignee": chosen.assignee,
        "due": chosen.due,
    }
    return urlencode({name: value for name, value in values.items() if value})


def _queues(visit: Visit, chosen: QueueFilter) -> list[tuple[str, str, int, bool]]:
    """The queues that people ask for: words, address, how many, and whether it is shown."""
    wanted = (
        ("All open", QueueFilter()),
        ("Mine", QueueFilter(assignee=visit.user.login)),
        ("With nobody", QueueFilter(assignee=NOBODY)),
        ("Overdue", QueueFilter(due="late")),
        ("Due within 7 days", QueueFilter(due="soon")),
        ("To be confirmed", QueueFilter(state=State.RESOLVED)),
        ("Waiting on others", QueueFilter(state=State.WAITING)),
        ("Closed", QueueFilter(state=State.CLOSED)),
    )
    return [
        (
            words,
            f"/review?{_query(each)}" if _query(each) else "/review",
            counted(visit.console.engine, each, now=visit.now, reader=visit.mark),
            each == chosen,
        )
        for words, each in wanted
    ]


def _sentence(visit: Visit) -> str:
    """What there is to do, in numbers."""
    engine, now = visit.console.engine, visit.now
    late = counted(engine, QueueFilter(due="late"), now=now, reader=visit.mark)
    free = counted(engine, QueueFilter(assignee=NOBODY), now=now, reader=visit.mark)
    return f": {late or 'none'} overdue, {free or 'none'} with nobody on it."


def _chips(chosen: QueueFilter, names: Mapping[str, str]) -> list[tuple[str, str]]:
    found = []
    if chosen.state is not None:
        found.append((f"state: {STATES[chosen.state]}", replace(chosen, state=None)))
    if chosen.kind is not None:
        found.append((f"kind: {kind_word(chosen.kind)}", replace(chosen, kind=None)))
    if chosen.assignee is not None:
        who = names.get(chosen.assignee, chosen.assignee)
        found.append((f"with: {who}", replace(chosen, assignee=None)))
    if chosen.due is not None:
        found.append((_DUE[chosen.due], replace(chosen, due=None)))
    return [(words, f"/review?{_query(rest)}") for words, rest in found]


def _outside(visit: Visit, chosen: QueueFilter) -> int:
    """How many open cases a filter leaves out."""
    if chosen == QueueFilter():
        return 0
    return counted(visit.console.engine, QueueFilter(), now=visit.now, reader=visit.mark)


def _row(visit: Visit, case: CaseView, names: Mapping[str, str]) -> Row:
    return Row(
        case=case,
        heading=heading(case.text),
        clock=clock(case.due, visit.now, open_=case.state in OPEN_STATES),
        state=STATES[case.state],
        kind=kind_word(case.kind),
        peer=peer_word(visit, case.peer) if case.peer else "",
        owner=names.get(case.assignee or "", case.assignee or ""),
        is_picked=f"case-{case.number}" in visit.form,
    )
