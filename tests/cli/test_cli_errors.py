"""Errors say what happened, whose side it is on, the next step, and end with their exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from ended import Cli, change

from node.cli.asker import taking
from node.cli.main import app
from node.identity import Role, identity_files
from node.settings import NodeHome

PERSON = ("--family", "Brightwater", "--birth-date", "1981-07-09")
TREATMENT = ("--purpose", "T-TRTMNT")


@pytest.mark.parametrize(
    "words",
    [("log", "find"), ("directory", "find"), ("cert", "show"), ("serve",), ("records", "list")],
)
def test_a_folder_without_settings_is_no_node_home(
    cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ended = cli(*words, at=tmp_path)
    assert ended.code == 3
    assert f"{tmp_path} has no node.toml." in ended.flat
    assert "this is on our side (no-node-home)" in ended.flat
    assert "next: Make a node home with `tefca-node init`" in ended.flat


@pytest.mark.parametrize(
    "words",
    [
        ("bogus",),
        ("log", "find", "--bogus"),
        ("log", "find", "--transaction", "ITI-99"),
        ("log", "find", "--limit", "0"),
        ("cert", "request", "emperor"),
        ("cert", "import", "server"),
        ("directory", "export"),
        ("peer", "pin", "x"),
        ("init",),
    ],
)
def test_a_wrong_command_line_ends_with_2(cli: Cli, words: tuple[str, ...]) -> None:
    ended = cli(*words)
    assert ended.code == 2
    assert "Error" in ended.err
    assert "Traceback" not in ended.flat


def test_a_missing_file_is_named(cli: Cli, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    for words in (
        ("anchor", "add", missing),
        ("cert", "import", "server", missing),
        ("directory", "import", missing),
        ("records", "add", missing),
        ("ca", "issue", missing, "--for", "server", "--ca", tmp_path),
        ("directory", "export", "--self", "--out", missing / "below"),
    ):
        ended = cli(*words)
        assert ended.code == 3, ended.err
        assert "this is on our side" in ended.err
        assert "next:" in ended.err


def test_a_wrong_setting_is_named_with_its_key(cli: Cli, home: NodeHome) -> None:
    change(home, "[listen]", "[listen]\nhsot = 7")
    ended = cli("log", "find")
    assert ended.code == 3
    assert "there is no setting listen.hsot; was listen.host meant?" in ended.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[listen]", "[lisen]", "there is no section [lisen]; was listen meant?"),
        ("[policy]", '[policy]\ncolour = "red"', "there is no setting policy.colour."),
        ('public_url = "https:', 'public_url = "ftp:', "listen.public_url has to be https://HOST"),
        ('public_url = "https://localhost:8443', 'public_url = "not a url', "has to be https://"),
        ("name =", "nmae =", "the setting node.name is missing (1 more)."),
        ("port = 0", 'port = "x"', "listen.port: Input should be a valid integer"),
    ],
)
def test_a_wrong_setting_is_told_in_words_with_its_form(
    cli: Cli, home: NodeHome, old: str, new: str, said: str
) -> None:
    change(home, old, new)
    ended = cli("log", "find")
    assert (ended.code, said in ended.flat) == (3, True), ended.err


def test_settings_that_are_no_text_are_told(cli: Cli, home: NodeHome) -> None:
    home.settings_file.write_bytes(b"# \xff\xfe")
    ended = cli("log", "find")
    assert ended.code == 3
    assert "node.toml is no text in UTF-8, from its byte 2 on." in ended.flat


def test_a_damaged_database_is_told_as_such_with_the_way_back(home: NodeHome) -> None:
    for file in home.path.glob("node.db*"):
        file.unlink()
    (home.path / "node.db").write_bytes(b"this is no database at all" * 400)
    # a process of its own: in this one the tests' ready schema stands in for the migrations
    words = [sys.executable, "-m", "node", "--home", str(home.path), "log", "find"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    said = " ".join(ended.stderr.split())
    assert "tables cannot be made: file is not a database." in said
    assert "restored from a backup" in said


def test_a_full_disk_under_the_output_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        monkeypatch.setattr("sys.stdout", full)
        ended = cli("log", "find", "--json")
        with pytest.raises(OSError, match="No space"):
            full.close()
    assert ended.code == 3
    assert "Not everything could be written: No space left on device." in ended.flat


def test_a_broken_file_of_ours_is_named(cli: Cli, home: NodeHome) -> None:
    file = identity_files(home, Role.SERVER).certificate
    file.write_text("junk")
    ended = cli("cert", "plan")
    assert ended.code != 0
    assert f"where: {file}" in ended.err


def test_a_client_has_a_plain_name(cli: Cli, home: NodeHome, tmp_path: Path) -> None:
    for name in ("../x", "", "a b", ".x", "ü", "x" * 65):
        ended = cli("client", "add", name, "--out", tmp_path / "clients")
        assert (ended.code, "A client's name has" in ended.flat) == (2, True)
    assert not (tmp_path / "clients").exists()


def test_keys_of_another_user_stop_no_other_check(
    cli: Cli, home: NodeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("node.examination.fingerprint_in_use", refused)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        change(home, "port = 0\npublic_url", f"port = {port}\npublic_url")
        ended = cli("doctor")
    assert "unknown served certificate" in ended.flat
    assert "gRPC port" in ended.out


def test_questions_say_what_they_lack(cli: Cli) -> None:
    for words, code, exit_code in (
        (("patient", *PERSON), "purpose-missing", 2),
        (("patient", *PERSON, "--purpose", "T-NOPE"), "purpose-missing", 2),
        (("patient", *TREATMENT), "person-incomplete", 2),
        (("patient", *TREATMENT, "--family", "X", "--birth-date", "July"), "person-incomplete", 2),
        (("documents", *TREATMENT, "--at", "no-equals-sign"), "person-incomplete", 2),
        (("retrieve", *TREATMENT, "one/two"), "person-incomplete", 2),
        (("patient", *PERSON, *TREATMENT, "--peer", "nonsense"), "identifier-invalid", 4),
    ):
        ended = cli("query", *words)
        assert code in ended.err, ended.err
        assert ended.code == exit_code


@pytest.mark.usefixtures("joined")
def test_nobody_asked_is_not_success(cli: Cli) -> None:
    for words in (("patient", *PERSON), ("chart", *PERSON)):
        ended = cli("query", *words, *TREATMENT)
        assert ended.code == 1
        assert "Nobody was asked" in ended.err
        machine = cli("query", *words, *TREATMENT, "--json")
        assert machine.code == 1
        assert machine.json["legs"] == []


def test_what_our_own_policy_declines_is_told_first(cli: Cli) -> None:
    ended = cli("query", "patient", *PERSON, *TREATMENT)  # our entry is in no directory
    assert "Every question is declined by our own policy" in ended.err


def test_a_node_that_does_not_run_is_a_network_error(cli: Cli) -> None:
    ended = cli("query", "patient", *PERSON, *TREATMENT, "--node", "localhost:9", "--seconds", "5")
    assert ended.code == 5
    assert "between the two sides" in ended.err


def test_every_command_explains_itself() -> None:
    def walk(command: object, path: str = "") -> None:
        assert getattr(command, "help", None), path
        for name, below in getattr(command, "commands", {}).items():
            walk(below, f"{path} {name}")
        for option in command.params:  # type: ignore[attr-defined]
            assert option.name == "help" or getattr(option, "help", None), f"{path} {option.name}"

    walk(typer.main.get_command(app))


# --- groups of options --------------------------------------------------------------------------


def test_taking_gives_a_command_the_options_of_its_readers() -> None:
    def pair(left: str = "a", right: str = "b") -> tuple[str, str]:
        return left, right

    seen = []

    @taking(both=pair)
    def command(both: tuple[str, str], last: int = 3) -> None:
        """Do it."""
        seen.append((both, last))

    command(left="x", right="y", last=4)
    assert seen == [(("x", "y"), 4)]
    assert set(command.__annotations__) == {"left", "right", "last"}
    assert command.__doc__ == "Do it."


# --- encrypted keys -----------------------------------------------------------------------------


def test_keys_are_encrypted_when_a_passphrase_is_set(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_start: Path
) -> None:
    new = NodeHome(tmp_path / "new")
    monkeypatch.setenv("TEFCA_NODE_PASSPHRASE", "correct horse")
    arguments = ("--name", "New", "--hcid", "2.999.75", "--development-ca", tmp_path / "ca2")
    ports = ("--port", "0", "--grpc-port", "0", "--ops-port", "0", "--console-port", "0")
    assert cli("init", *arguments, *ports, at=new.path).code == 0
    for role in Role:
        key = identity_files(new, role).key.read_bytes()
        assert key.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY")
    assert cli("cert", "request", "server", at=new.path).code == 0

    monkeypatch.setenv("TEFCA_NODE_PASSPHRASE", "wrong horse")
    wrong = cli("cert", "request", "server", at=new.path)
    assert (wrong.code, "key-passphrase-wrong" in wrong.err) == (3, True)
    assert "wrong horse" not in wrong.flat
    found = cli("doctor", "--json", at=new.path).json
    assert {r["status"] for r in found if r["check"].startswith("identity")} == {"fail"}

    monkeypatch.delenv("TEFCA_NODE_PASSPHRASE")
    missing = cli("serve", at=new.path)
    assert (missing.code, "key-passphrase-missing" in missing.err) == (3, True)

    env = os.environ | {"TEFCA_NODE_PASSPHRASE": "correct horse"}
    process = subprocess.Popen(
        [warm_start / "tefca-node", "--home", new.path, "serve", "--json"],
        env=env, cwd=Path(__file__).resolve().parents[2], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        bound = json.loads(process.stdout.readline())
        assert set(bound) == {"soap", "grpc", "ops", "console"}
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0


def test_an_interrupted_command_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("node.cli.doctor.examine_home", interrupted)
    ended = cli("doctor")
    assert (ended.code, ended.out, ended.err) == (130, "", "Stopped.\n")
