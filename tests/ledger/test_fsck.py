"""Everything that the node has of its log agrees, and whatever was changed is named (C8.4)."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, update

from node.ledger import leaf
from node.ledger.compared import Compared
from node.ledger.fsck import Fsck
from node.ledger.private import LedgerKey
from node.storage.engine import migrate, open_engine
from node.storage.tables import DECISION, ENTRY, ERASURE, HOLD, PRIVATE, TOKEN
from tests.ledger.fsck_world import (
    BEAT,
    ERASED,
    KEY,
    PLAIN,
    SEALED,
    compare,
    copied,
    fill,
    found,
    year_log,
)

LEAF = PLAIN
UNSEALED = SEALED + 1


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fsck") / "world"
    folder.mkdir()
    engine = open_engine(f"sqlite:///{folder / 'node.db'}")
    migrate(engine)
    fill(engine, folder)
    engine.dispose()
    with sqlite3.connect(folder / "node.db") as database:
        database.execute("PRAGMA journal_mode=DELETE")
    return folder


@pytest.fixture
def here(world: Path, tmp_path: Path) -> Path:
    return copied(world, tmp_path / "world")


def at(folder: Path) -> Compared:
    engine = open_engine(f"sqlite:///{folder / 'node.db'}")
    try:
        return compare(engine, folder)
    finally:
        engine.dispose()


def test_what_agrees_is_counted_and_nothing_is_found(world: Path) -> None:
    result = at(world)
    assert [each.finding for each in result.findings] == []
    assert result.ok
    counts = result.counts()
    exact = ("entries", "bundles", "tiles", "checkpoints", "groups_erased", "erasures", "holds")
    assert [counts[name] for name in exact] == [274, 2, 3, 3, 4, 4, 1]
    assert counts["decisions"] == 1
    # 260 exchanges with five groups and three tokens each, the operator's entries with one or two
    assert counts["private_groups"] == 260 * 5 - 4 + 4 + 3
    assert counts["search_tokens"] > 3 * 259


def run(*statements: tuple[str, tuple[object, ...]]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with sqlite3.connect(folder / "node.db") as database:
            for sql, values in statements:
                assert database.execute(sql, values).rowcount > 0

    return change


def flip(column: str, table: str = "ledger_entry", seq: int = PLAIN, of: str = "seq") -> object:
    """Change one bit in the middle of a value."""

    def change(folder: Path) -> None:
        with sqlite3.connect(folder / "node.db") as database:
            (value,) = database.execute(
                f"SELECT {column} FROM {table} WHERE {of} = ?", (seq,)
            ).fetchone()
            database.execute(
                f"UPDATE {table} SET {column} = ? WHERE {of} = ? AND {column} = ?",
                (flipped(value, 1), seq, value),
            )

    return change


def flipped(value: object, bit: int) -> object:
    match value:
        case int():
            return value ^ bit
        case str():
            place = len(value) // 2
            return value[:place] + chr(ord(value[place]) ^ bit) + value[place + 1 :]
        case bytes():
            place = len(value) // 2
            return value[:place] + bytes([value[place] ^ bit]) + value[place + 1 :]
        case _:
            raise TypeError(value)


def flip_file(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return change


GROUP_OF_40 = (
    "UPDATE ledger_private SET docs = (SELECT docs FROM ledger_private WHERE seq = 40)"
    " WHERE seq = ?"
)
HOLD_ROW = (
    "INSERT INTO ledger_hold (id, peer, reason, placed_by, placed)"
    " VALUES (7, 'urn:oid:2.999.2', 'x', 'x', 1)"
)
ROW, PRIV, TOK = "log-row-differs", "log-private-differs", "log-token-differs"
PLACES = {
    "leaf": (flip("leaf"), (ROW, PLAIN)),
    "leaf-unsealed": (flip("leaf", seq=UNSEALED), (ROW, UNSEALED)),
    "leaf-as-text": (
        run(("UPDATE ledger_entry SET leaf = CAST(leaf AS TEXT) WHERE seq = ?", (PLAIN,))),
        (ROW, PLAIN),
    ),
    "leaf-hash": (flip("leaf_hash"), (ROW, PLAIN)),
    **{
        f"column-{name}": (flip(name), (ROW, PLAIN))
        for name in ("entry_id", "kind", "t", "exchange_id", "direction", "txn", "peer",
                     "purpose", "outcome", "msg", "rel")
    },
    "column-reason": (
        run(("UPDATE ledger_entry SET reason = 'x' WHERE seq = ?", (PLAIN,))), (ROW, PLAIN),
    ),
    **{
        f"private-{name}": (flip(name, "ledger_private"), (PRIV, PLAIN)) for name in leaf.GROUPS
    },
    "group-gone": (
        run(("UPDATE ledger_private SET who = NULL WHERE seq = ?", (PLAIN,))), (PRIV, PLAIN),
    ),
    "private-row-gone": (
        run(("DELETE FROM ledger_private WHERE seq = ?", (BEAT,))), (PRIV, BEAT),
    ),
    "group-of-another": (
        run((
            GROUP_OF_40, (PLAIN,),
        )), (PRIV, PLAIN),
    ),
    "erased-group-is-back": (
        run((
            GROUP_OF_40, (ERASED,),
        )), (PRIV, ERASED),
    ),
    "token": (flip("token", "ledger_token"), (TOK, PLAIN)),
    "token-time": (flip("t", "ledger_token"), (TOK, PLAIN)),
    "token-part": (flip("part", "ledger_token"), (TOK, PLAIN)),
    "token-gone": (run(("DELETE FROM ledger_token WHERE seq = ?", (PLAIN,))), (TOK, PLAIN)),
    "token-of-nobody": (
        run(("UPDATE ledger_token SET seq = 9999 WHERE seq = ?", (PLAIN,))), (ROW, 9999),
    ),
    "erasure-gone": (
        run(("DELETE FROM ledger_erasure WHERE part = 'docs'", ())), (PRIV, ERASED),
    ),
    "erasure-of-another-group": (
        run(("UPDATE ledger_erasure SET part = 'who' WHERE part = 'docs'", ())),
        ("log-erasure-differs", ERASED),
    ),
    "erasure-by-another-entry": (
        run(("UPDATE ledger_erasure SET seq = ? WHERE part = 'docs'", (PLAIN,))),
        ("log-erasure-differs", ERASED),
    ),
    "hold": (flip("first", "ledger_hold", 1, "id"), ("log-hold-differs", None)),
    "hold-gone": (run(("DELETE FROM ledger_hold", ())), ("log-hold-differs", None)),
    "hold-made-up": (
        run((
            HOLD_ROW, (),
        )), ("log-hold-differs", None),
    ),
    "decision": (
        run(("UPDATE trust_decision SET body = body || 'x'", ())), ("log-decision-differs", None),
    ),
    "decision-gone": (
        run(("DELETE FROM trust_decision", ())), ("log-decision-differs", PLAIN),
    ),
    "entry-gone": (
        run(("DELETE FROM ledger_entry WHERE seq = ?", (PLAIN,))), ("log-entry-lost", PLAIN),
    ),
    "entry-renumbered": (
        run(("UPDATE ledger_entry SET seq = 2000000 WHERE seq = ?", (PLAIN,))),
        ("log-entry-lost", PLAIN),
    ),
    "counter": (run(("UPDATE ledger_counter SET next = next + 1", ())), (ROW, None)),
    "bundle": (flip_file("log/tile/entries/000"), ("log-entry-changed", None)),
    "tile": (flip_file("log/tile/0/000"), ("log-entry-changed", None)),
    "tile-above": (flip_file("log/tile/1/000.p/1"), ("log-tile-changed", None)),
    "checkpoint": (flip_file("log/checkpoint"), ("log-signature-invalid", None)),
    "kept-checkpoint": (flip_file("log/checkpoints/150"), ("log-signature-invalid", None)),
    "memory": (flip_file("signed/2026"), ("log-signature-invalid", None)),
    "state": (flip_file("log/state"), ("log-state-invalid", None)),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_one_change_is_found_and_named(here: Path, place: str) -> None:
    change, (code, seq) = PLACES[place]
    change(here)  # type: ignore[operator]
    result = at(here)
    assert not result.ok
    named = found(result)
    assert (code, seq) in named if seq is not None else code in {code for code, _ in named}
    if seq is not None and code == ROW and seq == PLAIN and place == "leaf":
        (finding,) = [each.finding for each in result.findings]
        assert finding.expected != finding.found
        assert finding.index == PLAIN
        assert finding.last_good is None


def test_a_late_change_is_named_with_the_checkpoint_that_still_holds(here: Path) -> None:
    flip("leaf", seq=200)(here)  # type: ignore[operator]
    (only,) = at(here).findings
    assert only.seq == 200
    assert only.finding.last_good is not None
    assert only.finding.last_good.size == 150


def test_a_log_that_forgot_what_was_signed_is_found(here: Path, tmp_path: Path) -> None:
    (here / "signed" / "2026").unlink()
    assert found(at(here)) == {("log-file-missing", None)}


def test_another_key_is_told_for_each_group_and_opens_nothing(world: Path) -> None:
    engine = open_engine(f"sqlite:///{world / 'node.db'}")
    result = compare(engine, world, LedgerKey(bytes(32)))
    engine.dispose()
    assert {code for code, _ in found(result)} >= {PRIV}
    assert len(result.findings) == 1000
    assert result.more > 0


CELLS = [
    (table.name, column.name)
    for table in (ENTRY, PRIVATE, TOKEN, ERASURE, HOLD, DECISION)
    for column in table.c
] + [("ledger_counter", "next")]


def mutations(folder: Path, chance: random.Random) -> Iterator[str]:
    """Change one bit of one cell or file, again and again, each time putting it back after."""
    database = sqlite3.connect(folder / "node.db", isolation_level=None)
    paths = [
        path for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".keys" and path.parent.name != "world"
        and path.name != ".lock"
    ]  # fmt: skip
    while True:
        if chance.random() < 0.3:
            path = chance.choice(paths)
            before = path.read_bytes()
            data = bytearray(before)
            bit = chance.randrange(8 * len(data))
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            yield f"{path.relative_to(folder)} bit {bit}"
            path.write_bytes(before)
            continue
        table, column = chance.choice(CELLS)
        rows = database.execute(
            f"SELECT rowid_, {column} FROM (SELECT row_number() OVER () AS rowid_, * FROM {table})"
            f" WHERE {column} IS NOT NULL"
        ).fetchall()
        if not rows:
            continue
        place, value = chance.choice(rows)
        everything = database.execute(f"SELECT * FROM {table}").fetchall()[place - 1]
        names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        where = " AND ".join(f"{name} IS ?" for name in names)
        other = flipped(value, 1 << chance.randrange(5))
        try:
            database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (other, *everything))
        except sqlite3.IntegrityError:
            continue  # there is such a row already
        yield f"{table}.{column} of row {place}: {value!r} became {other!r}"
        changed = [
            other if name == column else old for name, old in zip(names, everything, strict=True)
        ]
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *changed))


def test_any_single_bit_anywhere_is_found(here: Path) -> None:
    changing = mutations(here, random.Random(20261127))
    for _ in range(25):
        what = next(changing)
        assert not at(here).ok, what
    next(changing)
    changing.close()


def test_a_sample_finds_what_is_in_its_bundle(here: Path) -> None:
    engine = open_engine(f"sqlite:///{here / 'node.db'}")
    clean = Fsck(engine, KEY, [year_log(here)]).sample(5, random.Random(1))
    assert clean.ok
    assert clean.bundles == 2  # there are no more
    assert 14 <= clean.rows.entries <= 512
    flip("leaf_hash")(here)  # type: ignore[operator]
    results = [Fsck(engine, KEY, [year_log(here)]).sample(1, random.Random(n)) for n in range(8)]
    assert {frozenset(found(each)) for each in results} == {frozenset(), frozenset({(ROW, PLAIN)})}
    flip_file("log/tile/1/000.p/1")(here)
    late = Fsck(engine, KEY, [year_log(here)]).sample(2, random.Random(2))
    assert {("log-tile-changed", 0), ("log-proof-invalid", 256)} <= found(late)
    engine.dispose()


def test_both_engines_agree_and_find_the_same(store: Engine, tmp_path: Path) -> None:
    fill(store, tmp_path)
    assert found(compare(store, tmp_path)) == set()
    with store.begin() as connection:
        connection.execute(update(ENTRY).where(ENTRY.c.seq == PLAIN).values(peer="urn:oid:2.999.3"))
        connection.execute(delete(TOKEN).where(TOKEN.c.seq == 7, TOKEN.c.part == "docs"))
        connection.execute(update(PRIVATE).where(PRIVATE.c.seq == 8).values(who=None))
    assert found(compare(store, tmp_path)) == {(ROW, PLAIN), (TOK, 7), (PRIV, 8), (TOK, 8)}
