"""The made log is what a ledger would have written, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sqlalchemy import Engine, inspect, select

from node.ledger.filter import LedgerFilter
from node.ledger.find import count, find, newest
from node.ledger.private import LedgerKey
from node.ledger.show import show
from node.storage.engine import open_engine
from node.storage.tables import ENTRY, PRIVATE, TOKEN
from tests.bench import log_size
from tests.bench.big_log import Shape, is_true, log
from tests.bench.big_log_store import fill, sink_of
from tests.bench.log_filters import CASES
from tests.bench.log_size import measured

KEY = LedgerKey(b"\x05" * 32)
SHAPE = Shape(entries=6000, private_every=50)


def test_each_row_is_its_leaf_and_the_log_is_the_same_again() -> None:
    made = list(log(SHAPE, KEY))
    assert all(is_true(one) for one in made)
    assert [one.entry[0] for one in made] == list(range(SHAPE.entries))
    again = list(log(SHAPE, KEY))
    assert [one.entry for one in again] == [one.entry for one in made]
    peers = Counter(one.entry[7] for one in made)
    assert peers[SHAPE.peer(0)] > 10 * peers[SHAPE.peer(100)]


def test_a_filled_database_is_as_the_ledger_leaves_it(database_url: str) -> None:
    made = list(log(SHAPE, KEY))
    assert fill([sink_of(database_url)], made) == SHAPE.entries
    engine = open_engine(database_url)
    try:
        _has_all(engine)
        assert newest(engine) == SHAPE.entries - 1
        user = count(engine, LedgerFilter(user=SHAPE.user(0)), key=KEY)
        token = KEY.token("user", SHAPE.user(0))
        assert user.number == sum(token in [row[0] for row in one.tokens] for one in made)
        sealed = show(engine, "50", KEY)
        assert sealed is not None
        assert sealed.findings == ()
        assert "who" in sealed.groups
        page = find(engine, LedgerFilter(outcome="ok"), limit=5)
        assert len(page.entries) == 5
    finally:
        engine.dispose()


def _has_all(engine: Engine) -> None:
    found = inspect(engine)
    for table in (ENTRY, TOKEN):
        names = {index["name"] for index in found.get_indexes(table.name)}
        assert {index.name for index in table.indexes} <= names
    assert found.get_pk_constraint(TOKEN.name)["constrained_columns"] == ["token", "t", "seq"]
    with engine.connect() as connection:
        assert len(connection.execute(select(PRIVATE.c.seq)).all()) == SHAPE.entries // 50


def test_every_case_is_measured_on_both_logs(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("small", "large")]
    for url, entries in zip(urls, (500, 1000), strict=True):
        fill([sink_of(url)], log(Shape(entries=entries), log_size.KEY))
    rows = list(measured(urls, (500, 1000), values=1, appended=100))
    names = [row.name for row in rows]
    for case in CASES:
        assert f"log filter: {case} (sqlite), p95 by the clock" in names
    assert all(row.value > 0 for row in rows)
    assert any("log export, parquet" in name for name in names)
    assert any("log append" in name for name in names)
    assert "console: an identifier typed, to its exchanges (sqlite), p95" in names
    assert "console: exchanges by case (sqlite), largest page" in names
