"""The review queue: cases that somebody has to act on, those due first standing first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from starlette.responses import Response

from node.console.case_forms import reviewers
from node.console.case_words import STATES, Clock, clock, heading, item_sentence, kind_word
from node.console.coming_from import REVIEW
from node.console.detector_words import sweep_words
from node.console.exchange_list import peer_word
from node.console.parts import Visit
from node.console.rendering import page
from node.console.review_filter import (
    asked_filter,
    chips,
    outside,
    query_of,
    queues,
    selected,
    sentence,
)
from node.governance.case_model import OPEN_STATES, outcomes
from node.governance.case_queue import GROUPS, QueueFilter, any_case, counted, grouped, kinds, queue
from node.governance.case_reading import CaseView, waiting_items
from node.users.selections import MOST

PAGE: Final = 25
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})", re.ASCII)


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
    """What became of a form about several cases: of those that failed why, each with its cases."""

    sentence: str
    ok: bool = False
    failed: tuple[tuple[str, tuple[str, ...]], ...] = ()


def review_queue(visit: Visit) -> Response:
    """``GET /review``."""
    visit.console.cases.lapse(now=visit.now)
    return queue_page(visit)


def queue_page(visit: Visit, done: Done | None = None, status: int = 200) -> Response:
    """The page of the queue, with what became of a form."""
    console = visit.console
    chosen = asked_filter(visit)
    picked = selected(visit)
    listed, following = queue_rows(visit, chosen, picked, limit=PAGE)
    base = query_of(chosen)
    fit = counted(console.engine, chosen, now=visit.now, reader=visit.mark)
    items, items_in_all = waiting_items(console.engine)
    after = f"{following[0]}.{following[1]}" if following else ""
    how = visit.request.query_params.get("group", "")
    how = how if how in GROUPS else ""
    rows = _in_groups(visit, listed, how)
    keep = f"{base}{'&' if base else ''}"
    older = f"/review?{keep}{f'group={how}&' if how else ''}after={after}" if following else None
    console.lists.keep(
        visit.user.login,
        REVIEW,
        address=f"/review?{visit.request.url.query}",
        things=[row.case.number for row in rows],
        following=older or "",
        now=visit.now,
    )
    return page(
        visit,
        "review.html",
        title="Review",
        at="/review",
        status=status,
        sentence=sentence(visit),
        rows=rows,
        queues=queues(visit, chosen),
        chips=chips(chosen, _names(visit)),
        base=f"{keep}group={how}" if how else base,
        how=how,
        ways=[(way, f"/review?{keep}group={way}") for way in GROUPS],
        ungrouped=f"/review?{base}",
        older=older,
        newest=f"/review?{base}" if "after" in visit.request.query_params else None,
        never=not rows and not any_case(console.engine),
        outside=outside(visit, chosen) if not rows else 0,
        may_act=visit.may("review"),
        picked=len(picked),
        elsewhere=len(picked - {row.case.number for row in rows}),
        fit=fit,
        most=MOST,
        outcomes=[(code, row.dismissal) for code, row in outcomes().items()],
        soonest=f"{visit.shown(visit.now) + timedelta(days=1):%Y-%m-%d}",
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


def queue_rows(
    visit: Visit, chosen: QueueFilter, picked: frozenset[str] = frozenset(), *, limit: int
) -> tuple[list[Row], tuple[int, int] | None]:
    """The cases that a filter chooses, from where an address says; and where it goes on."""
    at = _CURSOR.fullmatch(visit.request.query_params.get("after", ""))
    found = queue(
        visit.console.engine,
        visit.console.key,
        chosen,
        now=visit.now,
        limit=limit,
        after=(int(at[1]), int(at[2])) if at else None,
        reader=visit.mark,
    )
    names = _names(visit)
    return [_row(visit, case, names, picked) for case in found.cases], found.following


def _names(visit: Visit) -> dict[str, str]:
    return {user.login: user.name for user in visit.console.users.all()}


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


def _row(visit: Visit, case: CaseView, names: Mapping[str, str], picked: frozenset[str]) -> Row:
    return Row(
        case=case,
        heading=heading(case.text),
        clock=clock(case.due, visit.now, open_=case.state in OPEN_STATES),
        state=STATES[case.state],
        kind=kind_word(case.kind),
        peer=peer_word(visit, case.peer) if case.peer else "",
        owner=names.get(case.assignee or "", case.assignee or ""),
        is_picked=case.number in picked,
    )
