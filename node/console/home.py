"""The start page: what the day looks like, as far as the person may see it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from starlette.responses import Response

from node.console.clinic.find_page import mine_of
from node.console.parts import Visit
from node.console.rendering import page
from node.governance.access.break_glass import KIND
from node.governance.case_model import State
from node.governance.case_queue import QueueFilter, counted
from node.governance.denials import NEAR, waiting
from node.governance.export_store import VERB
from node.ledger.filter_text import to_query
from node.ledger.find import Count, LedgerFilter, count
from node.model import Direction, Outcome

_SOON: Final = timedelta(days=14)
_DAY: Final = timedelta(hours=24)
_LIMIT: Final = 10_000
_NEWEST: Final = 5


def home(visit: Visit) -> Response:
    """``GET /``."""
    figures = _figures(visit) if visit.may("exchanges") else ()
    mine = mine_of(visit)[:_NEWEST] if visit.may("ask") else ()
    return page(
        visit,
        "home.html",
        views=visit.console.views.of(visit.user.login) if visit.may("exchanges") else (),
        title="Home",
        at="/",
        figures=figures,
        clocks=_clocks(visit),
        mine=mine,
    )


def _clocks(visit: Visit) -> tuple[tuple[str, int, str], ...]:
    """What waits for somebody: words, how many, and the address of the rows."""
    if not visit.may("cases"):
        return ()
    engine, now, reader = visit.console.engine, visit.now, visit.mark
    mine = QueueFilter(assignee=visit.user.login)
    found = [
        (
            "cases overdue",
            counted(engine, QueueFilter(due="late"), now=now, reader=reader),
            "/review?due=late",
        ),
        (
            "due within 7 days",
            counted(engine, QueueFilter(due="soon"), now=now, reader=reader),
            "/review?due=soon",
        ),
        (
            "with you",
            counted(engine, mine, now=now, reader=reader),
            f"/review?assignee={visit.user.login}",
        ),
        (
            "to be confirmed",
            counted(engine, QueueFilter(state=State.RESOLVED), now=now, reader=reader),
            "/review?state=resolved",
        ),
    ]
    broken = visit.console.break_glass.grants.count_since(now - _DAY)
    found.append(("glass broken in 24 hours", broken, f"/review?kind={KIND}"))
    if visit.may("denials"):
        owed = waiting(engine, now=now)
        found.append(("refusals to explain", len(owed), "/denials"))
        near = sum(each.due is not None and each.due - now < NEAR for each in owed)
        if near:
            found.append(("written answers near their limit", near, "/denials"))
    if visit.may("disclosures"):
        soon = visit.console.duties.due_soon(now=now, within=_SOON)
        if soon:
            found.append(("patients' requests due within 14 days", soon, "/patients"))
    if visit.may("exports"):
        asked = visit.console.two_person.waiting(now=now, verb=VERB)
        others = sum(each.asker != visit.user.login for each in asked)
        if others:
            found.append(("exports to decide about", others, "/exports"))
    return tuple(found)


def _figures(visit: Visit) -> tuple[tuple[str, Count, str], ...]:
    """What ended how in the last 24 hours, each number with the address of its rows."""
    asked = {
        "legs asked of others": LedgerFilter(since=_DAY, direction=Direction.INITIATING.value),
        "requests served": LedgerFilter(since=_DAY, direction=Direction.RESPONDING.value),
        "declined": LedgerFilter(since=_DAY, outcome=Outcome.DECLINED.value),
        "failed": LedgerFilter(since=_DAY, outcome=Outcome.FAILED.value),
        "timed out": LedgerFilter(since=_DAY, outcome=Outcome.TIMED_OUT.value),
    }
    engine, key = visit.console.engine, visit.console.key
    return tuple(
        (
            words,
            count(engine, chosen.at(visit.now), key=key, limit=_LIMIT),
            f"/exchanges?{to_query(chosen)}",
        )
        for words, chosen in asked.items()
    )
