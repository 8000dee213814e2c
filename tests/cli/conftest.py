"""Runs commands in this process, on copies of a home that is made once."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ended import HCID, Cli, Ended

from node.app import Composition
from node.cli.main import run
from node.settings import NodeHome, load_settings
from node.setup import NewNode, issue_all, load_ca, make_ca, make_home
from trust.keys import KeyKind


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a development CA."""
    folder = tmp_path_factory.mktemp("ca")
    make_ca(folder, "ca", "Test CA", now=datetime.now(UTC) - timedelta(days=60))
    return folder


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Path:
    """A home with certificates, without any directory entry."""
    home = NodeHome(tmp_path_factory.mktemp("pristine") / "home")
    node = NewNode(
        name="Lake Hospital",
        home_community_id=HCID,
        organization_id="2.999.71",
        initiates=("T-TRTMNT",),
        port=0,
        grpc_port=0,
        ops_port=0,
        console_port=0,
    )
    now = datetime.now(UTC)
    make_home(home, node, now=now)
    issue_all(home, load_settings(home), load_ca(authority, "ca"), now=now, kind=KeyKind.P_256)
    return home.path


@pytest.fixture
def home(pristine: Path, tmp_path: Path) -> NodeHome:
    """A home of this test's own."""
    return NodeHome(Path(shutil.copytree(pristine, tmp_path / "home")))


@pytest.fixture
def cli(home: NodeHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command as ``tefca-node`` does; ``at`` is another home than the test's."""
    monkeypatch.delenv("TEFCA_NODE_PASSPHRASE", raising=False)

    def command(*arguments: object, at: Path | None = None) -> Ended:
        words = ["tefca-node", "--home", str(at or home.path), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(Composition())
        shown = capsys.readouterr()
        return Ended(code=int(ended.value.code or 0), out=shown.out, err=shown.err)

    return command


@pytest.fixture
def joined(cli: Cli, home: NodeHome, tmp_path: Path) -> Path:
    """The test's home with its own entry in the directory; the file it was exported to."""
    file = tmp_path / "own.json"
    assert cli("directory", "export", "--self", "--out", file).code == 0
    assert cli("directory", "import", file, "--source", "self").code == 0
    return file
