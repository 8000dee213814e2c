"""README and manual say what is so: commands are run as they stand, tables are compared."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_core import PydanticUndefined

from node.cli.exits import Exit
from node.cli.main import app
from node.demo.free_ports import free_ports
from node.model import Outcome
from node.policy.reasons import reasons
from node.settings import Settings
from tests.docs.manual import README, ROOT, blocks, cells, pages, quoted, section
from trust.errors import error_table

SECONDS = (
    500  # for a busy machine; it is the start of 40 programs, about a minute on two idle cores
)


# one walk of one shell: the README's, and the chapters of the manual that go on with its nodes
JOINING = (
    "## Join two nodes by hand",
    "### 7. Send a document",
    "### 8. Revoke a certificate",
    "### 9. Let others check the log",
)

# --- joining by hand ----------------------------------------------------------------------------


def with_free_ports(script: str) -> str:
    """The script as it stands, unless another program has one of its ports just now."""
    for port in sorted(set(re.findall(r"\b[123]844[34567]\b", script))):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                script = re.sub(rf"\b{port}\b", str(free_ports(1)[0]), script)
    return script


@pytest.mark.e2e
@pytest.mark.timeout(560)
def test_joining_two_nodes_by_hand_works_word_for_word(tmp_path: Path, warm_start: Path) -> None:
    part = "\n".join(map(section, JOINING))
    shown = output_of(part, tmp_path, warm_start)
    assert shown.count("the same bytes") == 2, shown
    assert "certificate-revoked" in shown.rpartition("the same bytes")[2], shown
    (expected,) = blocks(part, "text")
    printed = "\n".join(line.rstrip() for line in shown.splitlines())
    assert expected.rstrip() in printed
    assert (tmp_path / "two-nodes" / "documents" / "document-001.xml").is_file()


@pytest.mark.e2e
@pytest.mark.timeout(560)
def test_a_signed_network_list_works_word_for_word(tmp_path: Path, warm_start: Path) -> None:
    part = section("## A signed network list")
    assert blocks(part, "text") == []  # nothing that nobody runs
    shown = output_of(part, tmp_path, warm_start)
    assert "this waits" in shown
    assert "Valley Hospital" in shown
    first, between, last = re.split(
        r"^.*this waits.*$|^Version \d+ is in use", shown, flags=re.MULTILINE
    )
    assert "valley-ca" in first
    assert "No CA is trusted" in between
    assert "second-ca" in last


def output_of(part: str, home: Path, warm_start: Path, *, seconds: float = SECONDS) -> str:
    """What the commands of a part print, run as they stand by one shell."""
    script = with_free_ports("\n".join(blocks(part, "sh")))
    # the alias saves the time of loading the program; the script itself puts .venv on the PATH
    script = f"shopt -s expand_aliases\nalias tefca-node={warm_start}/tefca-node\n{script}"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TEFCA_NODE", "PYTEST"))}
    env |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
    output = home / "output"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(seconds)
        finally:
            kill_group(process.pid)
            process.wait()
    shown = output.read_text()
    assert code == 0, shown
    return shown


@pytest.mark.e2e
@pytest.mark.timeout(960)
def test_reading_over_fhir_works_word_for_word(tmp_path: Path, warm_start: Path) -> None:
    shown = output_of(section("## FHIR"), tmp_path, warm_start, seconds=900)  # three nodes
    assert '"valueCode":"certain"' in shown
    assert '"valueQuantity": {"value": 13.50, "unit": "g/dL"}' in shown
    assert shown.count('"resourceType":"Bundle"') == 4
    after = shown.split('"resourceType":"Bundle"')[3]
    assert "SMART-TOKEN" in after
    assert "launch " in after
    assert "UDAP-TOKEN" in after
    assert "FHIR-SEARCH" in after
    labs = (tmp_path / "fhir" / "labs.json").read_text()
    assert '"value": 13.50,' in labs
    assert '"value": 13.5,' in labs
    assert labs.count('"relation":"alternate"') == 2
    assert re.search(r"text/xml \d+ bytes", shown)  # a document of the network, by an EHR of ours
    assert "ITI-67" in shown


@pytest.mark.e2e
def test_renewing_a_certificate_works_word_for_word(tmp_path: Path, warm_start: Path) -> None:
    shown = output_of(
        section("## Renewing certificates").partition("\n### ")[0], tmp_path, warm_start
    )
    assert shown.count("Somebody has to act.") == 1
    assert "Nothing is due." in shown
    live = tmp_path / "renewing" / "hill" / "keys" / "server" / "live"
    assert live.read_text() == "v0003\n"


def kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return  # every process of it has ended, as the README's last commands ask


# --- tables -------------------------------------------------------------------------------------


def toml_of(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str):
        return f'`"{default}"`'
    return f"`{list(default)}`" if isinstance(default, tuple) else f"`{default}`"


def test_settings_table_is_that_of_the_settings() -> None:
    real = [
        (f"{section_name}.{name}", toml_of(field.default))
        for section_name, part in Settings.model_fields.items()
        for name, field in part.annotation.model_fields.items()
    ]
    rows = cells(section("### Settings"))
    assert [(quoted(row[0]), row[1]) for row in rows] == real
    assert all(len(row) == 3 and row[2] for row in rows)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every command of the tree, with the first line of its help."""
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            if below.hidden:  # the same command under its other name
                continue
            yield from commands(below, (*path, name))
    else:
        yield " ".join(path), command.help.split("\n")[0]


