"""``log retain``: what is due is shown, dropped when confirmed, and honestly told afterwards."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ended import Cli

from node.ledger.entry_source import write_heartbeat
from node.ledger.private import load_key
from node.ledger.tlog.merkle import leaf_hash
from node.ledger.tlog.note import parse_verifier_key
from node.ledger.tlog.policy import of_log
from node.ledger.tlog.proof import parse_proof, verify_proof
from node.opened import opened_home
from node.settings import NodeHome, load_settings
from node.yearly_sealer import YearlySealer


class _At:
    def __init__(self, year: int) -> None:
        self.year = year

    def now(self) -> datetime:
        return datetime(self.year, 6, 1, tzinfo=UTC)


def seal_in(home: NodeHome, year: int, beats: int) -> None:
    """As a process that serves in a year."""
    with opened_home(home, load_settings(home)) as opened:
        sealer = YearlySealer(replace(opened, clock=_At(year)))
        key, now = load_key(home.path), datetime(year, 1, 1, tzinfo=UTC)
        for _ in range(beats):
            write_heartbeat(opened.engine, key, own=opened.home_community_id, now=now)
        try:
            sealer.run()
        finally:
            sealer.close()


@pytest.fixture(scope="module")
def aged_home(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aged") / "home"
    home = NodeHome(Path(shutil.copytree(pristine, folder)))
    seal_in(home, 2015, 299)
    seal_in(home, datetime.now(UTC).year, 0)
    return home.path


@pytest.fixture
def home(aged_home: Path, tmp_path: Path) -> NodeHome:
    return NodeHome(Path(shutil.copytree(aged_home, tmp_path / "home")))


def vkeys(cli: Cli, home: NodeHome) -> list[object]:
    keys = [(home.path / "signed" / f"{year.name}.keys").read_text().strip()
            for year in home.log.glob("[0-9]*")]  # fmt: skip
    return [word for key in keys for word in ("--vkey", key)]


def test_a_year_that_is_due_goes_and_verify_says_so(cli: Cli, home: NodeHome) -> None:
    assert cli("log", "hold", "add", "--entries", "41", "--reason", "litigation").code == 0
    (year,) = cli("log", "retain", "plan", "--json").json["years"]
    assert (year["year"], year["entries"], year["due"]) == (2015, 300, "2026-01-01")
    assert (year["would_go"], year["kept_back"]) == (298, "legal-hold 1, record 1")
    told = cli("log", "retain", "plan")
    assert "have it confirmed" in told.err
    assert cli("log", "retain", "run").code == 2  # nobody was asked
    assert cli("log", "verify", home.log, *vkeys(cli, home)).code == 0
    done = cli("log", "retain", "run", "--yes", "--vacuum")
    assert done.code == 0, done.err
    assert "2015: 298 entries dropped, kept back: legal-hold 1, record 1." in done.out
    seal_in(home, datetime.now(UTC).year, 1)
    found = cli("log", "verify", home.log, *vkeys(cli, home), "--json")
    assert found.code == 0, found.out
    (retired,) = found.json["retired"]
    assert (retired["entries"], retired["until"], retired["kept"]) == (300, "2026-01-01", 2)
    words = cli("log", "verify", home.log, *vkeys(cli, home)).out
    assert "were retained until 2026-01-01 and are gone; 2 kept entries prove." in words
    assert cli("log", "fsck", "--json").json["findings"] == []
    acts = [e["step"] for e in cli("log", "find", "--act", "log-retain", "--json").json["entries"]]
    assert acts == ["done", "begun"]


def test_a_kept_entry_is_proved_and_another_is_not_there(
    cli: Cli, home: NodeHome, tmp_path: Path
) -> None:
    cli("log", "hold", "add", "--entries", "41", "--reason", "litigation")
    cli("log", "retain", "run", "--yes")
    entry = tmp_path / "entry"
    proof = cli("log", "prove", 41, "--entry", entry, "--json").json
    key = parse_verifier_key((home.path / "signed" / "2015.keys").read_text().strip())
    accepted = verify_proof(
        parse_proof(proof["proof"].encode()), leaf_hash(entry.read_bytes()), of_log(key)
    )
    assert accepted.checkpoint.size == 300
    ended = cli("log", "show", 40)
    assert (ended.code, "was retained until 2026-01-01" in ended.err) == (1, True)
    assert cli("log", "show", 41).code == 0


def test_what_is_not_due_stays(cli: Cli, home: NodeHome) -> None:
    text = home.settings_file.read_text()
    home.settings_file.write_text(f"{text}\n[log]\nretention_years = 12\n")
    (year,) = cli("log", "retain", "plan", "--json").json["years"]
    assert (year["due"], year["would_go"]) == ("2028-01-01", None)
    assert "No year's log is due." in cli("log", "retain", "run").out
    refused = cli("log", "retain", "run", "--year", 2015, "--yes")
    assert refused.code == 3
    assert "kept until 2028-01-01" in refused.err
    assert cli("log", "retain", "plan", "--year", 1999).code == 1
