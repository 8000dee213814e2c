"""Every reading command has --json that parses, and says it in words without."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from ended import HCID, Cli

from node.cli.main import app

READING = {
    "cert show": (),
    "cert status": (),
    "cert plan": (),
    "anchor list": (),
    "crl list": (),
    "directory find": (),
    "directory show": (HCID,),
    "directory check": (),
    "peer scorecard": (HCID,),
    "peer profile": (HCID,),
    "fhir registrations": (),
    "fhir clients": (),
    "records list": (),
    "encounters status": (),
    "log find": (),
    "log tail": (),
    "audit status": (),
    "audit mapping": (),
    "detect list": (),
    "detect sample": (),
    "user list": (),
    "doctor": (),
    "explain": (),
}


@pytest.mark.parametrize("name", READING)
@pytest.mark.usefixtures("joined")
def test_reading_commands_print_one_json_value(cli: Cli, name: str) -> None:
    ended = cli(*name.split(), *READING[name], "--json")
    assert ended.code == 0, ended.err
    assert isinstance(ended.json, list | dict)
    words = cli(*name.split(), *READING[name])
    assert words.code == 0
    assert words.out.strip()


def test_every_command_with_json_is_known_here() -> None:
    """A new reading command needs a row above; the others write, or ask the network."""
    group = typer.main.get_command(app)
    with_json = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        for below, each in getattr(command, "commands", {"": command}).items():
            if not each.hidden and any("--json" in option.opts for option in each.params):
                with_json.add(f"{name} {below}".strip())
    asking = {f"query {name}" for name in ("patient", "documents", "retrieve", "chart", "fhir")}
    asking |= {"deliver", "peer ping", "peer test", "log reconcile", "log verify-packet"}
    asking |= {"fhir discover", "fhir register", "fhir token"}
    writing = {"ca issue", "directory import", "records add", "crl import", "crl fetch", "demo"}
    writing |= {"encounters import"}
    writing |= {"serve", "log erase", "user add", "user reset", "fhir launch"}
    writing |= {"detect run", "detect backtest"}  # test_detect
    # these need a published list; test_network_commands reads their JSON
    network = {"publish", "diff", "sync", "sign", "status", "join", "leave"}
    network = {f"network {name}" for name in network}
    one_thing = {"log show", "cert inspect", "crl show"}
    one_thing |= {
        f"log {name}" for name in ("verify", "prove", "checkpoint", "fsck")
    }  # test_log_proof
    one_thing |= {"log export"}  # test_log_export
    one_thing |= {"audit test", "mail test"}  # test_audit, test_mail_command
    assert with_json == set(READING) | asking | writing | network | one_thing


def test_an_empty_log_says_so(cli: Cli) -> None:
    assert cli("log", "tail").out.strip() == "The log is empty."
    assert cli("log", "find").out.strip() == "No entry fits."
    assert cli("log", "tail", "--json").json == []


def test_what_is_not_there_ends_with_1_and_says_what_next(cli: Cli) -> None:
    for words in (("directory", "show", "nobody"), ("log", "show", "99"), ("explain", "nope")):
        ended = cli(*words)
        assert ended.code == 1
        assert "Next:" in ended.err
        assert words[-1] in ended.err


def test_explain_gives_the_side_and_the_advice(cli: Cli) -> None:
    (row,) = cli("explain", "connect-refused", "--json").json
    assert row["kind"] == "error of node"
    assert row["side"] == "network"
    assert row["text"]
    (refusal,) = cli("explain", "peer-suspended", "--json").json
    assert refusal["kind"] == "refusal"


FITTING = (
    ("--peer", "urn:oid:2.999.72"),
    ("--transaction", "ITI-55"),
    ("--outcome", "failed"),
    ("--direction", "initiating"),
    ("--purpose", "T-TRTMNT"),
    ("--reason", "no-route"),
    ("--since", "2020-01-01"),
    ("--until", "2999-01-01"),
    ("--user", "system"),
    ("--limit", "1"),
)
OTHER = (
    ("--peer", "urn:oid:2.999.99"),
    ("--transaction", "ITI-39"),
    ("--outcome", "ok"),
    ("--direction", "responding"),
    ("--purpose", "T-PYMNT"),
    ("--reason", "timeout"),
    ("--since", "2999-01-01"),
    ("--until", "2020-01-01"),
    ("--user", "somebody else"),
    ("--document", "2.999.5"),
    ("--message", "urn:uuid:00000000-0000-0000-0000-000000000000"),
    ("--patient", "7^^^&2.999.1&ISO"),
    ("--exchange", "00000000-0000-0000-0000-000000000000"),
)


def test_log_filters_find_what_they_describe_and_nothing_else(cli: Cli, joined: Path) -> None:
    _ask_in_vain(cli, joined)
    for options in FITTING:
        found = cli("log", "find", "--kind", "exchange", *options, "--json").json["entries"]
        assert len(found) == 1, options
    for options in OTHER:
        assert cli("log", "find", *options, "--json").json["entries"] == [], options
    named = {name for name, _ in FITTING} | {name for name, _ in OTHER}
    assert named >= {"--peer", "--outcome", "--patient", "--document", "--exchange"}


def test_log_show_opens_the_private_part_unless_sealed(cli: Cli, joined: Path) -> None:
    _ask_in_vain(cli, joined)
    (entry,) = cli("log", "find", "--kind", "exchange", "--json").json["entries"]
    opened = cli("log", "show", entry["seq"], "--json").json
    assert opened["private"]["query"]["demographics"]["names"][0]["family"] == "Brightwater"
    assert opened["findings"] == []
    sealed = cli("log", "show", entry["seq"], "--sealed")
    assert sealed.code == 0
    assert "Brightwater" not in sealed.flat
    assert len(cli("log", "tail", "--lines", 1, "--json").json) == 1


def _ask_in_vain(cli: Cli, own_entry: Path) -> None:
    """Ask a community that the directory does not have: one failed entry in the log."""
    assert own_entry.is_file()
    asked = cli(
        "query", "patient", "--purpose", "T-TRTMNT", "--family", "Brightwater",
        "--birth-date", "1981-07-09", "--peer", "urn:oid:2.999.72", "--json",
    )  # fmt: skip
    assert len(asked.json["legs"]) == 1