def test_command_list_is_that_of_the_command_line() -> None:
    listed = [(quoted(row[0]), row[1]) for row in cells(section("## The commands"))]
    assert listed == list(commands(typer.main.get_command(app)))


def test_exit_codes_are_those_of_the_code() -> None:
    rows = cells(section("### Exit codes"))
    listed = {int(row[0]): row[1].replace(" ", "_").upper() for row in rows}
    assert listed == {each.value: each.name for each in Exit}


def test_codes_shown_in_examples_exist() -> None:
    known = {code for package in ("trust", "directory", "node") for code in error_table(package)}
    known |= set(reasons())
    known |= set(tomllib.loads((ROOT / "directory" / "data" / "findings.toml").read_text("utf-8")))
    printed = "".join(block for text in pages().values() for block in blocks(text, "text"))
    shown = set(re.findall(r"[(\[]([a-z]+(?:-[a-z]+)+)[)\]]", printed))
    assert shown
    assert shown <= known


def test_outcomes_are_those_of_the_model() -> None:
    text = section("### Errors")
    listed = re.findall(r"`([a-z-]+)`", text[text.index("exactly one outcome") :])
    assert listed == [outcome.value for outcome in Outcome]


def test_packages_it_names_exist() -> None:
    mapped = [quoted(row[0]) for row in cells(section("## Map of the packages"))]
    missing = [name for name in mapped if not (ROOT / name).exists()]
    assert mapped
    assert missing == []


def test_commands_in_running_text_exist() -> None:
    real = {name for name, _ in commands(typer.main.get_command(app))}
    groups = {" ".join(words[:n]) for words in map(str.split, real) for n in range(1, len(words))}
    shell = re.findall(
        r"tefca-node (?:--home \w+ )?([a-z]+(?: [a-z-]+)*)", "\n".join(pages().values())
    )
    used = {_command(text.split(), groups) for text in shell}
    assert used
    assert used <= real


def _command(words: list[str], groups: set[str]) -> str:
    """The words that name a command; those behind it are what it is given."""
    count = 1
    while count < len(words) and " ".join(words[:count]) in groups:
        count += 1
    return " ".join(words[:count])


# --- make ---------------------------------------------------------------------------------------


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split())  # type: ignore[union-attr]
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert listed == phony == targets
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())


def test_readme_opens_with_the_two_commands() -> None:
    opening = pages()[README].partition("\n## ")[0]
    assert "`make demo`" in opening
    assert "`make test`" in opening
