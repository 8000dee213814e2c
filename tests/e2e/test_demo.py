"""``tefca-node demo`` as a user runs it: real processes, real sockets, one JSON object."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from node.app import Composition
from node.cli.main import run as command_line
from node.demo import processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LEG = {"peer", "hcid", "transaction", "outcome", "reason", "ms", "documents"}
DOCUMENT = {"sha256", "mime_type", "type_code", "title", "size", "sources"}


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node.app", "demo", *options],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )


def processes_of(home: Path) -> list[int]:
    """Processes whose command line names a folder, or that have a file of it open."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            files = open_files(path.parent)
        except OSError:
            continue
        if any(str(home).encode() in word for word in words) or any(
            file.is_relative_to(home) for file in files
        ):
            found.append(int(path.parent.name))
    return found


def open_files(process: Path) -> list[Path]:
    """What a process of ``/proc`` has open just now."""
    found = []
    for link in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(link.readlink())
    return found


def databases_served(home: Path) -> set[Path]:
    """The nodes' databases in a folder that any process has open."""
    opened = {
        file
        for pid in processes_of(home)
        if Path(f"/proc/{pid}").exists()
        for file in open_files(Path(f"/proc/{pid}"))
    }
    return opened & set(home.rglob("node.db"))


def check_shape(result: dict[str, Any]) -> None:
    for leg in result["legs"]:
        assert set(leg) == LEG
        assert isinstance(leg["ms"], int)
    for document in result["documents"]:
        assert set(document) == DOCUMENT
        assert len(document["sha256"]) == 64
        assert document["size"] > 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "network"


@pytest.fixture(scope="module")
def result(home: Path) -> dict[str, Any]:
    completed = run("--once", "--json", "--home", str(home))
    assert completed.returncode == 0, completed.stderr
    parsed: dict[str, Any] = json.loads(completed.stdout)
    return parsed


def test_the_json_has_the_documented_shape(result: dict[str, Any]) -> None:
    check_shape(result)
    assert result["as_designed"] is True
    assert result["differences"] == []


def test_every_leg_ends_as_designed(result: dict[str, Any]) -> None:
    """DESIGN law 5: every peer asked ends as exactly one outcome, and none disappears."""
    legs: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for leg in result["legs"]:
        legs[leg["peer"]].append((leg["transaction"], leg["outcome"], leg["documents"]))
    assert legs == {
        "Cedar Valley Hospital": [("ITI-55", "ok", 0), ("ITI-38", "ok", 2), ("ITI-39", "ok", 2)],
        "Lakeside Medical Group": [("ITI-55", "ok", 0), ("ITI-38", "ok", 5), ("ITI-39", "ok", 5)],
        "Northgate Family Clinic": [("ITI-55", "ok-empty", 0)],
        "Willow Creek Behavioral Health": [("ITI-55", "declined", 0)],
        "Sandstone Regional Hospital": [("ITI-55", "timed-out", 0)],
        "Pinewood Urgent Care": [("ITI-55", "failed", 0)],
    }


def test_whoever_gave_nothing_has_a_reason_and_the_others_have_none(
    result: dict[str, Any],
) -> None:
    for leg in result["legs"]:
        assert bool(leg["reason"]) == (leg["outcome"] not in ("ok", "ok-empty")), leg


def test_the_same_bytes_at_two_peers_are_one_document(result: dict[str, Any]) -> None:
    assert len(result["documents"]) == 6
    common = [d for d in result["documents"] if len(d["sources"]) == 2]
    assert [d["title"] for d in common] == ["Continuity of Care Document"]
    assert common[0]["type_code"] == "34133-9"
    assert set(common[0]["sources"]) == {"urn:oid:2.999.20", "urn:oid:2.999.30"}


def test_each_document_is_saved_whole_where_it_is_said(result: dict[str, Any], home: Path) -> None:
    for document in result["documents"]:
        path = Path(result["saved"][document["sha256"]])
        assert path.is_relative_to(home)
        content = path.read_bytes()
        assert sha256(content).hexdigest() == document["sha256"]
        assert len(content) == document["size"]


def test_both_sides_wrote_the_same_of_every_answered_leg(result: dict[str, Any]) -> None:
    assert len(result["ledger"]) == len(result["legs"])
    for pair in result["ledger"]:
        if pair["ours"]["outcome"] in ("timed-out", "failed"):
            assert pair["theirs"] is None
        else:
            assert pair["theirs"]["outcome"] == pair["ours"]["outcome"]


def test_no_node_is_left_behind(result: dict[str, Any], home: Path) -> None:
    assert result["home"] == str(home)
    assert processes_of(home) == []


def test_a_folder_in_use_is_refused_with_the_next_step(
    result: dict[str, Any], home: Path, warm_start: Path
) -> None:
    completed = subprocess.run(
        [warm_start / "tefca-node", "demo", "--once", "--home", home],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert completed.returncode == 3
    assert "demo-home-not-empty" in completed.stderr
    assert "next:" in completed.stderr


def test_ctrl_c_ends_everything_and_leaves_nothing(tmp_path: Path, warm_start: Path) -> None:
    """The command and its nodes are loaded already: how they are started is tried above."""
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        # the demo talks to this machine alone: a proxy for web traffic must not come between
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    process = subprocess.Popen(
        [warm_start / "tefca-node", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if "received" in line:  # the slow peer is still being waited for
                break
        during = databases_served(tmp_path)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(during) == 6
    assert processes_of(tmp_path) == []
    # where all processes of a user claim their ports, for as long as they live: it stays, empty
    claims = tmp_path / f"tefca-node-ports-{os.getuid()}"
    assert claims.stat().st_size == 0
    assert list(tmp_path.iterdir()) == [claims]


@pytest.mark.shared
def test_real_documents_of_many_vendors_go_through_the_network(
    shared_data: Path,
    warm_start: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command and its nodes are loaded already: how they are started is tried above."""
    folder = shared_data / "ccda" / "vendors-2015ed"
    monkeypatch.setattr(processes, "PROGRAM", (str(warm_start / "tefca-node"),))
    words = ["tefca-node", "demo", "--once", "--json", "--data", str(folder)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        command_line(Composition())
    shown = capsys.readouterr()
    assert ended.value.code == 0, shown.err
    result = json.loads(shown.out)
    check_shape(result)
    given = {sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    came = {document["sha256"] for document in result["documents"]}
    assert len(came) > 10
    assert came <= given
    assert any(len(document["sources"]) == 2 for document in result["documents"])
    outcomes = {leg["outcome"] for leg in result["legs"]}
    assert outcomes == {"ok", "ok-empty", "declined", "timed-out", "failed"}
