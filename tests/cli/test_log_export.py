"""``log export``: the file, its manifest, its entry in the log, and how it ends."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import pwd
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ended import HCID, Cli

from node.cli import log_export
from node.ledger.entry_source import write_heartbeat
from node.ledger.export_file import PartialFile
from node.ledger.private import load_key
from node.opened import opened_home
from node.settings import NodeHome, load_settings
from node.yearly_sealer import YearlySealer

USER = pwd.getpwuid(os.getuid()).pw_name
FAMILY = "Brightwater"


@pytest.fixture
def asked(cli: Cli, joined: Path) -> int:
    """A log with trust changes and one failed question; the number of its entries."""
    assert joined.is_file()
    cli(
        "query", "patient", "--purpose", "T-TRTMNT", "--family", FAMILY,
        "--birth-date", "1981-07-09", "--peer", "urn:oid:2.999.72", "--json",
    )  # fmt: skip
    return len(cli("log", "find", "--limit", 1000, "--json").json["entries"])


def manifest_of(file: Path) -> dict[str, Any]:
    return json.loads(file.with_name(f"{file.name}.manifest.json").read_bytes())


def acts(cli: Cli) -> list[dict[str, Any]]:
    found = cli("log", "find", "--kind", "admin", "--json").json["entries"]
    return list(reversed(found))


def test_an_export_has_a_manifest_and_is_an_entry_of_the_log(
    cli: Cli, asked: int, tmp_path: Path
) -> None:
    out = tmp_path / "log.ndjson"
    ended = cli("log", "export", "--out", out)
    assert ended.code == 0, ended.err
    data = out.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    lines = [json.loads(line) for line in data.splitlines()]
    assert [line["seq"] for line in lines] == list(range(asked))
    assert FAMILY not in data.decode()
    manifest = manifest_of(out)
    assert manifest | {"exported_at": "", "columns": []} == {
        "v": 1,
        "complete": True,
        "file": "log.ndjson",
        "format": "ndjson",
        "private": False,
        "node": HCID,
        "exported_by": USER,
        "exported_at": "",
        "filter": {},
        "sentence": "All entries.",
        "bound": asked - 1,
        "entries": asked,
        "first_seq": 0,
        "last_seq": asked - 1,
        "size": len(data),
        "sha256": digest,
        "checkpoint": None,
        "columns": [],
    }
    assert digest in ended.out
    begun, done = acts(cli)
    assert (begun["step"], done["step"], done["begun"]) == ("begun", "done", begun["seq"])
    assert (done["act"], done["entries"], done["by"]) == ("log-export", asked, "operator")
    assert done["sentence"] == (f"{asked} entries of the log were exported (file {digest[:16]}).")
    shown = cli("log", "show", done["seq"], "--json").json
    assert shown["private"]["who"]["user_id"] == USER
    assert shown["private"]["wire"]["format"] == "ndjson"
    assert sorted(path.name for path in tmp_path.glob("log.*")) == [
        "log.ndjson", "log.ndjson.manifest.json",
    ]  # fmt: skip


def test_the_manifest_and_the_entry_name_the_sealed_checkpoint(
    cli: Cli, home: NodeHome, tmp_path: Path
) -> None:
    settings = load_settings(home)
    with opened_home(home, settings) as opened:
        now = opened.clock.now()
        write_heartbeat(opened.engine, load_key(home.path), own=HCID, now=now)
        sealer = YearlySealer(opened)
        sealer.run()
        sealer.close()
    point = cli("log", "checkpoint", "--json").json
    manifest = cli("log", "export", "--out", tmp_path / "a.csv", "--json").json
    assert manifest == manifest_of(tmp_path / "a.csv")
    assert manifest["checkpoint"] == {
        "origin": point["origin"],
        "size": 1,
        "root": point["root"],
        "note": point["checkpoint"],
    }
    done = acts(cli)[-1]
    assert (done["size"], done["root"], done["entries"]) == (1, point["root"], 1)


def test_options_choose_as_in_find_and_nothing_found_is_an_empty_file(
    cli: Cli, asked: int, tmp_path: Path
) -> None:
    for number, words in enumerate(
        (("--kind", "exchange"), ("--outcome", "failed"), ("--user", "system"))
    ):
        out = tmp_path / f"{number}.csv"
        assert cli("log", "export", "--out", out, *words).code == 0
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        found = cli("log", "find", *words, "--json").json["entries"]
        assert {row["id"] for row in rows} == {entry["entry_id"] for entry in found}
        assert rows
    empty = tmp_path / "empty.ndjson"
    assert cli("log", "export", "--out", empty, "--patient", "7^^^&2.999.1&ISO").code == 0
    assert empty.read_bytes() == b""
    manifest = manifest_of(empty)
    assert (manifest["entries"], manifest["first_seq"], manifest["complete"]) == (0, None, True)
    assert manifest["sentence"] == "The entries about the patient (withheld)."
    assert manifest["sha256"] == hashlib.sha256(b"").hexdigest()
    assert asked


def test_private_parts_only_when_asked_for_and_for_the_owner_alone(
    cli: Cli, asked: int, tmp_path: Path
) -> None:
    out = tmp_path / "private.ndjson"
    words = ("--private", "--kind", "exchange", "--user", "system")
    assert cli("log", "export", "--out", out, *words).code == 0
    (line,) = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert line["private"]["query"]["demographics"]["names"][0]["family"] == FAMILY
    assert line["states"]["query"] == "open"
    manifest = manifest_of(out)
    assert (manifest["filter"]["user"], manifest["private"]) == ("system", True)
    for path in (out, out.with_name("private.ndjson.manifest.json")):
        assert path.stat().st_mode & 0o777 == 0o600
    wire = cli("log", "show", acts(cli)[-1]["seq"], "--json").json["private"]["wire"]
    assert wire["private"] is True
    assert "(withheld)" in wire["filter"]
    assert asked
    for place in ("/dev/stdout", "-"):
        refused = cli("log", "export", "--out", place, "--format", "csv", "--private")
        assert refused.code == 3
        assert FAMILY not in refused.flat
    assert len(acts(cli)) == 2


def test_what_cannot_be_begun_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("mine")
    ended = cli("log", "export", "--out", out)
    assert (ended.code, out.read_text()) == (3, "mine")
    assert "export-exists" in ended.flat
    assert cli("log", "export", "--out", tmp_path / "x.txt").code == 2
    assert cli("log", "export", "--out", tmp_path / "x.csv", "--act", "nothing").code == 2
    assert acts(cli) == []
    assert cli("log", "export", "--out", tmp_path / "nowhere" / "x.csv").code == 3
    assert [entry["step"] for entry in acts(cli)] == ["begun", "failed"]


def test_ctrl_c_leaves_a_partial_file_that_says_so(
    cli: Cli, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = log_export.pieces

    def interrupted(*args: Any, **how: Any) -> Iterator[Any]:
        (piece,) = whole(*args, **how)
        yield piece[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(log_export, "pieces", interrupted)
    out = tmp_path / "log.ndjson"
    ended = cli("log", "export", "--out", out)
    assert ended.code == 130
    assert "has the first 2 entries" in ended.flat
    assert not out.exists()
    partial_file = tmp_path / "log.ndjson.partial"
    data = partial_file.read_bytes()
    assert json.loads(data.splitlines()[-1]) == {
        "cut": True, "reason": "interrupted", "entries": 2, "last_seq": 1,
    }  # fmt: skip
    manifest = manifest_of(partial_file)
    assert (manifest["complete"], manifest["cut"], manifest["entries"]) == (False, "interrupted", 2)
    assert manifest["sha256"] == hashlib.sha256(data).hexdigest()
    failed = acts(cli)[-1]
    assert (failed["step"], failed["reason"], failed["entries"]) == ("failed", "interrupted", 2)
    assert asked > 2


def test_a_full_disk_ends_with_3_and_an_incomplete_manifest(
    cli: Cli, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, data: bytes) -> int:
        if len(data) > 600:  # the header fits, the rows do not
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(handle, data)

    monkeypatch.setattr(log_export, "PartialFile", partial(PartialFile, write=full))
    out = tmp_path / "log.csv"
    ended = cli("log", "export", "--out", out)
    assert ended.code == 3
    assert "No space left on device" in ended.flat
    assert "export-cut" in ended.flat
    assert not out.exists()
    manifest = manifest_of(tmp_path / "log.csv.partial")
    assert (manifest["complete"], manifest["entries"]) == (False, 0)
    assert len((tmp_path / "log.csv.partial").read_bytes().splitlines()) == 1
    assert acts(cli)[-1]["reason"] == "export-cut"
    assert asked


def test_a_log_that_cannot_take_the_end_does_not_hand_the_file_over(
    cli: Cli, home: NodeHome, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = log_export.write_manifest

    def then_lose_the_counter(*args: Any, **how: Any) -> None:
        write(*args, **how)
        with sqlite3.connect(home.path / "node.db") as connection:
            connection.execute("DELETE FROM ledger_counter")

    monkeypatch.setattr(log_export, "write_manifest", then_lose_the_counter)
    ended = cli("log", "export", "--out", tmp_path / "log.csv")
    assert ended.code == 3
    assert "trust-change-unrecorded" in ended.flat
    assert not (tmp_path / "log.csv").exists()
    assert (tmp_path / "log.csv.partial").exists()
    assert asked


def test_audit_records_and_parquet_are_formats_of_the_same_command(
    cli: Cli, asked: int, tmp_path: Path
) -> None:
    for name, words in (
        ("log.parquet", ()),
        ("log.xml", ("--format", "atna")),
        ("log.fhir", ("--format", "auditevent", "--private")),
    ):
        out = tmp_path / name
        ended = cli("log", "export", "--out", out, *words)
        assert ended.code == 0, ended.err
        manifest = manifest_of(out)
        assert manifest["complete"] is True
        assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
        assert manifest["entries"] >= asked
    assert manifest_of(tmp_path / "log.parquet")["row_groups"][-1]["last_seq"] == asked - 1
    assert 'csd-code="110112"' in (tmp_path / "log.xml").read_text()
    assert FAMILY not in (tmp_path / "log.xml").read_text()
    events = [json.loads(line) for line in (tmp_path / "log.fhir").read_text().splitlines()]
    assert {event["resourceType"] for event in events} == {"AuditEvent"}
    assert any(event["subtype"][-1]["code"] == "ITI-55" for event in events)
    assert (tmp_path / "log.fhir").stat().st_mode & 0o077 == 0
