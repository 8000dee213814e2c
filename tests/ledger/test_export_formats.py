"""Exports as Parquet, DICOM audit messages and AuditEvents: whole, typed, and honest when cut."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from node.errors import OurFault
from node.ledger import export_parquet, leaf
from node.ledger.erasure import Eraser, Order
from node.ledger.export import Exported, Format, columns, pieces
from node.ledger.export_file import Mark, PartialFile
from node.ledger.export_parquet import ParquetRendering
from node.ledger.export_rendering import line_rendering
from node.ledger.export_run import ExportCut, write_export
from node.ledger.filter import LedgerFilter
from node.ledger.find import newest
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.trust_log import operator
from tests.ledger.audit_world import SITE
from tests.ledger.records import CANARIES, USER, record
from tests.ledger.test_find import mixed, written

ABOUT = {"node": "urn:oid:2.999.1"}


def chosen(engine: Engine, key: LedgerKey, *, private: bool) -> Iterator[tuple[Exported, ...]]:
    return pieces(engine, LedgerFilter(), key, bound=newest(engine), private=private, page=7)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_parquet, "_GROUP_ENTRIES", 10)


@pytest.mark.usefixtures("small_groups")
async def test_parquet_has_every_leaf_in_typed_columns_and_byte_for_byte(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, tmp_path: Path
) -> None:
    await written(ledger, mixed(3, 40))
    path = tmp_path / "log.parquet"
    rendering = ParquetRendering(private=False, about=ABOUT)
    mark = write_export(PartialFile(path, own=False), chosen(store, key, private=False), rendering)
    assert mark.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    file = pq.ParquetFile(path)
    table = file.read()
    assert tuple(table.column_names) == columns(Format.PARQUET, private=False)
    schema = table.schema
    assert schema.field("t").type == pa.timestamp("ms", tz="UTC")
    assert schema.field("seq").type == pa.int64()
    assert schema.field("dev").type.value_type == pa.string()
    for row in table.to_pylist():
        held = leaf.decode(row["leaf"])
        for name in leaf.FIELDS:
            expected = held.get(name)
            if name == "t":
                expected = datetime.fromisoformat(str(expected))
            elif name in ("pol", "dev", "unfit", "uses") and expected is not None:
                expected = str(expected).split(",")  # type: ignore[assignment]
            assert row[name] == expected, name
    groups = rendering.facts()["row_groups"]
    assert isinstance(groups, list)
    assert [group["entries"] for group in groups] == [14, 14, 12]
    assert file.metadata.num_row_groups == len(groups)
    data = path.read_bytes()
    for group in groups:
        part = data[group["start"] : group["end"]]
        assert hashlib.sha256(part).hexdigest() == group["sha256"]
    kind = file.metadata.row_group(0).column(1)
    assert kind.path_in_schema == "kind"
    assert kind.has_dictionary_page
    assert json.loads(file.metadata.metadata[b"node"]) == ABOUT["node"]


async def test_duckdb_reads_the_parquet_file_with_its_types(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, tmp_path: Path
) -> None:
    await written(ledger, mixed(3, 40))
    path = tmp_path / "log.parquet"
    write_export(
        PartialFile(path, own=False),
        chosen(store, key, private=False),
        ParquetRendering(private=False, about=ABOUT),
    )
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        query = "SELECT count(*), min(t), max(seq), sum(dur_ms) FROM read_parquet(?)"
        row = database.execute(query, [str(path)]).fetchone()
        assert row is not None
        table = pq.read_table(path)
        assert row[0] == 40
        assert row[1].astimezone(UTC) == min(table["t"].to_pylist())
        assert row[2] == 39
        kinds = dict(
            database.execute(
                "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet(?))",
                [str(path)],
            ).fetchall()
        )
    assert (kinds["t"], kinds["seq"]) == ("TIMESTAMP WITH TIME ZONE", "BIGINT")
    assert (kinds["dev"], kinds["leaf"]) == ("VARCHAR[]", "BLOB")


async def test_parquet_with_private_groups_has_them_as_json_and_their_states(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, tmp_path: Path
) -> None:
    await written(ledger, [record() for _ in range(5)])
    Eraser(store, key, own="urn:oid:2.999.1", author=operator(), now=lambda: datetime.now(UTC)).run(
        Order(authority="patient", reason="person-request", parts=("patient",), seqs=(3,))
    )
    path = tmp_path / "log.parquet"
    write_export(
        PartialFile(path, own=True),
        chosen(store, key, private=True),
        ParquetRendering(private=True, about=ABOUT),
    )
    rows = pq.read_table(path).to_pylist()
    assert json.loads(rows[0]["private_who"])["user_id"] == USER
    assert rows[3]["private_patient"] is None
    assert json.loads(rows[3]["states"])["patient"] == "erased"


@pytest.mark.usefixtures("small_groups")
async def test_a_parquet_file_that_was_cut_is_none_and_its_row_groups_are_listed(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, tmp_path: Path
) -> None:
    await written(ledger, mixed(3, 40))
    path = tmp_path / "log.parquet.partial"

    def interrupted() -> Iterator[tuple[Exported, ...]]:
        for number, piece in enumerate(chosen(store, key, private=False)):
            if number == 5:
                raise KeyboardInterrupt
            yield piece

    rendering = ParquetRendering(private=False, about=ABOUT)
    with pytest.raises(ExportCut) as caught:
        write_export(PartialFile(path, own=False), interrupted(), rendering)
    mark: Mark = caught.value.mark
    assert (mark.entries, mark.last) == (28, 27)
    groups = rendering.facts()["row_groups"]
    assert isinstance(groups, list)
    assert [group["last_seq"] for group in groups] == [13, 27]
    assert path.stat().st_size == mark.size == groups[-1]["end"]
    with pytest.raises(pa.ArrowInvalid):
        pq.ParquetFile(path)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OurFault) as caught:
        ParquetRendering(private=False, about=ABOUT)
    assert caught.value.code == "parquet-library-missing"
    assert "tefca-node[parquet]" in caught.value.advice


@pytest.mark.parametrize("how", [Format.ATNA, Format.AUDITEVENT])
async def test_audit_records_are_lines_and_without_private_groups_hold_no_phi(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, tmp_path: Path, how: Format
) -> None:
    await written(ledger, [record() for _ in range(20)])
    for private in (False, True):
        path = tmp_path / f"{how}-{private}"
        rendering = line_rendering(how, private=private, site=SITE)
        mark = write_export(
            PartialFile(path, own=private), chosen(store, key, private=private), rendering
        )
        assert mark.entries == 20
        text = path.read_text()
        lines = text.splitlines()
        for line in lines:
            kind = ET.fromstring(line).tag if how is Format.ATNA else json.loads(line)
            assert kind == "AuditMessage" or kind["resourceType"] == "AuditEvent"
        found = [canary for canary in CANARIES if canary in text]
        assert bool(found) == private


@pytest.mark.parametrize("how", [Format.ATNA, Format.AUDITEVENT])
async def test_audit_records_that_were_cut_end_with_a_line_that_is_none(
    store: Engine, ledger: ExchangeLedger, key: LedgerKey, tmp_path: Path, how: Format
) -> None:
    await written(ledger, [record() for _ in range(20)])

    def failing() -> Iterator[tuple[Exported, ...]]:
        yield next(chosen(store, key, private=False))
        raise OSError(28, os.strerror(28))

    path = tmp_path / "cut"
    with pytest.raises(ExportCut):
        write_export(
            PartialFile(path, own=False), failing(), line_rendering(how, private=False, site=SITE)
        )
    last = path.read_text().splitlines()[-1]
    if how is Format.ATNA:
        cut = ET.fromstring(last)
        assert cut.tag == "Cut"
        assert (cut.get("reason"), cut.get("entries"), cut.get("last_seq")) == (
            "file-unusable", "7", "6",
        )  # fmt: skip
    else:
        assert json.loads(last)["cut"] is True
