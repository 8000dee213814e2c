"""Which exchanges a person has selected: kept by the node over pages, filters and verbs.

As in the review queue: a form brings the rows that it showed and which of them are ticked, by the
number of an entry of each, and what is kept is the exchanges' ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from node.console.parts import Visit
from node.governance.exchanges import Exchange, ExchangePage, exchanges_of, read_exchanges
from node.ledger.find import Cursor

VIEW: Final = "exchanges"
"""Under which name the list's selection is kept."""

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_MOST_SHOWN: Final = 100


def selected(visit: Visit) -> tuple[str, ...]:
    """The ids of the exchanges that the person has selected, in one order."""
    return visit.console.selections.of(visit.user.login, VIEW, now=visit.now)


def keep(visit: Visit) -> tuple[frozenset[str], int]:
    """Keep what the form's page shows as selected; what is ticked, and how much found no room."""
    form = visit.form
    ticked = _ids(visit, (name.removeprefix("x-") for name in form if name.startswith("x-")))
    seen = _ids(visit, form.get("shown", "").split(","))
    left_out = visit.console.selections.change(
        visit.user.login, VIEW, add=sorted(ticked), drop=sorted(seen - ticked), now=visit.now
    )
    return ticked, left_out


def selected_page(visit: Visit, after: Cursor | None, *, limit: int) -> ExchangePage:
    """A page of what is selected, newest first within it; the cursor's ``t`` counts those before.

    What the log has not any more is left out.
    """
    chosen, start = selected(visit), after.t if after else 0
    part = chosen[start : start + limit]
    found = read_exchanges(visit.console.engine, visit.console.key, part)
    ends = start + len(part)
    return ExchangePage(
        exchanges=tuple(sorted(found.values(), key=_began, reverse=True)),
        following=Cursor(t=ends, seq=0) if ends < len(chosen) else None,
    )


def _began(exchange: Exchange) -> tuple[float, str]:
    return exchange.began.timestamp(), exchange.exchange_id


def _ids(visit: Visit, names: Iterable[str]) -> frozenset[str]:
    numbers = [int(name) for name in names if _NUMBER.fullmatch(name)][:_MOST_SHOWN]
    return frozenset(exchanges_of(visit.console.engine, numbers)) if numbers else frozenset()
