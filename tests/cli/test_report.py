"""``report disclosures``: the file, its entry in the log, and what is refused."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import stat
from pathlib import Path

import pytest
from ended import Cli
from pypdf import PdfReader

from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.model import Direction
from node.opened import opened_home
from node.settings import NodeHome, load_settings
from tests.ledger.records import PATIENT, record


@pytest.fixture
def disclosed(home: NodeHome) -> NodeHome:
    """A home whose log has one disclosure that is owed and one that is not."""
    with opened_home(home, load_settings(home)) as opened:
        ledger = ExchangeLedger(opened.engine, load_key(home.path))

        async def write() -> None:
            for purpose in ("T-PH", "T-TRTMNT"):
                made = record(purpose=purpose, direction=Direction.RESPONDING)
                await ledger.append(made)

        asyncio.run(write())
        ledger.close()
    return home


def report(cli: Cli, out: Path, *more: object):
    period = ("--since", "2026-10-01", "--until", "2026-11-30")
    return cli("report", "disclosures", "--patient", PATIENT.cx, "--out", out, *period, *more)


@pytest.mark.usefixtures("disclosed")
def test_the_file_is_the_owners_alone_and_its_digest_is_in_the_log(
    cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "for-the-patient.pdf"
    ended = report(cli, out)
    assert ended.code == 0, ended.err
    data = out.read_bytes()
    assert hashlib.sha256(data).hexdigest() in ended.out
    assert "1 listed" in ended.out
    assert "Not owed: Treatment 1 (45 CFR 164.528(a)(1)(i))" in ended.out
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "CANARYDOC.1" in PdfReader(io.BytesIO(data)).pages[0].extract_text()
    entries = cli("log", "find", "--act", "disclosure-report", "--json").json["entries"]
    assert [entry["step"] for entry in entries] == ["done", "begun"]
    assert "CANARY" not in str(entries)


@pytest.mark.usefixtures("disclosed")
def test_a_csv_has_all_of_it_with_full(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    assert report(cli, out, "--full").code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert [(row["purpose"], row["accounted_for"]) for row in rows] == [
        ("T-PH", "yes"),
        ("T-TRTMNT", "no"),
    ]


def test_an_exclusion_that_is_not_relied_on_is_accounted_for(
    cli: Cli, disclosed: NodeHome, tmp_path: Path
) -> None:
    file = disclosed.settings_file
    settings = file.read_text(encoding="utf-8")
    file.write_text(settings + '\n[disclosures]\ncount = ["treatment"]\n', encoding="utf-8")
    assert "2 listed" in report(cli, tmp_path / "a.csv").out
    file.write_text(settings + '\n[disclosures]\ncount = ["x"]\n', encoding="utf-8")
    ended = report(cli, tmp_path / "b.csv")
    assert ended.code == 3
    assert "no exclusion has the code x" in ended.err


def test_no_file_is_overwritten_and_the_log_says_that_it_failed(
    cli: Cli, disclosed: NodeHome, tmp_path: Path
) -> None:
    assert disclosed.path.is_dir()
    out = tmp_path / "there.csv"
    out.write_text("mine", encoding="utf-8")
    assert report(cli, out).code == 3
    assert out.read_text(encoding="utf-8") == "mine"
    entries = cli("log", "find", "--act", "disclosure-report", "--json").json["entries"]
    assert entries[0]["step"] == "failed"


@pytest.mark.parametrize(
    "words",
    [
        ("--patient", "7^^^&2.999.1&ISO", "--out", "report.txt"),
        ("--patient", "7^^^&2.999.1&ISO", "--out", "r.csv", "--since", "2999-01-01"),
        ("--patient", "7^^^&2.999.1&ISO"),
    ],
)
def test_what_cannot_be_made_is_a_wrong_use(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("report", "disclosures", *words).code == 2


def access(cli: Cli, out: Path, language: str):
    return cli("report", "access", "--patient", PATIENT.cx, "--out", out, "--language", language)


@pytest.mark.usefixtures("disclosed")
def test_the_full_access_report_is_in_the_language_and_its_digest_in_the_log(
    cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "informe.csv"
    ended = access(cli, out, "es")
    assert ended.code == 0, ended.err
    assert "para su tratamiento" in out.read_text(encoding="utf-8")
    assert hashlib.sha256(out.read_bytes()).hexdigest() in ended.out
    assert "2 listed" in ended.out


@pytest.mark.usefixtures("disclosed")
def test_a_language_without_a_file_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "r.pdf"
    ended = access(cli, out, "tlh")
    assert ended.code != 0
    assert "These have some: en, es." in ended.err
    assert not out.exists()
