"""Review items: a clock of five business days, made once, resolved once, history only appended."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, select

from node.errors import OurFault
from node.ledger.review import EACH_LIMIT, Found, due_after, items, limited, open_items, resolve
from node.storage.tables import REVIEW_EVENT

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)  # a Friday
PEER = "urn:oid:2.999.2"


def found(n: int = 1, **changes) -> Found:
    values = {"source": "reconciliation", "kind": "outcome", "peer": PEER, "window": "2026-11-26"}
    return Found(**{**values, "seq": n, "token": f"{n:032x}", **changes})


@pytest.mark.parametrize(
    ("day", "due"),
    [(27, 4), (28, 4), (29, 4), (30, 7)],  # Friday, Saturday, Sunday; Monday
)
def test_an_item_is_due_after_five_business_days_at_the_same_time(day: int, due: int) -> None:
    begun = NOW.replace(day=day)
    assert due_after(begun) == datetime(2026, 12, due, 15, 30, tzinfo=UTC)


def test_what_is_found_again_is_not_made_again_also_when_resolved(store: Engine) -> None:
    assert open_items(store, [found(1), found(2), found(1)], now=NOW) == 2
    assert open_items(store, [found(2), found(3)], now=NOW) == 1
    assert resolve(store, 2, outcome="appropriate", reason="Known.", who="ida", now=NOW)
    assert open_items(store, [found(1), found(2), found(3)], now=NOW) == 0
    assert [item.id for item in items(store)] == [1, 3]
    (done,) = items(store, state="resolved")
    assert (done.outcome, done.reason, done.who, done.seq) == ("appropriate", "Known.", "ida", 2)
    assert [item.id for item in items(store, state=None)] == [1, 2, 3]
    assert items(store, peer="urn:oid:2.999.3") == []


def test_an_item_is_resolved_once_and_its_history_is_kept(store: Engine) -> None:
    open_items(store, [found()], now=NOW)
    with pytest.raises(OurFault, match="no outcome"):
        resolve(store, 1, outcome="whatever", reason="x", who="ida", now=NOW)
    assert resolve(store, 1, outcome="duplicate", reason="x", who="ida", now=NOW)
    assert not resolve(store, 1, outcome="appropriate", reason="y", who="bob", now=NOW)
    assert not resolve(store, 7, outcome="appropriate", reason="y", who="bob", now=NOW)
    with store.connect() as connection:
        query = select(REVIEW_EVENT.c.number, REVIEW_EVENT.c.verb, REVIEW_EVENT.c.who)
        events = [tuple(row) for row in connection.execute(query)]
    assert events == [(1, "open", "node"), (2, "resolve", "ida")]


def test_a_peer_that_is_all_different_does_not_fill_the_list() -> None:
    kept = limited(found(n) for n in range(EACH_LIMIT + 500))
    assert len(kept) == EACH_LIMIT + 1
    rest = kept[-1]
    assert (rest.kind, rest.seq, rest.token, rest.cases) == ("outcome", None, None, 500)


def test_a_page_has_bounds(store: Engine) -> None:
    for limit in (0, 1001):
        with pytest.raises(OurFault):
            items(store, limit=limit)
