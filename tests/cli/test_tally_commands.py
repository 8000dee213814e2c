"""``log tally`` and ``peer scorecard``: counted by hand, each number with its filter."""

from __future__ import annotations

from pathlib import Path

from ended import HCID, Cli

OTHER = HCID.replace("71", "72")


def test_a_scorecard_names_the_filter_behind_each_number(cli: Cli, joined: Path) -> None:
    file = joined.with_name("other.json")
    file.write_text(joined.read_text(encoding="utf-8").replace("2.999.71", "2.999.72"))
    assert cli("directory", "import", file, "--source", "other").code == 0
    cli(
        "query", "patient", "--purpose", "T-TRTMNT", "--family", "Brightwater",
        "--birth-date", "1981-07-09", "--peer", OTHER, "--json",
    )  # fmt: skip
    shown = cli("peer", "scorecard", OTHER, "--json").json
    rows = {(row["measure"], row["days"]): row for row in shown["numbers"]}
    row = rows["fault-between", 30]
    found = cli("log", "find", "--json", *row["filter"].split()).json
    assert len(found["entries"]) == row["number"] == 1
    assert rows["asked", 7]["filter"].endswith("direction:initiating -mark:not-sent")
    again = cli("log", "tally", "--rebuild")
    assert again.code == 0
    assert "anew; 100 days are kept" in again.out
    assert cli("peer", "scorecard", OTHER, "--json").json == shown
