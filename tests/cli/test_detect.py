"""``detect``: looks, says what it found, is set with a reason, and is tried on past days."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from ended import Cli

from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.opened import opened_home
from node.settings import NodeHome, load_settings
from tests.governance.detector_world import asked
from tests.ledger.records import record

WHY = "The back-test found nothing that was wrong."


@pytest.fixture
def tried(home: NodeHome) -> None:
    """A peer asked this home about 25 people whom it does not know."""

    async def write() -> None:
        ledger = ExchangeLedger(opened.engine, load_key(home.path))
        for n in range(25):
            started = datetime.now(UTC) - timedelta(milliseconds=10 * (25 - n))
            await ledger.append(record(**asked(n, started=started)))  # type: ignore[arg-type]
        ledger.close()

    with opened_home(home, load_settings(home)) as opened:
        asyncio.run(write())


@pytest.mark.usefixtures("tried")
def test_a_detector_is_tried_switched_on_and_finds(cli: Cli) -> None:
    ended = cli("detect", "backtest", "D14")
    assert ended.out.startswith("D14 on the last 30 days: 1 flag among 25 legs of 1 peer.")
    assert cli("detect", "backtest", "D14", "--limit", "asked=26", "--json").json["flags"] == 0
    ended = cli("detect", "set", "D14", "--state", "on", "--limit", "run=30", "--reason", WHY)
    assert ended.code != 0
    assert "D14 was not tried on past days with these limits" in " ".join(ended.err.split())
    assert "detect backtest" in ended.err
    cli("detect", "backtest", "D14", "--limit", "run=30")
    ended = cli("detect", "set", "D14", "--state", "on", "--limit", "run=30", "--reason", WHY)
    assert ended.out == "D14 is on (asked 20, share 0.8, run 30).\n"
    ended = cli("detect", "run")
    assert ended.code == 0, ended.err
    examined, flagged, case = ended.out.splitlines()
    assert examined == "25 exchanges examined, 1 flag, 0 in shadow; detectors ok."
    assert flagged.startswith("D14 (on): urn:oid:2.999.2.1 asked about 25 people, and 25 of them")
    assert case.startswith("Case 20")
    assert cli("detect", "run", "--json").json["exchanges"] == 0
    row = next(r for r in cli("detect", "list", "--json").json["detectors"] if r["id"] == "D14")
    assert (row["state"], row["flags_30_days"], row["precision"]) == ("on", 1, None)
    assert row["limits"]["run"]["value"] == 30
    found = cli("log", "find", "--json", "act:detector-sweep").out
    assert "The detectors looked at 25 exchanges: 1 flag, and 0 in shadow." in found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("D14", "--state", "on", "--reason", "short"), "at least 20 characters"),
        (("D14", "--limit", "share=2", "--reason", WHY), "share is from 0.1 to 1"),
        (("D14", "--limit", "share", "--reason", WHY), "NAME=NUMBER"),
        (("D14", "--reason", WHY), "what is to be changed"),
        (("D99", "--state", "on", "--reason", WHY), "no detector 'D99'"),
    ],
)
def test_what_cannot_be_set_is_said(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    ended = cli("detect", "set", *arguments)
    assert ended.code != 0
    assert said in " ".join(ended.err.split())
