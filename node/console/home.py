"""The start page for each role: what is due or waits for the person, and how exchanging goes.

Every part stands on one right: whoever may not read the rows behind a number does not see it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from node.console.clinic.find_page import mine_of
from node.console.clinic.words import fault_words
from node.console.exchange_list import peer_word
from node.console.home_figures import figures
from node.console.parts import Visit
from node.console.rendering import page
from node.governance.outages import outages
from node.ledger.filter_text import to_query
from node.ledger.find import Count, LedgerFilter, count
from node.model import Direction, Outcome

_DAY: Final = timedelta(hours=24)
_LIMIT: Final = 10_000
_NEWEST: Final = 5
_ASKING: Final = ("ask", "exchanges", "peers")
"""Rights of those who are told which peers are down."""


def home(visit: Visit) -> Response:
    """``GET /``."""
    found = figures(visit)
    return page(
        visit,
        "home.html",
        views=visit.console.views.of(visit.user.login) if visit.may("exchanges") else (),
        title="Home",
        at="/",
        figures=_figures(visit) if visit.may("exchanges") else (),
        clocks=found,
        late=[each for each in found if each.urgent and each.number],
        mine=mine_of(visit)[:_NEWEST] if visit.may("ask") else (),
        down=_down(visit) if any(map(visit.may, _ASKING)) else None,
    )


def _down(visit: Visit) -> list[dict[str, Any]]:
    """The peers that do not answer us: since when, and on whose side."""
    return [
        {
            "name": peer_word(visit, each.peer),
            "address": f"/peers/{each.peer}" if visit.may("peers") else "",
            "since": each.since,
            "legs": each.legs,
            "more": each.more,
            "why": fault_words(each.code),
            "code": each.code,
        }
        for each in outages(visit.console.engine, now=visit.now)
    ]


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
