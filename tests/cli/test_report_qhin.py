"""``report monthly`` and ``report quarterly``: the files, their entries, what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from ended import Cli

from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.opened import opened_home
from node.settings import NodeHome, load_settings
from tests.ledger.records import record


@pytest.fixture
def asked(home: NodeHome) -> NodeHome:
    """A home whose log has two legs of November 2026."""
    with opened_home(home, load_settings(home)) as opened:
        ledger = ExchangeLedger(opened.engine, load_key(home.path))

        async def write() -> None:
            for _ in range(2):
                await ledger.append(record(purpose="T-TRTMNT"))

        asyncio.run(write())
        ledger.close()
    return home


@pytest.mark.usefixtures("asked")
def test_a_month_is_written_whole_and_its_digest_is_in_the_log(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "november.json"
    window = "2026-11-03T02:00/2026-11-03T04:00"
    ended = cli("report", "monthly", "2026-11", "--out", out, "--planned", window)
    assert ended.code == 0, ended.err
    made = json.loads(out.read_bytes())
    parts = {part["code"]: part["rows"] for part in made["parts"]}
    assert parts["successes"][0]["Successes"] == 2
    assert hashlib.sha256(out.read_bytes()).hexdigest() in ended.out
    entries = cli("log", "find", "--act", "qhin-report", "--json").json["entries"]
    assert [entry["step"] for entry in entries] == ["done", "begun"]
    words = parts["successes"][0]["filter"].split()
    assert len(cli("log", "find", *words, "--json").json["entries"]) == 2


@pytest.mark.usefixtures("asked")
def test_a_quarter_states_what_it_was_given(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "q.csv"
    stated = ("--state", "hospital=3", "--state", "clinicians=40")
    ended = cli("report", "quarterly", "2026-Q4", "--out", out, *stated)
    assert ended.code == 0, ended.err
    assert "Hospital,3,stated" in out.read_text()
    assert "IAS consumers,not stated" in out.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("monthly", "2026-Q3"), "has a period such as 2026-10"),
        (("quarterly", "2026-10"), "has a period such as 2026-Q3"),
        (("quarterly", "2026-Q3", "--state", "beds=3"), "A report has these numbers"),
        (("monthly", "2026-10", "--planned", "tonight"), "Window 1 is none"),
    ],
)
@pytest.mark.usefixtures("asked")
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    cli: Cli, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    out = tmp_path / "r.pdf"
    ended = cli("report", *words, "--out", out)
    assert ended.code != 0
    assert sentence in ended.err
    assert not out.exists()
    ended = cli("report", "monthly", "2026-10", "--out", tmp_path / "r.exe")
    assert ended.code == 2
