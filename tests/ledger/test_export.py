"""Exports: log order and one bound, lines that read back, an honest end (issue 4, point 4)."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.dialects import postgresql, sqlite

from node.errors import OurFault, SettingsError
from node.ledger import leaf
from node.ledger.audit import Site
from node.ledger.erasure import Eraser, Order
from node.ledger.export import (
    Exported,
    Format,
    Groups,
    columns,
    csv_header,
    csv_rows,
    ndjson,
    pieces,
)
from node.ledger.export_file import Mark, PartialFile, Place, write_manifest
from node.ledger.export_rendering import LineRendering, line_rendering
from node.ledger.export_run import ExportCut, write_export
from node.ledger.filter import LedgerFilter
from node.ledger.filter_sql import statement_in_log_order
from node.ledger.find import newest
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey, Opened
from node.ledger.row_check import GroupState
from node.ledger.show import erase, show
from node.ledger.trust_log import operator
from tests.ledger.records import CANARIES, record
from tests.ledger.test_find import FILTERS, mixed, written
from tests.ledger.test_find_plans import PLANS, explain

SITE = Site(name="Lake Hospital", home_community_id="urn:oid:2.999.1")


def rendering(how: Format) -> LineRendering:
    return line_rendering(how, private=False, site=SITE)


def read(engine: Engine, chosen: LedgerFilter, key: LedgerKey | None, **how: object) -> list[int]:
    bound = newest(engine)
    return [e.seq for p in pieces(engine, chosen, key, bound=bound, **how) for e in p]  # type: ignore[arg-type]


async def test_each_filter_exports_what_a_plain_search_finds_in_log_order_to_the_bound(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    records = mixed(7, 60)
    records.reverse()  # written last, begun first: the log's order is not that of time
    await written(ledger, records)
    for chosen, fits in FILTERS:
        expected = [number for number, made in enumerate(records) if fits(made)]  # type: ignore[operator]
        for page in (1, 7, 60, 100):
            assert read(store, chosen, key, page=page) == expected, (chosen, page)
    first = pieces(store, LedgerFilter(), key, bound=newest(store), page=10)
    found = [entry.seq for entry in next(first)]
    await written(ledger, [record()])
    found.extend(entry.seq for piece in first for entry in piece)
    assert found == list(range(60))


def test_an_empty_log_has_nothing_to_export(store: Engine, key: LedgerKey) -> None:
    assert newest(store) == -1
    assert read(store, LedgerFilter(), key) == []


LOOKED_UP = {"case", "mark"}
"""Their few entries are found in a table of their own."""


@pytest.mark.parametrize("name", [None, *PLANS])
def test_every_filter_is_read_along_a_key_and_never_by_an_index_ordered_by_time(
    store: Engine, key: LedgerKey, name: str | None
) -> None:
    value, index = PLANS[name] if name else (None, "")
    chosen = LedgerFilter(**{name: value}) if name else LedgerFilter()  # type: ignore[arg-type]
    query = statement_in_log_order(chosen, key, after=5, bound=10**6, limit=50)
    if store.dialect.name == "sqlite":
        plan = explain(store, "EXPLAIN QUERY PLAN", query, sqlite.dialect())
        if index != "token" and name not in LOOKED_UP:
            assert "INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan, plan
            assert "TEMP B-TREE" not in plan, plan
    else:
        plan = explain(store, "EXPLAIN", query, postgresql.dialect())
    for _, other in PLANS.values():
        looked_up = name in LOOKED_UP and other == index
        assert other == "token" or other not in plan or name == "kind" or looked_up, plan
    assert "SCAN ledger_entry\n" not in plan
    assert "Seq Scan" not in plan


async def test_law_6_leaves_are_exported_as_they_were_sealed_and_hold_no_phi(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    await written(ledger, [record() for _ in range(3)])
    found = [e for p in pieces(store, LedgerFilter(), key, bound=2) for e in p]
    lines = ndjson(found).splitlines()
    with store.connect() as connection:
        rows = connection.execute(text("SELECT leaf, leaf_hash FROM ledger_entry ORDER BY seq"))
        for line, row in zip(lines, rows, strict=True):
            assert line == bytes(row.leaf)
            assert leaf.leaf_hash(line) == bytes(row.leaf_hash)
    shown = (ndjson(found) + csv_rows(found)).decode()
    assert not [canary for canary in CANARIES if canary in shown]


async def test_private_groups_are_those_of_show_and_say_when_they_are_gone(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    await written(ledger, [record() for _ in range(20)])
    eraser = Eraser(
        store, key, own="urn:oid:2.999.1", author=operator(), now=lambda: datetime.now(UTC)
    )
    eraser.run(Order(authority="patient", reason="person-request", parts=("patient",), seqs=(3,)))
    with store.begin() as connection:
        assert erase(connection, 4, "patient")
    found = [e for p in pieces(store, LedgerFilter(), key, bound=19, private=True) for e in p]
    assert len(found) == 20
    for line in ndjson(found).splitlines():
        held = json.loads(line)
        shown = show(store, held["seq"], key)
        assert shown is not None
        assert held["private"] == {name: group.value for name, group in shown.groups.items()}
        assert held["states"] == {
            name: state for name, state in shown.states.items() if state != "absent"
        }
        assert held["states"]["patient"] == {3: "erased", 4: "missing"}.get(held["seq"], "open")
    other = LedgerKey(os.urandom(32))
    (piece,) = pieces(store, LedgerFilter(), other, bound=0, private=True)
    assert piece[0].groups is not None
    assert piece[0].groups.opened == {}
    assert set(piece[0].groups.states.values()) == {GroupState.UNREADABLE}


async def test_a_changed_entry_ends_the_export(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey
) -> None:
    await written(ledger, [record() for _ in range(3)])
    with store.begin() as connection:
        connection.execute(text("UPDATE ledger_entry SET leaf = :l WHERE seq = 1"), {"l": b"{}"})
    with pytest.raises(OurFault) as caught:
        read(store, LedgerFilter(), key)
    assert caught.value.code == "ledger-leaf-invalid"


# --- lines ---------------------------------------------------------------------------------------

WORDS = st.text(min_size=1, max_size=12)
RISKY = st.builds(
    str.__add__, st.sampled_from(["=", "+", "-", "@", "'", "\t", "\r", "\n", "''="]), WORDS
)
VALUES = st.dictionaries(
    st.sampled_from(sorted(leaf.FIELDS)),
    st.one_of(WORDS, RISKY, st.integers(0, 2**53 - 1)),
    max_size=5,
)
GROUPS = st.dictionaries(
    st.sampled_from(leaf.GROUPS),
    st.dictionaries(WORDS, WORDS | RISKY, max_size=3) | st.lists(WORDS, max_size=3),
    max_size=3,
)


def exported(held: dict[str, object], groups: dict[str, object] | None) -> Exported:
    made = None
    if groups is not None:
        made = Groups(
            opened={n: Opened(salt=b"", data=json.dumps(g).encode()) for n, g in groups.items()},
            states=dict.fromkeys(groups, GroupState.OPEN),
        )
    return Exported(seq=0, data=json.dumps(held or {"v": 1}).encode(), groups=made)


@given(st.lists(st.tuples(VALUES, GROUPS), max_size=3), st.booleans())
def test_csv_reads_back_as_documented_and_no_cell_begins_a_formula(
    rows: list[tuple[dict[str, object], dict[str, object]]], private: bool
) -> None:
    entries = [exported(held, groups if private else None) for held, groups in rows]
    data = csv_header(private=private) + csv_rows(entries)
    header, *found = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    assert tuple(header) == columns(Format.CSV, private=private)
    assert len(found) == len(rows)
    for (held, groups), row in zip(rows, found, strict=True):
        assert not [cell for cell in row if cell[:1] in tuple("=+-@\t\r\n") and cell]
        values = dict(zip(header, [cell.removeprefix("'") for cell in row], strict=True))
        for name in leaf.FIELDS:
            assert values[name] == str((held or {"v": 1}).get(name, ""))
        for name in leaf.GROUPS if private else ():
            cell = values[f"private_{name}"]
            assert (json.loads(cell) if cell else None) == groups.get(name)


@given(st.lists(st.tuples(VALUES, GROUPS), max_size=3), st.booleans())
def test_ndjson_reads_back_line_by_line(
    rows: list[tuple[dict[str, object], dict[str, object]]], private: bool
) -> None:
    data = ndjson([exported(held, groups if private else None) for held, groups in rows])
    found = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    for (held, groups), line in zip(rows, found, strict=True):
        expected = dict(held or {"v": 1})
        if private:
            expected |= {"private": groups, "states": dict.fromkeys(groups, "open")}
        assert line == expected


# --- the end -------------------------------------------------------------------------------------


def made_pieces(count: int, error: BaseException | None = None) -> Iterator[tuple[Exported, ...]]:
    for seq in range(count):
        yield (exported({"seq": seq, "id": "x" * 50}, None),)
    if error:
        raise error


def disk(room: int) -> Callable[[int, bytes], int]:
    """A disk with room for so many bytes in the file, which writes what fits before it is full."""

    def write(handle: int, data: bytes) -> int:
        free = room - os.lseek(handle, 0, os.SEEK_CUR)
        if free <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(handle, data[: min(free, 40)])

    return write


@pytest.mark.parametrize("room", range(0, 1200, 37))
def test_a_full_disk_leaves_whole_lines_and_a_last_one_that_says_so(
    tmp_path: Path, room: int
) -> None:
    path = tmp_path / "out.partial"
    file = PartialFile(path, own=False, write=disk(room))
    with pytest.raises(ExportCut) as caught:
        write_export(file, made_pieces(30), rendering(Format.NDJSON))
    assert isinstance(caught.value.__cause__, OSError)
    mark = caught.value.mark
    data = path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (mark.size, mark.sha256)
    assert len(data) <= room
    lines = [json.loads(line) for line in data.splitlines()]
    if room < 100:  # no room even for the line
        assert len(lines) <= 1
        return
    assert lines[-1] == {
        "cut": True,
        "reason": "file-unusable",
        "entries": mark.entries,
        "last_seq": mark.last,
    }
    assert [line["seq"] for line in lines[:-1]] == list(range(mark.entries))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (OurFault("ledger-leaf-invalid", "A log entry is not JSON."), "ledger-leaf-invalid"),
        (ValueError(), "failed"),
    ],
)
def test_whatever_ends_it_early_the_file_says_so(
    tmp_path: Path, error: BaseException, reason: str
) -> None:
    for how in (Format.CSV, Format.NDJSON):
        path = tmp_path / f"{how}.partial"
        with pytest.raises(ExportCut) as caught:
            write_export(PartialFile(path, own=False), made_pieces(5, error), rendering(how))
        assert (caught.value.mark.entries, caught.value.reason) == (5, reason)
        lines = path.read_text().splitlines()
        assert len(lines) == 6  # with the line about the cut, or the header
        if how is Format.NDJSON:
            assert json.loads(lines[-1])["cut"] is True


def test_nothing_is_overwritten_whenever_it_comes(tmp_path: Path) -> None:
    place = Place(file=tmp_path / "log.csv")
    place.check()
    for path in (place.file, place.manifest, place.partial, place.partial_manifest):
        path.write_text("mine")
        with pytest.raises(SettingsError) as caught:
            place.check()
        assert caught.value.code == "export-exists"
        path.unlink()
    file = PartialFile(place.partial, own=True)
    with pytest.raises(SettingsError):
        PartialFile(place.partial, own=True)
    write_export(file, made_pieces(2), rendering(Format.CSV))
    write_manifest(place.partial_manifest, {"v": 1}, own=True)
    place.file.write_text("mine")
    with pytest.raises(SettingsError):
        place.hand_over()
    assert place.file.read_text() == "mine"
    assert place.partial.exists()
    assert {path.stat().st_mode & 0o777 for path in (place.partial, place.manifest)} == {0o600}


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/tty", "/dev/null"])
def test_a_terminal_or_a_pipe_is_no_place(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Place(file=Path(name)).check()
    assert caught.value.code in ("export-place-invalid", "export-exists")


def test_an_empty_export_is_an_empty_file(tmp_path: Path) -> None:
    file = PartialFile(tmp_path / "x.partial", own=False)
    assert write_export(file, made_pieces(0), rendering(Format.NDJSON)).size == 0
    assert Mark().sha256 == hashlib.sha256(b"").hexdigest()
