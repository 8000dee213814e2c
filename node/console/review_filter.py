"""Which cases the review queue shows: the filter of its address, the queues, and the selection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from node.console.case_words import STATES, kind_word
from node.console.parts import Visit
from node.governance.case_model import State
from node.governance.case_queue import NOBODY, QueueFilter, counted
from node.governance.case_reading import readable
from node.users.model import LOGIN

VIEW: Final = "review"
"""Under which name the list's selection is kept."""

_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_DUE: Final = {"late": "overdue", "soon": "due within 7 days"}


def asked_filter(visit: Visit) -> QueueFilter:
    """The filter of the address; a value that there is not is as none."""
    asked = visit.request.query_params
    if "selected" in asked:
        return QueueFilter(numbers=tuple(sorted(selected(visit))))
    state, kind = asked.get("state", ""), asked.get("kind", "")
    assignee, due = asked.get("assignee", ""), asked.get("due", "")
    return QueueFilter(
        state=State(state) if state in list(State) else None,
        kind=kind if _KIND.fullmatch(kind) else None,
        assignee=assignee if assignee == NOBODY or LOGIN.fullmatch(assignee) else None,
        due=due if due in _DUE else None,
        snoozed="snoozed" in asked,
    )


def selected(visit: Visit) -> frozenset[str]:
    """The numbers of the cases that the person has selected, those that may still be read."""
    found = visit.console.selections.of(visit.user.login, VIEW, now=visit.now)
    return readable(visit.console.engine, found, reader=visit.mark)


def query_of(chosen: QueueFilter) -> str:
    """The query of the list's address for a filter."""
    if chosen.numbers is not None:
        return "selected=on"
    state = chosen.state.value if chosen.state else None
    values = {
        "state": state,
        "kind": chosen.kind,
        "assignee": chosen.assignee,
        "due": chosen.due,
        "snoozed": "on" if chosen.snoozed else None,
    }
    return urlencode({name: value for name, value in values.items() if value})


def queues(visit: Visit, chosen: QueueFilter) -> list[tuple[str, str, int, bool]]:
    """The queues that people ask for: words, address, how many, and whether it is shown."""
    wanted = (
        ("All open", QueueFilter()),
        ("Mine", QueueFilter(assignee=visit.user.login)),
        ("With nobody", QueueFilter(assignee=NOBODY)),
        ("Overdue", QueueFilter(due="late")),
        ("Due within 7 days", QueueFilter(due="soon")),
        ("To be confirmed", QueueFilter(state=State.RESOLVED)),
        ("Waiting on others", QueueFilter(state=State.WAITING)),
        ("Snoozed", QueueFilter(snoozed=True)),
        ("Closed", QueueFilter(state=State.CLOSED)),
    )
    return [
        (
            words,
            f"/review?{query_of(each)}" if query_of(each) else "/review",
            counted(visit.console.engine, each, now=visit.now, reader=visit.mark),
            each == chosen,
        )
        for words, each in wanted
    ]


def sentence(visit: Visit) -> str:
    """What there is to do, in numbers."""
    engine, now = visit.console.engine, visit.now
    late = counted(engine, QueueFilter(due="late"), now=now, reader=visit.mark)
    free = counted(engine, QueueFilter(assignee=NOBODY), now=now, reader=visit.mark)
    asleep = counted(engine, QueueFilter(snoozed=True), now=now, reader=visit.mark)
    words = f": {late or 'none'} overdue, {free or 'none'} with nobody on it."
    return f"{words} {asleep} snoozed besides." if asleep else words


def chips(chosen: QueueFilter, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each condition in words, and the address of the list without it."""
    found = []
    if chosen.numbers is not None:
        found.append(("selected by you", QueueFilter()))
    if chosen.snoozed:
        found.append(("snoozed", replace(chosen, snoozed=False)))
    if chosen.state is not None:
        found.append((f"state: {STATES[chosen.state]}", replace(chosen, state=None)))
    if chosen.kind is not None:
        found.append((f"kind: {kind_word(chosen.kind)}", replace(chosen, kind=None)))
    if chosen.assignee is not None:
        who = names.get(chosen.assignee, chosen.assignee)
        found.append((f"with: {who}", replace(chosen, assignee=None)))
    if chosen.due is not None:
        found.append((_DUE[chosen.due], replace(chosen, due=None)))
    return [(words, f"/review?{query_of(rest)}") for words, rest in found]


def outside(visit: Visit, chosen: QueueFilter) -> int:
    """How many open cases a filter leaves out."""
    if chosen == QueueFilter():
        return 0
    return counted(visit.console.engine, QueueFilter(), now=visit.now, reader=visit.mark)
