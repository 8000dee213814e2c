"""What happened around an exchange (facts: governance-ux 5.2).

The same patient and the same person within an hour before and after, the same peer within five
minutes; each list is short and leads to the whole one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from node.console.exchange_list import exchanges_only, who_of
from node.console.parts import Visit
from node.governance.exchanges import Exchange, exchange_page
from node.ledger.filter import LedgerFilter
from node.ledger.filter_text import to_query

MOST: Final = 6
_NEAR: Final = timedelta(hours=1)
_AT_ONCE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """One list: what it is of, its rows, and the address that has all of them."""

    words: str
    rows: tuple[dict[str, Any], ...]
    address: str


def around(visit: Visit, exchange: Exchange) -> tuple[Around, ...]:
    """The lists that the exchange gives; one without a patient or a person has fewer."""
    asked: list[tuple[str, dict[str, Any], timedelta]] = []
    if exchange.patient:
        token = f"~{exchange.patient}"
        asked.append(("The same patient, an hour around", {"patient": token}, _NEAR))
    user = exchange.who.get("user_id")
    if isinstance(user, str) and user:
        asked.append(("The same person, an hour around", {"user": user}, _NEAR))
    peer = exchange.main[0].text("peer")
    if peer:
        asked.append(("The same peer, five minutes around", {"peer": peer}, _AT_ONCE))
    return tuple(_list(visit, exchange, *each) for each in asked)


def _list(
    visit: Visit, exchange: Exchange, words: str, conditions: dict[str, Any], span: timedelta
) -> Around:
    console, began = visit.console, exchange.began
    until: datetime = began + span
    chosen = LedgerFilter(since=began - span, until=until, **conditions).tokenized(console.key)
    found = exchange_page(
        console.engine, console.key, exchanges_only(chosen).at(visit.now), limit=MOST
    )
    rows = tuple(
        {
            "id": each.exchange_id,
            "began": each.began,
            "outcome": each.outcome.value,
            "who": who_of(visit, each),
        }
        for each in found.exchanges
        if each.exchange_id != exchange.exchange_id
    )
    return Around(words=words, rows=rows, address=f"/exchanges?{to_query(chosen)}")
