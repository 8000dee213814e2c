"""One grammar for ``log find``, ``tail``, ``show`` and ``export``: words and options alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ended import HCID, Cli

from node.ledger.qualifiers import QUALIFIERS, TIMES

ASKED = "urn:oid:2.999.72"


@pytest.fixture
def asked(cli: Cli, joined: Path) -> int:
    """A log with trust changes and one question that nobody answered; the number of the last."""
    assert joined.is_file()
    cli(
        "query", "patient", "--purpose", "T-TRTMNT", "--family", "Brightwater",
        "--birth-date", "1981-07-09", "--peer", ASKED, "--json",
    )  # fmt: skip
    (entry,) = cli("log", "find", "kind:exchange", "--json").json["entries"]
    return int(entry["seq"])


def found(cli: Cli, *words: object) -> list[int]:
    ended = cli("log", "find", *words, "--json")
    assert ended.code == 0, ended.err
    return [entry["seq"] for entry in ended.json["entries"]]


def test_words_and_options_are_one_filter(cli: Cli, asked: int) -> None:
    for words in (
        ("peer:2.999.72", "kind:exchange"),
        ("peer:2.999.72 kind:exchange",),
        ("--kind", "exchange", "hcid:2.999.72"),
        ("--peer", f"{ASKED},{HCID}", "direction:out"),
        ("-kind:cert,directory,admin",),
        ("-outcome:ok", "--limit", 5),
        ("since:1h", "transaction:ITI-55"),
        ("--since", "1h", "--kind", "exchange"),
    ):
        assert found(cli, *words) == [asked], words
    assert asked not in found(cli, "-kind:exchange")
    assert found(cli, "kind:exchange", "until:1h") == []


def test_what_is_chosen_is_said_and_nobody_is_named(cli: Cli, asked: int) -> None:
    ended = cli("log", "find", "kind:exchange", "since:24h")
    assert ended.err.strip() == "The entries of the last 24 hours, of the kind exchange."
    ended = cli("log", "find", "since:24h", "kind:exchange", "user:canary", "--json")
    assert "canary" not in ended.out
    assert ended.json["sentence"].endswith("of the user (withheld).")
    assert ended.json["filter"] is None
    plain = cli("log", "find", "--kind", "exchange", "--json").json
    assert plain["filter"] == "kind:exchange"
    assert cli("log", "find").err == ""
    assert asked


@pytest.mark.parametrize("command", ["find", "tail", "show", "export"])
def test_a_word_that_is_not_understood_is_named_with_the_nearest(cli: Cli, command: str) -> None:
    more = ("--out", "log.csv") if command == "export" else ()
    ended = cli("log", command, *more, "peeer:2.999.2")
    assert ended.code == 2
    assert "did you mean peer?" in " ".join(ended.err.replace("│", " ").split())


def test_an_empty_page_says_how_many_there_are_in_a_longer_time(cli: Cli, asked: int) -> None:
    assert cli("log", "find", "kind:exchange", "until:24h").out.strip() == (
        "No match in that time; 1 at any time."
    )
    assert cli("log", "find", "kind:erasure", "since:24h").out.strip() == (
        "No match in the last 24 hours, nor at any other."
    )
    assert asked


def test_show_takes_qualifiers_that_choose_one_entry(cli: Cli, asked: int) -> None:
    one = cli("log", "show", "kind:exchange", "peer:2.999.72", "--json")
    assert one.json["seq"] == asked
    assert "Brightwater" in one.out
    several = cli("log", "show", "-kind:exchange")
    assert several.code == 1
    assert several.err.startswith("More than one entry fits. The entries not of the kind exchange.")
    assert cli("log", "show", "peer:2.999.404").code == 1


def test_tail_shows_the_newest_that_fit_in_log_order(cli: Cli, asked: int) -> None:
    every = [entry["seq"] for entry in cli("log", "tail", "--json").json]
    assert every == sorted(every)
    assert asked in every
    others = cli("log", "tail", "-kind:exchange", "-n", 2, "--json").json
    assert [entry["seq"] for entry in others] == [seq for seq in every if seq != asked][-2:]
    assert [e["seq"] for e in cli("log", "tail", "-outcome:ok", "--json").json] == [asked]


def test_export_takes_the_same_words_and_writes_down_when(
    cli: Cli, asked: int, tmp_path: Path
) -> None:
    out = tmp_path / "a.ndjson"
    ended = cli("log", "export", "--out", out, "since:1h", "-outcome:ok")
    assert ended.code == 0, ended.err
    assert [json.loads(line)["seq"] for line in out.read_bytes().splitlines()] == [asked]
    manifest = json.loads(out.with_name("a.ndjson.manifest.json").read_bytes())
    assert manifest["filter"]["-outcome"] == "ok"
    assert manifest["filter"]["since"].endswith("Z")  # not "1h": that would be another hour later
    assert manifest["sentence"] in ended.err


def test_every_qualifier_has_its_option_with_its_help(cli: Cli) -> None:
    told = " ".join(cli("log", "find", "--help").out.replace("│", " ").split())
    for name in (*QUALIFIERS, *TIMES):
        assert f"--{name}" in told
    assert "declined" in told
